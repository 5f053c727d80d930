"""Where files go: names from templates, temporary → final, checks before writing."""

from ._address import Address, keep_key, remember_key
from ._files import Output, check_folder, claim, explain, rename_new, second_name, sync
from ._held import HeldOutput, adopt, sweep
from ._names import Target, clean_name, clock, default_template, full_path, stamp
from ._version import own_version

__all__ = [
    "Address",
    "HeldOutput",
    "Output",
    "Target",
    "adopt",
    "check_folder",
    "claim",
    "clean_name",
    "clock",
    "default_template",
    "explain",
    "full_path",
    "keep_key",
    "own_version",
    "remember_key",
    "rename_new",
    "second_name",
    "stamp",
    "sweep",
    "sync",
]
