"""``requires`` and ``current_principal``."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from callcov_auth import Auth, AuthError, AuthMiddleware, current_principal, requires
from tests.support.asgi import connect, request
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


@requires("calls:read", "users:read")
async def both(request: Request) -> PlainTextResponse:
    return PlainTextResponse(current_principal().subject)


@requires("calls:read")
def sync(request: Request) -> PlainTextResponse:
    return PlainTextResponse(current_principal().subject)


@requires()
async def anybody(request: Request) -> PlainTextResponse:
    return PlainTextResponse(current_principal().subject)


class ByClass(HTTPEndpoint):
    @requires("calls:read")
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(current_principal().subject)


@requires("calls:read")
async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


ROUTES = [
    Route("/both", both),
    Route("/sync", sync),
    Route("/class", ByClass),
    Route("/anybody", anybody),
    WebSocketRoute("/live", live),
]


async def guarded(auth: Auth, *scopes: str) -> tuple[AuthMiddleware, list[tuple[str, str]]]:
    token = await auth.tokens.issue("usr_1", scopes=scopes)
    return AuthMiddleware(Starlette(routes=ROUTES), auth=auth), [("Authorization", f"Bearer {token}")]


@pytest.mark.parametrize(
    ("path", "scopes", "status"),
    [
        ("/both", ["calls:read", "users:read"], 200),
        ("/both", ["*"], 200),
        ("/both", ["calls:read"], 403),
        ("/sync", ["calls:*"], 200),
        ("/sync", ["users:read"], 403),
        ("/class", ["calls:read"], 200),
        ("/class", [], 403),
        ("/anybody", [], 200),
    ],
)
async def test_an_endpoint_requires_every_scope(
    auth: Auth, path: str, scopes: list[str], status: int
) -> None:
    app, headers = await guarded(auth, *scopes)
    answer = await request(app, path, headers)
    assert answer.status == status
    if status == 200:
        assert answer.body == b"usr_1"
    else:
        assert answer.code == "insufficient_permissions"


async def test_the_challenge_names_what_is_required(auth: Auth) -> None:
    app, headers = await guarded(auth)
    answer = await request(app, "/both", headers)
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="callcov", error="insufficient_scope", scope="calls:read users:read"'
    )
    assert answer.json()["error"]["details"] == {"required_scopes": ["calls:read", "users:read"]}


@pytest.mark.parametrize("path", ["/both", "/anybody"])
async def test_nobody_is_asked_for_a_credential_first(path: str) -> None:
    async with Auth(make_settings(public_paths=[path])) as auth:
        answer = await request(AuthMiddleware(Starlette(routes=ROUTES), auth=auth), path)
        assert (answer.status, answer.code) == (401, "missing_token")


async def test_a_websocket_is_refused_before_accept(auth: Auth) -> None:
    app, headers = await guarded(auth, "calls:read")
    assert (await connect(app, "/live", headers))[0]["type"] == "websocket.accept"
    app, headers = await guarded(auth)
    assert await connect(app, "/live", headers) == [
        {"type": "websocket.close", "code": 1008, "reason": "insufficient_permissions"}
    ]


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "é"])
def test_what_is_no_scope_is_seen_when_the_app_is_written(scope: str) -> None:
    with pytest.raises(ValueError, match="no scope-token"):
        requires(scope)


def test_a_guarded_endpoint_keeps_its_name_and_its_signature() -> None:
    import inspect

    def endpoint(a: int, *, b: str = "x") -> Any:
        """Documented."""

    decorated = requires("a")(endpoint)
    assert (decorated.__name__, decorated.__doc__) == ("endpoint", "Documented.")
    assert inspect.signature(decorated) == inspect.signature(endpoint)


async def test_requires_that_guards_nothing_is_warned_of(
    auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    app, router = FastAPI(), APIRouter()

    @requires("calls:write")
    @router.get("/outside")
    async def outside() -> str:
        return "open"

    @router.get("/inside")
    @requires("calls:write")
    async def inside() -> str:
        return "closed"

    @requires("calls:write")
    @router.get("/between")
    @requires("calls:read")
    async def between() -> str:
        return "half open"

    app.include_router(router)
    headers = [("Authorization", f"Bearer {await auth.tokens.issue('usr_1')}")]
    answer = await request(AuthMiddleware(app, auth=auth), "/outside", headers)

    assert answer.status == 200, "requires cannot help it, which is why there is a warning"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(warnings) == [
        f"{path} lets every caller in, whatever the scopes: the route was made before requires() went around "
        "its endpoint; write @requires below the decorator that makes the route"
        for path in ("/between", "/outside")
    ]


async def test_an_apps_own_handler_of_refusals_is_left_in_its_place(auth: Auth) -> None:
    async def own(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("in our own words", 403)

    token = await auth.tokens.issue("usr_1")
    app = AuthMiddleware(Starlette(routes=ROUTES, exception_handlers={AuthError: own}), auth=auth)
    answer = await request(app, "/both", [("Authorization", f"Bearer {token}")])
    assert (answer.status, answer.body) == (403, b"in our own words")
