"""Mends of apstools' NXWriter: the entry, its metadata, and the documents as they were recorded.

Metadata, in ``/entry/instrument/bluesky/metadata``: text, numbers and arrays of numbers are
datasets; everything else (None, dicts, lists, dates, sets, and text that HDF5 cannot hold: with NUL
or lone surrogates) is YAML text marked ``@text_format = "yaml"``, whose ``yaml.safe_load`` gives the
value back. A key that is no HDF5 name is changed and kept in ``@original_name`` (with NUL or lone
surrogates, as a JSON string in ``@original_name_json``).

All of start, stop and the descriptors with their configuration is in
``/entry/instrument/bluesky/documents``, each document as JSON text
(:mod:`bluesky_export.documents.jsontext`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np
import yaml

from ..documents import jsontext
from ..outputs import own_version, stamp
from ._h5 import needs_json, put_attribute, put_text, safe_name
from ._nxintake import Intake

_LEAST, _MOST = -(2**63), 2**64 - 1
_NUMBERS = "biufc"


class EntryHooks(Intake):
    """The parts of the file that are written once a run."""

    def create_NX_group(self, parent: h5py.Group, specification: str) -> h5py.Group:  # noqa: N802
        """Create a group with its NeXus class; the name may hold any ``:`` but the last."""
        name, _, nx_class = specification.rpartition(":")
        if not nx_class.startswith("NX"):
            raise ValueError(f"NeXus base class must start with 'NX', received {nx_class}")
        # Members are listed in the order in which they are written, where there are few attributes.
        group = parent.create_group(name, track_order=nx_class == "NXnote")
        group.attrs["NX_class"] = nx_class
        group.attrs["target"] = group.name  # for use as NeXus link
        return group

    def hook(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call what an instrument may override: if it fails, the rest of the file is written.

        What the operating system or the HDF5 library refuse (OSError, RuntimeError) fails the file.
        """
        try:
            return method(*args)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            self.host.notice(
                f"{method.__qualname__} failed ({type(error).__name__}: {error}); what it writes is missing"
            )
            return None

    def get_sample_title(self) -> str:
        """Return the title of a run that has none of its own."""
        return f"S{self.scan_id:04d}-{self.plan_name}-{self.uid[:7]}"

    def write_root(self, filename: Any) -> None:
        """Write the root of the file."""
        # A path need not be UTF-8; an attribute must.
        super().write_root(str(filename).encode(errors="replace").decode())
        self.root.attrs["file_time"] = datetime.datetime.now().astimezone().isoformat()
        self.root.attrs["exporter"] = f"bluesky_export {own_version()}"

    def write_entry(self) -> h5py.Group:
        """Write ``/entry``; an unfinished run has no ``end_time`` and no ``duration``."""
        nxentry = self.create_NX_group(self.root, self.root.attrs["default"] + ":NXentry")
        put_text(nxentry, "start_time", stamp(self.start_time).isoformat())
        if self.host.stop_doc:
            put_text(nxentry, "end_time", stamp(self.stop_time).isoformat())
            nxentry.create_dataset("duration", data=self.stop_time - self.start_time).attrs["units"] = "s"
        put_text(nxentry, "program_name", "bluesky")

        self.write_instrument(nxentry)  # streams and metadata as well
        self.hook(self.write_data, nxentry)
        if "data" in nxentry:
            nxentry.attrs["default"] = "data"
        self.hook(self.write_sample, nxentry)
        self.hook(self.write_user, nxentry)

        cycle = self.root.get("/entry/instrument/source/cycle")
        if cycle is not None:
            nxentry["run_cycle"] = cycle
        metadata = self.root["/entry/instrument/bluesky/metadata"]
        title = self.metadata.get("title")
        if isinstance(title, str) and "title" in metadata and "text_format" not in metadata["title"].attrs:
            nxentry["title"] = metadata["title"]
        else:
            put_text(
                nxentry, "title", str(self.hook(self.get_sample_title) or EntryHooks.get_sample_title(self))
            )
        if "plan_name" in metadata:
            nxentry["plan_name"] = metadata["plan_name"]
        nxentry["entry_identifier"] = self.root["/entry/instrument/bluesky/uid"]
        self.hook(self.write_templates)
        return nxentry

    def write_instrument(self, parent: h5py.Group) -> h5py.Group:
        """Write ``/entry/instrument`` with metadata, documents and streams."""
        nxinstrument = self.create_NX_group(parent, "instrument:NXinstrument")
        bluesky = self.create_NX_group(nxinstrument, "bluesky:NXnote")
        self.write_metadata(bluesky)
        self.write_documents(bluesky)
        self.write_streams(bluesky)
        metadata = bluesky["metadata"]
        bluesky["uid"] = metadata["run_start_uid"]
        if "plan_name" in metadata:
            bluesky["plan_name"] = metadata["plan_name"]

        self.hook(self.assign_signal_type)
        self.hook(self.write_slits, nxinstrument)
        self.hook(self.write_detector, nxinstrument)
        self.hook(self.write_monochromator, nxinstrument)
        self.hook(self.write_positioner, nxinstrument)
        self.hook(self.write_source, nxinstrument)
        return nxinstrument

    def write_metadata(self, parent: h5py.Group) -> h5py.Group:
        """Write the start document, an item a dataset (see the module's first lines)."""
        group = self.create_NX_group(parent, "metadata:NXnote")
        uid = put_text(group, "run_start_uid", self.uid)
        uid.attrs["long_name"] = "bluesky run uid"
        uid.attrs["target"] = uid.name
        for key, value in self.metadata.items():
            name = safe_name(group, key)
            if key == self.template_key and isinstance(value, (list, tuple, Mapping)):
                # write_templates() reads it as JSON, which is YAML as well.
                dataset, is_yaml = put_text(group, name, jsontext.dumps(value)), True
            else:
                dataset, is_yaml = _metadatum(group, name, value)
            dataset.attrs["target"] = dataset.name
            if is_yaml:
                dataset.attrs["text_format"] = "yaml"
            if name != key:
                put_attribute(dataset, "original_name", key, notice=self.host.notice)
        return group

    def write_documents(self, parent: h5py.Group) -> None:
        """Write how the run ended, and all of start, descriptors and stop as they were recorded."""
        host = self.host
        put_text(parent, "exit_status", host.status)
        reason = (host.stop_doc or {}).get("reason")
        if isinstance(reason, str) and reason:
            put_text(parent, "reason", reason)
        group = self.create_NX_group(parent, "documents:NXcollection")
        documents = {"start": host.start_doc, "descriptors": list(host.descriptors.values())}
        if host.stop_doc:
            documents["stop"] = host.stop_doc
        for name, document in documents.items():
            note = self.create_NX_group(group, f"{name}:NXnote")
            put_text(note, "type", "application/json")
            put_text(note, "data", jsontext.dumps(document, notice=host.notice))

    def write_sample(self, parent: h5py.Group) -> h5py.Group | None:
        """Write ``/entry/sample`` from what the baseline has of it, be it a part."""
        links = {}
        for key in _SAMPLE:
            try:
                links[key] = self.get_stream_link(f"sample_data_{key}")
            except KeyError:
                continue
        if not links:
            return None
        nxsample = self.create_NX_group(parent, "sample:NXsample")
        for key, link in links.items():
            nxsample[key] = link
            if key.endswith("_field"):
                try:
                    direction = self.get_stream_link(f"sample_data_{key}_dir")[()]
                except KeyError:
                    continue
                direction = direction.decode() if isinstance(direction, bytes) else str(direction)
                put_attribute(nxsample[key], "direction", direction.lower())
        return nxsample

    def write_templates(self) -> None:
        """Write the links and constants that the run's metadata ask for."""
        if isinstance(self.metadata.get(self.template_key), (str, list, tuple)):
            super().write_templates()


_SAMPLE = (
    "chemical_formula",
    "concentration",
    "description",
    "electric_field",
    "magnetic_field",
    "rotation_angle",
    "scattering_length_density",
    "stress_field",
    "temperature",
    "volume_fraction",
    "x_translation",
)


def _metadatum(group: h5py.Group, name: str, value: Any) -> tuple[h5py.Dataset, bool]:
    """Write one value, and say whether it had to become YAML."""
    if isinstance(value, str) and not needs_json(value):
        return put_text(group, name, str.__str__(value)), False
    number = isinstance(value, (bool, float, complex)) or (
        isinstance(value, int) and _LEAST <= value <= _MOST  # an enumeration in a range() takes for ever
    )
    if number or (isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind in _NUMBERS):
        return group.create_dataset(name, data=value), False
    return put_text(group, name, to_yaml(value)), True


def to_yaml(value: Any) -> str:
    """Return YAML text, in ASCII, whose ``yaml.safe_load`` is the value."""
    plain = _plain(value)
    try:
        return str(yaml.dump(plain, Dumper=_Fast, sort_keys=False))
    except UnicodeEncodeError:  # libyaml takes UTF-8 only; a lone surrogate is an escape in YAML
        return str(yaml.dump(plain, Dumper=_Slow, sort_keys=False))


_SCALARS: tuple[Any, ...] = (bool, int, float, str, bytes)
_Fast: Any = type("_Fast", (getattr(yaml, "CSafeDumper", yaml.SafeDumper),), {})
_Slow: Any = type("_Slow", (yaml.SafeDumper,), {})


def _set_in_order(dumper: Any, value: set[Any]) -> Any:
    """Write a set by ``repr``: its own order is another in every process, and so would be the file."""
    return dumper.represent_mapping("tag:yaml.org,2002:set", dict.fromkeys(sorted(value, key=repr)))


for _dumper in (_Fast, _Slow):
    _dumper.add_representer(set, _set_in_order)


def _plain(value: Any) -> Any:
    """Return a value made of what YAML has: tuples are lists, numpy's numbers are Python's."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        items = [_plain(item) for item in sorted(value, key=repr)]
        return items if any(isinstance(item, (dict, list, set)) for item in items) else set(items)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "mMV":
        return _plain(value.tolist())
    if isinstance(value, (np.bool_, np.integer, np.floating, np.str_)):
        return value.item()
    for kind in _SCALARS:
        if isinstance(value, kind):
            # Without what a subclass adds, which YAML does not know; str() of an enumeration is its name.
            return str.__str__(value) if isinstance(value, str) else kind(value)
    if value is None or type(value) in (datetime.datetime, datetime.date):
        return value
    return jsontext.encode(value)


def _key(key: Any) -> Any:
    plain = _plain(key)
    return str(key) if isinstance(plain, (dict, list, set)) else plain
