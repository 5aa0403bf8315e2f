"""``callcov_auth.fastapi.router``: the same answers as the Starlette routes, and documented."""

import pytest
from fastapi import FastAPI

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth.fastapi import router
from tests.support.asgi import post, request

pytestmark = pytest.mark.anyio

LOGIN = {"email": "user@example.com", "password": "SecurePassword123!"}


@pytest.fixture
def app(auth: Auth) -> FastAPI:
    made = FastAPI()
    made.include_router(router(auth))
    made.add_middleware(AuthMiddleware, auth=auth)
    return made


async def test_it_answers_as_the_starlette_routes_do(auth: Auth, app: FastAPI) -> None:
    await auth.users.create("user@example.com", "SecurePassword123!")
    login = await post(app, "/api/v1/auth/login", LOGIN)
    assert (login.status, login.headers["cache-control"]) == (200, "no-store")
    token = login.json()["access_token"]
    created = await post(app, "/api/v1/api-keys", {"name": "k"}, token)
    assert created.status == 201
    shown = await request(
        app, f"/api/v1/api-keys/{created.json()['id']}", [("Authorization", f"Bearer {token}")]
    )
    assert shown.json()["name"] == "k"


async def test_it_refuses_in_the_same_form(app: FastAPI) -> None:
    answer = await post(app, "/api/v1/auth/login", {"email": 7})
    assert (answer.status, answer.code) == (422, "validation_error")
    assert (await post(app, "/api/v1/auth/login", b"{")).code == "malformed_json"


async def test_its_openapi_shows_what_goes_in_and_out(auth: Auth, app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    shown = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    routes = {
        (method, route.path)
        for route in auth_routes(auth)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert shown < routes
    assert len(shown) == 11
    login = paths["/api/v1/auth/login"]["post"]
    body = login["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"email", "password"}
    form = login["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    for fields, email in ((body["properties"], "email"), (form, "username")):
        assert fields[email].keys() >= {"pattern", "format", "maxLength"}
        assert fields["password"]["maxLength"] == 1024
    assert login["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Tokens")
    listing = paths["/api/v1/api-keys/"]["get"]
    assert {parameter["name"] for parameter in listing["parameters"]} == {
        "include_expired",
        "limit",
        "cursor",
    }
    created = paths["/api/v1/api-keys/"]["post"]
    assert created["responses"]["201"]
    assert created["requestBody"]["content"]["application/json"]["schema"]["properties"]["name"]["pattern"]
    assert not paths["/api/v1/auth/logout"]["post"]["requestBody"]["required"]
    shown_key = paths["/api/v1/api-keys/{key_id}"]["get"]
    assert [parameter["name"] for parameter in shown_key["parameters"]] == ["key_id"]
