"""WebSockets as a client meets them: what an accepted one said, or how the handshake was refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
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


def dial(
    site: str, path: str, *lines: bytes, subprotocols: Sequence[str] | None = None, **options: Any
) -> ClientConnection:
    """Open a WebSocket with these header lines beside the handshake's own. Raises InvalidStatus."""
    pairs = [line.decode("latin-1").split(": ", 1) for line in lines]
    return connect(
        site.replace("http", "ws", 1) + path,
        additional_headers=[(name, value) for name, value in pairs],
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        proxy=None,
        open_timeout=TIMEOUT,
        **options,
    )


def hear(site: str, path: str, *lines: bytes, **options: Any) -> dict[str, Any]:
    """Return the first message, which is JSON, with the chosen subprotocol under ``chosen``."""
    with dial(site, path, *lines, **options) as socket:
        return {**json.loads(socket.recv(timeout=TIMEOUT)), "chosen": socket.subprotocol}


def be_refused(site: str, path: str, *lines: bytes, **options: Any) -> Refusal:
    """Return the refusal of a handshake that must not succeed."""
    try:
        socket = dial(site, path, *lines, **options)
    except InvalidStatus as refused:
        response = refused.response
        return Refusal(response.status_code, response.headers, bytes(response.body or b""))
    socket.close()
    raise AssertionError("the WebSocket was accepted")


def how_closed(site: str, path: str, *lines: bytes) -> tuple[int, str]:
    """Return the code and the reason with which an accepted WebSocket was closed, unasked."""
    with dial(site, path, *lines) as socket:
        try:
            said = socket.recv(timeout=TIMEOUT)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code, closed.rcvd.reason
    raise AssertionError(f"it said {said!r} instead")
