"""A process killed while it refreshes: its client asks again with what it has, and goes on."""

import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import anyio
import pytest

from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import TokenRevoked
from callcov_auth.store.sql import SqlStore
from tests.faults.processes import run_and_kill
from tests.support.databases import Database
from tests.support.settings import CHEAP_PASSWORDS

KILLS = 20
BACKENDS = ("asyncio", "trio")
EMAIL, PASSWORD = "owner@example.com", "correct horse battery"
# FAULTS_SEED repeats the delays of a run; where the kill lands is still the machine's.
SEED = int(os.environ.get("FAULTS_SEED", secrets.randbits(32)))


@dataclass(frozen=True, slots=True)
class Orders:
    settings: dict[str, object] = field(repr=False)
    token: str = field(repr=False)
    backend: str


@pytest.fixture
def values(database: Database) -> dict[str, object]:
    return {
        "secret": secrets.token_urlsafe(48),
        "database_url": database.url,
        "rotate_refresh_tokens": True,
        # In real time: far longer than these tests.
        "refresh_grace": 300,
        **CHEAP_PASSWORDS,
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_between_the_commit_and_the_answer(values: dict[str, object], backend: str) -> None:
    first = anyio.run(_login, values)
    said = run_and_kill(refresh_and_hang, Orders(values, first, backend), after=1, delay=0)
    assert said == ["committed"]
    assert anyio.run(_is_superseded, values, first)
    again = anyio.run(_refreshed, values, first)
    assert not anyio.run(_is_superseded, values, again)
    assert anyio.run(_refreshed, values, again)


def test_killed_at_any_moment(values: dict[str, object]) -> None:
    print(f"FAULTS_SEED={SEED}")
    randomness = random.Random(SEED)
    newest = anyio.run(_login, values)
    for number in range(KILLS):
        orders = Orders(values, newest, BACKENDS[number % 2])
        acknowledged = run_and_kill(refresh_until_killed, orders, after=1, delay=randomness.uniform(0, 0.02))
        newest = anyio.run(_refreshed, values, acknowledged[-1])
        assert not anyio.run(_is_superseded, values, newest)


class HangsOnceCommitted(SqlStore):
    def __init__(self, url: str, report: Connection) -> None:
        super().__init__(url)
        self._report = report

    async def advance_session(self, session_id: str, *, generation: int, superseded: Sequence[float]) -> bool:
        await super().advance_session(session_id, generation=generation, superseded=superseded)
        self._report.send("committed")
        await anyio.sleep_forever()
        return False


def refresh_and_hang(orders: Orders, report: Connection) -> None:
    async def refresh() -> None:
        settings = AuthSettings(_env_file=None, **orders.settings)
        store = HangsOnceCommitted(settings.database_url.get_secret_value(), report)
        async with Auth(settings, store=store) as auth:
            report.send((await auth.tokens.refresh(orders.token)).refresh_token.get_secret_value())

    anyio.run(refresh, backend=orders.backend)


def refresh_until_killed(orders: Orders, report: Connection) -> None:
    async def refresh() -> None:
        token = orders.token
        async with _open(orders.settings) as auth:
            while True:
                token = (await auth.tokens.refresh(token)).refresh_token.get_secret_value()
                report.send(token)

    anyio.run(refresh, backend=orders.backend)


async def _login(values: dict[str, object]) -> str:
    async with _open(values) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        return (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()


async def _refreshed(values: dict[str, object], token: str) -> str:
    async with _open(values) as auth:
        return (await auth.tokens.refresh(token)).refresh_token.get_secret_value()


async def _is_superseded(values: dict[str, object], token: str) -> bool:
    """Whether the database has a newer one than ``token``."""
    async with _open({**values, "refresh_grace": 0}) as auth:
        try:
            await auth.tokens.session_of(token)
        except TokenRevoked as refusal:
            assert refusal.reason == "refresh_superseded"
            return True
    return False


def _open(values: dict[str, object]) -> Auth:
    return Auth(AuthSettings(_env_file=None, **values))
