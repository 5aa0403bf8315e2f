"""Refresh tokens that rotate, over HTTP: a client that keeps the newest, one that does not, and a thief."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from callcov_auth import Auth, AuthSettings
from tests.server.documented_client import DocumentedClient
from tests.server.site import make_site
from tests.support.clock import Clock
from tests.support.databases import Database
from tests.support.raw_http import Answer, ask, bearer
from tests.support.servers import serve
from tests.support.settings import make_settings

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
GRACE = 10
MINUTE, DAY = 60, 86400


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def settings(database: Database, clock: Clock) -> AuthSettings:
    made = make_settings(
        database_url=database.url,
        require_https=False,
        rotate_refresh_tokens=True,
        revocable_access_tokens=True,
        revocation_interval=0.02,
    )
    anyio.run(add_user, made, clock)
    return made


@pytest.fixture
def site(settings: AuthSettings, clock: Clock) -> Iterator[str]:
    with serve(make_site(Auth(settings, clock=clock))) as url:
        yield url


async def add_user(settings: AuthSettings, clock: Clock) -> None:
    async with Auth(settings, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD, scopes={"analysis:read"})


def post(site: str, path: str, content: dict[str, str], *lines: bytes) -> Answer:
    body = json.dumps(content).encode()
    return ask(site, f"/api/v1/auth/{path}", *lines, method="POST", body=body)


def login(site: str) -> dict[str, Any]:
    tokens: dict[str, Any] = json.loads(post(site, "login", {"email": EMAIL, "password": PASSWORD}).body)
    return tokens


def refresh(site: str, token: str) -> Answer:
    return post(site, "refresh", {"refresh_token": token})


def test_a_client_that_keeps_the_newest_is_served_for_seven_days(site: str, clock: Clock) -> None:
    tokens, end = login(site), clock.now + 7 * DAY
    seen = {tokens["refresh_token"]}
    while clock.now + DAY <= end:
        clock.advance(DAY - 1)
        answer = refresh(site, tokens["refresh_token"])
        assert (answer.status, answer.header("cache-control")) == (200, "no-store")
        tokens = json.loads(answer.body)
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 1800)
        assert ask(site, "/api/v1/users/me", bearer(tokens["access_token"])).status == 200
        seen.add(tokens["refresh_token"])
    assert len(seen) == 8
    clock.now = end
    assert refresh(site, tokens["refresh_token"]).error["code"] == "token_expired"


def test_a_client_that_keeps_its_first_one_is_out_at_its_second_refresh(site: str, clock: Clock) -> None:
    client = DocumentedClient(site, EMAIL, PASSWORD, now=clock)
    clock.advance(26 * MINUTE)
    assert client.request("GET", "/api/v1/analysis/").status_code == 200
    clock.advance(26 * MINUTE)
    with pytest.raises(KeyError):
        client.refresh()
    assert refresh(site, client.refresh_token).error["code"] == "token_revoked"


def test_a_stolen_token_ends_the_access_tokens_of_both(site: str, clock: Clock) -> None:
    own = login(site)
    thiefs = json.loads(refresh(site, own["refresh_token"]).body)
    clock.advance(GRACE)
    answer = refresh(site, own["refresh_token"])
    assert (answer.status, answer.error["code"]) == (401, "token_revoked")
    assert 'error="invalid_token"' in (answer.header("www-authenticate") or "")
    assert refresh(site, thiefs["refresh_token"]).error["code"] == "token_revoked"
    for tokens in (own, thiefs):
        refused = ask(site, "/api/v1/users/me", bearer(tokens["access_token"]))
        assert (refused.status, refused.error["code"]) == (401, "token_revoked")


def test_many_at_once_on_two_servers_are_all_served_and_stay_one_family(
    site: str, settings: AuthSettings, clock: Clock
) -> None:
    first = login(site)["refresh_token"]
    with serve(make_site(Auth(settings, clock=clock))) as other, ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(refresh, (site, other)[number % 2], first) for number in range(20)]
        answers = [each.result() for each in asked]
        assert [answer.status for answer in answers] == [200] * 20
        # Whichever a client kept, it is of the newest generation, and one of them supersedes all.
        kept = [json.loads(answer.body)["refresh_token"] for answer in answers]
        clock.advance(GRACE)
        assert refresh(other, kept[7]).status == 200
        assert {refresh(site, token).status for token in kept} == {200}
        clock.advance(GRACE)
        assert refresh(site, kept[3]).error["code"] == "token_revoked"


def test_a_refresh_after_logout_is_revoked_whatever_its_generation(site: str) -> None:
    first = login(site)
    second = json.loads(refresh(site, first["refresh_token"]).body)
    ended = post(site, "logout", {}, bearer(second["access_token"]))
    assert json.loads(ended.body)["success"] is True
    for tokens in (first, second):
        assert refresh(site, tokens["refresh_token"]).error["code"] == "token_revoked"
