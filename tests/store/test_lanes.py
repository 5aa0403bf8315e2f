"""The ways to the database: what is tried again, what is refused at once, and what bounds each wait."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import Connection, literal_column, select, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from callcov_auth.errors import AuthUnavailable, Conflict, KeyLimitReached
from callcov_auth.store import lanes as lanes_module
from callcov_auth.store.breaker import FAILURES, PROBE_PERIOD
from callcov_auth.store.database import Database
from callcov_auth.store.lanes import Lanes
from callcov_auth.store.prepared import Lookup
from callcov_auth.store.sqlite import sqlite_database
from tests.support.clock import Clock
from tests.support.polling import TIMEOUT

pytestmark = pytest.mark.anyio

Work = Callable[[Connection], Any]


@pytest.fixture
def database() -> Iterator[Database]:
    made = sqlite_database("sqlite://")
    yield made
    made.dispose()


@pytest.fixture
def lanes(database: Database, clock: Clock) -> Lanes:
    return Lanes(database, timer=clock)


def failing(kind: type[Exception], times: int) -> tuple[Work, list[int]]:
    """Work that fails so often, and then gives 7; and a list that grows with each try."""
    tries: list[int] = []

    def work(connection: Connection) -> int:
        tries.append(1)
        if len(tries) > times:
            return int(connection.execute(text("SELECT 7")).scalar_one())
        raise kind("SELECT", None, sqlite3.OperationalError("no"))

    return work, tries


async def fail(lanes: Lanes, times: int, kind: type[Exception] = OperationalError) -> None:
    for _ in range(times):
        with pytest.raises((AuthUnavailable, Conflict)):
            await lanes.read(failing(kind, 1)[0])


async def test_a_read_on_a_connection_that_had_ended_is_tried_once_more(
    database: Database, clock: Clock
) -> None:
    lanes = Lanes(replace(database, is_stale=lambda _: True), timer=clock)
    work, tries = failing(OperationalError, 1)
    assert await lanes.read(work) == 7
    work, tries = failing(OperationalError, 2)
    with pytest.raises(AuthUnavailable):
        await lanes.read(work)
    assert len(tries) == 2


async def test_a_read_that_failed_otherwise_is_not_tried_again(lanes: Lanes) -> None:
    work, tries = failing(OperationalError, 1)
    with pytest.raises(AuthUnavailable) as refusal:
        await lanes.read(work)
    assert refusal.value.reason == "store_OperationalError"
    assert len(tries) == 1


async def test_a_write_that_was_undone_for_another_is_tried_once_more(
    database: Database, clock: Clock
) -> None:
    lanes = Lanes(replace(database, is_collision=lambda _: True, is_stale=lambda _: True), timer=clock)
    assert await lanes.write(failing(OperationalError, 1)[0]) == 7
    with pytest.raises(AuthUnavailable):
        await lanes.write(failing(OperationalError, 2)[0])


async def test_a_write_is_not_tried_again_for_a_connection_that_had_ended(
    database: Database, clock: Clock
) -> None:
    """Whether it was committed before the end is not known, so it is told as it is."""
    lanes = Lanes(replace(database, is_stale=lambda _: True), timer=clock)
    work, tries = failing(OperationalError, 1)
    with pytest.raises(AuthUnavailable):
        await lanes.write(work)
    assert len(tries) == 1


async def test_a_dead_store_is_asked_by_a_probe_alone(lanes: Lanes, clock: Clock) -> None:
    await fail(lanes, FAILURES)
    work, tries = failing(OperationalError, 0)
    with pytest.raises(AuthUnavailable) as refusal:
        await lanes.read(work)
    assert (refusal.value.reason, len(tries)) == ("store_down", 0)
    clock.advance(PROBE_PERIOD)
    assert await lanes.read(work) == 7
    assert await lanes.read(work) == 7


async def test_reads_that_fail_keep_no_write_away(lanes: Lanes) -> None:
    await fail(lanes, FAILURES)
    assert await lanes.write(failing(OperationalError, 0)[0]) == 7


@pytest.mark.parametrize("kind", [DataError, IntegrityError])
async def test_a_database_that_answers_is_not_dead_whatever_it_says(
    lanes: Lanes, kind: type[Exception]
) -> None:
    """Or a caller who sends what it does not take could shut all others out."""
    await fail(lanes, 2 * FAILURES, kind)
    assert await lanes.read(failing(OperationalError, 0)[0]) == 7


async def test_a_refusal_of_the_works_own_is_an_answer(lanes: Lanes) -> None:
    def refuse(_: Connection) -> None:
        raise KeyLimitReached()

    await fail(lanes, FAILURES - 1)
    for _ in range(FAILURES):
        with pytest.raises(KeyLimitReached):
            await lanes.read(refuse)
    await fail(lanes, FAILURES - 1)
    assert await lanes.read(failing(OperationalError, 0)[0]) == 7


async def test_nobody_waits_for_a_turn_longer_than_the_bound(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "LANE_TIMEOUT", 0.05)
    entered, release = threading.Event(), threading.Event()
    held: list[bool] = []

    def hold(_: Connection) -> bool:
        entered.set()
        return release.wait(TIMEOUT)

    async def begin() -> None:
        held.append(await lanes.write(hold))

    async with anyio.create_task_group() as group:
        group.start_soon(begin)
        await to_thread.run_sync(entered.wait, TIMEOUT)
        with pytest.raises(AuthUnavailable) as refusal:
            await lanes.read(failing(OperationalError, 0)[0])
        assert refusal.value.reason == "store_busy"
        # What has begun is not given up for that.
        release.set()
    assert held == [True]


async def test_whoever_waited_for_a_turn_beside_a_store_that_died_is_refused_unheard(
    lanes: Lanes,
) -> None:
    entered, release = threading.Event(), threading.Event()
    tries: list[int] = []

    def hold_and_fail(_: Connection) -> None:
        entered.set()
        assert release.wait(TIMEOUT)
        raise OperationalError("SELECT", None, sqlite3.OperationalError("no"))

    async def refused(work: Work) -> None:
        with pytest.raises(AuthUnavailable):
            await lanes.read(work)

    await fail(lanes, FAILURES - 1)
    async with anyio.create_task_group() as group:
        group.start_soon(refused, hold_and_fail)
        await to_thread.run_sync(entered.wait, TIMEOUT)
        for _ in range(5):
            group.start_soon(refused, lambda _: tries.append(1))
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert tries == []


async def test_a_row_that_cannot_be_read_costs_no_connection(tmp_path: Path) -> None:
    def unreadable(_: object) -> None:
        raise ValueError("no such row")

    database = sqlite_database(f"sqlite:///{tmp_path / 'some.db'}")
    lookup = Lookup(select(literal_column("7")), database.reading.dialect, unreadable)
    lanes = Lanes(database)
    held = []
    # More often than there are connections; each error holds what it was raised over.
    for _ in range(4):
        with pytest.raises(ValueError, match="no such row") as caught:
            await lanes.look_up(lookup, {})
        held.append(caught)
    assert await lanes.read(lambda connection: connection.execute(text("SELECT 7")).scalar_one()) == 7
    database.dispose()
