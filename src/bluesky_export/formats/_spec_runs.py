"""One run after the other, out of documents of runs that interleave."""

from __future__ import annotations

from collections.abc import Callable

from ..documents.pages import Document


class InTurn:
    """Hold back the documents of a run while another one is being written.

    Parameters
    ----------
    take : callable
        Is given the name and the document in turn.
    current : callable
        Returns the uid of the run that is being written, None between runs.
    """

    def __init__(self, take: Callable[[str, Document], None], current: Callable[[], str | None]) -> None:
        self._take = take
        self._current = current
        self._runs: dict[str, str] = {}  # descriptor uid -> its run
        self._waiting: dict[str, list[tuple[str, Document]]] = {}

    def __call__(self, name: str, doc: Document) -> None:
        """Take a document now, or after the run that is being written."""
        run = self._run_of(name, doc)
        if self._current() not in (None, run) and run is not None:
            # What belongs to a run that this writer did not see the start of is not kept.
            if name == "start" or run in self._waiting:
                self._waiting.setdefault(run, []).append((name, doc))
            return
        self._take(name, doc)
        if name == "stop":
            self._runs = {uid: other for uid, other in self._runs.items() if other != run}
            self.next_run()

    def next_run(self) -> None:
        """Give on the runs that wait, until one is open."""
        while self._waiting and self._current() is None:
            for pair in self._waiting.pop(next(iter(self._waiting))):
                self._take(*pair)

    def _run_of(self, name: str, doc: Document) -> str | None:
        """Return the run of a document, None if it belongs to whatever is being written."""
        if name == "start":
            return str(doc["uid"])
        if run := doc.get("run_start"):
            if name == "descriptor":
                self._runs[doc["uid"]] = str(run)
            return str(run)
        return self._runs.get(doc.get("descriptor", ""))
