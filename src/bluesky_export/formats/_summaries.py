"""What our formats are in one line, for ``--help`` and TAB, which are to import none of them.

The line itself is the writer's ``summary``; a test prints this table anew where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping

SUMMARIES: Mapping[str, str] = {
    "csv": "a table for each stream, metadata beside it as JSON",
    "json": "one readable object: metadata, streams, columns, units",
    "jsonl": "the documents themselves, one a line; databroker opens it as a catalog",
    "msgpack": "the documents themselves with their dtypes, as databroker and suitcase-msgpack keep them",
    "pack": "a folder as databroker-pack makes it, with the detector files; added to",
    "tiled": "a copy in a Tiled server, compared after it was sent",
    "spec": "SPEC data file, one scan a run, appended to; for spec2nexus, silx, PyMca",
    "hdf5": "all streams, fields, images and metadata in one HDF5 file; opens in xarray",
    "nexus": "NeXus/HDF5 as apstools' NXWriter writes it, with a default plot",
    "dx": "APS Data Exchange for tomography: projections, theta, flats, darks; the rest as hdf5",
    "tiff": "the images, one stack a field or one file a frame; for ImageJ, tifffile",
    "parquet": "a Parquet table for each stream, dtypes and metadata kept; for pandas, polars, DuckDB",
    "arrow": "an Arrow (Feather) table for each stream, dtypes and metadata kept; for pandas, polars, R",
    "xlsx": "an Excel workbook: a sheet for each stream, one for units, one for metadata",
    "xdi": "one absorption spectrum (XAS Data Interchange 1.0), for Athena and Larch",
    "png": "a plot: detectors against the motor, maps of grids, contact sheets of images",
}
NEEDS: Mapping[str, str] = {"tiff": "tifffile", "xlsx": "xlsxwriter", "png": "matplotlib"}
"""The package of an extra that a format cannot be loaded without."""
