"""Give a run to a writer, as the verbs do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...documents.pages import paginate
from ...formats import Writer, Written
from ...outputs import Output, Target


def replay(
    writer: type[Writer],
    documents: Iterable[tuple[str, Any]],
    target: Path | Target,
    *,
    page_size: int | None = 1000,
    **options: Any,
) -> Written:
    """Write one run's documents in a format, as ``%export`` does.

    Parameters
    ----------
    writer : type of Writer
        The format.
    documents : iterable of (str, dict)
        The run.
    target : Path or Target
        A folder, or more.
    page_size : int or None
        Events a page; None: the documents as they are.
    **options
        Of the writer.

    Returns
    -------
    Written
        What was written.
    """
    documents = list(documents)
    target = Target(target) if isinstance(target, Path) else target
    output = Output(target, documents[0][1], writer.suffix)
    writer.check(output)
    return drive(writer(output, **options), documents, page_size)


def drive(one: Writer, documents: Iterable[tuple[str, Any]], page_size: int | None = 1000) -> Written:
    """Give all documents to a writer and close it; abort it if it fails."""
    try:
        for kind, doc in documents if page_size is None else paginate(documents, page_size):
            # A catalog leaves out what nobody reads; given as single events, all is there.
            unread = kind == "event_page" and page_size is not None and not one.reads_timestamps
            one(kind, {**doc, "timestamps": {}} if unread else doc)
        return one.close()
    except BaseException:
        one.abort()
        raise
