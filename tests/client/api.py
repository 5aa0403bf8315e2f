"""An API over TLS, with a front that counts what comes and can answer in its place."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from callcov_auth import Auth, AuthSettings
from tests.server.site import make_site
from tests.support.clock import Clock
from tests.support.servers import serve
from tests.support.settings import make_settings
from tests.support.tls import Certificate

EMAIL = "user@example.com"
PASSWORD = "SecurePassword123!"
LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
READ = "/api/v1/analysis/"


@dataclass(slots=True)
class Front:
    """``instead`` holds the answers that a path gives before the app is asked again.

    ``/to/URL`` redirects to that URL, and ``/anything`` says yes without an app.
    """

    app: ASGIApp | None = None
    instead: dict[str, list[Response]] = field(default_factory=dict)
    paths: Counter[str] = field(default_factory=Counter)
    credentials: list[str | None] = field(default_factory=list)
    """The ``Authorization`` of each request but logins."""
    bodies: list[bytes] = field(default_factory=list)
    """What the front itself read."""

    def reset(self) -> None:
        for kept in (self.instead, self.paths, self.credentials, self.bodies):
            kept.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.paths[scope["path"]] += 1
            if scope["path"] not in (LOGIN, REFRESH):
                self.credentials.append(Headers(scope=scope).get("authorization"))
        answer = self._answer(scope)
        if answer is None:
            assert self.app is not None
            await self.app(scope, receive, send)
            return
        self.bodies.append(await _body(receive))
        await answer(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return None if self.app else Response()
        path = scope["path"]
        if self.instead.get(path):
            return self.instead[path].pop(0)
        if path.startswith("/to/"):
            return RedirectResponse(unquote(path.removeprefix("/to/")), 307)
        return None if self.app and path != "/anything" else Response("yes")


@dataclass(frozen=True, slots=True)
class Api:
    url: str
    front: Front
    key: str = field(repr=False)
    certificate: Certificate
    clock: Clock
    auth: Auth


def refused(code: str, status: int = 401, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": {"code": code, "message": "no"}}, status, named)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


@contextmanager
def serve_api(folder: Any, certificate: Certificate, clock: Clock, **changes: Any) -> Iterator[Api]:
    settings = make_settings(database_url=f"sqlite:///{folder / 'auth.db'}", **changes)
    key = anyio.run(_add_user, settings, clock)
    auth = Auth(settings, clock=clock)
    front = Front(make_site(auth))
    # No connection ends for being idle, however busy the machine is; a client would find it dead.
    with serve_tls(front, certificate, timeout_keep_alive=300) as url:
        yield Api(url, front, key, certificate, clock, auth)


@contextmanager
def serve_tls(app: Any, certificate: Certificate, **config: Any) -> Iterator[str]:
    tls = {"ssl_certfile": str(certificate.certfile), "ssl_keyfile": str(certificate.keyfile)}
    with serve(app, **tls, **config) as url:
        yield url


async def _add_user(settings: AuthSettings, clock: Clock) -> str:
    async with Auth(settings, clock=clock) as auth:
        user = await auth.users.create(EMAIL, PASSWORD, scopes={"analysis:read"})
        return (await auth.keys.create(user.id, name="mine")).api_key.get_secret_value()
