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
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
