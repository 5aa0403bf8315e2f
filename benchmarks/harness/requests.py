"""Requests as uvicorn hands them to an app, over httptools: the scope, and what is received and sent."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.peers.subject import Headers

_CLIENT = ("127.0.0.1", 50000)
_SERVER = ("127.0.0.1", 8000)
# As a browser's or a library's, beside the credential.
_OTHERS = (
    (b"Host", b"127.0.0.1:8000"),
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"User-Agent", b"benchmarks/1"),
)


class WrongAnswer(RuntimeError):
    """An app answered otherwise than it has to, so that its time says nothing."""


@dataclass(frozen=True, slots=True)
class Leg:
    """An app, what it is sent, and what it has to answer."""

    app: ASGIApp
    headers: Callable[[], Headers]
    status: int = 200


class Exchange:
    """One request and its answer; as from a server, the app hears of no disconnect before it answered."""

    __slots__ = ("_answered", "_received", "status")

    def __init__(self) -> None:
        self.status = 0
        self._received = False
        self._answered = asyncio.Event()

    async def receive(self) -> Message:
        if not self._received:
            self._received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body", False):
            self._answered.set()


def scope_of(credential: Headers) -> Scope:
    """Return the scope of ``GET /hello``. No two share an object that a server would make for each."""
    headers = [(name.lower(), value) for name, value in _OTHERS]
    headers += credential
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": _SERVER,
        "client": _CLIENT,
        # As behind a proxy that uvicorn trusts; callcov-auth takes nothing else.
        "scheme": "https",
        "root_path": "",
        "headers": headers,
        "state": {},
        "method": "GET",
        "path": "/hello",
        "raw_path": b"/hello",
        "query_string": b"",
    }


async def cpu_time(leg: Leg, requests: int) -> float:
    """Return the CPU time of this process for one of so many requests, in ns. Raises WrongAnswer."""
    app, headers, status = leg.app, leg.headers, leg.status
    began = time.process_time_ns()
    for _ in range(requests):
        exchange = Exchange()
        await app(scope_of(headers()), exchange.receive, exchange.send)
        if exchange.status != status:
            raise WrongAnswer(f"{exchange.status} in the place of {status}")
    return (time.process_time_ns() - began) / requests


async def no_app(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nothing. Its time is that of making the request, which no app is charged for."""
