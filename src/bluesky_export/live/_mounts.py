"""Whether a folder is on a network share, as far as the system tells."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
_NETWORK = re.compile(
    r"nfs4?|cifs|smb\w*|ncpfs|afs|9p|lustre|gpfs|beegfs(_nodev)?|ceph|glusterfs|pvfs2|orangefs|"
    r"fuse\.(?!fuse-overlayfs|gvfsd-fuse|portal|lxcfs).+"
)
"""Names of file systems, as in Linux's mount table, that may stall with another machine."""


def network_of(folder: Path) -> str:
    """Return the kind of network share that a folder is on, ``nfs4``; empty if it is on none."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    real = folder.resolve()
    best, kind = -1, ""
    for line in lines:
        words = line.split(" ")
        where = Path(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), words[1]))
        if (real == where or where in real.parents) and len(where.parts) >= best:
            best, kind = len(where.parts), words[2]
    return kind if _NETWORK.fullmatch(kind) else ""
