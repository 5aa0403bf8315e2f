"""The audit log through the front door: an app with its middleware and routes, a client, a real database."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from json import loads
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from callcov_auth import Auth, AuthMiddleware, audit, auth_routes
from callcov_auth.events import AuditLost, Authenticated, Event, UserChanged
from callcov_auth.keys import format as key_format
from callcov_auth.store.protocol import MAX_AUDITED_NAME, AuditEntry
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.issuer import TokenPair
from tests.support.asgi import connect
from tests.support.clock import Clock
from tests.support.databases import Database
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
OWNER, THIEF = "198.51.100.1", "203.0.113.9"
ALL = 10_000
DAY = 86400


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PERIOD", 0.01)


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
async def faulty() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


async def calls(_: Request) -> JSONResponse:
    return JSONResponse({})


async def echo(socket: WebSocket) -> None:
    await socket.accept()


def app_of(auth: Auth) -> Starlette:
    async def revoke(request: Request) -> JSONResponse:
        """An endpoint of the app's own, which does what no route of the package does."""
        await auth.keys.revoke(request.path_params["key_id"])
        return JSONResponse({})

    routes = [
        Route("/calls", calls),
        Route("/admin/keys/{key_id}", revoke, methods=["DELETE"]),
        WebSocketRoute("/live", echo),
        *auth_routes(auth),
    ]
    return Starlette(routes=routes, middleware=[Middleware(AuthMiddleware, auth=auth)])


@asynccontextmanager
async def client_at(
    address: str, app: ASGIApp, credential: str | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    transport = httpx2.ASGITransport(app, client=(address, 50000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="https://api.example.com", headers=headers
    ) as client:
        yield client


async def logged(auth: Auth) -> list[AuditEntry]:
    """Return the whole log, when nothing waits to be written."""
    await eventually(lambda: not auth._audit._pending)
    # What was being written is.
    await auth._audit.flush()
    return list(await auth.store.audit_entries(after=0, limit=ALL))


def events(entries: Sequence[AuditEntry]) -> list[str]:
    return [entry.event for entry in entries]


async def a_key(auth: Auth) -> tuple[str, str, str]:
    """Return a new user's id, and the id and the text of a new key."""
    user = await auth.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
    key = await auth.keys.create(user.id, name="k")
    return user.id, key.id, key.api_key.get_secret_value()


async def test_the_life_of_a_key_is_told_in_order_with_who_and_from_where(
    database: Database, clock: Clock
) -> None:
    async with Auth(make_settings(database_url=database.url), clock=clock) as auth:
        app = app_of(auth)
        user = await auth.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        async with client_at(OWNER, app) as owner:
            login = {"email": EMAIL, "password": PASSWORD}
            tokens = (await owner.post("/api/v1/auth/login", json=login, headers=by("r-login"))).json()
            owner.headers["Authorization"] = f"Bearer {tokens['access_token']}"
            made = await owner.post("/api/v1/api-keys/", json={"name": "k"}, headers=by("r-create"))
            key = made.json()
            async with client_at(THIEF, app, key["api_key"]) as thief:
                assert (await thief.get("/calls?q=private", headers=by("r-use"))).status_code == 200
                path = f"/api/v1/api-keys/{key['id']}"
                new = (await owner.post(f"{path}/rotate", headers=by("r-rotate"))).json()
                clock.advance(0.5)
                assert (await owner.delete(path, headers=by("r-revoke"))).status_code == 200
                assert (await thief.get("/calls", headers=by("r-late"))).status_code == 401
        entries = await logged(auth)

    it = f"key:{key['id']}"
    assert [
        (entry.event, entry.actor, entry.subject, entry.key_id, entry.client, entry.request_id)
        for entry in entries
    ] == [
        ("user_changed", None, user.id, None, None, None),
        ("logged_in", user.id, user.id, None, OWNER, "r-login"),
        ("authenticated", user.id, user.id, None, OWNER, "r-create"),
        ("key_created", user.id, user.id, key["id"], OWNER, "r-create"),
        ("authenticated", it, user.id, key["id"], THIEF, "r-use"),
        ("key_rotated", user.id, user.id, key["id"], OWNER, "r-rotate"),
        ("key_revoked", user.id, user.id, key["id"], OWNER, "r-revoke"),
        ("refused", it, user.id, key["id"], THIEF, "r-late"),
    ]
    used, rotated, _, refused = entries[4:]
    assert loads(used.detail) == {"kind": "api_key", "issuer": "callcov", "method": "GET", "path": "/calls"}
    assert loads(rotated.detail) == {"new_key_id": new["id"]}
    assert (loads(refused.detail)["code"], loads(refused.detail)["reason"]) == (
        "token_revoked",
        "key_revoked",
    )
    assert [entry.at - entries[0].at for entry in entries] == [0, 0, 0, 0, 0, 0, 0.5, 0.5]
    # Not in any column, in whatever form.
    kept = str(database.query("SELECT * FROM callcov_audit"))
    secrets = [PASSWORD, key["api_key"], new["api_key"], tokens["access_token"], tokens["refresh_token"]]
    assert [secret for secret in (*secrets, "private") if secret in kept] == []


def by(request_id: str) -> dict[str, str]:
    return {"X-Request-ID": request_id}


async def test_what_a_session_does_is_told(auth: Auth) -> None:
    app = app_of(auth)
    user_id, _, _ = await a_key(auth)
    async with client_at(OWNER, app) as owner:
        for email, password in ((EMAIL, "wrong"), ("nobody@example.com", PASSWORD), (EMAIL, PASSWORD)):
            answer = await owner.post("/api/v1/auth/login", json={"email": email, "password": password})
        tokens = answer.json()
        owner.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        assert (await owner.post("/api/v1/auth/logout", json={})).status_code == 200
        pair = {"refresh_token": tokens["refresh_token"]}
        assert (await owner.post("/api/v1/auth/logout", json=pair)).status_code == 200
    await auth.tokens.logout_everywhere(user_id)
    failed, unknown, *own, everywhere = (await logged(auth))[2:]
    assert events([failed, unknown]) == ["login_failed"] * 2
    assert [entry.subject for entry in (failed, unknown)] == [user_id, None]
    assert loads(unknown.detail) == {"reason": "unknown_email"}
    assert (failed.actor, failed.client) == (None, OWNER)
    # The token that outlives its session is verified anew.
    assert events(own) == ["logged_in", "authenticated", "logged_out", "authenticated", "logged_out"]
    assert {entry.session_id for entry in own} == {own[0].session_id} != {None}
    assert {(entry.actor, entry.subject) for entry in own} == {(user_id, user_id)}
    assert (everywhere.event, everywhere.actor, everywhere.subject) == (
        *("logged_out_everywhere", None),
        user_id,
    )


async def test_reuse_of_a_refresh_token_is_told(clock: Clock) -> None:
    settings = make_settings(rotate_refresh_tokens=True, refresh_grace=0)
    async with Auth(settings, clock=clock) as auth:
        user_id, _, _ = await a_key(auth)
        pair: TokenPair = await auth.tokens.login(EMAIL, PASSWORD)
        body = {"refresh_token": pair.refresh_token.get_secret_value()}
        async with client_at(THIEF, app_of(auth)) as thief:
            assert (await thief.post("/api/v1/auth/refresh", json=body)).status_code == 200
            assert (await thief.post("/api/v1/auth/refresh", json=body)).status_code == 401
        last = (await logged(auth))[-1]
    # One of two has stolen it, and nobody knows which.
    assert (last.event, last.actor, last.subject, last.client) == ("refresh_reused", None, user_id, THIEF)


async def test_hot_requests_write_nothing(auth: Auth, clock: Clock) -> None:
    _, _, key = await a_key(auth)
    async with client_at(THIEF, app_of(auth), key) as client:
        for _ in range(50):
            assert (await client.get("/calls")).status_code == 200
        assert events(await logged(auth))[2:] == ["authenticated"]
        clock.advance(61)
        await client.get("/calls")
    assert events(await logged(auth))[2:] == ["authenticated"] * 2


async def test_a_flood_of_forged_credentials_writes_nothing(auth: Auth) -> None:
    _, _, key = await a_key(auth)
    before = await logged(auth)
    forged = [key_format.mint(bytes([number]) * 32, "live") for number in range(100)]
    # Of this installation, and never handed out.
    unknown = [key_format.mint(auth.settings.key_mac_key, "live") for _ in range(100)]
    junk = [key[:-1], "sk_live_", "a.b.c", "eyJhbGciOiJub25lIn0.e30.x", "x" * 5000]
    async with client_at(THIEF, app_of(auth)) as thief:
        for credential in (*forged, *unknown, *junk):
            refused = await thief.get("/calls", headers={"Authorization": f"Bearer {credential}"})
            assert refused.status_code == 401
        assert (await thief.get("/calls")).status_code == 401
    assert await logged(auth) == before


async def test_a_dead_key_that_is_tried_on_and_on_is_told_now_and_then(
    auth: Auth, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_REFUSED", 2)
    user_id, key_id, key = await a_key(auth)
    await auth.users.disable(user_id)
    before = len(await logged(auth))
    app = app_of(auth)

    async def told_after(address: str, tries: int) -> list[str | None]:
        async with client_at(address, app, key) as client:
            for _ in range(tries):
                assert (await client.get("/calls")).status_code == 401
        entries = (await logged(auth))[before:]
        assert {(entry.event, entry.key_id, entry.subject) for entry in entries} == {
            ("refused", key_id, user_id)
        }
        return [entry.client for entry in entries]

    assert await told_after(THIEF, 20) == [THIEF]
    assert await told_after(OWNER, 20) == [THIEF, OWNER]
    clock.advance(audit.REFUSED_PERIOD)
    assert await told_after(THIEF, 20) == [THIEF, OWNER, THIEF]
    assert await told_after("192.0.2.1", 1) == [THIEF, OWNER, THIEF, "192.0.2.1"]
    # However many addresses there are.
    assert len(auth._audit._refused) == 2


async def test_a_refusal_is_told_under_the_id_that_the_client_was_shown(auth: Auth) -> None:
    _, key_id, key = await a_key(auth)
    await auth.keys.revoke(key_id)
    async with client_at(THIEF, app_of(auth), key) as thief:
        answer = await thief.get("/calls")
    last = (await logged(auth))[-1]
    assert (last.event, last.request_id) == ("refused", answer.json()["error"]["request_id"])


async def test_a_dead_key_is_told_where_the_log_is_silent(
    auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    _, key_id, key = await a_key(auth)
    await auth.keys.revoke(key_id)
    caplog.set_level("CRITICAL", "callcov_auth")
    async with client_at(THIEF, app_of(auth), key) as thief:
        assert (await thief.get("/calls")).status_code == 401
    assert events(await logged(auth))[-1] == "refused"


async def test_routes_that_guard_themselves_name_their_caller(auth: Auth) -> None:
    user_id, key_id, _ = await a_key(auth)
    token = (await auth.tokens.login(EMAIL, PASSWORD)).access_token.get_secret_value()
    async with client_at(OWNER, Starlette(routes=auth_routes(auth)), token) as owner:
        assert (await owner.delete(f"/api/v1/api-keys/{key_id}", headers=by("r-1"))).status_code == 200
    last = (await logged(auth))[-1]
    assert (last.event, last.actor, last.client, last.request_id) == ("key_revoked", user_id, OWNER, "r-1")


async def test_an_expired_key_is_told(auth: Auth, clock: Clock) -> None:
    user_id, _, _ = await a_key(auth)
    key = await auth.keys.create(user_id, name="short", expires_in_days=1)
    clock.advance(2 * DAY)
    async with client_at(THIEF, app_of(auth), key.api_key.get_secret_value()) as thief:
        assert (await thief.get("/calls")).status_code == 401
    last = (await logged(auth))[-1]
    assert (last.event, last.key_id, loads(last.detail)["reason"]) == ("refused", key.id, "key_expired")


async def test_behind_a_proxy_the_client_is_told_and_not_the_proxy(clock: Clock) -> None:
    async with Auth(make_settings(trusted_proxies=["10.0.0.0/8"]), clock=clock) as auth:
        _, _, key = await a_key(auth)
        async with client_at("10.0.0.1", app_of(auth), key) as proxy:
            forwarded = {"X-Forwarded-For": THIEF, "X-Forwarded-Proto": "https"}
            for _ in range(5):
                assert (await proxy.get("/calls", headers=forwarded)).status_code == 200
        entries = (await logged(auth))[2:]
    assert [(entry.event, entry.client) for entry in entries] == [("authenticated", THIEF)]


async def test_a_websocket_is_told_too(auth: Auth) -> None:
    _, _, key = await a_key(auth)
    app = app_of(auth)

    async def as_servers_do(scope: Scope, receive: Receive, send: Send) -> None:
        await app({name: value for name, value in scope.items() if name != "method"}, receive, send)

    await connect(as_servers_do, "/live", [("Authorization", f"Bearer {key}")])
    last = (await logged(auth))[-1]
    assert last.event == "authenticated"
    assert loads(last.detail)["method"] == "WEBSOCKET"
    assert loads(last.detail)["path"] == "/live"


async def test_an_apps_own_endpoint_that_changes_something_is_told_with_its_caller(auth: Auth) -> None:
    _, key_id, _ = await a_key(auth)
    admin = await auth.users.create("admin@example.com", PASSWORD, scopes=["*"])
    admins = (await auth.keys.create(admin.id, name="admin's")).api_key.get_secret_value()
    async with client_at(OWNER, app_of(auth), admins) as client:
        await client.get("/calls")
        # Remembered by now, so that the gate does not see it.
        assert (await client.delete(f"/admin/keys/{key_id}")).status_code == 200
    cold, revoked = (await logged(auth))[-2:]
    assert (revoked.event, revoked.key_id, revoked.actor) == ("key_revoked", key_id, cold.actor)
    assert cold.actor.startswith("key:")
    assert cold.actor != f"key:{key_id}"


async def test_another_issuers_user_is_not_taken_for_ours_of_that_name(auth: Auth) -> None:
    auth.on_event(Authenticated("token", "usr_1", "https://login.example.com", None, "s-1"))
    auth.on_event(Authenticated("token", "usr_1", "callcov", None, "s-2"))
    theirs, ours = await logged(auth)
    assert theirs.actor == theirs.subject == "https://login.example.com usr_1"
    assert ours.actor == ours.subject == "usr_1"


async def test_names_that_no_database_can_hold_do_not_stop_the_others(
    database: Database, clock: Clock
) -> None:
    async with Auth(make_settings(database_url=database.url), clock=clock) as auth:
        for odd in ("a\0b", "\ud800", "Ω" * 1000):
            auth.on_event(Authenticated("token", odd, "callcov", None, odd))
        auth.on_event(UserChanged("usr_1", "created"))
        entries = await logged(auth)
    assert [entry.subject for entry in entries] == ["ab", "?", "Ω" * MAX_AUDITED_NAME, "usr_1"]
    assert [entry.session_id for entry in entries[:2]] == ["ab", "?"]


async def test_while_the_database_is_away_nothing_is_lost(
    faulty: FaultyStore, seen: list[Event], clock: Clock
) -> None:
    async with Auth(make_settings(on_event=seen.append), store=faulty, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        await eventually(lambda: faulty.calls["add_audit_entries"] > 0)
        faulty.fail("add_audit_entries")
        for number in range(20):
            await auth.tokens.logout_everywhere(f"usr_{number}")
        tried = faulty.calls["add_audit_entries"]
        await eventually(lambda: faulty.calls["add_audit_entries"] > tried + 2)
        assert events(await faulty.audit_entries(after=0, limit=ALL)) == ["user_changed"]
        faulty.mend()
        entries = await logged(auth)
    assert [entry.subject for entry in entries[1:]] == [f"usr_{number}" for number in range(20)]
    assert [event for event in seen if isinstance(event, AuditLost)] == []


async def test_what_does_not_fit_is_counted_and_the_gap_is_shown(
    faulty: FaultyStore, seen: list[Event], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_PENDING", 3)
    async with Auth(make_settings(on_event=seen.append), store=faulty, clock=clock) as auth:
        faulty.fail("add_audit_entries")
        for number in range(5):
            await auth.tokens.logout_everywhere(f"usr_{number}")
        faulty.mend()
        await eventually(lambda: AuditLost(2) in seen)
        await auth.tokens.logout_everywhere("usr_5")
        entries = await logged(auth)
    assert [(entry.event, entry.subject) for entry in entries] == [
        *(("logged_out_everywhere", f"usr_{number}") for number in range(3)),
        ("audit_lost", None),
        ("logged_out_everywhere", "usr_5"),
    ]
    assert loads(entries[3].detail) == {"entries": 2}
    assert [event for event in seen if isinstance(event, AuditLost)] == [AuditLost(2)]


async def test_closing_writes_what_waits(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PERIOD", 3600)
    async with Auth(make_settings(database_url=database.url), clock=clock) as auth:
        await auth.tokens.logout_everywhere("usr_1")
        assert await auth.store.audit_entries(limit=1) == []
    assert database.query("SELECT event, subject FROM callcov_audit") == [("logged_out_everywhere", "usr_1")]


async def test_closing_beside_a_dead_store_tells_what_was_lost(
    faulty: FaultyStore, seen: list[Event], clock: Clock
) -> None:
    async with Auth(make_settings(on_event=seen.append), store=faulty, clock=clock) as auth:
        faulty.fail("add_audit_entries")
        for number in range(3):
            await auth.tokens.logout_everywhere(f"usr_{number}")
    assert [event for event in seen if isinstance(event, AuditLost)] == [AuditLost(3)]


class StuckStore(FaultyStore):
    """Its audit log is written when ``go`` says so; as in a database, what has begun happens."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self.reached, self.go = anyio.Event(), anyio.Event()
        self.written: list[AuditEntry] = []

    async def add_audit_entries(self, entries: Sequence[AuditEntry]) -> None:
        self.reached.set()
        with anyio.CancelScope(shield=True):
            await self.go.wait()
        self.written += entries
        await anyio.lowlevel.checkpoint_if_cancelled()


async def test_what_is_being_written_as_it_closes_is_written_once(clock: Clock) -> None:
    stuck = StuckStore(SqlStore("sqlite://"))
    async with (
        anyio.create_task_group() as group,
        Auth(make_settings(), store=stuck, clock=clock) as auth,
    ):
        await auth.tokens.logout_everywhere("usr_1")
        await stuck.reached.wait()
        await auth.tokens.logout_everywhere("usr_2")
        group.start_soon(_after_a_while, stuck.go.set)
    assert [entry.subject for entry in stuck.written] == ["usr_1", "usr_2"]


class HungStore(FaultyStore):
    """Its audit log is never written."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self.reached = anyio.Event()

    async def add_audit_entries(self, entries: Sequence[AuditEntry]) -> None:
        self.reached.set()
        await anyio.sleep_forever()


async def test_a_write_that_does_not_end_does_not_hold_up_the_end(
    clock: Clock, seen: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "WRITE_TIMEOUT", 0.05)
    hung = HungStore(SqlStore("sqlite://"))
    with anyio.fail_after(10):
        async with Auth(make_settings(on_event=seen.append), store=hung, clock=clock) as auth:
            await auth.tokens.logout_everywhere("usr_1")
            await hung.reached.wait()
    assert seen[-1] == AuditLost(1)


async def _after_a_while(do: Callable[[], object]) -> None:
    await anyio.sleep(0.05)
    do()


async def test_many_at_once_are_written_before_their_second_is_over(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    await logged(auth)
    monkeypatch.setattr(audit, "PERIOD", 3600)
    monkeypatch.setattr(audit, "BATCH", 10)
    # Until the period that began before is over.
    await anyio.sleep(0.05)
    for number in range(10):
        auth.on_event(UserChanged(f"usr_{number}", "created"))

    async def are_there() -> bool:
        return len(await auth.store.audit_entries(after=0, limit=ALL)) == 10

    await eventually(are_there)


async def test_a_store_that_fails_in_a_way_of_its_own_is_tried_again(
    faulty: FaultyStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Auth(make_settings(), store=faulty, clock=clock) as auth:
        faulty.fail("add_audit_entries", fault=lambda: ValueError("unforeseen"))
        await auth.tokens.logout_everywhere("usr_1")
        await eventually(lambda: "housekeeping failed" in caplog.text)
        faulty.mend()
        assert events(await logged(auth)) == ["logged_out_everywhere"]


async def test_what_is_older_than_the_days_is_deleted(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    settings = make_settings(database_url=database.url, audit_days=30, revocation_interval=0.01)
    async with Auth(settings, clock=clock) as auth:
        for number in range(5):
            await auth.tokens.logout_everywhere(f"usr_{number}")
        clock.advance(DAY)
        await auth.tokens.logout_everywhere("usr_5")
        assert len(await logged(auth)) == 6
        clock.advance(29 * DAY + 1)

        async def only_the_last_is_there() -> bool:
            return [entry.subject for entry in await logged(auth)] == ["usr_5"]

        await eventually(only_the_last_is_there)


async def test_a_database_that_is_away_is_asked_to_delete_again(
    faulty: FaultyStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(audit_days=1, revocation_interval=0.01)
    async with Auth(settings, store=faulty, clock=clock) as auth:
        await auth.tokens.logout_everywhere("usr_1")
        await logged(auth)
        faulty.fail("delete_audit_entries")
        clock.advance(2 * DAY)
        tried = faulty.calls["delete_audit_entries"]
        await eventually(lambda: faulty.calls["delete_audit_entries"] > tried + 1)
        faulty.mend()

        async def is_empty() -> bool:
            return await logged(auth) == []

        await eventually(is_empty)
    assert "housekeeping failed" not in caplog.text


async def test_it_can_be_switched_off(clock: Clock, seen: list[Event]) -> None:
    async with Auth(make_settings(audit_days=0, on_event=seen.append), clock=clock) as auth:
        _, key_id, key = await a_key(auth)
        await auth.keys.revoke(key_id)
        async with client_at(THIEF, app_of(auth), key) as thief:
            assert (await thief.get("/calls")).status_code == 401
        await anyio.sleep(0.05)
        assert await auth.store.audit_entries(limit=1) == []
    assert [event.name for event in seen] == ["user_changed", "key_created", "key_revoked", "refused"]


class StoreWithoutLog:
    """A store of somebody's own, from before there was an audit log."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if "audit" in name:
            raise AttributeError(name)
        return getattr(self._store, name)


async def test_a_store_that_keeps_none_works(clock: Clock, seen: list[Event]) -> None:
    store = SqlStore("sqlite://")
    settings = make_settings(on_event=seen.append)
    async with Auth(settings, store=StoreWithoutLog(store), clock=clock) as auth:
        _, _, key = await a_key(auth)
        async with client_at(OWNER, app_of(auth), key) as client:
            assert (await client.get("/calls")).status_code == 200
        assert await store.audit_entries(limit=1) == []
    assert [event.name for event in seen] == ["user_changed", "key_created", "authenticated"]


async def test_without_a_background_task_requests_and_the_end_write(database: Database, clock: Clock) -> None:
    auth = Auth(make_settings(database_url=database.url), clock=clock)
    await auth.open()
    _, _, key = await a_key(auth)
    clock.advance(2)
    await auth.authenticate(f"Bearer {key}")
    assert events(await auth.store.audit_entries(limit=ALL)) == ["user_changed", "key_created"]
    await auth.aclose()
    assert database.query("SELECT event FROM callcov_audit ORDER BY id") == [
        *(("user_changed",), ("key_created",), ("authenticated",))
    ]


async def test_an_on_event_that_fails_loses_no_entry(clock: Clock) -> None:
    def fails(_: Event) -> None:
        raise ValueError("the sink is full")

    async with Auth(make_settings(on_event=fails), clock=clock) as auth:
        await auth.tokens.logout_everywhere("usr_1")
        assert events(await logged(auth)) == ["logged_out_everywhere"]


async def test_of_two_processes_that_write_neither_loses_anything(database: Database, clock: Clock) -> None:
    settings = make_settings(database_url=database.url)
    async with Auth(settings, clock=clock) as one, Auth(settings, clock=clock) as other:
        for number in range(20):
            await one.tokens.logout_everywhere(f"usr_{number}")
            await other.tokens.logout_everywhere(f"usr_{number}")
        await logged(one)
        entries = await logged(other)
    ids = [entry.id for entry in entries]
    assert ids == sorted(set(ids))
    assert len(entries) == 40


def test_every_audited_event_fits_the_table() -> None:
    assert all(len(kind.name) <= 32 for kind in audit.AUDITED)
    entry = audit.entry_of(audit._Noted(AuditLost(1), 0.0, audit.Acting(), None), "callcov")
    assert asdict(replace(entry, id=7))["id"] == 7
