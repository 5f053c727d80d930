"""bluesky's 0MQ proxy, followed: what its ``RemoteDispatcher`` does, but no message can end it.

bluesky 1.15's dispatcher opens pickles by default, prints foreign messages as they are, and stops at a
document with an unknown name (``bluesky.callbacks.zmq``). The messages are the same:
``prefix b" " name b" " document``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq
from bluesky.run_engine import Dispatcher
from event_model import DocumentNames
from zmq.utils.monitor import recv_monitor_message

from ..errors import UsageError
from ._wire import MessageRefused, check, loads

_POLL = 200  # ms until stop() is noticed


class ZMQDispatcher(Dispatcher):  # type: ignore[misc]
    """Gives the documents that a 0MQ proxy forwards to those that subscribe.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of the proxy's outgoing side, or any address of 0MQ (``tcp://…``, ``ipc://…``).
    prefix : str
        Take the messages of publishers with this prefix only; empty: all.
    allow_pickle : bool
        Open pickles, of plain data only.
    say : callable
        Told, a line each, what becomes of the connection and which messages are refused.
    """

    def __init__(
        self, address: str, *, prefix: str = "", allow_pickle: bool = False, say: Callable[[str], object]
    ) -> None:
        super().__init__()
        if " " in prefix:
            raise UsageError(f"--prefix {prefix!r}: a prefix has no blanks")
        self.address = address if "://" in address else f"tcp://{address}"
        self.refused = 0
        self._prefix = prefix.encode()
        self._allow_pickle = allow_pickle
        self._say = say
        self._told: set[str] = set()
        self._stopping = False

    def start(self) -> None:
        """Follow the proxy, through its restarts, until :meth:`stop` is called.

        Raises
        ------
        UsageError
            The address is none.
        """
        self._stopping = False
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.setsockopt(zmq.RCVHWM, 0)  # 0MQ would drop what does not fit, without a word
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            socket.setsockopt(zmq.SUBSCRIBE, self._prefix + b" " if self._prefix else b"")
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            try:
                try:
                    socket.connect(self.address)
                except zmq.ZMQError as error:
                    raise UsageError(f"--zmq {self.address}: {error.strerror}; give HOST:PORT") from error
                self._say(f"listening to {self.address}; Ctrl-C ends it")
                self._follow(socket, monitor)
            finally:
                socket.disable_monitor()
                monitor.close(0)

    def stop(self) -> None:
        """End :meth:`start`; from another thread, or from a callback."""
        self._stopping = True

    def _follow(self, socket: Any, monitor: Any) -> None:
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        while not self._stopping:
            ready = dict(poller.poll(_POLL))
            if socket in ready:
                self.take(b" ".join(socket.recv_multipart()))
            if monitor in ready:
                event = recv_monitor_message(monitor)["event"]
                connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                self._say(
                    f"connected to {self.address}" if connected else f"{self.address} has gone; waiting"
                )

    def take(self, message: bytes) -> None:
        """Hand on the document of a message; one that is none is counted and told, once a kind."""
        try:
            prefix, _, rest = message.partition(b" ")
            if self._prefix and prefix != self._prefix:
                return
            kind, _, data = rest.partition(b" ")
            name = kind[:40].decode("ascii", "backslashreplace")
            doc = loads(data, allow_pickle=self._allow_pickle)
            check(name, doc)
        except MessageRefused as error:
            self.refused += 1
            self._tell_once(f"a message was refused: {error}")
            return
        self.process(DocumentNames[name], doc)

    def _tell_once(self, line: str) -> None:
        if line not in self._told and len(self._told) < 100:  # whoever floods us does not fill a log
            self._told.add(line)
            self._say(line)
