"""A catalog in memory, for tests of what lies above the catalogs."""

from __future__ import annotations

from bluesky_export.catalogs._base import Catalog, Query, Run
from bluesky_export.documents.pages import paginate


class MemoryRun(Run):
    def __init__(self, documents):
        self._documents = list(documents)
        self.start = self._documents[0][1]
        self.stop = next((doc for name, doc in self._documents if name == "stop"), None)

    def descriptors(self):
        return [doc for name, doc in self._documents if name == "descriptor"]

    def documents(self, page_size=1000, *, timestamps=True):
        return paginate(self._documents, page_size)


class MemoryCatalog(Catalog):
    name = "memory"

    def __init__(self, runs):
        self._runs = sorted((MemoryRun(run) for run in runs), key=lambda run: run.start["time"])

    def newest(self, n, skip=0):
        return self._runs[::-1][skip : skip + n]

    def by_scan_id(self, first, last=None):
        last = first if last is None else last
        return [run for run in self._runs if isinstance(run.scan_id, int) and first <= run.scan_id <= last]

    def by_uid(self, prefix, limit=10):
        return [run for run in self._runs if run.uid.startswith(prefix)][:limit]

    def search(self, query: Query):
        return [
            run
            for run in self._runs
            if (query.since is None or run.start["time"] >= query.since)
            and (query.until is None or run.start["time"] < query.until)
            and (query.plan is None or run.start.get("plan_name") == query.plan)
            and all(str(run.start.get(key)) == str(value) for key, value in query.where.items())
        ]

    def __len__(self):
        return len(self._runs)
