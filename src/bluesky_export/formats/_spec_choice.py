"""Choosing the file of the runs to come, as users of apstools' SPEC writer do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from apstools.callbacks.spec_file_writer import SpecWriterCallback2

from ..errors import OutputError, UsageError
from ._spec_survey import survey


class ChosenFile(SpecWriterCallback2):  # type: ignore[misc]
    """apstools' writer with a ``newfile()`` and ``usefile()`` that lose no header and no number."""

    def newfile(self, filename: Any = None, scan_id: Any = None, RE: Any = None) -> Path:  # noqa: N803
        """Choose the file for the runs to come; it gets its own header.

        Parameters
        ----------
        filename : str or Path, optional
            Default: the current date and time.
        scan_id : int or bool, optional
            Set ``RE.md["scan_id"]`` to it; True is 0. The highest number of an existing file
            goes before a lower one.
        RE : RunEngine, optional
            Whose ``scan_id`` to set.
        """
        self._refuse_while_scanning()
        path = Path(filename or self.make_default_filename())
        number = {True: 0, False: None}[scan_id] if isinstance(scan_id, bool) else scan_id
        if path.exists():
            number = max(number or 0, survey(path).highest)
        self.clear()
        self.spec_filename = path
        self.spec_epoch = int(time.time())
        if number is not None and RE is not None:
            RE.md["scan_id"] = self.scan_id = number
        return path

    def usefile(self, filename: Any) -> int:
        """Append to an existing SPEC file; return its highest scan number, 0 if it has no scan."""
        self._refuse_while_scanning()
        path = Path(filename)
        if not path.exists():
            raise OutputError(f"{path} does not exist; newfile() makes one")
        known = survey(path)
        self.spec_filename = path
        self.spec_epoch, self.spec_user = int(known.epoch), known.user
        return known.highest

    def _refuse_while_scanning(self) -> None:
        if self.scanning:
            raise UsageError("a run is being written; change the file when it has ended")
