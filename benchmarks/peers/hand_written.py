"""A middleware that somebody writes in an afternoon: a dict of credentials. The tuned one is the floor."""

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.peers.apps import starlette_app
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "hand-written"
REQUIREMENTS: tuple[str, ...] = ()
PYTHON: str | None = None

MORE = "Nothing."
LESS = (
    "Credentials live in the program alone: no expiry, revocation or scopes, no tokens, no check for two "
    "credentials or for HTTPS, no WebSockets, and a refusal without a reason."
)


@dataclass(frozen=True, slots=True)
class Caller:
    subject: str


async def refuse(send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True, slots=True)
class ByToken:
    """As most write it: all headers into a dict, the value in two, the token looked up."""

    app: ASGIApp
    callers: dict[str, Caller] = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        caller = self.callers.get(token)
        if kind.lower() != "bearer" or caller is None:
            await refuse(send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ByHeader:
    """The least that can be done: one scan, one lookup of the header's bytes, one thing attached."""

    app: ASGIApp
    callers: dict[bytes, Caller] = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"authorization":
                caller = self.callers.get(value)
                if caller is not None:
                    scope.setdefault("state", {})["caller"] = caller
                    await self.app(scope, receive, send)
                    return
                break
        await refuse(send)


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    key = f"sk_live_{secrets.token_hex(24)}"
    by_token = Middleware(ByToken, callers={key: Caller("benchmark")})
    by_header = Middleware(ByHeader, callers={f"Bearer {key}".encode(): Caller("benchmark")})
    bare, headers = starlette_app(), bearer(key)
    return [
        Subject(NAME, False, starlette_app(by_token), bare, headers, MORE, LESS),
        Subject(NAME, True, starlette_app(by_header), bare, headers, MORE, LESS),
    ]
