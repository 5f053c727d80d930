"""Looks at folders of documents: what is there now is seen at once, whatever has happened to it."""

from __future__ import annotations

import errno
import glob
import json
import os
import random
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bluesky_export.catalogs import Query, _files, _looking, open_catalog, wrap_catalog
from bluesky_export.catalogs._document_files import Jsonl, _reading
from bluesky_export.errors import CatalogUnavailable
from tests.fixtures_databroker import quiet

# ---------------------------------------------------------------------------------- which files


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for folder in ("a", "b", "a/deep", ".hidden", "[2026]", "c.msgpack"):
        (tmp_path / folder).mkdir(parents=True)
        for name in (
            "1.msgpack",
            "2.msgpack",
            ".3.msgpack",
            "4.MSGPACK",
            "x[1].msgpack",
            "ü\n.msgpack",
            "5",
        ):
            (tmp_path / folder / name).touch()
    (tmp_path / "a" / "link.msgpack").symlink_to(tmp_path / "b" / "1.msgpack")
    (tmp_path / "a" / "broken.msgpack").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PATTERNS = [
    "a/*.msgpack", "a/*", "a/.*", "a/**", "a/[12].msgpack", "a/[!1].msgpack", "a/?.msgpack", "*/*/*",
    "a/x[[]1].msgpack", "a/*.msgpack/", "a/", "a", "a/1.msgpack", "a/none.msgpack", "none/*.msgpack",
    "a/1.msgpack/*", "*", "*.msgpack", "*/*.msgpack", "**/*.msgpack", "[ab]/*", "[[]2026]/*.msgpack",
    "*/deep/*.msgpack", ".*/*.msgpack", "*/1.msgpack", "linked/*.msgpack", "a//*.msgpack", "./a/*", "",
    "a/*.none", "a/[",
]  # fmt: skip


@pytest.mark.parametrize("root", ["", "{}/"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("below", [True, False])
def test_the_same_files_as_glob(tree, monkeypatch, root, pattern, below):
    monkeypatch.setattr(_looking, "_BELOW_A_FOLDER", below and _looking._BELOW_A_FOLDER)
    whole = root.format(glob.escape(str(tree))) + pattern
    paths, stamps = _looking.look(whole)
    assert sorted(paths) == sorted(path for path in glob.glob(whole) if os.path.exists(path))
    assert [stamp[:4] for stamp in stamps] == [
        (s.st_mtime, s.st_mtime_ns, s.st_size, s.st_ino) for s in map(os.stat, paths)
    ]


def test_no_descriptor_stays_open(tree):
    before = len(os.listdir("/proc/self/fd"))
    for pattern in PATTERNS:
        _looking.look(pattern)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("call", "message"), [("listdir", "a cannot be read"), ("stat", "a/.* cannot be reached")]
)
def test_what_cannot_be_asked_for_is_not_left_out(tree, monkeypatch, call, message):
    """A share that fails halfway must not look like a folder with fewer runs, or none."""

    def fail(*arguments, **named):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_looking.os, call, fail)
    with pytest.raises(CatalogUnavailable, match=f"{message}: Input/output error"):
        _looking.look("a/*.msgpack")


def test_a_file_that_goes_away_during_the_look_is_left_out(tree, monkeypatch):
    real = os.stat

    def stat(path, **named):
        if path == "2.msgpack":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return real(path, **named)

    monkeypatch.setattr(_looking.os, "stat", stat)
    assert {os.path.basename(path) for path in _looking.look("b/*.msgpack")[0]} == {
        "1.msgpack", "x[1].msgpack", "ü\n.msgpack"
    }  # fmt: skip


# -------------------------------------------------------------------------------- what has changed


def lines(uid, at, title="t"):
    start = {"uid": uid, "time": at, "title": title}
    stop = {"uid": f"{uid}-stop", "run_start": uid, "time": at + 1, "exit_status": "success"}
    return "".join(json.dumps(pair) + "\n" for pair in (["start", start], ["stop", stop]))


def listing(catalog):
    return [(run.uid, run.start, run.status) for run in catalog.newest(100)]


def in_place(path, text):
    """Write over a file that is there: the folder does not change, nor does the inode."""
    with path.open("r+", encoding="utf-8") as file:
        file.truncate()
        file.write(text)


def by_rename(path, text):
    other = path.with_name("other")
    other.write_text(text)
    other.rename(path)


def with_its_time(path, text):
    """Write over a file and set its time back, as ``rsync --inplace -t`` and ``cp -p`` may."""
    status = path.stat()
    in_place(path, text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def link_elsewhere(path, text):
    target = path.parent.parent / f"{path.stem}-target"
    target.write_text(text)
    path.unlink()
    path.symlink_to(target)


def exchange(one, two):
    third = one.with_name("third")
    one.rename(third)
    two.rename(one)
    third.rename(two)


def append(path, text):
    with path.open("a") as file:
        file.write(text)


UNSEEN = ("nothing", "renamed", "two exchanged", "an older copy")
"""What changes no row."""

CHANGES = {
    "added": lambda d: (d / "new.jsonl").write_text(lines("new", 9.0)),
    "removed": lambda d: (d / "b.jsonl").unlink(),
    "renamed": lambda d: (d / "b.jsonl").rename(d / "z.jsonl"),
    "two exchanged": lambda d: exchange(d / "a.jsonl", d / "b.jsonl"),
    "in place": lambda d: in_place(d / "b.jsonl", lines("new", 9.0)),
    "in place, as long": lambda d: in_place(d / "b.jsonl", lines("b", 2.0, "u")),
    "in place, with its time": lambda d: with_its_time(d / "b.jsonl", lines("b", 2.0, "u")),
    "replaced": lambda d: by_rename(d / "b.jsonl", lines("b", 2.0, "u")),
    "another run": lambda d: by_rename(d / "b.jsonl", lines("new", 0.5)),
    "made empty": lambda d: in_place(d / "b.jsonl", ""),
    "damaged": lambda d: in_place(d / "b.jsonl", '["stop", {}]\n'),
    "was empty": lambda d: in_place(d / "empty.jsonl", lines("new", 2.5)),
    "was damaged": lambda d: in_place(d / "bad.jsonl", lines("new", 2.5)),
    "a copy": lambda d: (d / "b2.jsonl").write_text(lines("b", 2.0, "copy")),
    "an older copy": lambda d: [
        (d / "b2.jsonl").write_text(lines("b", 2.0, "copy")), os.utime(d / "b2.jsonl", (1, 1))
    ],
    "the older copy touched": lambda d: os.utime(d / "a-copy.jsonl"),
    "stop": lambda d: append(d / "open.jsonl", lines("open", 4.0).splitlines()[1] + "\n"),
    "link": lambda d: link_elsewhere(d / "b.jsonl", lines("b", 2.0, "u")),
    "all gone": lambda d: [path.unlink() for path in d.iterdir()],
    "nothing": lambda d: None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "runs"
    place.mkdir()
    for number, uid in enumerate("abc", start=1):
        (place / f"{uid}.jsonl").write_text(lines(uid, float(number)))
    (place / "a-copy.jsonl").write_text(lines("a", 1.0, "a copy"))
    os.utime(place / "a-copy.jsonl", (1e9, 1e9))
    (place / "empty.jsonl").touch()
    (place / "bad.jsonl").write_text('["event", {}]\n')
    (place / "open.jsonl").write_text(lines("open", 4.0).splitlines()[0] + "\n")
    return place


def fresh(folder):
    return _files.FileCatalog("fresh", [(f"{folder}/*.jsonl", Jsonl())], root_map={})


def settle(monkeypatch):
    """Let what is on the disk have been there for long: only its times can tell a change."""
    time.sleep(0.02)  # more than a tick of the kernel's clock, which file times have
    monkeypatch.setattr(_files, "time", SimpleNamespace(time=lambda: time.time() + 3600))


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_between_two_looks_is_seen(folder, monkeypatch, change, later):
    catalog = fresh(folder)
    if later:
        settle(monkeypatch)
    before = listing(catalog)
    assert before == listing(catalog)
    CHANGES[change](folder)
    assert listing(catalog) == listing(fresh(folder))
    assert (listing(catalog) == before) is (
        change in ("nothing", "renamed", "two exchanged", "an older copy")
    )


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("change", [change for change in CHANGES if change != "in place, with its time"])
def test_every_change_since_databroker_has_looked_is_seen(folder, monkeypatch, change, later):
    (folder / "bad.jsonl").write_text("")  # databroker refuses a folder with a damaged file
    (folder / "empty.jsonl").unlink()  # and cannot find the end of an empty one
    (folder / "bad.jsonl").unlink()
    with quiet():
        from databroker._drivers.jsonl import BlueskyJSONLCatalog

        native = BlueskyJSONLCatalog(f"{folder}/*.jsonl", name="native")
    if later:
        settle(monkeypatch)
    (folder / "empty.jsonl").touch()
    (folder / "bad.jsonl").write_text('["event", {}]\n')
    wrapped = wrap_catalog(native)
    CHANGES[change](folder)
    assert listing(wrapped) == listing(fresh(folder))


def test_what_databroker_loads_between_is_not_mixed_with_what_it_had(tmp_path, monkeypatch):
    """Its times go on while its entries stay, those of files that hold another run by now."""
    for number, uid in enumerate("ab", start=1):
        (tmp_path / f"{uid}.msgpack").write_bytes(_packed(uid, number))
    with quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog

        native = BlueskyMsgpackCatalog(f"{tmp_path}/*.msgpack", name="native")
        found = native.search({"time": {"$lt": 5}})
        assert set(found) == {"a", "b"}
        time.sleep(0.02)
        (tmp_path / "a.msgpack").write_bytes(_packed("c", 7))
        for catalog in (native, found):
            catalog.force_reload()
    settle(monkeypatch)
    assert [run.uid for run in wrap_catalog(native).newest(5)] == ["c", "b"]
    assert [run.uid for run in wrap_catalog(found).newest(5)] == ["b"]
    assert [run.uid for run in wrap_catalog(native).search(Query(until=5))] == ["b"]


def _packed(uid, at):
    import msgpack

    return msgpack.packb(["start", {"uid": uid, "time": at}])


def coarsely(stamp):
    """Return a stamp of a file system whose clock ticks every two seconds, as FAT's does."""
    mtime, mtime_ns, size, inode, ctime_ns = stamp
    return mtime // 2 * 2, mtime_ns // 2e9 * 2e9, size, inode, ctime_ns // 2e9 * 2e9


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_any_order(tmp_path, monkeypatch, seed, coarse):
    """Two hundred random changes, looked at between; also where the clock of files ticks in seconds."""
    if coarse:
        stamp = _looking._stamp_of
        monkeypatch.setattr(_looking, "_stamp_of", lambda status: coarsely(stamp(status)))
    draw = random.Random(seed)
    held = fresh(tmp_path)
    for _ in range(200):
        path = tmp_path / f"{draw.randrange(4)}.jsonl"
        text = draw.choice(
            ["", "{", lines(draw.choice("ab"), float(draw.randrange(3)), draw.choice("xyz"))]
        )
        what = draw.choice([in_place, by_rename, with_its_time, shutil.copyfile, Path.unlink])
        if not path.exists():
            path.write_text(text)
        elif what is Path.unlink:
            path.unlink()
        elif what is shutil.copyfile:
            shutil.copyfile(path, tmp_path / f"{path.stem}-copy.jsonl")
        else:
            what(path, text)
        if draw.random() < 0.7:
            assert sorted(map(str, listing(held))) == sorted(map(str, listing(fresh(tmp_path))))


def test_permission_that_comes_back_is_seen(folder, monkeypatch):
    """The file is the same; that it could not be opened is not remembered."""
    catalog = fresh(folder)
    settle(monkeypatch)
    real = Jsonl.documents

    def refused(self, path, *arguments):
        if path.endswith("/b.jsonl"):
            with _reading(path):
                raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, path, *arguments)

    monkeypatch.setattr(Jsonl, "documents", refused)
    assert {uid: status for uid, _, status in listing(catalog)}["b"] == "unreadable"
    monkeypatch.setattr(Jsonl, "documents", real)
    assert listing(catalog) == listing(fresh(folder))


def test_runs_of_one_time_keep_the_order_of_their_files(tmp_path):
    for name in "dbca":
        (tmp_path / f"{name}.jsonl").write_text(lines(name, 5.0))
    catalog = open_catalog(str(tmp_path))
    assert [run.uid for run in catalog.newest(9)] == ["d", "c", "b", "a"]
    assert [run.uid for run in catalog.search(Query())] == ["a", "b", "c", "d"]
