"""What a SPEC file holds: its scans, its last header, and the scans of one run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import OutputError
from ..outputs import explain

_CHUNK = 1 << 22
UNFINISHED = "unfinished: no stop document"
"""The exit status in the scan of a run that has no stop document."""
_DATE = rb"\w{3} \w{3} +\d+ [\d:]{8} \d+"


@dataclass
class ScanOfRun:
    """A scan in the file that has the uid of the run that was asked for.

    Attributes
    ----------
    number : str
        What ``#S`` says.
    start : int
        Where ``#S`` stands.
    ended : bool
        The scan has its end: an exit status that is not that of an unfinished run.
    """

    number: str
    start: int
    ended: bool = False


@dataclass
class Survey:
    """What a SPEC file holds.

    Attributes
    ----------
    scans : int
        Number of ``#S`` lines.
    highest : int
        The highest scan number, 0 without scans.
    of_run : list of ScanOfRun
        The scans of the run that was asked for.
    tail : int or None
        Where the lines of that run begin, if it was cut off and is the last of the file: its
        scan, its file header, and the blank lines before them.
    motors : list of str or None
        Names of the last header's ``#O`` lines; None if there is no header, or none to rely on.
    epoch : float
        The last header's ``#E``.
    user : str
        Who wrote the last header.
    whole : bool
        The last line is complete.
    """

    scans: int = 0
    highest: int = 0
    of_run: list[ScanOfRun] = field(default_factory=list)
    tail: int | None = None
    motors: list[str] | None = None
    epoch: float = 0.0
    user: str = "BlueskyUser"
    whole: bool = True

    @property
    def has_run(self) -> bool:
        """Whether the run that was asked for is in the file, with its end."""
        return any(scan.ended for scan in self.of_run)

    @property
    def cut_off(self) -> ScanOfRun | None:
        """The last scan of that run that was cut off, by a kill or for want of a stop document."""
        return next((scan for scan in reversed(self.of_run) if not scan.ended), None)


def survey(path: Path, uid: str | None = None) -> Survey:
    """Read through a SPEC file.

    Raises
    ------
    OutputError
        It is not a SPEC file, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise explain(error, path, "read") from error
    try:
        return survey_open(descriptor, path, uid)
    finally:
        os.close(descriptor)


def survey_open(descriptor: int, path: Path, uid: str | None) -> Survey:
    """Read through an open SPEC file; see :func:`survey`."""
    found = Survey()
    run = None if uid is None else b".  uid = " + uid.encode(errors="backslashreplace")
    header = positioners = scan = -1
    last = b"\n"
    for start, chunk in _chunks(descriptor):
        if start == 0 and not _is_spec(chunk):
            raise OutputError(f"{path} is not a SPEC file; it was left as it is. Give another name")
        lines = b"\n" + chunk  # a position in it is one more than in the chunk; of "#", the same
        found.scans += lines.count(b"\n#S ")
        for number in re.findall(rb"\n#S +(\d{1,10})\b", lines):
            found.highest = max(found.highest, int(number))
        if run is not None:
            if found.of_run and found.of_run[-1].start == scan and not found.of_run[-1].ended:
                found.of_run[-1].ended = _has_end(lines[: _next_scan(lines, 0)])
            if run in lines:
                pattern = rb"\n#C " + _DATE + re.escape(run) + rb"\r?\n"
                for match in re.finditer(pattern, lines + b"\n"):
                    at = lines.rfind(b"\n#S ", 0, match.start())
                    begin = start + at if at >= 0 else scan
                    ended = _has_end(lines[match.start() : _next_scan(lines, match.start())])
                    found.of_run.append(ScanOfRun(_number(descriptor, begin), begin, ended))
        for key in (b"\n#F ", b"\n#O0 ", b"\n#S "):
            at = lines.rfind(key)
            if at >= 0 and key == b"\n#F ":
                header = start + at
            elif at >= 0 and key == b"\n#S ":
                scan = start + at
            elif at >= 0:
                positioners = start + at
        last = chunk[-1:]
    found.whole = last == b"\n"
    if header >= 0:
        _read_header(descriptor, header, positioners, found)
    if uid is not None:
        found.tail = _tail(descriptor, found, header, scan, uid)
    return found


def _chunks(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Yield the file in pieces of whole lines, with the position of each."""
    at = start = 0
    rest = b""
    while block := _read(descriptor, at, _CHUNK):
        at += len(block)
        piece, newline, tail = block.rpartition(b"\n")
        if not newline:
            rest += block
            continue
        whole = rest + piece + newline
        yield start, whole
        start, rest = start + len(whole), tail
    if rest:
        yield start, rest


def _read(descriptor: int, start: int, size: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, size)


def _next_scan(lines: bytes, start: int) -> int:
    at = lines.find(b"\n#S ", start)
    return len(lines) if at < 0 else at


def _has_end(lines: bytes) -> bool:
    """Say whether there is an exit status among the lines of a scan, other than our unfinished one."""
    found = re.findall(rb"\n#C " + _DATE + rb"\.  exit_status = ([^\r\n]*)\r?\n", lines)
    return any(text.decode(errors="replace") != UNFINISHED for text in found)


def _number(descriptor: int, start: int) -> str:
    found = re.match(rb"#S +(\S+)", _read(descriptor, max(start, 0), 100))
    return found[1].decode(errors="replace") if found else "?"


def _tail(descriptor: int, found: Survey, header: int, scan: int, uid: str) -> int | None:
    """Return where the unfinished lines of a run begin that are the last ones of the file."""
    own_header = False
    if header >= 0:
        text = _read(descriptor, header, _CHUNK).partition(b"\n#S ")[0]
        line = rb"\n#C Bluesky  [^\n]*  run = " + re.escape(uid.encode(errors="backslashreplace"))
        own_header = re.search(line + rb"\r?\n", text + b"\n") is not None
    if header > scan:  # a header, and no scan behind it
        start = header if own_header else None
    elif found.of_run and found.of_run[-1].start == scan and not found.of_run[-1].ended:
        between = found.scans - _scans_before(descriptor, header) if own_header else 0
        start = header if between == 1 else scan
    else:
        start = None
    if start is not None and start > 1 and _read(descriptor, start - 2, 2) == b"\n\n":
        start -= 1
    return start


def _scans_before(descriptor: int, position: int) -> int:
    count = 0
    for start, chunk in _chunks(descriptor):
        if start >= position:
            break
        count += (b"\n" + chunk[: position - start]).count(b"\n#S ")
    return count


def _is_spec(beginning: bytes) -> bool:
    for line in beginning.splitlines():
        if line.startswith((b"#F ", b"#S ")):
            return True
        if line.strip() and not line.startswith(b"#"):
            return False
    return not beginning.strip()


def _read_header(descriptor: int, start: int, positioners: int, found: Survey) -> None:
    block, newline, _ = _read(descriptor, start, _CHUNK).partition(b"\n#S ")
    text = block.decode("utf-8", "backslashreplace")
    if epoch := re.search(r"^#E +([\d.]+)\s*$", text, re.MULTILINE):
        with suppress(ValueError):
            found.epoch = float(epoch[1])
    if user := re.search(r"^#C .*?\buser = +?(\S+)", text, re.MULTILINE | re.IGNORECASE):
        found.user = user[1]
    if "\r" in text or (newline and positioners > start + len(block)):
        return  # names that silx reads with a carriage return, or changed between scans
    rows = re.findall(r"^#O\d+ (.*)$", text, re.MULTILINE)
    found.motors = [name for row in rows for name in re.split(r" {2,}|\t", row.strip()) if name]


_OWN_COMMENT = re.compile(
    rb"#C (Bluesky  user = |" + _DATE + rb"\.  (uid = |num_events_|exit_status = |scan \S+ above ))"
)


def comments_of_others(lines: bytes) -> list[str]:
    """Return the comment lines that a writer does not make by itself: someone has typed them.

    A last line without its end is not among them: nobody can tell what it was to be.
    """
    return [
        line.decode("utf-8", "backslashreplace")
        for line in lines.split(b"\n")[:-1]
        if line.startswith(b"#C ") and not _OWN_COMMENT.match(line)
    ]
