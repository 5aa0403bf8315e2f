"""With Redis, what one process revokes is refused by the others long before they poll."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from callcov_auth import Auth, AuthError, AuthSettings
from callcov_auth.cache import feed
from callcov_auth.store.sql import SqlStore
from tests.faults.redis.pairs import EMAIL, PASSWORD, Pair, opened, told
from tests.support.clock import Clock
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer
from tests.support.revoked import is_refused
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


Deed = Callable[[Pair], Awaitable[object]]

REFUSED_AFTER: dict[str, tuple[Deed, str]] = {
    "the key is revoked": (lambda pair: pair.there.keys.revoke(pair.key_id), "key"),
    "the session is ended": (lambda pair: pair.there.tokens.logout(pair.refresh_token), "token"),
    "the user is disabled, as to the key": (lambda pair: pair.there.users.disable(pair.user_id), "key"),
    "the user is disabled, as to the token": (lambda pair: pair.there.users.disable(pair.user_id), "token"),
}


@pytest.mark.parametrize(("deed", "credential"), REFUSED_AFTER.values(), ids=REFUSED_AFTER)
async def test_it_is_refused_here_before_any_poll_when(deed: Deed, credential: str, pair: Pair) -> None:
    await deed(pair)
    await eventually(lambda: is_refused(pair.here, getattr(pair, credential)))


async def test_what_is_said_makes_a_process_look_at_the_store(
    pair: Pair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CLOSEST_POLLS", 0.0)
    async with Auth(pair.here.settings, clock=clock) as fresh:
        await fresh.authenticate(pair.key)
        await eventually(lambda: fresh._push.subscribed)
        # By somebody who writes to the database, and tells of something else.
        store = SqlStore(pair.here.settings.database_url.get_secret_value())
        await store.revoke_key(pair.key_id, at=clock.now)
        await store.aclose()
        pair.say("key:another")
        await eventually(lambda: is_refused(fresh, pair.key))


async def test_a_process_without_background_tasks_tells_too(
    pair: Pair, settings: AuthSettings, clock: Clock
) -> None:
    alone = Auth(settings, clock=clock)
    await alone.open()
    await alone.keys.revoke(pair.key_id)
    await alone.aclose()
    await eventually(lambda: is_refused(pair.here, pair.key))


async def test_a_caller_who_is_cancelled_after_the_commit_has_it_told(pair: Pair) -> None:
    with anyio.CancelScope() as scope:
        store, revoke = pair.there.store, pair.there.store.revoke_key

        async def revoke_and_hang_up(*args: Any, **kwargs: Any) -> None:
            await revoke(*args, **kwargs)
            scope.cancel()

        store.revoke_key = revoke_and_hang_up  # type: ignore[method-assign]
        await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: is_refused(pair.here, pair.key))


async def test_while_a_secret_is_changed_both_secrets_processes_hear_each_other(
    settings: AuthSettings, own_redis: RedisServer, clock: Clock
) -> None:
    old, new = settings.secret.get_secret_value(), make_settings().secret.get_secret_value()
    before = settings.replace(previous_secrets=(new,))
    after = settings.replace(secret=new, previous_secrets=(old,))
    async with opened(before, own_redis, clock) as pair, Auth(after, clock=clock) as newer:
        await newer.authenticate(pair.key)
        await pair.heard_by(3)
        await newer.keys.revoke(pair.key_id)
        await eventually(lambda: is_refused(pair.here, pair.key))


async def test_another_deployment_on_the_same_redis_hears_nothing(pair: Pair, clock: Clock) -> None:
    other = make_settings(redis_url=pair.redis.url)
    assert not set(other.revocation_channels) & set(pair.here.settings.revocation_channels)


JUNK = [b"", b"key", b"key:", b":x", b"\xff:\xfe", b"shop:1", b"key:" + b"x" * 2000, b"KEY:x", b"{}" * 400]


async def test_junk_is_passed_over_and_what_is_said_after_it_is_heard(pair: Pair) -> None:
    version = pair.here.callers.version
    for message in JUNK:
        pair.say(message)
    pair.say("key:nobody's")
    await eventually(lambda: pair.here.callers.version != version)
    # Of all these, the last alone was a message.
    assert pair.here.callers.version == version + 1
    assert pair.here.callers.get(pair.key.encode()) is not None
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: is_refused(pair.here, pair.key))


async def test_a_lie_costs_a_lookup_and_changes_nothing(pair: Pair) -> None:
    pair.say(f"key:{pair.key_id}")
    await eventually(lambda: pair.here.callers.get(pair.key.encode()) is None)
    assert (await pair.here.authenticate(pair.key)).key_id == pair.key_id


async def test_a_closed_auth_leaves_no_connection(settings: AuthSettings, own_redis: RedisServer) -> None:
    async with Auth(settings) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        await eventually(lambda: auth._push.subscribed)
        await auth.users.disable(user.id)
        with own_redis.client() as client:
            assert len(client.client_list()) == 3
    with own_redis.client() as client:
        await eventually(lambda: len(client.client_list()) == 1)


async def test_a_password_in_the_url_is_used_and_shown_nowhere(
    settings: AuthSettings, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path_factory.mktemp("redis"), requirepass="correct-horse-22")
    server.start()
    try:
        right, wrong = (
            server.url.replace("//", f"//:{word}-22@") for word in ("correct-horse", "wrong-horse")
        )
        async with Auth(settings.replace(redis_url=right)) as auth:
            await eventually(lambda: auth._push.subscribed)
        async with Auth(settings.replace(redis_url=wrong)) as auth:
            await eventually(lambda: "push_lost" in told(caplog))
            shown = f"{auth!r} {auth.settings!r} {caplog.text}"
        assert "push_lost reason='AuthenticationError'" in shown
        assert "horse-22" not in shown
    finally:
        server.stop()


TO_TELL = "+publish +subscribe +ping &callcov-auth:revocations:*"
TO_COUNT = (
    "+eval +evalsha +script|load +get +set +incr +incrby +decr +expire +pttl +exists ~callcov-auth:count*"
)


def test_the_rights_tried_here_are_those_of_the_docs() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    for right in f"{TO_TELL} {TO_COUNT}".split():
        assert right in documented


async def test_a_user_of_redis_with_the_documented_rights_alone_will_do(
    pair: Pair, settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    few = _user(pair.redis, "few", f"{TO_TELL} {TO_COUNT}")
    async with Auth(settings.replace(redis_url=few, failure_rate="100/minute")) as auth:
        await eventually(lambda: auth._push.subscribed)
        await auth.keys.revoke(pair.key_id)
        await eventually(lambda: is_refused(pair.here, pair.key))
        await auth.tokens.login(EMAIL, PASSWORD, address="192.0.2.1")
        with pytest.raises(AuthError) as refusal:
            await auth.tokens.login(EMAIL, "a short way", address="192.0.2.1")
        assert refusal.value.code == "invalid_credentials"
        auth.failures.note("192.0.2.1")
        await auth._share_failures()
    assert not {"push_lost", "push_failed", "counters_lost"} & set(told(caplog))


async def test_a_user_of_redis_who_may_not_listen_is_told_of(
    pair: Pair, settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with Auth(settings.replace(redis_url=_user(pair.redis, "deaf", "+subscribe"))):
        await eventually(lambda: "push_lost reason='NoPermissionError'" in caplog.text)


def _user(server: RedisServer, name: str, rights: str) -> str:
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", name, "on", ">few-rights-22", "resetchannels", *rights.split()
        )
    return server.url.replace("//", f"//{name}:few-rights-22@")


async def test_a_resource_server_needs_no_pushes() -> None:
    issuer = {"issuer": "https://login.example.com", "audience": "calls", "discovery": True}
    settings = make_settings(
        secret=None, accept={"token"}, trusted_issuers=[issuer], redis_url="redis://cache/0"
    )
    assert Auth(settings)._push is None
