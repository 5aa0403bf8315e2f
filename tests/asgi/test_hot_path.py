"""What a hit costs that can be counted: no await but the app's own, and next to no allocation."""

import gc
import random
import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from callcov_auth import Auth, AuthMiddleware, Principal
from callcov_auth.errors import MissingToken
from tests.cache.test_principals import Model, act
from tests.keys.test_validator import bearer
from tests.support.asgi import request, scope_of
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

# The middleware's own.
MOST_CALLS = 1
# The coroutine of the middleware, the dict of the state, and what a context variable keeps.
MOST_BYTES = 1500


class App:
    """Notes who came and what was allocated when it is reached, and awaits nothing."""

    def __init__(self) -> None:
        self.reached = 0
        self.traced = 0
        self.caller: Principal | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        self.caller = scope["user"]
        if tracemalloc.is_tracing():
            self.traced = tracemalloc.get_traced_memory()[0]


async def swallow(_: Any) -> None:
    """Take what is sent."""


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


@pytest.mark.parametrize("other", ["", "Bearer sk_live_of_another"])
async def test_a_known_credential_beside_another_is_refused(
    hit: tuple[AuthMiddleware, App], header: str, other: str
) -> None:
    middleware, app = hit
    for values in ([header, other], [other, header], [header, header]):
        before = app.reached
        answer = await request(middleware, "/x", [("authorization", value) for value in values])
        assert (app.reached, answer.status) == (before, 401)


async def test_an_app_that_is_a_function_is_called_as_well(auth: Auth, header: str) -> None:
    callers: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        callers.append(scope["user"].kind)

    middleware = AuthMiddleware(app, auth=auth)
    for _ in range(2):
        await middleware(a_scope(header), nothing, nothing)
    assert len(callers) == 2


async def test_an_error_of_an_app_is_answered_even_if_the_first_request_is_a_hit(
    auth: Auth, header: str
) -> None:
    async def refusing(request: Request) -> Response:
        raise MissingToken()

    middleware = AuthMiddleware(Starlette(routes=[Route("/x", refusing)]), auth=auth)
    await auth.authenticate(header)
    answer = await request(middleware, "/x", [("Authorization", header)])
    assert answer.status == 401


async def test_hits_agree_with_a_plain_model_of_the_cache() -> None:
    """What the middleware does by itself is what ``PrincipalCache.get`` does."""
    draw, clock, app = random.Random(20260102), Clock(0), App()
    async with Auth(make_settings(cache_size=3), clock=clock) as auth:
        middleware = AuthMiddleware(app, auth=auth)

        def get(header: bytes) -> Principal | None:
            app.caller = None
            request = middleware(a_scope(header.decode()), nothing, swallow)
            with pytest.raises(StopIteration):
                request.send(None)
            return app.caller

        for _ in range(2_000):
            auth.callers.clear()
            auth.callers.trusted_until = float("inf")
            model = Model(3)
            for _ in range(draw.randint(1, 25)):
                act(draw, clock, auth.callers, model, get)


async def test_a_hit_needs_the_feed_to_be_trusted_and_the_epoch_to_last(
    hit: tuple[AuthMiddleware, App], auth: Auth, header: str
) -> None:
    middleware, app = hit
    other = Principal(subject="remembered", issuer="callcov", kind="token")

    async def caller() -> str:
        await middleware(a_scope(header), nothing, nothing)
        assert app.caller is not None
        return app.caller.subject

    def remember() -> None:
        auth.callers.put(header.encode(), other, float("inf"), version=auth.callers.version)

    remember()
    assert await caller() == "remembered"
    auth.callers.trusted_until = float("-inf")
    assert await caller() != "remembered", "the store is asked"
    remember()
    auth.callers.forget_all()
    assert await caller() != "remembered"
