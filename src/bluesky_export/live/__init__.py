"""Writers on a live RunEngine: a hand-off on its thread, a pump, and a guarded writer for each run.

The way of a document: ``Handoff.receive`` (the RunEngine's thread: copy, append) → ``Recorder`` (one
thread: which run, into its journal) → a process for each attached writer, which follows the journal
(``Loop``, ``Followed``) → pages → a :class:`Sink`. Writers that live in the session are handed their
documents on by the recorder, through a ``Relay`` and a ``Pump``. Whatever raises in a sink ends that
run of that writer, and nothing else.
"""

from ._answer import FIRST_LOOK, WHOLE_LOOK, within
from ._attached import AttachedWriter, FailedRun
from ._choice import choose
from ._engine import LiveWriters, live_writers
from ._making import check_conflicts, format_writer, if_exists_checked, object_writer
from ._preflight import parse_target, preflight
from ._recovery import Recovered
from ._recovery import recover as recover_journal
from ._sink import Say, Sink, say_on_stderr
from ._status import StatusRow, StatusTable, status_table
from ._subscribed import subscribed_writers

__all__ = [
    "FIRST_LOOK",
    "WHOLE_LOOK",
    "AttachedWriter",
    "FailedRun",
    "LiveWriters",
    "Recovered",
    "Say",
    "Sink",
    "StatusRow",
    "StatusTable",
    "check_conflicts",
    "choose",
    "format_writer",
    "if_exists_checked",
    "live_writers",
    "object_writer",
    "parse_target",
    "preflight",
    "recover_journal",
    "say_on_stderr",
    "status_table",
    "subscribed_writers",
    "within",
]
