"""``on_event``: called with what happened, in its Auth alone; what it does wrong changes no answer."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, fields
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth import events as all_events
from callcov_auth.errors import InvalidCredentials, TokenRevoked
from callcov_auth.events import Event
from callcov_auth.settings import SettingsError
from callcov_auth.store.breaker import FAILURES
from callcov_auth.store.sql import SqlStore
from tests.support.asgi import post, request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"

heard: list[Event] = []
"""What ``hear`` was called with; it has a path, as a setting in the environment needs."""


def hear(event: Event) -> None:
    heard.append(event)


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
async def auth(seen: list[Event], clock: Clock) -> AsyncIterator[Auth]:
    async with Auth(make_settings(on_event=seen.append), clock=clock) as opened:
        yield opened


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


async def test_the_life_of_a_user_and_a_key_is_told(auth: Auth, seen: list[Event]) -> None:
    user = await auth.users.create(EMAIL, PASSWORD)
    with pytest.raises(InvalidCredentials):
        await auth.tokens.login(EMAIL, "wrong")
    pair = await auth.tokens.login(EMAIL, PASSWORD)
    key = await auth.keys.create(user.id, name="k")
    new = await auth.keys.rotate(key.id)
    await auth.keys.revoke(new.id)
    await auth.tokens.logout(pair.refresh_token.get_secret_value())
    await auth.tokens.logout_everywhere(user.id)
    await auth.users.disable(user.id)
    assert names(seen) == [
        *("user_changed", "login_failed", "logged_in", "key_created", "key_rotated", "key_revoked"),
        *("logged_out", "logged_out_everywhere", "user_changed"),
    ]


async def test_no_secret_is_in_any_of_it(auth: Auth, seen: list[Event]) -> None:
    user = await auth.users.create(EMAIL, PASSWORD)
    pair = await auth.tokens.login(EMAIL, PASSWORD)
    key = await auth.keys.create(user.id, name="k")
    secrets = [PASSWORD, *(each.get_secret_value() for each in (pair.access_token, key.api_key))]
    for secret in secrets[1:]:
        await auth.authenticate(f"Bearer {secret}")
    told = str([asdict(event) for event in seen])
    assert len(seen) == 5
    assert [secret for secret in secrets if secret in told] == []


async def test_a_caller_is_told_when_verified_anew_and_not_at_each_request(
    auth: Auth, seen: list[Event], clock: Clock
) -> None:
    user = await auth.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
    pair, key = await auth.tokens.login(EMAIL, PASSWORD), await auth.keys.create(user.id, name="k")
    seen.clear()
    for _ in range(3):
        await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        await auth.authenticate(f"Bearer {pair.access_token.get_secret_value()}")
    by_key, by_token = seen
    assert asdict(by_key) == {
        "kind": "api_key",
        "subject": user.id,
        "issuer": "callcov",
        "key_id": key.id,
        "session_id": None,
    }
    assert (by_token.kind, by_token.subject, by_token.key_id) == ("token", user.id, None)
    assert by_token.session_id is not None
    clock.advance(61)
    await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
    assert names(seen) == ["authenticated"] * 3


async def test_a_thousand_who_wait_for_one_lookup_are_one_event(auth: Auth, seen: list[Event]) -> None:
    user = await auth.users.create(EMAIL, PASSWORD)
    key = await auth.keys.create(user.id, name="k")
    seen.clear()
    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(auth.authenticate, f"Bearer {key.api_key.get_secret_value()}")
    assert names(seen) == ["authenticated"]


async def test_who_is_verified_is_not_in_the_log_unless_it_is_asked_for(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Auth(make_settings(), clock=clock) as auth:
        for level, told in ((logging.INFO, []), (logging.DEBUG, ["authenticated"])):
            token = await auth.tokens.issue("usr_1")
            with caplog.at_level(level, "callcov_auth"):
                caplog.clear()
                await auth.authenticate(f"Bearer {token}")
            assert [record.event.name for record in caplog.records if hasattr(record, "event")] == told


async def test_a_refusal_is_told_with_its_inner_reason(auth: Auth, seen: list[Event]) -> None:
    app = AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=auth)
    with_id = [("Authorization", "Bearer sk_live_junk"), ("X-Request-ID", "r-1")]
    await request(app, "/x", with_id)
    await post(app, "/api/v1/auth/login", b"{")
    first, second = seen
    assert (first.name, first.code, first.request_id, first.path) == ("refused", "invalid_token", "r-1", "/x")
    assert first.reason != first.code
    assert (second.code, second.method) == ("malformed_json", "POST")


async def test_it_is_told_where_the_log_is_silent(auth: Auth, seen: list[Event]) -> None:
    logger = logging.getLogger("callcov_auth")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        app = AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=auth)
        await request(app, "/x")
    finally:
        logger.setLevel(before)
    assert names(seen) == ["refused"]


async def test_reuse_of_a_refresh_token_is_told(clock: Clock, seen: list[Event]) -> None:
    settings = make_settings(on_event=seen.append, rotate_refresh_tokens=True, refresh_grace=0)
    async with Auth(settings, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
        await auth.tokens.refresh(first)
        with pytest.raises(TokenRevoked):
            await auth.tokens.refresh(first)
    assert names(seen) == ["user_changed", "logged_in", "refresh_reused"]


async def test_what_is_lost_is_told(clock: Clock, seen: list[Event]) -> None:
    store = FaultyStore(SqlStore("sqlite://"))
    async with Auth(make_settings(on_event=seen.append), store=store, clock=clock) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        key = await auth.keys.create(user.id, name="k")
        await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        store.fail("touch_keys")
    assert names(seen)[-1] == "last_use_lost"


async def test_a_store_that_dies_and_comes_back_is_told(auth: Auth, seen: list[Event]) -> None:
    breaker = auth.store.lanes._reads.breaker
    for _ in range(FAILURES):
        breaker.failed("OperationalError")
    breaker.succeeded()
    assert names(seen) == ["store_lost", "store_restored"]


async def test_a_redis_that_is_not_there_is_told(seen: list[Event]) -> None:
    settings = make_settings(on_event=seen.append, redis_url="redis://127.0.0.1:1")
    async with Auth(settings) as auth:
        await eventually(lambda: "push_lost" in names(seen))
        await auth.tokens.logout_everywhere("usr_1")
    assert names(seen)[-2:] == ["push_failed", "logged_out_everywhere"]


async def test_two_auths_in_one_process_are_heard_apart(clock: Clock) -> None:
    here: list[Event] = []
    there: list[Event] = []
    async with (
        Auth(make_settings(on_event=here.append), clock=clock) as one,
        Auth(make_settings(on_event=there.append), clock=clock) as other,
    ):
        await one.users.create(EMAIL, PASSWORD)
        await other.tokens.issue("usr_1")
        await other.tokens.logout_everywhere("usr_1")
    assert (names(here), names(there)) == (["user_changed"], ["logged_out_everywhere"])


def fails(_event: Event) -> None:
    raise ValueError("the sink is full")


async def test_a_function_that_fails_is_logged_and_changes_nothing(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Auth(make_settings(on_event=fails), clock=clock) as auth:
        with caplog.at_level("INFO", "callcov_auth"):
            await auth.users.create(EMAIL, PASSWORD)
            await auth.tokens.login(EMAIL, PASSWORD)
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in told] == [
        "on_event failed; event=user_changed",
        "on_event failed; event=logged_in",
    ]
    assert "the sink is full" in caplog.text
    assert [record.event.name for record in caplog.records if hasattr(record, "event")] == [
        "user_changed",
        "logged_in",
    ]


async def test_a_record_factory_of_the_programs_own_is_not_in_the_way(
    auth: Auth, caplog: pytest.LogCaptureFixture
) -> None:
    before = logging.getLogRecordFactory()

    def with_request_id(*given: Any, **named: Any) -> logging.LogRecord:
        record = before(*given, **named)
        record.request_id = "the program's"
        return record

    logging.setLogRecordFactory(with_request_id)
    try:
        with caplog.at_level(logging.INFO, "callcov_auth"):
            await auth.users.create(EMAIL, PASSWORD)
    finally:
        logging.setLogRecordFactory(before)
    (record,) = [each for each in caplog.records if hasattr(each, "event")]
    assert (record.event.name, record.request_id) == ("user_changed", "the program's")


def test_it_is_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_ON_EVENT", f"{__name__}:hear")
    assert make_settings().on_event is hear


async def is_async(event: Event) -> None:
    await anyio.lowlevel.checkpoint()


class IsAsync:
    async def __call__(self, event: Event) -> None:
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("function", [is_async, IsAsync()], ids=["function", "object"])
def test_what_would_have_to_be_awaited_stops_the_start(function: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="CALLCOV_AUTH_ON_EVENT: it is never awaited"):
        make_settings(on_event=function)


def test_what_is_not_there_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="CALLCOV_AUTH_ON_EVENT: "):
        make_settings(on_event="no.such.function")


def test_every_event_has_a_name_of_its_own_and_is_a_plain_record() -> None:
    kinds = [
        kind
        for kind in vars(all_events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]
    assert len({kind.name for kind in kinds}) == len(kinds) > 15
    plain = {"str", "int", "float", "str | None", "tuple[str, ...]"}
    types = {field.type for kind in kinds for field in fields(kind)}
    assert {type_.__name__ if isinstance(type_, type) else str(type_) for type_ in types} <= plain
