"""AuthMiddleware: nothing reaches the app but what the gate let in."""

import inspect
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from callcov_auth.asgi.credentials import hide_subprotocol, offers_bearer
from callcov_auth.asgi.gate import Gate
from callcov_auth.asgi.guards import is_left_out
from callcov_auth.asgi.inside import everything_inside, is_cors
from callcov_auth.asgi.lifespan import run_lifespan
from callcov_auth.asgi.refusals import close, refusal_of, refuse, response_of
from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError
from callcov_auth.events import logger
from callcov_auth.principal import Principal, principal_in_context
from callcov_auth.settings import AuthSettings

CORS_INSIDE = (
    "CORSMiddleware is inside AuthMiddleware, so browsers see refusals and preflights without CORS headers: "
    "add it after AuthMiddleware, which puts it outside"
)
REQUIRES_OUTSIDE = (
    "%s lets every caller in, whatever the scopes: the route was made before requires() went around its "
    "endpoint; write @requires below the decorator that makes the route"
)

# Bound here, since Python 3.11 makes a bound method at each call of an imported name's method.
_set_principal, _reset_principal = principal_in_context.set, principal_in_context.reset


class AuthMiddleware:
    """Authenticates every HTTP request and WebSocket of an ASGI app.

        app.add_middleware(AuthMiddleware, settings=AuthSettings())

    Give ``auth`` in the place of ``settings`` to share one Auth with the app's own routes. The caller is in
    ``request.state.principal``, ``request.user`` and ``current_principal()``. Other scope types pass through
    untouched; on ``lifespan`` the Auth is opened and closed.
    """

    def __init__(
        self, app: ASGIApp, *, settings: AuthSettings | None = None, auth: Auth | None = None
    ) -> None:
        if (settings is None) == (auth is None):
            raise TypeError("AuthMiddleware takes either settings= or auth=")
        self.app = app
        """What it stands around."""
        self.auth = auth or Auth(settings or AuthSettings())
        """What it authenticates by."""
        self._gate = Gate(self.auth)
        # Empty before _look_inside, so that the first request takes the long way.
        self._plain: str | None = None
        self._plain_too: str | None = None
        self._callers = callers = self.auth.callers
        self._find, self._touch, self._timer = callers.find, callers.touch, callers.timer
        self._run = app
        self._looked_inside = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A caller seen a moment ago comes through here without a hash, a lock, or an await but the app's.
        # What PrincipalCache.get does stands here once more, for a call of it would be felt. All else is for
        # _admit, which decides anew.
        principal = None
        # A try that is not needed costs nothing, which looking whether a name is there does.
        try:
            scheme = scope["scheme"]
        except KeyError:
            scheme = ""
        # By ==, for a server may make the scheme anew, and then a set has to hash it.
        if scheme == self._plain or scheme == self._plain_too:
            header: Any = None
            for name, value in scope["headers"]:
                if name == b"authorization":
                    if header is not None:
                        break
                    header = value
            else:
                # Read before they are called, for Python 3.11 is slow to call an attribute of an instance.
                find, timer = self._find, self._timer
                entry = find(header)
                if entry is not None:
                    now = timer()
                    if now < entry.until and now < entry.epoch.trusted_until:
                        if self._callers.keeps_order:
                            self._touch(header)
                        principal = entry.principal
        if principal is None:
            admitted = await self._admit(scope, receive, send)
            if admitted is None:
                return
            principal, send = admitted
        # Where apps look for the caller: request.state, request.user, request.auth.
        try:
            state = scope["state"]
        except KeyError:
            state = scope["state"] = {}
        state["principal"] = scope["user"] = principal
        state["scopes"] = principal.scopes
        scope["auth"] = principal.credentials
        run, token = self._run, _set_principal(principal)
        try:
            await run(scope, receive, send)
        except AuthError as error:
            await self._refuse_late(error, scope, send)
        finally:
            _reset_principal(token)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> tuple[Principal, Send] | None:
        """Return the caller, and what the app is to send by; None where the request has had its answer."""
        if not self._looked_inside:
            self._look_inside()
        if scope["type"] not in ("http", "websocket"):
            await self._pass_on(scope, receive, send)
            return None
        try:
            principal = await self._gate.admit(scope)
        except Exception as error:
            await refuse(error, scope, send, self.auth)
            return None
        if scope["type"] == "websocket" and self.auth.settings.websocket_protocol and offers_bearer(scope):
            hide_subprotocol(scope)
            send = _echoing_bearer(send)
        return principal, send

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(self.app, self.auth, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _look_inside(self) -> None:
        """At the first call, when the app is whole: see to what would answer before we hear of it."""
        self._looked_inside = True
        self._plain, self._plain_too = self._gate.plain_schemes
        call = getattr(self.app, "__call__")  # noqa: B004, B009
        if inspect.iscoroutinefunction(call):
            # What a call of the app comes to, so that Python need not look for it at each request.
            self._run = call
        for found in everything_inside(self.app):
            if isinstance(found, Starlette) and AuthError not in found.exception_handlers:
                # It answers what its endpoints raise with a bare 500, unless it is told how.
                found.add_exception_handler(AuthError, self._answer_inside)  # type: ignore[arg-type]
            if is_cors(found):
                logger.warning(CORS_INSIDE)
            if is_left_out(getattr(found, "endpoint", None)):
                logger.warning(REQUIRES_OUTSIDE, getattr(found, "path", "a route"))

    async def _answer_inside(self, connection: Any, error: Exception) -> Response | None:
        if isinstance(connection, WebSocket):
            await self._refuse_late(error, connection.scope, connection.send)
            return None
        return response_of(refusal_of(error, connection.scope, self.auth))

    async def _refuse_late(self, error: Exception, scope: Scope, send: Send) -> None:
        """Answer an AuthError that an endpoint raised.

        Whether it has begun to answer is not watched, which would cost every request a wrapped ``send``: a
        server does not take a second start, and then the error goes on to it.
        """
        try:
            await refuse(error, scope, send, self.auth)
        except Exception:
            if scope["type"] == "http":
                raise error from None
            await close(error, send)


def _echoing_bearer(send: Send) -> Send:
    async def echoing(message: Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") is None:
            message = {**message, "subprotocol": "bearer"}
        await send(message)

    return echoing
