"""What a run can hold, feature by feature: the rows of the format-by-feature table.

Each writer declares what it does with each feature (:mod:`bluesky_export.formats._fidelity`), and the
runs of :mod:`bluesky_export.testing.corpus` say which of them they have.
"""

from __future__ import annotations

from collections.abc import Mapping

FEATURES: Mapping[str, str] = {
    # the run as a whole
    "start": "the start document, complete",
    "stop": "the stop document, complete",
    "configuration": "each descriptor's configuration",
    "status": "that a run was aborted, failed, or is unfinished",
    "scan_id": "a scan_id that is missing, zero or a text",
    # streams and events
    "streams": "streams beside the primary one",
    "no-events": "streams without events",
    "descriptors": "several descriptors in a stream",
    "new-field": "a field that only a later descriptor of the stream has",
    "event-time": "the event's time, epoch seconds in full precision",
    "seq_num": "the event's seq_num",
    "event-uid": "the event's uid",
    "timestamps": "each value's own timestamp",
    # numbers
    "float": "float64",
    "nan": "NaN and the infinities",
    "integer": "integers up to 2⁶³",
    "uint64": "integers beyond 2⁶³",
    "boolean": "booleans",
    "narrow": "float32 and other numpy numbers narrower than 64 bits",
    "complex": "complex numbers",
    "int-float": "integers and floats in one field",
    "none": "None in place of a value",
    # text
    "text": "text",
    "line-breaks": "text with line breaks and control characters",
    "surrogates": "text with NUL characters or lone surrogates",
    "formula": "text that a spreadsheet takes for a formula",
    "mixed": "text and numbers, or other mixtures, in one field",
    # arrays and files
    "array": "arrays of one shape in each event",
    "ragged": "arrays of different shapes",
    "text-array": "arrays of text",
    "external": "data in detector files",
    "unreadable": "detector files that cannot be read from here",
    # names and metadata
    "field-name": "field names with any characters",
    "own-name": "fields that have the name of one of our columns",
    "metadata-json": "nested metadata, None, long text",
    "metadata-other": "metadata that JSON does not have: NaN, arrays, tuples, dates, bytes, complex",
    "metadata-size": "metadata of many megabytes",
}
"""What each feature is, in words for the table, by its id."""
