"""The lane of slow hashes has a bound."""

import threading

import anyio
import pytest

from callcov_auth.errors import AuthUnavailable
from callcov_auth.hashing import HashingLane

pytestmark = pytest.mark.anyio


async def test_past_its_bound_a_lane_refuses_at_once_and_an_error_makes_room() -> None:
    lane, let_go = HashingLane(1, most_waiting=1, reason="full"), threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lane.run, let_go.wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AuthUnavailable) as refused:
            await lane.run(int)
        let_go.set()
    assert (refused.value.reason, refused.value.retry_after) == ("full", 2)
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda: 1 // 0)
    assert await lane.run(int) == 0
