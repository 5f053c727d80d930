"""NaN through databroker's MongoDB driver.

The server that stands in for MongoDB in the matrix refuses NaN, which MongoDB itself keeps (BSON has
IEEE 754 doubles). mongomock keeps it as well; it is no server, but all queries are asked of it.
"""

from __future__ import annotations

import mongomock
import pytest

from bluesky_export.catalogs import wrap_catalog
from bluesky_export.exporting import export
from bluesky_export.testing import RUNS

from ..fidelity import formats_for, hold
from ..fixtures_databroker import quiet
from ..matrix.stores import REFUSED

KINDS = [name for name, said in REFUSED["mongo"].items() if said == "Invalid JSON document"]


@pytest.fixture(scope="module")
def database():
    with quiet():
        yield mongomock.MongoClient().get_database("runs")


@pytest.mark.parametrize("run", KINDS)
def test_nan_comes_back_out(database, run, tmp_path):
    with quiet():
        from databroker._drivers.mongo_normalized import BlueskyMongoCatalog

        catalog = BlueskyMongoCatalog(database, database, name="mongomock")
        made = RUNS[run].make(tmp_path / "detectors")
        insert = catalog._get_serializer()
        for name, doc in made.documents:
            insert(name, doc)
    assert "nan" in repr(made.documents)
    (tmp_path / "out").mkdir()
    uid, names = made.documents[0][1]["uid"], formats_for(made.documents)
    result = export(f"uid:{uid}", names, f"{tmp_path}/out/", catalog=wrap_catalog(catalog))
    assert [written.format for written in result.written] == names
    for written in result.written:
        hold(written, made)
