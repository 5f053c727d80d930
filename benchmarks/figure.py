"""``python -m benchmarks.figure FILE.json … --svg FILE``: what was measured, against the size of the work.

The files are those of ``python -m benchmarks growth images runs-databroker runs-tiled --json FILE``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

Line = tuple[str, str]
"""What is done, and the role of who does it."""
PANELS = (
    ("events", r"growth-(?P<what>\w+)-(?P<size>\d+)", "events of 10 fields, in pages"),
    ("fields", r"fields-(?P<what>\w+)-(?P<size>\d+)", "fields of 1,000 events"),
    ("frames", r"images-(?P<size>\d+)-512-plain-(?P<what>\w+)", "frames of 512 × 512"),
    ("runs", r"(?P<what>runs-\w+)-(?P<size>\d+)", "runs in the catalog, 20 listed"),
)
STYLES = {"ours": "-", "peer": ":", "floor": "--"}
WORDS = {"ours": "", "peer": ", today", "floor": ", floor"}


def lines_of(results: list[dict[str, Any]], pattern: str) -> dict[Line, list[tuple[int, float, float]]]:
    """Return size, seconds of processor time and MB of each line of a panel."""
    found: dict[Line, list[tuple[int, float, float]]] = defaultdict(list)
    for result in results:
        if match := re.fullmatch(pattern, result["name"]):
            for row in result["rows"]:
                point = (int(match["size"]), row["cpu_s"], max(row["peak_mb"], 0.1))
                found[match["what"].removeprefix("runs-"), row["role"]].append(point)
    return {line: sorted(points) for line, points in found.items()}


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory of each panel, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bluesky-export"  # the same figures are the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(PANELS), figsize=(16, 8), sharey="row", layout="constrained")
    colours: dict[str, str] = {}
    for column, (_, pattern, label) in enumerate(PANELS):
        lines = lines_of(results, pattern)
        for what, _ in lines:  # the same in every panel
            colours.setdefault(what, f"C{len(colours)}")
        for (what, role), points in lines.items():
            sizes, seconds, megabytes = zip(*points, strict=True)
            style = {"marker": ".", "linestyle": STYLES[role], "color": colours[what]}
            axes[0, column].loglog(sizes, seconds, label=f"{what}{WORDS[role]}", **style)
            axes[1, column].loglog(sizes, megabytes, **style)
        axes[1, column].set_xlabel(label)
        handles, labels = axes[0, column].get_legend_handles_labels()
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 2}
        axes[1, column].legend(handles, labels, fontsize="small", **place)
        for row in (0, 1):
            axes[row, column].grid(alpha=0.3)
    axes[0, 0].set_ylabel("processor time, s")
    axes[1, 0].set_ylabel("peak memory above the start, MB")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figure", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--svg", type=Path, required=True)
    given = parser.parse_args()
    draw([one for file in given.files for one in json.loads(file.read_text())["results"]], given.svg)


if __name__ == "__main__":
    main()
