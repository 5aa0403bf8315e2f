"""Single flight: one works, all have the answer, and a cancelled worker hands on."""

from functools import partial

import anyio
import pytest

from callcov_auth.cache.flight import SingleFlight
from callcov_auth.errors import InvalidToken

pytestmark = pytest.mark.anyio


class Work:
    """Counts its runs, and waits until it may go on."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = anyio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.runs += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return f"run {self.runs}"


@pytest.fixture
def work() -> Work:
    return Work()


async def note(flights: SingleFlight[str], name: str, work: Work, into: list[object]) -> None:
    try:
        into.append(await flights.run(name, work))
    except InvalidToken as error:
        into.append(error)


async def at_once(flights: SingleFlight[str], work: Work, callers: int) -> list[object]:
    """Let so many ask for one thing before it is there, and return what each has."""
    found: list[object] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(note, flights, "a", work, found)
        await anyio.wait_all_tasks_blocked()
        work.may_end.set()
    return found


async def test_a_thousand_at_once_do_the_work_once(work: Work) -> None:
    flights = SingleFlight[str]()
    assert await at_once(flights, work, 1000) == ["run 1"] * 1000
    assert len(flights) == 0


async def test_names_fly_apart_and_the_next_one_starts_anew(work: Work) -> None:
    flights, found = SingleFlight[str](), []
    work.may_end.set()
    async with anyio.create_task_group() as tasks:
        for name in "ab":
            tasks.start_soon(note, flights, name, work, found)
    assert work.runs == 2
    assert await flights.run("a", work) == "run 3"


async def test_an_error_is_everybodys_and_is_not_kept(work: Work) -> None:
    flights = SingleFlight[str]()
    work.error = InvalidToken(reason="key_unknown")
    assert await at_once(flights, work, 3) == [work.error] * 3
    assert work.runs == 1
    work.error = None
    assert await flights.run("a", work) == "run 2"


async def test_a_shared_error_gathers_no_traces(work: Work) -> None:
    work.error = InvalidToken(reason="key_unknown")
    await at_once(SingleFlight[str](), work, 100)
    depth, trace = 0, work.error.__traceback__
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    assert depth < 5


async def test_a_cancelled_leader_hands_on(work: Work) -> None:
    flights, found = SingleFlight[str](), []
    leader = anyio.CancelScope()

    async def leads() -> None:
        with leader:
            await flights.run("a", work)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leads)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            tasks.start_soon(note, flights, "a", work, found)
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        assert (work.runs, found) == (2, []), "one of them begins anew, the others go on waiting"
        work.may_end.set()
    assert found == ["run 2"] * 5
    assert len(flights) == 0


async def test_a_cancelled_follower_costs_nobody_anything(work: Work) -> None:
    flights, found = SingleFlight[str](), []
    follower = anyio.CancelScope()

    async def follows() -> None:
        with follower:
            await flights.run("a", work)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(note, flights, "a", work, found)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(follows)
        await anyio.wait_all_tasks_blocked()
        follower.cancel()
        await anyio.wait_all_tasks_blocked()
        assert found == []
        work.may_end.set()
    assert (found, work.runs) == (["run 1"], 1)


async def test_when_all_are_cancelled_nothing_is_left(work: Work) -> None:
    flights = SingleFlight[str]()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(partial(flights.run, "a", work))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert len(flights) == 0
