"""WebSockets as a client meets them: what an accepted one said, or how the handshake was refused."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# The client that uses one thread: two on one TLS connection lose data in Python before 3.13.
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP response that refused a handshake."""

    status: int
    headers: Any
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])


def hear(site: str, path: str, *lines: bytes, **options: Any) -> dict[str, Any]:
    """Return the first message, which is JSON, with the chosen subprotocol under ``chosen``."""

    async def heard() -> dict[str, Any]:
        async with _dial(site, path, lines, **options) as socket:
            return {**json.loads(await socket.recv()), "chosen": socket.subprotocol}

    return _run(heard())


def be_refused(site: str, path: str, *lines: bytes, **options: Any) -> Refusal:
    """Return the refusal of a handshake that must not succeed."""

    async def refused() -> Refusal:
        try:
            async with _dial(site, path, lines, **options):
                raise AssertionError("the WebSocket was accepted")
        except InvalidStatus as error:
            response = error.response
            return Refusal(response.status_code, response.headers, bytes(response.body or b""))

    return _run(refused())


def how_closed(site: str, path: str, *lines: bytes) -> tuple[int, str]:
    """Return the code and the reason with which an accepted WebSocket was closed, unasked."""

    async def closed() -> tuple[int, str]:
        async with _dial(site, path, lines) as socket:
            try:
                raise AssertionError(f"it said {await socket.recv()!r} instead")
            except ConnectionClosed as end:
                assert end.rcvd is not None
                return end.rcvd.code, end.rcvd.reason

    return _run(closed())


def _dial(
    site: str,
    path: str,
    lines: Sequence[bytes],
    *,
    subprotocols: Sequence[str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> connect:
    pairs = [line.decode("latin-1").split(": ", 1) for line in lines]
    return connect(
        site.replace("http", "ws", 1) + path,
        additional_headers=[(name, value) for name, value in pairs],
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        ssl=tls,
        proxy=None,
        open_timeout=TIMEOUT,
    )


def _run(conversation: Any) -> Any:
    return asyncio.run(asyncio.wait_for(conversation, TIMEOUT))
