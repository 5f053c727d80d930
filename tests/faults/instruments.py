"""NXWriter subclasses of the kinds that instruments have: what they override, and how they are used.

Modelled on what the USAXS, POLAR and XPCS beamlines and BITS instruments have in public, written anew.
"""

from __future__ import annotations

import h5py
from apstools.callbacks import NXWriter, NXWriterAPS


class BitsWriter(NXWriter):
    """The title from the run's metadata."""

    warn_on_missing_content = False

    def get_sample_title(self):
        try:
            return self.metadata["title"]
        except KeyError:
            return f"S{self.scan_id:05d}-{self.plan_name}-{self.uid[:7]}"


class XpcsWriter(NXWriterAPS):
    """Links out of the metadata into groups of an application definition; a layout version."""

    warn_on_missing_content = False

    def write_root(self, filename):
        super().write_root(filename)
        self.root.attrs["layout_version"] = "TEST-2026"

    def write_entry(self):
        entry = super().write_entry()
        dataset = entry.create_dataset("layout_version", data="TEST-2026")
        dataset.attrs["target"] = dataset.name
        entry["instrument/layout_version"] = dataset
        entry["entry_identifier_uuid"] = entry["entry_identifier"]

    def write_instrument(self, parent):
        super().write_instrument(parent)
        instrument = parent["instrument"]
        beam = self.create_NX_group(instrument, "incident_beam:NXbeam")
        energy = instrument["bluesky/metadata/X_energy"]
        energy.attrs["units"] = "keV"
        beam["incident_energy"] = energy


class PolarWriter(NXWriterAPS):
    """A singleton that each scan tells its file and its detectors' files; images are linked."""

    warn_on_missing_content = False
    external_files: dict = {}  # noqa: RUF012 - as instruments have it

    def write_entry(self):
        super().write_entry()
        for name, path in self.external_files.items():
            self.root[f"/entry/externals/{name}"] = h5py.ExternalLink(str(path), "/entry/instrument")
        self.external_files = {}


class UsaxsWriter(NXWriterAPS):
    """Takes the runs of some plans only, and a title out of the baseline."""

    warn_on_missing_content = False
    supported_plans = ("scan",)
    nxdata_signal = "det1"
    nxdata_signal_axes = ("motor1",)

    def get_sample_title(self):
        return self.get_stream_link("motor2")

    def start(self, doc):
        if doc.get("plan_name", "") in self.supported_plans:
            super().start(doc)


nxwriter = BitsWriter()
