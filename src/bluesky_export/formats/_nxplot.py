"""Mends of apstools' NXWriter: ``/entry/data``, the plot that readers show first.

NeXus wants ``@axes`` to name one axis for each dimension of the signal. apstools names all
positioners, whatever the signal's rank, and readers then find no plot. The rule here:

- signal: ``nxdata_signal`` if the class declares one, else the first detector with numbers, else
  the first hinted field with numbers, else the first that no motor has;
- axes: ``nxdata_signal_axes`` where they fit the signal, else the first scanned motor and ``.`` for
  the dimensions inside of an event; without a motor ``time``, in seconds since the first event;
- the other scanned motors are alternative axes of the first dimension (``@<name>_indices = 0``).

``EPOCH`` holds the epochs of the signal's readings (apstools links the relative time to this name).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py

from ..documents.fields import fields_of
from ._nxintake import Intake, own_dataset

_PRIMARY = "/entry/instrument/bluesky/streams/primary"
Members = dict[str, tuple[Any, tuple[int, ...]]]
"""dtype and shape of what is in ``/entry/data``."""


class PlotHooks(Intake):
    """The parts of the file that say what is what in the primary stream."""

    def assign_signal_type(self) -> None:
        """Mark each field of the primary stream as detector, positioner or other."""
        primary = self.root.get(_PRIMARY)
        if primary is None:
            return
        fields = self.names_in("primary")
        for name, group in primary.items():
            key = fields.get(name, name)
            value = own_dataset(group, "value")
            if key in self.data_map.get("detectors", []):
                kind = "detector"
            elif key in self.data_map.get("motors", []):
                kind = "positioner"
            elif value is not None and str(value.attrs.get("source", "")).find(".S") > 0:
                kind = "detector"  # the name of an EPICS scaler channel
            else:
                kind = "other"
            group.attrs["signal_type"] = kind
            if value is not None:
                value.attrs["signal_type"] = kind

    def write_detector(self, parent: h5py.Group) -> h5py.Group | None:
        """Link the detectors of the primary stream."""
        return self._write_devices(parent, self.detectors, "detector", "NXdetector", "data")

    def write_positioner(self, parent: h5py.Group) -> h5py.Group | None:
        """Link the positioners of the primary stream."""
        return self._write_devices(parent, self.positioners, "positioner", "NXpositioner", "value")

    def _write_devices(
        self, parent: h5py.Group, devices: list[str], kind: str, nx_class: str, member: str
    ) -> h5py.Group | None:
        primary = self.root.get(_PRIMARY)
        if not devices or primary is None:
            return None
        group = self.create_NX_group(parent, f"{kind}s:NXnote")
        for name, field in primary.items():
            if field.attrs.get("signal_type") == kind:
                self.create_NX_group(group, f"{name}:{nx_class}")[member] = field
        return group

    def write_data(self, parent: h5py.Group) -> h5py.Group | None:
        """Write ``/entry/data``: links to the primary stream, and the default plot."""
        primary = self.root.get(_PRIMARY)
        if primary is None or not len(primary):
            return None
        nxdata = self.create_NX_group(parent, "data:NXdata")
        members = {}
        for name, field in primary.items():
            value = own_dataset(field, "value")
            if value is not None:
                nxdata[name] = value
                members[name] = (value.dtype, value.shape)
            elif field.name in self.linked:
                nxdata[name] = field.get("value", getlink=True)
                members[name] = self.linked[field.name]
        signal = self._signal(members)
        # Without a signal the time of any field is as good as another's.
        timed = next((name for name in (signal, *primary) if name and "EPOCH" in primary[name]), None)
        for name, of in (("EPOCH", "EPOCH"), ("time", "time")):
            if timed is not None and name not in members:
                nxdata[name] = primary[timed][of]
                members[name] = (nxdata[name].dtype, nxdata[name].shape)
        if signal is not None:
            nxdata.attrs["signal"] = signal
            for name in ("errors", f"{signal}_errors"):
                # Readers take these for standard deviations, and refuse the plot if they do not fit.
                if name in members and members.pop(name)[1] != members[signal][1]:
                    del nxdata[name]
            self._write_axes(nxdata, members, signal, timed == signal)
        return nxdata

    def _signal(self, members: Members) -> str | None:
        files = {key: name for name, key in self.names_in("primary").items()}
        if self.nxdata_signal is not None:
            wanted = str(files.get(self.nxdata_signal, self.nxdata_signal))
            if plottable(members, wanted):
                return wanted
            self.host.notice(f"the default plot's signal {self.nxdata_signal!r} has no numbers in this run")
        detectors, motors = self.data_map.get("detectors", []), self._motors()
        hinted, others = [], []
        for descriptor in self.host.descriptors.values():
            if descriptor.get("name", "primary") == "primary":
                for hint in (descriptor.get("hints") or {}).values():
                    fields = hint.get("fields") if isinstance(hint, Mapping) else None
                    hinted += [key for key in fields or [] if key not in motors]
                others += [key for key in descriptor["data_keys"] if key not in motors]
        candidates = (files.get(key, key) for key in [*detectors, *hinted, *others])
        return next((name for name in candidates if plottable(members, name)), None)

    def _motors(self) -> list[str]:
        motors: list[str] = []
        for descriptor in self.host.descriptors.values():
            if descriptor.get("name", "primary") == "primary":
                motors += fields_of(self.host.start_doc, descriptor).motors
        return motors + list(self.data_map.get("motors", []))

    def _write_axes(self, nxdata: h5py.Group, members: Members, signal: str, timed: bool) -> None:
        shape = members[signal][1]
        files = {key: name for name, key in self.names_in("primary").items()}

        def fits(name: str, size: int) -> bool:
            return plottable(members, name) and members[name][1] == (size,) and name != signal

        declared = [files.get(name, name) for name in _strings(self.nxdata_signal_axes)]
        for name in declared:
            if name not in members and name != ".":
                self.host.notice(f"the default plot's axis {name!r} is not in this run")
        if len(declared) == len(shape) and all(
            name == "." or fits(name, size) for name, size in zip(declared, shape, strict=True)
        ):
            axes = declared
        else:
            motors = [files.get(key, key) for key in self._motors()]
            first = next((name for name in [*declared, *motors] if fits(name, shape[0])), None)
            if first is None:
                first = next((name for name in ("time", "EPOCH") if timed and fits(name, shape[0])), ".")
            axes = [first] + ["."] * (len(shape) - 1)
        nxdata.attrs["axes"] = axes
        for dimension, name in enumerate(axes):
            if name != ".":
                nxdata.attrs[f"{name}_indices"] = dimension
        for name in [*declared, *(files.get(key, key) for key in self._motors())]:
            if name not in axes and fits(name, shape[0]):
                nxdata.attrs[f"{name}_indices"] = 0


def plottable(members: Members, name: str) -> bool:
    """Say whether a member is a dataset of numbers with at least one event."""
    dtype, shape = members.get(name, (None, ()))
    return dtype is not None and dtype.kind in "iuf" and len(shape) > 0 and 0 not in shape


def _strings(names: Any) -> Iterable[str]:
    if isinstance(names, str):
        return [names]
    return [str(name) for name in names or []]
