"""Through the front door on each database: what a client is told does not depend on what keeps it."""

from collections.abc import Iterator

import anyio
import httpx2
import pytest

from callcov_auth import Auth, AuthSettings
from tests.server.site import make_site
from tests.support.databases import Database
from tests.support.servers import serve
from tests.support.settings import make_settings

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"


@pytest.fixture
def client(database: Database) -> Iterator[httpx2.Client]:
    settings = make_settings(database_url=database.url, require_https=False)
    anyio.run(_add_user, settings)
    with serve(make_site(Auth(settings))) as url, httpx2.Client(base_url=f"{url}/api/v1") as client:
        pair = client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        yield client


async def _add_user(settings: AuthSettings) -> None:
    async with Auth(settings) as auth:
        await auth.users.create(EMAIL, PASSWORD, scopes={"analysis:read"})


def test_a_key_lives_and_ends(client: httpx2.Client) -> None:
    made = client.post("/api-keys/", json={"name": "Nightly"}).json()
    use = {"Authorization": f"Bearer {made['api_key']}"}
    assert client.get("/analysis/", headers=use).json()["kind"] == "api_key"
    rotated = client.post(f"/api-keys/{made['id']}/rotate", json={}).json()
    assert client.delete(f"/api-keys/{made['id']}").status_code == 200
    assert client.get("/analysis/", headers=use).json()["error"]["code"] == "token_revoked"
    listed = client.get("/api-keys/").json()
    assert [key["id"] for key in listed["api_keys"]] == [rotated["id"]]


@pytest.mark.parametrize("field", ["name", "description"])
def test_text_with_a_nul_is_refused_by_its_field(client: httpx2.Client, field: str) -> None:
    answer = client.post("/api-keys/", json={"name": "Nightly", field: "a\0b"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
    assert answer.json()["error"]["details"]["fields"].keys() == {field}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("key_id", ["key_%00", "%00", "key_" + "0" * 2000])
def test_an_id_that_cannot_be_stored_is_of_no_key(client: httpx2.Client, method: str, key_id: str) -> None:
    answer = client.request(method, f"/api-keys/{key_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
