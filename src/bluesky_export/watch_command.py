"""``bluesky-export watch``, as typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import options as opt
from .errors import UsageError
from .selection import Say

if TYPE_CHECKING:
    from .attach import Detached

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def watch_parser(prog: str) -> Any:
    """Return the parser of ``watch``."""
    parser = opt.new_parser(
        prog,
        "Write a file for each run that a session elsewhere publishes, until Ctrl-C or SIGTERM.",
        opt.FORMATS + f"\nexamples:\n  {prog} nexus -o /data/user/ --zmq localhost:5578\n"
        f"  {prog} spec,csv -o /data/user/ --zmq beamline:5578 --prefix 45id\n",
        formats_help=True,
    )
    parser.usage = f"{prog} FORMAT[,FORMAT…] -o PATH --zmq HOST:PORT [options]"
    parser.add_argument("formats", nargs="?", help="what to write")
    parser.add_argument("-o", "--output", metavar="PATH", help="a folder, or a file (formats that append)")
    parser.add_argument("--zmq", metavar="HOST:PORT", help="the outgoing side of a bluesky-0MQ-proxy")
    parser.add_argument("--prefix", default="", metavar="P", help="only what is published with this prefix")
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="open pickled documents (bluesky's default), plain data only; else they are refused",
    )
    parser.add_argument(
        "--patience",
        default="1d",
        metavar="T",
        help="silence (90s, 30min, 2h, 1d) after which an open run ends as unfinished",
    )
    opt.add_output(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    return parser


def call_watch(words: Sequence[str], *, prog: str, say: Say) -> Detached:
    """Run ``watch`` as typed; return what was written, once it has ended."""
    found = opt.parse(watch_parser(prog), words)
    if not found.formats or not found.zmq:
        raise UsageError(f"{prog} nexus -o /data/user/ --zmq localhost:5578: a format and --zmq are needed")
    span = _SPAN.fullmatch(found.patience)
    if span is None:
        raise UsageError(f"--patience {found.patience}: write 90s, 30min, 2h or 1d")
    try:
        import zmq  # noqa: F401 - asked for here, so that what is missing is one line
    except ImportError:
        raise UsageError("watch --zmq needs pyzmq: pip install 'bluesky-export[zmq]'") from None
    from .watching import watch_zmq

    return watch_zmq(
        found.zmq,
        found.formats,
        found.output,
        prefix=found.prefix,
        allow_pickle=found.allow_pickle,
        patience=float(span[1]) * _SECONDS[span[2]],
        name=found.name,
        streams=found.stream,
        fields=found.fields,
        images=found.images,
        if_exists="overwrite" if found.overwrite else "refuse",
        options=opt.pairs(found.option, "--option"),
        say=say,
    )
