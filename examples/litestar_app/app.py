"""Calls, kept for whoever notes them down. In production: ``uvicorn examples.litestar_app.app:app``."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from litestar import Controller, Litestar, Request, Response, asgi, get, post
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Receive, Scope, Send
from starlette.routing import Router

from callcov_auth import Auth, AuthError, AuthMiddleware, AuthSettings, Principal, auth_routes, requires
from callcov_auth.errors import NotFound
from callcov_auth.frameworks import answer_to

# The settings are CALLCOV_AUTH_* in the environment; what is open is the app's own affair.
auth = Auth(AuthSettings(public_paths=("/schema", "/schema/*")))

Asked = Request[Principal, Any, Any]


@dataclass
class NewCall:
    number: str
    note: str = ""


@dataclass
class Call:
    id: str
    number: str
    note: str


# By owner; yours are in a database.
calls: defaultdict[str, dict[str, Call]] = defaultdict(dict)


class Calls(Controller):
    path = "/calls"
    tags = ("calls",)

    @get()
    @requires("calls:read")
    async def list_calls(self, request: Asked) -> list[Call]:
        return list(calls[request.user.subject].values())

    @post()
    @requires("calls:write")
    async def add_call(self, request: Asked, data: NewCall) -> Call:
        call = Call(uuid4().hex, data.number, data.note)
        calls[request.user.subject][call.id] = call
        return call

    @get("/{call_id:str}")
    @requires("calls:read")
    async def read_call(self, request: Asked, call_id: str) -> Call:
        call = calls[request.user.subject].get(call_id)
        if call is None:
            # As for everybody else's: who asks learns nothing of them.
            raise NotFound("There is no such call")
        return call


accounts: Any = Router(auth_routes(auth))


@asgi(auth.settings.api_prefix, is_mount=True, copy_scope=True)
async def login_and_keys(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the package's own routes, which know their whole path."""
    scope["path"] = auth.settings.api_prefix + scope["path"]
    await accounts(scope, receive, send)


def refused(request: Asked, error: AuthError) -> Response[bytes]:
    answer = answer_to(error, request.scope, auth)  # type: ignore[arg-type]
    return Response(answer.body, status_code=answer.status, headers=answer.headers)


bearer = SecurityScheme(type="http", scheme="bearer", description="An API key, or an access token")
# Any, for Litestar has types of its own for what ASGI's messages are.
site: Any = Litestar(
    [Calls, login_and_keys],
    exception_handlers={AuthError: refused},
    # Yours to choose; with Litestar's own, every event is shown.
    logging_config=None,
    openapi_config=OpenAPIConfig(
        "Calls",
        "1",
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
    ),
)
app = AuthMiddleware(site, auth=auth)
