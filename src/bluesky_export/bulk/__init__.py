"""Many runs on many cores or machines, by dask: the same files as one after another gives.

A worker reads a run and writes its files, complete, under temporary names. The process that was
asked gives them their names, in the order of the runs and by the rules it has without workers. So
what a worker leaves when it dies, or is interrupted, is never taken for a file.
"""

from ._driver import write_all

__all__ = ["write_all"]
