"""Loaded by each worker process that ``--workers`` starts.

A terminal sends Ctrl-C to all processes. It is meant for the session, which has the workers stop and says
what is finished; they would each print a traceback.
"""

import signal
import threading

if threading.current_thread() is threading.main_thread():  # others may not
    signal.signal(signal.SIGINT, signal.SIG_IGN)
