"""Which fields of a run are projections, angles, flats and darks, by the options or by the hints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..documents.assets import Assets
from ..documents.columns import Array
from ..documents.fields import fields_of, is_external
from ..documents.images import ImageColumn, NoImages, images_of
from ..documents.pages import Document
from ..documents.tables import Table
from ..errors import BadOption, NoData

_DEGREES = {"deg", "degs", "degree", "degrees", "°"}
_RADIANS = {"rad", "rads", "radian", "radians"}


@dataclass
class Part:
    """What becomes ``data``, ``data_white`` or ``data_dark``.

    Attributes
    ----------
    table : Table
        The stream.
    column : ImageColumn
        The images.
    rows : ndarray of int
        Which points of it.
    theta : ndarray or None
        The angle of each point of the stream, degrees.
    """

    table: Table
    column: ImageColumn
    rows: Array
    theta: Array | None

    @property
    def frame(self) -> tuple[int, ...]:
        """The shape of a frame."""
        return self.column.row_shape[-2:]

    @property
    def frames_per_point(self) -> int:
        """Frames of a point."""
        return math.prod(self.column.row_shape[:-2])

    @property
    def present(self) -> Array:
        """Those points that have an image, as far as is known."""
        return np.intersect1d(self.rows, self.column.present)


def find(tables: Mapping[str, Table], name: str) -> tuple[Table, str] | None:
    """Return the field that a name means: ``field``, in ``primary`` first, or ``stream.field``."""
    for table in sorted(tables.values(), key=lambda table: table.name != "primary"):
        if name in table.fields:
            return table, name
    for stream, table in tables.items():
        if name.startswith(f"{stream}.") and name[len(stream) + 1 :] in table.fields:
            return table, name[len(stream) + 1 :]
    return None


def image_candidates(start: Document, table: Table) -> list[str]:
    """Return the fields of a stream, those that its hints name first, then detectors, then all others."""
    hinted: list[str] = []
    detectors: list[str] = []
    for doc in table.descriptors:
        for hint in (doc.get("hints") or {}).values():
            hinted += (hint.get("fields") or []) if isinstance(hint, Mapping) else []
        detectors += fields_of(start, doc).detectors
    known = table.fields
    return list(dict.fromkeys(name for name in [*hinted, *detectors, *known] if name in known))


def choose_images(
    start: Document, table: Table, assets: Assets, files: bool
) -> tuple[ImageColumn | None, list[str], dict[str, NoImages]]:
    """Return the first image field of a stream, the names of others, and what the fields hold instead."""
    chosen, others, instead = None, [], {}
    for field in image_candidates(start, table):
        found = images_of(table, field, assets, files=files)
        if isinstance(found, ImageColumn) and (lost := found.first_readable()) is not None:
            found.close()
            found = lost
        if isinstance(found, NoImages):
            instead[f"{table.name}.{field}"] = found
        elif chosen is None:
            chosen = found
        else:
            others.append(field)
            found.close()
    return chosen, others, instead


def choose_theta(start: Document, table: Table, run: str) -> str:
    """Return the field of the scanned angle.

    Raises
    ------
    NoData
        Nothing was scanned, or no single motor is an angle: which option names one.
    """
    motors = list(dict.fromkeys(name for doc in table.descriptors for name in fields_of(start, doc).motors))
    turning = [name for name in motors if _unit(table, name) in _DEGREES | _RADIANS]
    fitting = turning or [name for name in motors if not _unit(table, name)]
    if len(fitting) == 1:
        return fitting[0]
    what = f"{' and '.join(fitting)} could be" if fitting else "no scanned motor is"
    if motors and not fitting:
        units = ", ".join(f"{name} ({_unit(table, name)})" for name in motors)
        what = f"none of the scanned motors, {units}, is"
    raise NoData(
        f"{run}: {what} the angle; name it: --option theta=FIELD (fields: {', '.join(table.fields)})"
    )


def _unit(table: Table, field: str) -> str:
    if len(units := table.units(field)) > 1:
        return " and ".join(map(str, units))  # of no kind
    return str(table.data_key(field).get("units") or "").strip().lower()


def numbers(table: Table, field: str, assets: Assets) -> Array | None:
    """Return a field's values, if each point has one number."""
    packed = table.values(field)
    if packed is None or (is_external(table.data_key(field)) and packed.kind == "text"):
        external = table.external(field, assets)
        if external is None or not external.readable or external.row_shape not in ((), (1,)):
            return None
        values: Array = external.read(0, external.rows).reshape(-1)
        gone = len(external.missing_rows)
        external.close()
        return None if gone else values
    if packed.kind != "array" or len(packed.nulls) or packed.values.dtype.kind not in "iufb":
        return None
    return packed.values if packed.values[:1].size == len(packed.values[:1]) else None


def angles(table: Table, field: str, assets: Assets) -> tuple[Array, str]:
    """Return the angle of each point in degrees, as the reference has them, and what is to be said of it.

    Raises
    ------
    BadOption
        The field has no number for each point, or not the same units for all.
    """
    values = numbers(table, field, assets)
    if values is None:
        raise BadOption(f"theta={field}: {table.name}.{field} has not one number for each point")
    if len(units := table.units(field)) > 1:
        raise BadOption(
            f"theta={field}: its units change within stream {table.name}, from {units[0]!r} to {units[1]!r}"
        )
    values, unit = values.reshape(-1), _unit(table, field)
    if unit in _RADIANS:
        return np.rad2deg(values), f"theta: {field} is in {unit} and was written in degrees"
    if unit in _DEGREES:
        return values, ""
    said = f"its units are {unit!r}" if unit else "it has no units"
    return values, f"theta: {field}: {said}; readers take theta for degrees"
