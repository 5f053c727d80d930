"""A session of a BITS instrument (apsbits), as its own ``bits-create`` makes it.

    pip install apsbits
    mkdir -p scripts src && bits-create my_instrument
    PYTHONPATH=src ipython -i startup_examples/bits_session.py

Everything is the instrument's: ``RE``, the catalog ``cat`` that its iconfig.yml names (Tiled or
databroker), and the file writers that ``NEXUS_DATA_FILES`` and ``SPEC_DATA_FILES`` switch on.
``%attach_writer`` lists those as "subscribed by startup", and refuses to write such a format a second
time: switch it off in iconfig.yml (``ENABLE: false``) and attach ours, or leave it as it is.

In an instrument of your own, two lines at the end of its startup.py do the same as this file::

    from bluesky_export import attach_writer
    attach_writer("hdf5", RE=RE)
"""

import importlib
import os

from IPython import get_ipython

startup = importlib.import_module(os.environ.get("BITS_INSTRUMENT", "my_instrument") + ".startup")
globals().update({name: value for name, value in vars(startup).items() if not name.startswith("_")})

shell = get_ipython()
if shell is not None:
    shell.run_line_magic("load_ext", "bluesky_export")
