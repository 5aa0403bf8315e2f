"""Requests to a live server at moments that are set before, and others beside them as fast as they go.

In an open loop a request's time counts from the moment when it was due, whatever became of those before it:
a server that stalls is charged with all that fell due meanwhile. A closed loop, which waits for each answer,
would send nothing in that time and see one slow answer (Gil Tene calls it coordinated omission).
"""

import gc
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from benchmarks.harness.requests import WrongAnswer

# The most connections of an open loop; what finds none free waits, and its time counts.
MOST_CONNECTIONS = 32
# How long the last answers are waited for, in seconds.
GRACE = 30.0
_CHUNK = 65536

# Waits until that moment at most; returns the connections on which something came.
Wait = Callable[[float], "list[Connection]"]


def get(path: str, key: str | None = None) -> bytes:
    """Return a GET request as it goes over the wire, with a key as its bearer."""
    credential = "" if key is None else f"Authorization: Bearer {key}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-Forwarded-Proto: https\r\n{credential}\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nX-Forwarded-Proto: https\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(slots=True)
class Connection:
    """One keep-alive connection, with at most one request under way. ``due`` is that request's moment."""

    socket: socket.socket
    loop: "Paced | Crowd"
    due: float = 0.0
    busy: bool = False
    received: bytes = b""

    def send(self, request: bytes, due: float) -> None:
        self.due, self.busy, self.received = due, True, b""
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has come. Whether that is the whole answer. Raises WrongAnswer."""
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise WrongAnswer("the server closed a connection")
        self.received += chunk
        head, end, body = self.received.partition(b"\r\n\r\n")
        self.busy = not end or len(body) < _length(head)
        return not self.busy

    @property
    def status(self) -> int:
        return int(self.received[9:12])


@dataclass(slots=True)
class Paced:
    """An open loop: one of ``requests`` every ``1 / rate`` seconds, for ``seconds``. Times are in seconds."""

    requests: Iterator[bytes]
    rate: float
    seconds: float
    status: int = 200
    latencies: list[float] = field(default_factory=list)
    _free: list[Connection] = field(default_factory=list)
    _began: float = 0.0
    _sent: int = 0

    @property
    def due(self) -> float:
        """When the next request is due."""
        return self._began + self._sent / self.rate

    def begin(self, connections: Sequence[Connection], now: float) -> None:
        self._began, self._free = now, list(connections)

    def go_on(self, now: float) -> bool:
        """Send what is due, as far as connections are free. False when all was sent, however late."""
        while self._free and self.due <= now and self._is_short:
            self._free.pop().send(next(self.requests), self.due)
            self._sent += 1
        return self._is_short

    @property
    def _is_short(self) -> bool:
        return self._sent < self.rate * self.seconds

    def take(self, connection: Connection, now: float) -> None:
        self.latencies.append(now - connection.due)
        self._free.append(connection)


@dataclass(slots=True)
class Crowd:
    """A closed loop: each of ``connections`` sends the next of ``requests`` as soon as it is answered.

    It ends with ``requests``, or with the open loop beside it. ``answered`` are the moments of the answers.
    """

    requests: Iterator[bytes]
    connections: int
    status: int = 200
    answered: list[float] = field(default_factory=list)
    is_open: bool = True

    def begin(self, connections: Sequence[Connection], now: float) -> None:
        for connection in connections:
            self._send(connection, now)

    def take(self, connection: Connection, now: float) -> None:
        self.answered.append(now)
        if self.is_open:
            self._send(connection, now)

    def _send(self, connection: Connection, now: float) -> None:
        request = next(self.requests, None)
        if request is None:
            self.is_open = False
        else:
            connection.send(request, now)


def load(port: int, paced: Paced, crowd: Crowd | None = None, *, spin: bool) -> None:
    """Send both, until ``paced`` is through or ``crowd`` has no more to send. Raises WrongAnswer.

    With ``spin`` this process uses all of its core, and no request is sent late for having slept.
    """
    with ExitStack() as stack, _no_collection():
        connections = _connected(stack, port, paced, MOST_CONNECTIONS)
        others = [] if crowd is None else _connected(stack, port, crowd, crowd.connections)
        wait = _waiting(stack, connections + others, spin=spin)
        # When all are connected, for what this process does is no answer's time.
        paced.begin(connections, time.perf_counter())
        if crowd is not None:
            crowd.begin(others, time.perf_counter())
        while paced.go_on(time.perf_counter()) and (crowd is None or crowd.is_open):
            _take(wait(paced.due))
        if crowd is not None:
            crowd.is_open = False
        _finish(connections + others, wait)


def _finish(connections: Sequence[Connection], wait: Wait) -> None:
    until = time.perf_counter() + GRACE
    while any(connection.busy for connection in connections):
        if time.perf_counter() > until:
            raise WrongAnswer(f"no answer within {GRACE:.0f} seconds")
        _take(wait(until))


def _take(ready: Iterable[Connection]) -> None:
    for connection in ready:
        if not connection.receive():
            continue
        if connection.status != connection.loop.status:
            raise WrongAnswer(f"{connection.status} in the place of {connection.loop.status}")
        connection.loop.take(connection, time.perf_counter())


def _connected(stack: ExitStack, port: int, loop: Paced | Crowd, count: int) -> list[Connection]:
    found = []
    for _ in range(count):
        opened = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.append(Connection(opened, loop))
    return found


def _waiting(stack: ExitStack, connections: Sequence[Connection], *, spin: bool) -> Wait:
    by_descriptor = {connection.socket.fileno(): connection for connection in connections}
    epoll = stack.enter_context(closing(select.epoll()))
    for descriptor in by_descriptor:
        epoll.register(descriptor, select.EPOLLIN)

    def look(_until: float) -> list[Connection]:
        return [by_descriptor[descriptor] for descriptor, _ in epoll.poll(0)]

    def sleep(until: float) -> list[Connection]:
        # epoll sleeps in whole milliseconds, select in microseconds.
        select.select([epoll], [], [], max(0.0, until - time.perf_counter()))
        return look(until)

    return look if spin else sleep


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector of this process from making answers look late."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
