"""What tests make workers do."""

from __future__ import annotations

import os

from apstools.callbacks import NXWriter


class Deadly(NXWriter):
    """Ends the process that writes the run with scan_id 2, at once and without a word."""

    def write_root(self, filename):
        if self.scan_id == 2:
            os._exit(9)
        return super().write_root(filename)
