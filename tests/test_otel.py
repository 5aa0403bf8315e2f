"""Spans and metrics, through the front door, as the real SDK exports them."""

import gc
import json
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from callcov_auth import Auth, AuthMiddleware, auth_routes, requires
from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.errors import (
    AuthUnavailable,
    Conflict,
    InvalidCredentials,
    InvalidToken,
    TokenExpired,
    TokenRevoked,
)
from callcov_auth.events import AuditLost, Event, FeedLost, FeedRestored, KeysFetched, KeysLost, Refused
from callcov_auth.otel import BUCKETS, MAX_REASONS, OTHER, PARTS, Telemetry
from callcov_auth.settings import AuthSettings
from callcov_auth.store.breaker import FAILURES
from callcov_auth.store.sql import SqlStore
from tests.support.asgi import post, request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.otel import Told, values_of
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
LIVE_JUNK = "sk_live_junk"


def settings(**changes: Any) -> AuthSettings:
    return make_settings(otel=True, **changes)


@pytest.fixture
async def auth(clock: Clock, told: Told) -> AsyncIterator[Auth]:
    async with Auth(settings(), clock=clock) as opened:
        yield opened


@pytest.fixture
async def faulty() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


async def calls(_: Request) -> JSONResponse:
    return JSONResponse({})


@requires("calls:write")
async def writes(_: Request) -> JSONResponse:
    return JSONResponse({})


def app_of(auth: Auth, *outside: Middleware) -> Starlette:
    routes = [Route("/calls", calls), Route("/writes", writes), *auth_routes(auth)]
    return Starlette(routes=routes, middleware=[*outside, Middleware(AuthMiddleware, auth=auth)])


def bearer(credential: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {credential}"), *more]


async def new_key(auth: Auth, **fields: Any) -> str:
    user = await auth.users.create(f"{secrets.token_hex(4)}@example.com", PASSWORD, scopes=["calls:read"])
    return (await auth.keys.create(user.id, name="k", **fields)).api_key.get_secret_value()


def names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [span.name.removeprefix("callcov_auth.") for span in spans]


def about(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("callcov_auth."): value for name, value in (span.attributes or {}).items()}


def parent_of(span: ReadableSpan, spans: Sequence[ReadableSpan]) -> str | None:
    """The name of the span in which ``span`` was begun."""
    return next(
        (each.name for each in spans if span.parent and each.context.span_id == span.parent.span_id), None
    )


# Hits.


@pytest.mark.parametrize("kind", ["api_key", "token"])
async def test_a_hit_makes_no_span_and_is_counted(auth: Auth, told: Told, kind: str) -> None:
    app = app_of(auth)
    credential = await new_key(auth) if kind == "api_key" else await auth.tokens.issue("usr_1")
    for _ in range(4):
        assert (await request(app, "/calls", bearer(credential))).status == 200
    spans, metrics = told.spans(), told.metrics()
    assert names(spans).count("authenticate") == 1
    assert values_of(metrics["authentications"]) == {"hit": 3, "verified": 1}
    assert values_of(metrics["operation.duration"])[kind, "authenticate"] == 1
    told.values("events")
    for _ in range(5):
        await request(app, "/calls", bearer(credential))
    assert told.spans() == []
    assert told.values("authentications", "events") == [{"hit": 5}, {}]


async def test_hits_are_counted_where_a_proxy_stands_in_front(told: Told, clock: Clock) -> None:
    # No request of it takes the middleware's short way, for the proxy says whether it came over HTTPS.
    async with Auth(settings(trusted_proxies=["127.0.0.1"]), clock=clock) as auth:
        app, key = app_of(auth), await new_key(auth)
        headers = bearer(key, ("X-Forwarded-Proto", "https"))
        for _ in range(3):
            assert (await request(app, "/calls", headers, scheme="http")).status == 200
        await auth.authenticate(f"Bearer {key}")
    assert told.values("authentications") == {"hit": 3, "verified": 1}


async def test_hits_of_keys_with_a_rate_are_counted(told: Told, clock: Clock) -> None:
    async with Auth(settings(hash_cached_credentials=True), clock=clock) as auth:
        key = await new_key(auth, rate="100/minute")
        for _ in range(3):
            await auth.authenticate(f"Bearer {key}")
    assert told.values("authentications") == {"hit": 2, "verified": 1}


async def test_the_callers_that_are_remembered_are_counted(auth: Auth, told: Told, clock: Clock) -> None:
    async with Auth(settings(), clock=clock) as other:
        for one in (auth, auth, other):
            await one.authenticate(f"Bearer {await new_key(one)}")
        assert told.values("cache.entries") == {(): 3}
    assert told.values("cache.entries") == {(): 2}


# Lookups.


async def test_a_lookup_is_a_span_with_the_stores_call_in_it(auth: Auth, told: Told) -> None:
    key = await new_key(auth)
    told.spans()
    await request(app_of(auth), "/calls", bearer(key, ("X-Request-ID", "r-1")))
    store, lookup = spans = told.spans()
    assert names(spans) == ["store.keys_by_digest", "authenticate"]
    assert about(lookup) == {"kind": "api_key", "request_id": "r-1"}
    assert about(store) == {"request_id": "r-1"}
    assert parent_of(store, spans) == lookup.name
    assert lookup.parent is None
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}


async def test_a_lookup_is_timed_in_seconds(told: Told) -> None:
    time = Clock(0)

    class Slow:
        """A store that takes two seconds and a half to find a key."""

        def __init__(self) -> None:
            self._store = SqlStore("sqlite://")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def keys_by_digest(self, *given: Any) -> Any:
            time.advance(2.5)
            return await self._store.keys_by_digest(*given)

    async with Auth(settings(revocation_interval=60), store=Slow(), clock=time) as auth:
        await auth.authenticate(f"Bearer {await new_key(auth)}")
    metric = told.metrics()["operation.duration"]
    (point,) = [each for each in metric.data.data_points if "callcov_auth.kind" in each.attributes]
    assert (metric.unit, point.sum, tuple(point.explicit_bounds)) == ("s", 2.5, BUCKETS)


async def test_a_refused_lookup_says_why(auth: Auth, told: Told, clock: Clock) -> None:
    key, token = await new_key(auth, expires_in_days=1), await auth.tokens.issue("usr_1")
    clock.advance(2 * 86400)
    for credential in (key, token):
        with pytest.raises(TokenExpired):
            await auth.authenticate(f"Bearer {credential}")
    lookups = [span for span in told.spans() if span.name == "callcov_auth.authenticate"]
    # Whoever is refused has made a mistake, and not the server.
    assert {span.status.status_code for span in lookups} == {StatusCode.UNSET}
    assert [about(span) for span in lookups] == [
        {"kind": "api_key", "error.type": "token_expired", "reason": "key_expired"},
        {"kind": "token", "error.type": "token_expired", "reason": "token_expired"},
    ]
    durations = told.values("operation.duration")
    assert durations["api_key", "authenticate", "token_expired"] == 1
    assert durations["token", "authenticate", "token_expired"] == 1


async def test_what_is_forged_makes_no_span(auth: Auth, told: Told) -> None:
    with pytest.raises(InvalidToken):
        await auth.authenticate(f"Bearer {LIVE_JUNK}")
    assert told.spans() == []


async def test_a_thousand_who_wait_for_one_lookup_are_one_span(auth: Auth, told: Told) -> None:
    key = await new_key(auth)
    told.spans()
    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(auth.authenticate, f"Bearer {key}")
    assert names(told.spans()) == ["store.keys_by_digest", "authenticate"]


async def test_a_dead_store_is_an_error_of_ours(told: Told, faulty: FaultyStore, clock: Clock) -> None:
    async with Auth(settings(), store=faulty, clock=clock) as auth:
        key = await new_key(auth)
        faulty.fail("keys_by_digest")
        told.spans()
        with pytest.raises(AuthUnavailable):
            await auth.authenticate(f"Bearer {key}")
        faulty.mend()
    spans = told.spans()[:2]
    assert names(spans) == ["store.keys_by_digest", "authenticate"]
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert about(span)["error.type"] == "auth_unavailable"
        assert about(span)["reason"] == "store_dead"


async def test_of_a_bug_nothing_is_told_but_its_kind(told: Told, faulty: FaultyStore, clock: Clock) -> None:
    secret = secrets.token_urlsafe(32)
    async with Auth(settings(), store=faulty, clock=clock) as auth:
        key = await new_key(auth)
        faulty.fail("keys_by_digest", fault=lambda: RuntimeError(secret))
        told.spans()
        with pytest.raises(RuntimeError):
            await auth.authenticate(f"Bearer {key}")
        faulty.mend()
    spans = told.spans()[:2]
    assert [about(span)["error.type"] for span in spans] == ["RuntimeError"] * 2
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert secret not in "".join(told.shown)


async def test_a_caller_who_goes_away_is_no_error(told: Told, clock: Clock) -> None:
    class Stuck(FaultyStore):
        def __getattr__(self, name: str) -> Any:
            return anyio.sleep_forever if name == "keys_by_digest" else super().__getattr__(name)

        async def keys_by_digest(self, *_: Any) -> None:
            await anyio.sleep_forever()

    async with Auth(settings(), store=Stuck(SqlStore("sqlite://")), clock=clock) as auth:
        key = await new_key(auth)
        told.spans()
        with anyio.move_on_after(0.05):
            await auth.authenticate(f"Bearer {key}")
    spans = told.spans()[:2]
    assert names(spans) == ["store.keys_by_digest", "authenticate"]
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}
    assert {about(span)["error.type"] for span in spans} <= {"CancelledError", "Cancelled"}


async def test_what_is_done_in_the_background_makes_no_span(told: Told) -> None:
    faulty = FaultyStore(SqlStore("sqlite://"))
    async with Auth(settings(revocation_interval=0.01), store=faulty):
        await eventually(lambda: faulty.calls["changes_after"] > 3)
    assert told.spans() == []


async def test_a_call_of_a_service_is_part_of_the_apps_own_trace(auth: Auth, told: Told) -> None:
    user = await auth.users.create(EMAIL, PASSWORD)
    with trace.get_tracer("the app").start_as_current_span("job"):
        await auth.keys.list(user.id)
    spans = told.all_spans()
    store = next(span for span in spans if span.name == "callcov_auth.store.keys")
    assert parent_of(store, spans) == "job"


# Logins.


async def test_a_login_is_a_span_with_the_password_in_one_of_its_own(auth: Auth, told: Told) -> None:
    await auth.users.create(EMAIL, PASSWORD)
    told.spans()
    login = {"email": EMAIL, "password": PASSWORD}
    assert (await post(app_of(auth), "/api/v1/auth/login", login)).status == 200
    spans = told.spans()
    assert names(spans) == ["store.user_by_email", "verify_password", "store.add_session", "login"]
    assert {parent_of(span, spans) for span in spans[:-1]} == {"callcov_auth.login"}
    durations, logins = told.values("operation.duration", "logins")
    assert (durations["login"], durations["verify_password"], durations["hash_password"]) == (1, 1, 1)
    assert logins == {(): 1}


async def test_failed_logins_are_counted_by_their_reason(auth: Auth, told: Told) -> None:
    await auth.users.create(EMAIL, PASSWORD)
    for email, password in ((EMAIL, "wrong"), (EMAIL, "wrong"), ("nobody@example.com", "wrong")):
        with pytest.raises(InvalidCredentials):
            await auth.tokens.login(email, password)
    logins, durations = told.values("logins", "operation.duration")
    assert logins == {"wrong_password": 2, "unknown_email": 1}
    assert durations["login", "invalid_credentials"] == 3
    failed = [about(span) for span in told.spans() if span.name == "callcov_auth.login"]
    assert failed == [{"error.type": "invalid_credentials", "reason": "invalid_credentials"}] * 3


async def test_a_refresh_is_a_span_and_its_reuse_an_event(clock: Clock, told: Told) -> None:
    async with Auth(settings(rotate_refresh_tokens=True, refresh_grace=0), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
        told.spans()
        await auth.tokens.refresh(first)
        with pytest.raises(TokenRevoked):
            await auth.tokens.refresh(first)
    good, reused = [about(span) for span in told.spans() if span.name == "callcov_auth.refresh"]
    assert (good, reused) == ({}, {"error.type": "token_revoked", "reason": "refresh_reused"})
    assert told.values("events")["refresh_reused"] == 1


# Events.


async def test_every_event_is_counted_by_its_name(auth: Auth, told: Told) -> None:
    user = await auth.users.create(EMAIL, PASSWORD)
    keys = [await auth.keys.create(user.id, name=name) for name in "abc"]
    await auth.keys.rotate(keys[0].id)
    await auth.keys.revoke(keys[1].id)
    assert told.values("events") == {
        "user_changed": 1,
        "key_created": 3,
        "key_rotated": 1,
        "key_revoked": 1,
    }


async def test_refusals_are_counted_by_code_and_reason(auth: Auth, told: Told) -> None:
    app, key = app_of(auth), await new_key(auth)
    await request(app, "/calls")
    for _ in range(2):
        await request(app, "/calls", bearer(LIVE_JUNK))
    await request(app, "/writes", bearer(key))
    await post(app, "/api/v1/auth/login", b"{")
    assert told.values("refusals") == {
        ("missing_token", "missing_token"): 1,
        ("key_malformed", "invalid_token"): 2,
        ("scope_lacking", "insufficient_permissions"): 1,
        ("not_json", "malformed_json"): 1,
    }


async def test_refusals_are_counted_where_the_log_is_silent(auth: Auth, told: Told) -> None:
    logger = logging.getLogger("callcov_auth")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        await request(app_of(auth), "/calls")
    finally:
        logger.setLevel(before)
    assert told.values("refusals") == {("missing_token", "missing_token"): 1}


async def test_an_apps_own_reasons_are_told_within_bounds(told: Told) -> None:
    def refused(reason: str) -> Refused:
        return Refused("conflict", reason, "r", None, "GET", "/")

    telemetry = Telemetry(timer=Clock())
    for number in range(MAX_REASONS + 7):
        telemetry.hear(refused(f"reason_{number}"))
    telemetry.hear(refused("reason_1"))
    telemetry.hear(refused("user@example.com has one already"))
    counted = told.values("refusals")
    assert len(counted) == MAX_REASONS + 1
    assert counted["reason_1", "conflict"] == 2
    assert counted[OTHER, "conflict"] == 8


async def test_a_reason_that_is_no_name_is_not_told_on_a_span(told: Told, faulty: FaultyStore) -> None:
    async with Auth(settings(), store=faulty) as auth:
        key = await new_key(auth)
        faulty.fail("keys_by_digest", fault=lambda: Conflict(reason="user@example.com is there"))
        told.spans()
        with pytest.raises(Conflict):
            await auth.authenticate(f"Bearer {key}")
        faulty.mend()
    assert [about(span)["reason"] for span in told.spans()[:2]] == [OTHER] * 2
    assert EMAIL not in "".join(told.shown)


async def test_what_could_not_be_written_is_counted_one_by_one(
    told: Told, faulty: FaultyStore, clock: Clock
) -> None:
    async with Auth(settings(), store=faulty, clock=clock) as auth:
        metrics = told.metrics()
        for name in ("audit.lost", "last_use.lost"):
            assert [point.value for point in metrics[name].data.data_points] == [0]
        for _ in range(3):
            await auth.authenticate(f"Bearer {await new_key(auth)}")
        await auth._audit.flush()
        auth.on_event(AuditLost(41))
        faulty.fail("touch_keys")
    assert told.values("audit.lost", "last_use.lost") == [{(): 41}, {(): 3}]


async def test_on_event_is_called_as_before(clock: Clock, told: Told) -> None:
    seen: list[Event] = []
    async with Auth(settings(on_event=seen.append), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        await request(app_of(auth), "/calls")
    assert [event.name for event in seen] == ["user_changed", "refused"]
    assert told.values("events") == {"user_changed": 1, "refused": 1}


async def test_a_function_that_fails_takes_no_count_away(clock: Clock, told: Told) -> None:
    def fails(_: Event) -> None:
        raise ValueError("full")

    async with Auth(settings(on_event=fails), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
    assert told.values("events") == {"user_changed": 1}


async def test_events_are_told_where_no_audit_log_is_kept(clock: Clock, told: Told) -> None:
    async with Auth(settings(audit_days=0), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
    assert told.values("events") == {"user_changed": 1}


# What is lost for a while.


async def test_a_store_that_dies_and_comes_back(auth: Auth, told: Told) -> None:
    assert set(told.values("lost")) == set()
    breakers = (auth.store.lanes._reads.breaker, auth.store.lanes._writes.breaker)
    for breaker in breakers:
        for _ in range(FAILURES):
            breaker.failed("OperationalError")
    assert told.values("lost") == {"store_reads": 1, "store_writes": 1}
    breakers[0].succeeded()
    assert told.values("lost") == {"store_writes": 1}
    breakers[1].succeeded()


async def test_a_feed_that_is_lost_and_comes_back(told: Told, faulty: FaultyStore) -> None:
    async with Auth(settings(revocation_interval=0.01), store=faulty):
        faulty.fail("changes_after")
        await eventually(lambda: told.values("lost") == {"feed": 1})
        faulty.mend()
        await eventually(lambda: told.values("lost") == {})


async def test_a_redis_that_is_not_there(told: Told) -> None:
    async with Auth(settings(redis_url="redis://127.0.0.1:1")) as auth:
        await eventually(lambda: "push" in told.values("lost"))
        with pytest.raises(InvalidCredentials):
            await auth.tokens.login(EMAIL, PASSWORD)
        assert told.values("lost") == {"push": 1, "counters": 1}


async def test_each_part_is_told_before_it_was_ever_lost(auth: Auth, told: Told) -> None:
    points = told.metrics()["lost"].data.data_points
    assert [(point.attributes["callcov_auth.part"], point.value) for point in points] == [
        (part, 0) for part in PARTS
    ]


async def test_each_issuer_has_keys_of_its_own(told: Told) -> None:
    telemetry = Telemetry(timer=Clock())
    for event in (KeysLost("https://a.example", "x"), KeysLost("https://b.example", "x")):
        telemetry.hear(event)
    assert told.values("lost") == {"issuer_keys": 2}
    telemetry.hear(KeysFetched("https://a.example", 1, ()))
    telemetry.hear(KeysFetched("https://a.example", 1, ()))
    assert told.values("lost") == {"issuer_keys": 1}


async def test_two_auths_are_told_together_and_one_that_is_gone_no_more(told: Told) -> None:
    one, other = Telemetry(timer=Clock()), Telemetry(timer=Clock())
    for telemetry in (one, other):
        telemetry.hear(FeedLost("x"))
    assert told.values("lost") == {"feed": 2}
    one.hear(FeedRestored())
    assert told.values("lost") == {"feed": 1}
    del other, telemetry
    gc.collect()
    assert told.values("lost") == {}


# The request id.


@pytest.mark.parametrize("sent", ["r-7", None])
async def test_a_refusals_request_id_is_on_the_servers_span(auth: Auth, told: Told, sent: str | None) -> None:
    app = app_of(auth, Middleware(OpenTelemetryMiddleware))
    headers = bearer(LIVE_JUNK, *([("X-Request-ID", sent)] if sent else []))
    answer = await request(app, "/calls", headers)
    (server,) = [span for span in told.all_spans() if span.kind is trace.SpanKind.SERVER]
    assert answer.headers["x-request-id"] == (sent or answer.headers["x-request-id"])
    told_of = about(server)
    assert {name: told_of[name] for name in ("code", "reason", "request_id")} == {
        "code": "invalid_token",
        "reason": "key_malformed",
        "request_id": answer.headers["x-request-id"],
    }
    assert server.status.status_code is StatusCode.UNSET


async def test_a_lookup_is_part_of_the_servers_trace(auth: Auth, told: Told) -> None:
    app, key = app_of(auth, Middleware(OpenTelemetryMiddleware)), await new_key(auth)
    told.all_spans()
    await request(app, "/calls", bearer(key))
    spans = told.all_spans()
    lookup = next(span for span in spans if span.name == "callcov_auth.authenticate")
    server = next(span for span in spans if span.kind is trace.SpanKind.SERVER)
    assert parent_of(lookup, spans) == server.name


# What is not told.


async def test_no_credential_and_nobodys_name_is_in_any_of_it(told: Told, clock: Clock) -> None:
    async with Auth(settings(), clock=clock) as auth:
        app = app_of(auth)
        user = await auth.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        pair = (await post(app, "/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})).json()
        key = (await post(app, "/api/v1/api-keys/", {"name": "ours"}, pair["access_token"])).json()
        for path in ("/calls", "/writes", "/none"):
            await request(app, path, bearer(key["api_key"]))
        await auth.tokens.refresh(pair["refresh_token"])
        await auth.keys.revoke(key["id"])
        assert (await request(app, "/calls", bearer(key["api_key"]))).status == 401
        session = (await auth.tokens.sessions(user.id)).sessions[0]
    told.spans()
    told.metrics()
    shown = "".join(told.shown)
    hidden = [PASSWORD, EMAIL, user.id, session.id, key["id"], key["api_key"], key["key_prefix"], "127.0.0.1"]
    hidden += [pair["access_token"], pair["refresh_token"], "/calls", "/writes", "calls:read"]
    assert [each for each in hidden if each in shown] == []
    assert len(json.loads(told.shown[0])) > 3


# Off.


async def test_nothing_of_it_is_there_unless_it_is_asked_for(told: Told, clock: Clock) -> None:
    store = SqlStore("sqlite://")
    async with Auth(make_settings(), store=store, clock=clock) as auth:
        app, key = app_of(auth), await new_key(auth)
        for _ in range(3):
            await request(app, "/calls", bearer(key))
        await request(app, "/calls")
        assert type(auth.callers) is PrincipalCache
        assert auth.store is store
    assert told.spans() == []
    assert told.values("events", "authentications", "operation.duration") == [{}, {}, {}]
