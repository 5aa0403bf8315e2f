"""The caller as a dependency: whoever it is, or one who has certain scopes."""

from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import Depends, Security
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from callcov_auth.asgi.gate import Gate
from callcov_auth.asgi.guards import check
from callcov_auth.asgi.inside import everything_inside
from callcov_auth.asgi.refusals import close, refuse
from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError
from callcov_auth.fastapi.schemes import BEARER, PASSWORD
from callcov_auth.principal import Principal
from callcov_auth.validation import is_scope_token

# By the app that includes the router; looked for once for each app.
_doors: "WeakKeyDictionary[Any, Door]" = WeakKeyDictionary()
# By what answers the router's routes: whose router it is.
_auths: "WeakKeyDictionary[Any, Auth]" = WeakKeyDictionary()


async def authenticated(
    connection: HTTPConnection,
    _bearer: Annotated[None, Depends(BEARER)],
    _password: Annotated[None, Depends(PASSWORD)],
) -> Principal:
    """Return the caller of a request or a WebSocket, authenticated here where no middleware did it.

    Raises MissingToken where no credential was sent, and whatever else refuses one.
    """
    principal = connection.scope.get("state", {}).get("principal")
    if not isinstance(principal, Principal):
        principal = await door_of(connection.scope["app"]).admit(connection.scope)
    check(principal)
    return principal


Authenticated = Annotated[Principal, Security(authenticated)]
"""A caller with a credential that holds: ``async def route(caller: Authenticated)``."""


async def scoped(required: SecurityScopes, caller: Authenticated) -> Principal:
    """Return the caller, who has every scope that is asked for. Raises InsufficientPermissions."""
    check(caller, *required.scopes)
    return caller


def Scoped(*scopes: str) -> Any:  # noqa: N802
    """Return the annotation of a caller who has every one of ``scopes``.

        async def route(caller: Scoped("calls:read")): ...

    For a type checker, write ``Annotated[Principal, Security(scoped, scopes=["calls:read"])]``. In tests,
    ``app.dependency_overrides[authenticated]`` takes the caller's place in both; scopes are still asked for.
    """
    for scope in scopes:
        if not is_scope_token(scope):
            raise ValueError(f"{scope!r} is no scope-token (RFC 6749 §3.3)")
    return Annotated[Principal, Security(scoped, scopes=list(scopes))]


def belongs_to(handler: Any, auth: Auth) -> None:
    """Note that a route which ``handler`` answers is of ``auth``'s router."""
    _auths[handler] = auth


class Door:
    """Admits to the routes of one app that has no middleware, and answers whom it refuses."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._gate = Gate(auth)

    async def admit(self, scope: Scope) -> Principal:
        self._answer_refusals(scope)
        principal = await self._gate.admit(scope)
        # As the middleware leaves it, so that what comes next asks nobody again.
        state = scope.setdefault("state", {})
        state["principal"] = scope["user"] = principal
        state["scopes"] = principal.scopes
        scope["auth"] = principal.credentials
        return principal

    def _answer_refusals(self, scope: Scope) -> None:
        # Nothing else in a request leads to how the app answers exceptions; an app that names its own way
        # for AuthError keeps it.
        handlers, _ = scope.get("starlette.exception_handlers", ({}, {}))
        handlers.setdefault(AuthError, self._answered)

    async def _answered(self, connection: HTTPConnection, error: AuthError) -> Any:
        async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
            if (
                isinstance(connection, WebSocket)
                and connection.application_state != WebSocketState.CONNECTING
            ):
                await close(error, send)
            else:
                await refuse(error, scope, send, self._auth)

        return answer


def door_of(app: Any) -> Door:
    """Return the door of an app without middleware. Raises RuntimeError where it includes no router."""
    door = _doors.get(app)
    if door is None:
        door = _doors[app] = Door(_auth_in(app))
    return door


def _auth_in(app: Any) -> Auth:
    for found in everything_inside(app):
        endpoint = getattr(found, "endpoint", None)
        auth = None if endpoint is None else _auths.get(endpoint)
        if auth is not None:
            return auth
    raise RuntimeError(
        "there is nothing to authenticate with: include callcov_auth.fastapi.router(auth) in the app, "
        "or mount AuthMiddleware around it"
    )
