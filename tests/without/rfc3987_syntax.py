"""In place of the package of this name, which JupyterLab brings: not there, as where JupyterLab is not.

jsonschema imports it, and so do event-model, bluesky and databroker. It compiles a grammar at each import:
two seconds of processor time for every process that the tests start. What it checks (the format ``iri``)
stands in none of event-model's schemas.
"""

raise ImportError("rfc3987_syntax is left out by tests/without")
