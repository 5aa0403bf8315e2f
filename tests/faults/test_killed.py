"""A process that is killed at any moment loses no write that it acknowledged, and leaves none by halves."""

import os
import random
import secrets
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection

import anyio
import pytest

from callcov_auth import Auth, AuthError, AuthSettings
from tests.faults.processes import run_and_kill
from tests.faults.writer import Begun, Done, Orders, write_until_killed
from tests.support.databases import Database
from tests.support.settings import CHEAP_PASSWORDS

KILLS_WHILE_NEW = 10
BACKENDS = ("asyncio", "trio")
# FAULTS_SEED repeats the acts and the delays of a run; where the kill lands is still the machine's.
SEED = int(os.environ.get("FAULTS_SEED", secrets.randbits(32)))

Outcomes = dict[str, set[str]]


@pytest.mark.parametrize("kills", [25, pytest.param(200, marks=pytest.mark.long)])
def test_every_acknowledged_write_outlives_the_kills(kills: int, database: Database) -> None:
    print(f"FAULTS_SEED={SEED}")
    randomness = random.Random(SEED)
    values = _settings_values(database.url)
    owner = anyio.run(_add_owner, values)
    texts: dict[str, str] = {}
    final: dict[str, str] = {}
    acknowledged: Counter[str] = Counter()
    for number in range(kills):
        backend = BACKENDS[number % 2]
        orders = Orders(values, owner, randomness.getrandbits(32), backend)
        said = run_and_kill(write_until_killed, orders, after=2, delay=randomness.uniform(0.005, 0.15))
        new_texts = _texts(said)
        found = anyio.run(_outcomes_in, values, new_texts, backend=backend)
        _assert_each_is_as_told(found, _told(said))
        texts |= new_texts
        final |= found
        acknowledged.update(one.act for one in said if isinstance(one, Done))
    assert acknowledged.keys() == {"create", "rotate", "revoke"}
    assert anyio.run(_outcomes_in, values, texts) == final


def test_a_database_whose_making_was_killed_is_made_by_the_next(
    new_databases: Callable[[], Database],
) -> None:
    print(f"FAULTS_SEED={SEED}")
    randomness = random.Random(SEED)
    for _ in range(KILLS_WHILE_NEW):
        values = _settings_values(new_databases().url)
        run_and_kill(_open_and_wait, values, after=1, delay=randomness.uniform(0, 0.06))
        assert anyio.run(_add_owner, values).startswith("usr_")


def _settings_values(url: str) -> dict[str, object]:
    return {
        "secret": secrets.token_urlsafe(48),
        "database_url": url,
        "max_active_keys": 10_000,
        **CHEAP_PASSWORDS,
    }


def _open(values: dict[str, object]) -> Auth:
    return Auth(AuthSettings(_env_file=None, **values))


async def _add_owner(values: dict[str, object]) -> str:
    async with _open(values) as auth:
        return (await auth.users.create("owner@example.com", secrets.token_urlsafe(16))).id


def _open_and_wait(values: dict[str, object], report: Connection) -> None:
    async def open_and_wait() -> None:
        report.send("opening")
        async with _open(values):
            await anyio.sleep_forever()

    anyio.run(open_and_wait)


def _texts(said: list[Begun | Done]) -> dict[str, str]:
    return {one.key_id: one.text for one in said if isinstance(one, Done) and one.key_id}


def _told(said: list[Begun | Done]) -> Outcomes:
    """What each acknowledged key must be; two things where its last write was not acknowledged."""
    ends = {"rotate": "token_expired", "revoke": "token_revoked"}
    told: Outcomes = {}
    for one in said:
        if isinstance(one, Begun) and one.old_id:
            told[one.old_id] = {"works", ends[one.act]}
        elif isinstance(one, Done):
            told |= {one.old_id: {ends[one.act]}} if one.old_id else {}
            told |= {one.key_id: {"works"}} if one.key_id else {}
    return told


async def _outcomes_in(values: dict[str, object], texts: dict[str, str]) -> dict[str, str]:
    async with _open(values) as auth:
        await _assert_no_rotation_by_halves(auth)
        return {key_id: await _outcome(auth, text) for key_id, text in texts.items()}


async def _outcome(auth: Auth, text: str) -> str:
    try:
        principal = await auth.authenticate(f"Bearer {text}")
    except AuthError as refusal:
        return refusal.code
    return "works" if principal.is_authenticated else "let through"


async def _assert_no_rotation_by_halves(auth: Auth) -> None:
    """A rotation ends the old key and adds one of the same name: always one of a name has no end."""
    endless: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = await auth.keys.list(include_expired=True, limit=200, cursor=cursor)
        for key in page.keys:
            endless[key.name] += key.expires_at is None
        cursor = page.cursor
        if cursor is None:
            break
    assert {name: count for name, count in endless.items() if count != 1} == {}


def _assert_each_is_as_told(found: dict[str, str], told: Outcomes) -> None:
    assert found.keys() == told.keys()
    wrong = {key_id: (found[key_id], told[key_id]) for key_id in told if found[key_id] not in told[key_id]}
    assert wrong == {}
