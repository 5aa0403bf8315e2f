"""``/.well-known/jwks.json``: our public keys, for anybody, through both doors."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth.fastapi import router
from callcov_auth.tokens.keyring import KEY_SET_MAX_AGE
from tests.support.asgi import Answer, request
from tests.support.issuers import signer
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PATH = "/.well-known/jwks.json"
SIGNERS = [signer("ES256", "new"), signer("RS256", "old"), signer("HS256", "secret")]


def starlette_app(auth: Auth) -> ASGIApp:
    return Starlette(routes=auth_routes(auth))


def fastapi_app(auth: Auth) -> ASGIApp:
    app = FastAPI()
    app.include_router(router(auth))
    return app


def guarded(auth: Auth) -> ASGIApp:
    return AuthMiddleware(starlette_app(auth), auth=auth)


def make_auth(*signers: Any) -> Auth:
    return Auth(make_settings(signing_keys=[json.dumps(made.private_jwk()) for made in signers]))


DOORS = pytest.mark.parametrize("door", [starlette_app, fastapi_app, guarded])
Door = Callable[[Auth], ASGIApp]


async def ask(app: ASGIApp, etag: str | None = None, **more: Any) -> Answer:
    return await request(app, PATH, [("if-none-match", etag)] if etag else [], **more)


@DOORS
async def test_the_public_keys_are_shown_without_a_credential(door: Door) -> None:
    answer = await ask(door(make_auth(*SIGNERS)))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == f"public, max-age={KEY_SET_MAX_AGE}"
    assert answer.json() == {"keys": [made.jwk() for made in SIGNERS[:2]]}


@DOORS
async def test_a_trailing_slash_is_optional(door: Door) -> None:
    app = door(make_auth(*SIGNERS))
    assert (await request(app, PATH + "/")).body == (await ask(app)).body


@DOORS
async def test_who_has_the_set_already_is_told_so(door: Door) -> None:
    app = door(make_auth(*SIGNERS))
    etag = (await ask(app)).headers["etag"]
    for named in (etag, f'"other", {etag}', f"W/{etag}"):
        answer = await ask(app, named)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
        assert answer.headers["cache-control"] == f"public, max-age={KEY_SET_MAX_AGE}"
    assert (await ask(app, '"other"')).status == 200


@DOORS
async def test_the_etag_changes_with_the_keys(door: Door) -> None:
    etags = [(await ask(door(make_auth(*some)))).headers["etag"] for some in (SIGNERS, SIGNERS, SIGNERS[:1])]
    assert etags[0] == etags[1] != etags[2]


@DOORS
async def test_the_set_is_shown_over_https_alone(door: Door) -> None:
    answer = await ask(door(make_auth(*SIGNERS)), scheme="http")
    assert (answer.status, answer.code) == (403, "https_required")


@DOORS
async def test_a_bad_credential_is_refused_here_as_everywhere(door: Door) -> None:
    answer = await request(door(make_auth(*SIGNERS)), PATH, [("authorization", "Bearer junk")])
    assert (answer.status, answer.code) == (401, "invalid_token")


@DOORS
async def test_without_public_keys_the_set_is_empty(door: Door) -> None:
    answer = await ask(door(Auth(make_settings())))
    assert (answer.status, answer.json()) == (200, {"keys": []})


@DOORS
async def test_the_set_can_only_be_read(door: Door) -> None:
    answer = await ask(door(make_auth(*SIGNERS)), method="POST")
    assert answer.status == 405
