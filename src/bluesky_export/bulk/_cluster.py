"""The workers: processes on this machine, or those of a dask cluster that is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UsageError, WorkersUnavailable
from ._task import about, our_version

PATIENCE = 60
"""Seconds to wait for the first worker of a cluster."""


@contextmanager
def workers_client(workers: int | None, scheduler: str | None, folder: Path) -> Iterator[Any]:
    """Give a dask client with at least one worker that can write to a folder.

    Raises
    ------
    UsageError
        The number makes no sense, or dask's scheduler is not installed.
    WorkersUnavailable
        The cluster does not answer, or its workers cannot do the work.
    """
    if workers is not None and scheduler is not None:
        raise UsageError("--workers starts processes here, --scheduler uses a cluster: give one of them")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: give a number from 1 up")
    try:
        import distributed
    except ImportError:
        raise UsageError(
            "--workers and --scheduler need dask's scheduler: pip install 'bluesky-export[dask]'"
        ) from None
    if scheduler is not None:
        with _existing(distributed, scheduler) as client:
            _check(client, scheduler, folder)
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            preload=["bluesky_export.bulk._worker_process"],
            memory_limit=None,  # a run's size is not dask's to judge
            silence_logs=logging.CRITICAL,  # a worker that dies is told by us, if it matters
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextmanager
def _existing(distributed: Any, scheduler: str) -> Iterator[Any]:
    try:
        client = distributed.Client(scheduler, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WorkersUnavailable(
            f"there is no dask scheduler at {scheduler} ({reason}); start one: dask scheduler"
        ) from error
    with client:
        yield client


def _check(client: Any, scheduler: str, folder: Path) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise WorkersUnavailable(
            f"the cluster {scheduler} has no worker; start one: dask worker {scheduler}"
        ) from None
    found = client.run(about, str(folder), on_error="return")
    for worker, answer in found.items():
        if isinstance(answer, BaseException):
            raise WorkersUnavailable(
                f"the worker {worker} cannot use bluesky-export ({type(answer).__name__}: {answer}); "
                f"install it there, version {our_version()}"
            )
        theirs, writable = answer
        if theirs != our_version():
            raise WorkersUnavailable(
                f"the worker {worker} has bluesky-export {theirs}, not {our_version()}; install the same"
            )
        if not writable:
            raise WorkersUnavailable(
                f"the worker {worker} cannot write to {folder}: give a folder that all machines see"
            )
