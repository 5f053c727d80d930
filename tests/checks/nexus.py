"""NeXus, by h5py, silx and nexusformat."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import silx.io.nxdata
from nexusformat.nexus import nxload

from bluesky_export.documents import jsontext
from bluesky_export.documents.pages import paginate

from ..corpus import Pairs
from ..formats.nexus_files import (
    BLUESKY,
    STREAMS,
    check_values,
    documents,
    field_group,
    original_name,
    plain,
    read_metadatum,
)


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    check_file(documents, path)


def check_file(run, path):
    with h5py.File(path) as file:
        check_events(file, run)
        check_metadata(file, run)
        check_documents(file, run)
        check_plot(file, run)
    check_nexusformat(path, run)


def events_of(run):
    """Return the events of each stream, by the descriptor that they have."""
    descriptors = {doc["uid"]: doc for doc in documents(run, "descriptor")}
    streams: dict = {descriptor.get("name", "primary"): [] for descriptor in descriptors.values()}
    for name, doc in paginate(run, 1):
        if name == "event_page":
            descriptor = descriptors[doc["descriptor"]]
            streams[descriptor.get("name", "primary")].append((descriptor, doc))
    return streams


def check_events(file, run):
    for stream, events in events_of(run).items():
        group = file[STREAMS][stream]
        numbers = file[f"{BLUESKY}/events/{stream}"]
        np.testing.assert_array_equal(numbers["seq_num"][()], [page["seq_num"][0] for _, page in events])
        np.testing.assert_array_equal(numbers["time"][()], [page["time"][0] for _, page in events])
        if events:
            assert numbers["uid"].asstr()[()].tolist() == [page["uid"][0] for _, page in events]
        keys = {
            key: descriptor["data_keys"][key] for descriptor, _ in events for key in descriptor["data_keys"]
        }
        for key, data_key in keys.items():
            if data_key.get("external"):
                continue
            field = field_group(file, stream, key)
            measured = [page for _, page in events if key in page["data"]]
            values = [page["data"][key][0] for page in measured]
            stamps = [page["timestamps"][key][0] for page in measured]
            np.testing.assert_array_equal(field["EPOCH"][()], stamps)
            np.testing.assert_array_equal(field["time"][()], np.array(stamps) - stamps[0])
            declared = data_key.get("dtype_numpy")
            check_values(field["value"], values, declared)
            attributes = field["value"].attrs
            assert attributes["units"] == (data_key.get("units") or "")
            assert attributes["source"] == data_key["source"]
            assert attributes.get("precision") == data_key.get("precision")
            if stream == "baseline":
                check_values(field["value_start"], values[0], declared)
                check_values(field["value_end"], values[-1], declared)
        assert group.attrs["uid"] in {descriptor["uid"] for descriptor in documents(run, "descriptor")}


def check_metadata(file, run):
    start = documents(run, "start")[0]
    group = file[f"{BLUESKY}/metadata"]
    found = {original_name(item, name): read_metadatum(item) for name, item in group.items()}
    assert found.pop("run_start_uid") == start["uid"]
    assert found == {
        key: value for key, value in plain(start).items() if key not in ("uid", "time", "scan_id")
    }


def check_documents(file, run):
    group = file[f"{BLUESKY}/documents"]
    assert {group[name]["type"].asstr()[()] for name in group} == {"application/json"}
    found = {name: jsontext.loads(group[name]["data"].asstr()[()]) for name in group}
    assert found["start"] == plain(documents(run, "start")[0])
    assert by_uid(found["descriptors"]) == by_uid(plain(documents(run, "descriptor")))
    assert ([found["stop"]] if "stop" in found else []) == plain(documents(run, "stop"))
    status = file[f"{BLUESKY}/exit_status"].asstr()[()]
    assert status == (found["stop"]["exit_status"] if "stop" in found else "unfinished")
    assert ("end_time" in file["entry"]) == ("stop" in found)


def by_uid(docs):
    """Return documents by uid: stores give descriptors in an order of their own."""
    return {doc["uid"]: doc for doc in docs}


def check_plot(file, run):
    """The default plot is found by silx exactly where the primary stream has numbers."""
    events = events_of(run).get("primary", [])
    motors = {key for group in documents(run, "start")[0].get("motors") or [] for key in [group]}
    numeric = [
        key
        for descriptor, page in events[:1]
        for key, column in page["data"].items()
        if np.asarray(column[0]).dtype.kind in "iuf" and key not in motors
    ]
    plot = silx.io.nxdata.get_default(file)
    assert (plot is not None) == bool(numeric)
    if plot is None:
        return
    assert plot.group.name == "/entry/data"
    values = [
        page["data"][plot.group[plot.signal_dataset_name].attrs["long_name"]][0] for _, page in events
    ]
    np.testing.assert_array_equal(plot.signal[()], values)
    hinted = (documents(run, "start")[0].get("hints") or {}).get("dimensions")
    if hinted and hinted[0][0][0] in events[0][1]["data"]:
        assert plot.axes_dataset_names[0] == hinted[0][0][0]


def check_nexusformat(path, run):
    tree = nxload(path)
    assert tree.entry.nxclass == "NXentry"
    if silx_default(path):
        plottable = tree.plottable_data
        assert plottable.nxpath == "/entry/data"
        assert plottable.nxsignal.shape[0] == len(events_of(run)["primary"])
        assert len(plottable.nxaxes) == len(plottable.nxsignal.shape)


def silx_default(path):
    with h5py.File(path) as file:
        plot = silx.io.nxdata.get_default(file)
        return None if plot is None else plot.signal_dataset_name
