"""Work in threads of our own: its order, its bound, its cancellation, its end."""

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import anyio
import pytest
import trio

from callcov_auth.threads import Threads, check_cancelled

pytestmark = pytest.mark.anyio

TIMEOUT = 60
NAME = "callcov-auth tested"


def named(name: str = NAME) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def test_work_is_done_in_a_thread_and_its_result_comes_back() -> None:
    threads = Threads(1, "tested")
    assert await threads.run(lambda: threading.current_thread().name) == NAME
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_no_more_threads_begin_than_are_needed_nor_than_are_allowed() -> None:
    threads, together = Threads(3, "counted"), threading.Barrier(3)
    for _ in range(5):
        await threads.run(int)
    assert len(named("callcov-auth counted")) == 1
    async with anyio.create_task_group() as tasks:
        # Three at a time, or the barrier breaks.
        for _ in range(9):
            tasks.start_soon(threads.run, lambda: together.wait(TIMEOUT))
    assert len(named("callcov-auth counted")) == 3


async def test_what_waits_is_done_in_its_order() -> None:
    threads, let_go, done = Threads(1, "tested"), threading.Event(), list[int]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, lambda: let_go.wait(TIMEOUT))
        for number in range(20):
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(threads.run, lambda number=number: done.append(number))
        await anyio.wait_all_tasks_blocked()
        let_go.set()
    assert done == list(range(20))


async def test_who_is_cancelled_leaves_the_queue() -> None:
    threads, let_go, done = Threads(1, "tested"), threading.Event(), list[str]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, lambda: let_go.wait(TIMEOUT))
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01) as scope:
            await threads.run(lambda: done.append("given up"))
        assert scope.cancelled_caught
        let_go.set()
    await threads.run(lambda: done.append("the next"))
    assert done == ["the next"]


async def test_what_has_begun_is_waited_for() -> None:
    threads, begun, done = Threads(1, "tested"), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        done.append("done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, work)
        await anyio.wait_all_tasks_blocked()
        assert begun.wait(TIMEOUT)
        tasks.cancel_scope.cancel()
    assert done == ["done"]


async def test_work_that_asks_ends_when_its_caller_is_cancelled() -> None:
    threads, begun, asked = Threads(1, "tested"), threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        while len(asked) < TIMEOUT * 100:
            asked.append(1)
            time.sleep(0.01)
            check_cancelled()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(threads.run, work)
        await anyio.wait_all_tasks_blocked()
        assert begun.wait(TIMEOUT)
        tasks.cancel_scope.cancel()
    assert len(asked) < TIMEOUT * 100
    # Of one caller alone, and of none here.
    await threads.run(check_cancelled)
    check_cancelled()


async def test_with_their_owner_the_threads_end() -> None:
    threads, together = Threads(2, "ended"), threading.Barrier(2)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(threads.run, lambda: together.wait(TIMEOUT))
    begun = named("callcov-auth ended")
    assert len(begun) == 2
    del threads
    gc.collect()
    for thread in begun:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


async def test_neither_work_nor_error_is_kept_when_it_is_told() -> None:
    class Thing:
        def work(self) -> None:
            raise LookupError

    threads, thing = Threads(1, "tested"), Thing()
    gone = weakref.ref(thing)
    gc.disable()
    try:
        with pytest.raises(LookupError):
            await threads.run(thing.work)
        del thing
        await threads.run(int)
        assert gone() is None
    finally:
        gc.enable()


def test_a_loop_that_closed_meanwhile_costs_the_thread_nothing() -> None:
    threads, let_go = Threads(1, "tested"), threading.Event()

    async def leave() -> None:
        waiting = asyncio.ensure_future(threads.run(lambda: let_go.wait(TIMEOUT)))
        await asyncio.sleep(0.01)
        # Twice, for the first is only noted while the thread is at work.
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)

    anyio.run(leave)
    let_go.set()
    assert anyio.run(threads.run, lambda: "still there") == "still there"


def test_trio_as_a_guest_on_another_loop_is_served_as_trio() -> None:
    threads = Threads(1, "tested")

    async def host() -> str:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            threads.run,
            lambda: "by a thread",
            run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
            done_callback=ended.set_result,
        )
        said: str = (await ended).unwrap()
        return said

    assert asyncio.run(host()) == "by a thread"
