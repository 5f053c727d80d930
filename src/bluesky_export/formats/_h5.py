"""What the HDF5 formats share: names, text, columns, values, metadata.

Rules that readers of the files meet:

- Text is UTF-8 of variable length. HDF5 holds neither NUL nor lone surrogates: if one value of a
  dataset has them, every value of it is written as a JSON string (in quotes), and the dataset has
  the attribute ``encoding = "json"``. Values that no single type holds are JSON as well
  (:mod:`bluesky_export.documents.jsontext`), with the same attribute: ``json.loads`` reads both.
- A name that HDF5 cannot hold is changed (``safe_name``), and is kept in the attribute
  ``original_name``. An attribute ``<name>_json`` is JSON text of what an attribute cannot hold.
- Rows that were None are listed in ``nulls/<name>``; the attribute ``nulls`` says where.
- Ragged columns are the values of all rows in turn, and beside them ``<name>_count`` (or, for
  rows of several dimensions, ``<name>_shape``): CF's contiguous ragged array.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Any

import h5py
import numpy as np

from ..documents import jsontext
from ..documents._chunks import Texts
from ..documents.columns import Packed, pack
from ._h5_external import Notice, put_external
from ._h5_file import check
from ._h5_small import TEXT, new_group, new_scalar, new_text, new_text_attribute

__all__ = [
    "ATTRIBUTE_BYTES",
    "Notice",
    "needs_json",
    "put_attribute",
    "put_column",
    "put_external",
    "put_mapping",
    "put_text",
    "put_value",
    "safe_name",
]

ATTRIBUTE_BYTES = 60_000
"""Attributes of files that every HDF5 reads hold 64 KiB, names and headers included."""

_SCALAR_BYTES = 1024
_ROWS_AT_ONCE = 50_000
_UNHOLDABLE = re.compile("[\x00\ud800-\udfff]")


def needs_json(text: str) -> bool:
    """Say whether HDF5 cannot hold a text as it is (NUL, lone surrogates)."""
    return _UNHOLDABLE.search(text) is not None


def safe_name(group: Container[str], name: str, taken: Container[str] = ()) -> str:
    """Return a name that is free in a group, as near to the wanted one as HDF5 allows.

    ``/``, NUL and lone surrogates become ``_``; the empty name, ``.`` and ``..`` become ``_``;
    ``_`` is added until the name is in neither the group nor ``taken``. Give the object it names the
    attribute ``original_name`` if the result differs (:func:`put_column` and the others do).
    In the place of the group may stand the names in it.
    """
    safe = re.sub("[/\x00\ud800-\udfff]", "_", name)
    if safe in ("", ".", ".."):
        safe = "_" * max(1, len(safe))
    while safe in taken or safe in group:
        safe += "_"
    return safe


def put_text(
    group: h5py.Group, name: str, values: Any, *, notice: Notice | None = None, what: str | None = None
) -> h5py.Dataset:
    """Write one text, a list of them, or an object array of them, under a name that is safe."""
    single = isinstance(values, str)
    flat = [values] if single else values.reshape(-1) if isinstance(values, np.ndarray) else values
    texts = [values.joined] if isinstance(values, Texts) else flat  # a uid for each event: looked at in one
    unholdable = any(map(needs_json, texts))
    if unholdable and notice is not None:
        notice(f"{what or name}: text with NUL or lone surrogates was written as JSON strings")

    def holdable(part: Any) -> Any:
        array = np.empty(len(part), object)
        array[:] = [jsontext.dumps(text) for text in part] if unholdable else list(part)
        return array

    if single:  # most of a run's metadata: in one call
        dataset = new_text(group, name, holdable(flat)[0])
    elif isinstance(values, np.ndarray):
        dataset = group.create_dataset(name, data=holdable(flat).reshape(values.shape), dtype=TEXT)
    else:
        dataset = group.create_dataset(name, (len(values),), TEXT)
        for first in range(0, len(values), _ROWS_AT_ONCE):  # h5py converts all that it is given
            stop = min(first + _ROWS_AT_ONCE, len(values))
            check(dataset)
            dataset[first:stop] = holdable(values[first:stop])
    if unholdable:
        dataset.attrs["encoding"] = "json"
    return dataset


def put_column(
    group: h5py.Group,
    name: str,
    packed: Packed,
    attrs: Mapping[str, Any] | None = None,
    *,
    notice: Notice | None = None,
) -> h5py.Dataset:
    """Write a packed column under a safe name.

    Parameters
    ----------
    group : h5py.Group
        Where.
    name : str
        The field's name.
    packed : Packed
        Its values.
    attrs : Mapping, optional
        Attributes of the dataset; those that are None are left out.
    notice : callable, optional
        Told what was converted, one sentence each.

    Returns
    -------
    h5py.Dataset
        The values. A ragged column has in the attribute ``ragged`` the name of the dataset beside
        it that says how long each row is.
    """
    safe = safe_name(group, name)
    check(group)
    if packed.kind in ("text", "mixed") or packed.values.dtype == object:
        dataset = put_text(group, safe, packed.values, notice=notice, what=name)
        if packed.kind == "mixed":
            dataset.attrs["encoding"] = "json"
    else:
        dataset = group.create_dataset(safe, data=packed.values)
    if packed.shapes is not None:
        one = packed.shapes.shape[1] == 1
        beside = safe_name(group, f"{safe}_count" if one else f"{safe}_shape")
        lengths = group.create_dataset(beside, data=packed.shapes[:, 0] if one else packed.shapes)
        lengths.attrs["long_name"] = (
            f"number of values in each row of {safe}" if one else f"shape of each row of {safe}"
        )
        dataset.attrs["ragged"] = beside
    if len(packed.nulls):
        nulls = group.require_group("nulls")
        nulls.create_dataset(safe, data=packed.nulls)
        dataset.attrs["nulls"] = f"nulls/{safe}"
    if packed.rule and notice is not None:
        notice(f"{name}: {packed.rule}")
    _name_and_attributes(dataset, name, safe, attrs, notice)
    return dataset


def put_value(
    group: h5py.Group,
    name: str,
    value: Any,
    *,
    notice: Notice | None = None,
    what: str | None = None,
    present: set[str] | None = None,
) -> h5py.Dataset | h5py.Group:
    """Write one value of metadata, to be read by people: a number, a text, an array, a group.

    What has no such form (None, lists of dicts, mixed lists) is JSON text. ``present`` is what is in
    the group, if the caller knows, and is kept up.
    """
    what = what or name
    safe = safe_name(group if present is None else present, name)
    if present is not None:
        present.add(safe)
    if isinstance(value, Mapping):
        inner = new_group(group, safe)
        put_mapping(inner, value, notice=notice, what=what)
        _name_and_attributes(inner, name, safe, None, notice)
        return inner
    if isinstance(value, str):
        dataset = put_text(group, safe, str.__str__(value), notice=notice, what=what)
    else:
        form = _form(value)
        if form is None:
            dataset = put_text(group, safe, jsontext.dumps(value, notice=notice), what=what)
            dataset.attrs["encoding"] = "json"
        elif form.dtype == object:
            dataset = put_text(group, safe, form, notice=notice, what=what)
        elif form.shape == () and form.nbytes <= _SCALAR_BYTES:
            dataset = new_scalar(group, safe, form)
        else:
            dataset = group.create_dataset(safe, data=form)
    _name_and_attributes(dataset, name, safe, None, notice)
    return dataset


def put_mapping(
    group: h5py.Group, mapping: Mapping[Any, Any], *, notice: Notice | None = None, what: str = ""
) -> None:
    """Write the items of a mapping into a group: see :func:`put_value`."""
    present = set(group)  # asked once: a run has hundreds of values
    for key, value in mapping.items():
        name = key if isinstance(key, str) else json.dumps(jsontext.encode(key))
        put_value(
            group, name, value, notice=notice, what=f"{what}/{name}" if what else name, present=present
        )


def put_attribute(obj: Any, name: str, value: Any, *, notice: Notice | None = None) -> None:
    """Write an attribute: a number, a text or a list of them.

    What an attribute cannot hold so is JSON text, and the attribute is called ``<name>_json``.
    None is left out. What is too long for an attribute is left out and said.
    """
    if value is None:
        return
    form = str.__str__(value) if isinstance(value, str) else _form(value)
    texts = [form] if isinstance(form, str) else []
    if isinstance(form, np.ndarray) and form.dtype.kind == "O":
        texts = list(form.reshape(-1))
    if form is None or any(map(needs_json, texts)):
        name, value = f"{name}_json", jsontext.dumps(value, notice=notice)
    else:
        value = form
    size = len(value.encode()) if isinstance(value, str) else value.nbytes
    if not isinstance(value, str) and value.dtype == object:
        size = sum(len(text.encode()) + 16 for text in value.reshape(-1))
        value = value.astype(TEXT)
    if size > ATTRIBUTE_BYTES:
        if notice is not None:
            notice(f"{obj.name}: attribute {name!r} is too long for HDF5 and was left out")
        return
    if isinstance(value, str):
        new_text_attribute(obj, name, value)
    else:
        obj.attrs[name] = value


def _form(value: Any) -> Any:
    """Return a value as an array that HDF5 holds without a rule; None if it has no such form."""
    if type(value) in (bool, float) or (type(value) is int and -(2**63) <= value < 2**63):
        return np.asarray(value)  # as the rules have it, at once: a run has thousands of them
    if isinstance(value, (list, tuple)):
        packed = pack(list(value)) if value else None
        if packed is None or packed.rule or packed.kind not in ("array", "text"):
            return None
        return np.array(packed.values, object) if packed.kind == "text" else packed.values
    packed = pack([value])
    if packed.kind != "array" or packed.rule or not len(packed):
        return None
    return np.asarray(packed.values[0])


def _name_and_attributes(
    obj: Any, name: str, safe: str, attrs: Mapping[str, Any] | None, notice: Notice | None
) -> None:
    if safe != name:
        put_attribute(obj, "original_name", name, notice=notice)
        if notice is not None:
            notice(f"{name!r} is called {safe!r} in the file")
    for key, value in (attrs or {}).items():
        put_attribute(obj, key, value, notice=notice)
