"""A user's program, as mypy and pyright see it: each public name with the type that it promises."""

from collections.abc import Generator
from typing import Any, assert_type

import httpx
import httpx2
import requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callcov_auth import (
    ANONYMOUS,
    Auth,
    AuthError,
    AuthMiddleware,
    AuthSettings,
    Principal,
    __version__,
    auth_routes,
    current_principal,
    requires,
)
from callcov_auth.client import ApiKeyAuth, LoginFailed, RequestsAuth, TokenAuth
from callcov_auth.testing import Clock, auth_settings, fake_auth, key_principal, mint_key, mint_token

auth = Auth(AuthSettings(secret="x" * 48, public_paths=("/health",)), clock=Clock())


@requires("calls:read")
async def calls(request: Request) -> Response:
    principal = current_principal()
    assert_type(principal, Principal)
    assert_type(principal.scopes, frozenset[str])
    assert_type(principal.expires_at, float | None)
    assert_type(principal.has("calls:write"), bool)
    return JSONResponse({"of": principal.subject})


async def services() -> None:
    async with auth as opened:
        assert_type(opened, Auth)
        user = await opened.users.create("user@example.com", "a long password", scopes=["calls:read"])
        key = await opened.keys.create(user.id, name="mine")
        assert_type(key.api_key.get_secret_value(), str)
        pair = await opened.tokens.login("user@example.com", "a long password")
        assert_type(pair.expires_in, int)
        assert_type(await opened.authenticate(b"Bearer x"), Principal)


app = Starlette(
    routes=[Route("/calls", calls), *auth_routes(auth)], middleware=[Middleware(AuthMiddleware, auth=auth)]
)
app.add_middleware(AuthMiddleware, auth=auth)

key_auth = ApiKeyAuth("sk_live_x")
token_auth = TokenAuth("https://api.example.com", "user@example.com", "a long password")
httpx2.Client(auth=key_auth)
httpx2.AsyncClient(auth=token_auth)
httpx.Client(auth=token_auth)
httpx.AsyncClient(auth=key_auth)
session = requests.Session()
session.auth = RequestsAuth(token_auth, session)
assert_type(key_auth.auth_flow(None), Generator[Any, Any, None])


def failed(error: LoginFailed | AuthError) -> int | None:
    return error.status


with fake_auth(app, key_principal("calls:read")):
    assert_type(mint_key(auth_settings()), str)
    assert_type(mint_token(scopes={"a"}), str)
assert_type(ANONYMOUS, Principal)
version: str = __version__
