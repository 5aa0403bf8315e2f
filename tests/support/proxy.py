"""A TCP proxy between a program and its server, whose faults tests switch on and off.

It is what a network does: nothing here knows what is spoken through it.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65536
# Closing sends RST, as a host does that knows nothing of the connection (SO_LINGER of 0 seconds).
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class _Pair:
    """A connection from a client, and ours to the server."""

    client: socket.socket
    server: socket.socket
    is_left: bool = False
    """Whether the client has closed its end."""
    is_dead: bool = False
    """What comes is swallowed, for ever: the other end has forgotten the connection, and does not say so."""

    def reset(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # Wakes up whoever reads it.
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass(slots=True, eq=False)
class Proxy:
    """Passes on what comes to ``port``. ``connect`` makes a connection to the server."""

    connect: Callable[[], socket.socket]
    port: int = 0
    _listener: socket.socket | None = None
    _pairs: list[_Pair] = field(default_factory=list)
    _delay: float = 0.0
    _is_hung: bool = False

    @property
    def clients(self) -> int:
        """How many connections clients hold."""
        return sum(not pair.is_left for pair in self._pairs)

    def mend(self) -> None:
        """Be a good network again. Connections that hung stay dead, as they do."""
        self._delay, self._is_hung = 0.0, False
        if self._listener is None:
            self._listen()

    def delay(self, seconds: float) -> None:
        """Let each piece of an answer take so long."""
        self._delay = seconds

    def hang(self) -> None:
        """Go half open: connections stand and can be made, and nothing passes through them any more."""
        self._is_hung = True
        for pair in self._pairs:
            pair.is_dead = True

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        if self._listener is not None:
            # Closing alone would not wake up who waits in accept.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> None:
        """Reset every connection; new ones are served."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.reset()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = self.connect()
            except OSError:
                client.close()
                continue
            pair = _Pair(client, server, is_dead=self._is_hung)
            self._pairs.append(pair)
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=pump, args=(pair,), daemon=True).start()

    def _to_server(self, pair: _Pair) -> None:
        self._pump(pair, pair.client, pair.server, lambda: None)
        pair.is_left = True

    def _to_client(self, pair: _Pair) -> None:
        self._pump(pair, pair.server, pair.client, lambda: time.sleep(self._delay))

    def _pump(
        self, pair: _Pair, source: socket.socket, target: socket.socket, before: Callable[[], None]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                before()
                if not pair.is_dead:
                    target.sendall(data)
        # A dead one does not tell of its end either, until the network is cut.
        if not pair.is_dead:
            pair.reset()
            with suppress(ValueError):
                self._pairs.remove(pair)


@contextmanager
def proxy_to(connect: Callable[[], socket.socket]) -> Iterator[Proxy]:
    proxy = Proxy(connect)
    proxy.mend()
    try:
        yield proxy
    finally:
        proxy.cut()


@contextmanager
def proxy_to_file(path: str) -> Iterator[Proxy]:
    """Stand before a server that listens on a socket file."""

    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    with proxy_to(connect) as proxy:
        yield proxy
