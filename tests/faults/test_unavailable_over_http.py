"""A store that is dead at the start or dies under way, as clients of a real server meet it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth.cache.feed import TRUSTED_INTERVALS
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually_in_thread
from tests.support.servers import serve
from tests.support.settings import make_settings

INTERVAL = 0.01
TRUST = TRUSTED_INTERVALS * INTERVAL
LOGIN = {"email": "ada@example.com", "password": "a long way to Tipperary"}


@dataclass(slots=True)
class Site:
    """A server whose app counts how often it was reached."""

    auth: Auth
    store: FaultyStore
    clock: Clock
    hot: str = field(default="", repr=False)
    cold: str = field(default="", repr=False)
    url: str = ""
    reached: int = 0

    def app(self) -> AuthMiddleware:
        routes = [Route("/served", self.served), *auth_routes(self.auth)]
        return AuthMiddleware(Starlette(routes=routes), auth=self.auth)

    async def served(self, request: Request) -> PlainTextResponse:
        self.reached += 1
        return PlainTextResponse(request.state.principal.subject)

    def get(self, key: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}/served", headers={"Authorization": f"Bearer {key}"})

    def let_the_feed_fail(self) -> None:
        """Wait until the feed has asked a dead store, and move past the time for which it is trusted."""
        asked = self.store.calls["changes_after"]
        eventually_in_thread(lambda: self.store.calls["changes_after"] > asked + 1)
        self.clock.advance(TRUST)


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    settings = make_settings(
        database_url=f"sqlite:///{tmp_path / 'auth.db'}", revocation_interval=INTERVAL, require_https=False
    )
    store = FaultyStore(SqlStore(settings.database_url.get_secret_value()))
    made = Site(Auth(settings, store=store, clock=clock), store, clock)
    anyio.run(_add_keys, made)
    with serve(made.app()) as made.url:
        yield made


def test_a_hot_key_is_served_while_trusted_then_unavailable_then_served_again(site: Site) -> None:
    assert site.get(site.hot).status_code == 200
    asked = site.store.calls["changes_after"]
    eventually_in_thread(lambda: site.store.calls["changes_after"] > asked + 1)
    site.store.fail()
    site.clock.advance(TRUST * 0.99)
    assert site.get(site.hot).status_code == 200
    site.let_the_feed_fail()
    _assert_unavailable(site.get(site.hot))
    assert site.reached == 2
    site.store.mend()
    assert site.get(site.hot).status_code == 200


def test_a_cold_key_is_unavailable_and_never_unknown(site: Site) -> None:
    site.store.fail()
    _assert_unavailable(site.get(site.cold))
    assert site.reached == 0
    site.store.mend()
    assert site.get(site.cold).status_code == 200


def test_login_is_unavailable_and_never_wrong_credentials(site: Site) -> None:
    site.store.fail()
    _assert_unavailable(httpx2.post(f"{site.url}/api/v1/auth/login", json=LOGIN))
    site.store.mend()
    assert httpx2.post(f"{site.url}/api/v1/auth/login", json=LOGIN).status_code == 200


def test_an_unforeseen_fault_is_an_internal_error_and_lets_nobody_through(site: Site) -> None:
    site.store.fail(fault=lambda: ZeroDivisionError("what nobody outside may read"))
    site.let_the_feed_fail()
    for key in (site.hot, site.cold):
        answer = site.get(key)
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"
        assert "nobody outside" not in answer.text
    assert site.reached == 0


def test_a_server_does_not_start_beside_a_dead_store_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path / 'no such folder' / 'auth.db'}")
    app = AuthMiddleware(Starlette(), settings=settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    # Some versions of uvicorn return, others exit.
    with suppress(SystemExit):
        server.run()
    assert not server.started
    said = capsys.readouterr().err
    assert "Authentication is not available right now" in said
    assert "store_OperationalError" in said


def test_without_lifespan_each_request_is_unavailable_until_the_store_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "not yet"
    settings = make_settings(database_url=f"sqlite:///{folder / 'auth.db'}", require_https=False)
    auth = Auth(settings)
    app = AuthMiddleware(Starlette(routes=list(auth_routes(auth))), auth=auth)
    with serve(app, lifespan="off") as url:
        for _ in range(2):
            _assert_unavailable(httpx2.post(f"{url}/api/v1/auth/login", json=LOGIN))
        folder.mkdir()
        refused = httpx2.post(f"{url}/api/v1/auth/login", json=LOGIN)
        assert refused.json()["error"]["code"] == "invalid_credentials"
    anyio.run(auth.aclose)


async def _add_keys(site: Site) -> None:
    async with site.auth as auth:
        user = await auth.users.create(LOGIN["email"], LOGIN["password"])
        site.hot = (await auth.keys.create(user.id, name="Hot")).api_key.get_secret_value()
        site.cold = (await auth.keys.create(user.id, name="Cold")).api_key.get_secret_value()


def _assert_unavailable(answer: httpx2.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in answer.headers
    error = answer.json()["error"]
    assert error.pop("request_id")
    assert error == {"code": "auth_unavailable", "message": "Authentication is not available right now"}
