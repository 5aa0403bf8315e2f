"""The client of CallCov's documentation, over a week of a moved clock."""

from collections.abc import Callable, Iterator

import anyio
import pytest
import requests

from callcov_auth import Auth, AuthSettings
from tests.server.documented_client import DocumentedClient
from tests.server.site import make_site
from tests.support.clock import Clock
from tests.support.databases import Database
from tests.support.raw_http import ask, bearer
from tests.support.servers import serve
from tests.support.settings import make_settings

EMAIL = "user@example.com"
PASSWORD = "SecurePassword123!"
MINUTE = 60
WEEK = 7 * 24 * 60 * MINUTE

Login = Callable[[], DocumentedClient]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def site(database: Database, clock: Clock) -> Iterator[str]:
    settings = make_settings(database_url=database.url, require_https=False)
    anyio.run(add_user, settings, clock)
    with serve(make_site(Auth(settings, clock=clock))) as url:
        yield url


@pytest.fixture
def client(site: str, clock: Clock) -> DocumentedClient:
    return DocumentedClient(site, EMAIL, PASSWORD, now=clock)


async def add_user(settings: AuthSettings, clock: Clock) -> None:
    async with Auth(settings, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD, scopes={"analysis:read"})


def test_a_week_with_one_refresh_token_and_no_401(client: DocumentedClient, clock: Clock) -> None:
    login, first = clock.now, client.refresh_token
    statuses = set()
    while clock.now + 26 * MINUTE < login + WEEK:
        clock.advance(26 * MINUTE)
        statuses.add(client.request("GET", "/api/v1/users/me").status_code)

    assert statuses == {200}
    assert client.refreshes == 387
    assert client.refresh_token == first


def test_after_seven_days_the_refresh_token_expired(
    site: str, client: DocumentedClient, clock: Clock
) -> None:
    clock.advance(WEEK - 1)
    client.refresh()
    clock.advance(1)

    answer = requests.post(
        site + "/api/v1/auth/refresh", json={"refresh_token": client.refresh_token}, timeout=20
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


@pytest.mark.parametrize(("minutes", "refreshes"), [(24, 0), (25, 1), (29, 1), (31, 1), (600, 1)])
def test_it_refreshes_five_minutes_before_the_end(
    client: DocumentedClient, clock: Clock, minutes: int, refreshes: int
) -> None:
    clock.advance(minutes * MINUTE)

    assert client.request("GET", "/api/v1/analysis/").status_code == 200
    assert client.refreshes == refreshes


def test_without_a_refresh_the_access_token_expires_after_thirty_minutes(
    site: str, client: DocumentedClient, clock: Clock
) -> None:
    clock.advance(30 * MINUTE - 1)
    last = ask(site, "/api/v1/analysis/", bearer(client.access_token))
    clock.advance(1)
    late = ask(site, "/api/v1/analysis/", bearer(client.access_token))

    assert (last.status, late.status, late.error["code"]) == (200, 401, "token_expired")


def test_a_refresh_answers_as_a_login_does(site: str, client: DocumentedClient) -> None:
    sent = {"refresh_token": client.refresh_token}
    answer = requests.post(site + "/api/v1/auth/refresh", json=sent, timeout=20)

    tokens = answer.json()
    assert list(tokens) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert (tokens["refresh_token"], tokens["token_type"]) == (client.refresh_token, "bearer")
    assert tokens["expires_in"] == 1800
    assert answer.headers["cache-control"] == "no-store"


def test_a_key_is_created_used_listed_and_revoked(site: str, client: DocumentedClient) -> None:
    created = client.request("POST", "/api/v1/api-keys/", json={"name": "Production Server Key"})
    key = created.json()
    used = ask(site, "/api/v1/analysis/", bearer(key["api_key"]))
    listed = client.request("GET", "/api/v1/api-keys/").json()
    revoked = client.request("DELETE", f"/api/v1/api-keys/{key['id']}")
    again = client.request("DELETE", f"/api/v1/api-keys/{key['id']}/")
    refused = ask(site, "/api/v1/analysis/", bearer(key["api_key"]))

    assert (created.status_code, created.headers["cache-control"]) == (201, "no-store")
    assert key["api_key"].startswith("sk_live_")
    assert used.status == 200
    assert [(row["id"], row["key_prefix"]) for row in listed["api_keys"]] == [
        (key["id"], key["api_key"][:14])
    ]
    assert key["api_key"] not in str(listed)
    assert [answer.json()["success"] for answer in (revoked, again)] == [True, True]
    assert (refused.status, refused.error["code"]) == (401, "token_revoked")


def test_a_key_outlives_the_login_that_made_it(site: str, client: DocumentedClient, clock: Clock) -> None:
    key = client.request("POST", "/api/v1/api-keys", json={"name": "Server"}).json()["api_key"]
    clock.advance(52 * WEEK)

    assert ask(site, "/api/v1/analysis/", bearer(key)).status == 200


def test_a_key_cannot_make_keys(site: str, client: DocumentedClient) -> None:
    key = client.request("POST", "/api/v1/api-keys/", json={"name": "Server"}).json()["api_key"]

    answer = ask(site, "/api/v1/api-keys/", bearer(key), method="POST", body=b'{"name": "more"}')

    assert (answer.status, answer.error["code"]) == (403, "insufficient_permissions")
    assert answer.header("www-authenticate") == 'Bearer realm="callcov", error="insufficient_scope"'


def test_a_refresh_after_logout_is_revoked_and_the_access_token_runs_out_by_itself(
    site: str, client: DocumentedClient
) -> None:
    client.request("POST", "/api/v1/auth/logout", json={"refresh_token": client.refresh_token})

    sent = {"refresh_token": client.refresh_token}
    answer = requests.post(site + "/api/v1/auth/refresh", json=sent, timeout=20)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_revoked")
    assert client.request("GET", "/api/v1/analysis/").status_code == 200
