"""Configuration of the documentation."""

from bluesky_export import __version__

project = "bluesky-export"
copyright = "2026, the bluesky-export developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "pydata_sphinx_theme"
html_title = "bluesky-export"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True  # a reference that leads nowhere is an error of the build
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = True
# In a docstring types have their short names; here is where they are.
napoleon_type_aliases = {
    "any": "``any``",
    "callable": "``callable``",
    "class": "``class``",
    # of our own, and no one's to use
    "Assignment": "``Assignment``",
    "JournalStatus": "``JournalStatus``",
    "WorkerClient": "``WorkerClient``",
    "AttachedWriter": "~bluesky_export.live.AttachedWriter",
    "Detached": "~bluesky_export.attach.Detached",
    "ExportResult": "~bluesky_export.results.ExportResult",
    "Output": "~bluesky_export.outputs.Output",
    "Path": "~pathlib.Path",
    "Recovered": "~bluesky_export.live.Recovered",
    "Run": "~bluesky_export.catalogs.Run",
    "RunDetails": "~bluesky_export.details.RunDetails",
    "RunEngine": "~bluesky.run_engine.RunEngine",
    "RunTable": "~bluesky_export.listing.RunTable",
    "StatusTable": "~bluesky_export.live.StatusTable",
    "Target": "~bluesky_export.outputs.Target",
    "Writer": "~bluesky_export.formats.Writer",
    "Written": "~bluesky_export.formats.Written",
}
# A build asks no network, and so has no inventory of what others document.
nitpick_ignore = [
    ("py:class", "bluesky.run_engine.RunEngine"),
    ("py:class", "pathlib.Path"),
]
