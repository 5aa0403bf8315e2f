"""An ASGI app called without a server, message by message."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        code: str = self.json()["error"]["code"]
        return code


def scope_of(kind: str, path: str, headers: Headers = (), **more: Any) -> dict[str, Any]:
    path, _, query = path.partition("?")
    return {
        "type": kind,
        "scheme": "https" if kind == "http" else "wss",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 443),
        "http_version": "1.1",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        **more,
    }


async def request(
    app: ASGIApp, path: str, headers: Headers = (), *, body: bytes | list[bytes] = b"", **more: Any
) -> Answer:
    """Send one request, its body in one chunk or in those given, and return the whole answer."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    incoming: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("http", path, headers, **more), receive, send)
    start = sent[0]
    return Answer(
        start["status"],
        {name.decode(): value.decode("latin-1") for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


async def post(
    app: ASGIApp, path: str, content: Any, token: str | None = None, method: str = "POST"
) -> Answer:
    headers = [("authorization", f"Bearer {token}")] if token else []
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await request(app, path, headers, body=body, method=method)


async def connect(app: ASGIApp, path: str, headers: Headers = (), **more: Any) -> list[Message]:
    """Open a WebSocket that the client closes at once, and return what was sent."""
    incoming: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("websocket", path, headers, **{"subprotocols": [], **more}), receive, send)
    return sent
