"""What a hit costs that can be counted: no await but the app's own, and next to no allocation."""

import gc
import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from callcov_auth import Auth, AuthMiddleware
from tests.keys.test_validator import bearer
from tests.support.asgi import scope_of

pytestmark = pytest.mark.anyio

# In the middleware, the gate and the cache, on the way to the app.
MOST_CALLS = 3
# The coroutine of the middleware, the dict of the state, and what a context variable keeps.
MOST_BYTES = 1500


class App:
    """Notes what had been called and was allocated when it is reached, and awaits nothing."""

    def __init__(self) -> None:
        self.reached = 0
        self.traced = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        if tracemalloc.is_tracing():
            self.traced = tracemalloc.get_traced_memory()[0]


async def nothing(*_: Any) -> Any:
    raise AssertionError("a hit asks for nothing and sends nothing")


@pytest.fixture(params=["key", "token"])
async def header(auth: Auth, request: pytest.FixtureRequest) -> str:
    owner = await auth.users.create("o@example.com", "SecurePassword123!", scopes=["calls:read"])
    if request.param == "key":
        return bearer(await auth.keys.create(owner.id, name="k"))
    return "Bearer " + await auth.tokens.issue(owner.id, scopes=["calls:read"])


@pytest.fixture
async def hit(auth: Auth, header: str) -> tuple[AuthMiddleware, App]:
    app = App()
    middleware = AuthMiddleware(app, auth=auth)
    for _ in range(3):
        await middleware(a_scope(header), nothing, nothing)
    return middleware, app


def a_scope(header: str) -> Scope:
    return scope_of("http", "/x", [("host", "x"), ("authorization", header), ("accept", "*/*")])


async def test_a_hit_is_one_step_with_no_await_but_the_apps(
    hit: tuple[AuthMiddleware, App], header: str
) -> None:
    middleware, app = hit
    before = app.reached
    request = middleware(a_scope(header), nothing, nothing)
    # Whoever awaits something that waits would give it to the loop here instead of ending.
    with pytest.raises(StopIteration):
        request.send(None)
    assert app.reached == before + 1


async def test_a_hit_makes_no_coroutine_but_its_own_and_few_calls(
    hit: tuple[AuthMiddleware, App], header: str
) -> None:
    middleware, _ = hit
    called: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    request = middleware(a_scope(header), nothing, nothing)
    sys.setprofile(note)
    try:
        request.send(None)
    except StopIteration:
        pass
    finally:
        sys.setprofile(None)
    ours = [name for name in called if not name.startswith(("App.", "Clock."))]
    assert ours[0] == "AuthMiddleware.__call__"
    assert len(ours) <= MOST_CALLS, ours


async def test_a_hit_keeps_next_to_nothing(hit: tuple[AuthMiddleware, App], header: str) -> None:
    middleware, app = hit
    scopes = [a_scope(header) for _ in range(50)]
    used: list[int] = []
    gc.disable()
    tracemalloc.start()
    try:
        for scope in scopes:
            before = tracemalloc.get_traced_memory()[0]
            await middleware(scope, nothing, nothing)
            used.append(app.traced - before)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert min(used) <= MOST_BYTES
    # What stays is what the scopes themselves hold: their state, and two entries more.
    assert kept / len(scopes) <= MOST_BYTES
