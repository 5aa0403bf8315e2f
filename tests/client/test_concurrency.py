"""A thousand requests at once over a token that ends: one refresh, and no request failed."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from callcov_auth.client import LoginFailed, TokenAuth, turns
from tests.client.api import EMAIL, LOGIN, PASSWORD, REFRESH, Api, serve_api
from tests.client.test_token_auth import token_auth
from tests.support.clock import Clock
from tests.support.tls import Certificate

USER = "/api/v1/users/me"
# With so many requests at once. All that TokenAuth does is the same for both; httpx itself is slow with many.
LIBRARIES = [(httpx2, 1000), (httpx, 100)]
CONNECTIONS = 50
# In minutes after the login: the token is due; it ended.
WHENS = [26, 31]


@pytest.mark.parametrize(("library", "requests"), LIBRARIES)
@pytest.mark.parametrize(("minutes", "backend"), [(26, "asyncio"), (31, "trio")])
def test_tasks(
    api: Api, certificate: Certificate, library: Any, requests: int, minutes: int, backend: str
) -> None:
    statuses: list[int] = []

    async def run() -> None:
        async with library.AsyncClient(auth=token_auth(api), **options(library, certificate)) as client:

            async def one() -> None:
                statuses.append((await client.get(api.url + USER)).status_code)

            await one()
            api.clock.advance(minutes * 60)
            async with anyio.create_task_group() as group:
                for _ in range(requests):
                    group.start_soon(one)

    anyio.run(run, backend=backend)

    assert statuses == [200] * (requests + 1)
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, 1)


@pytest.mark.parametrize(("library", "requests"), LIBRARIES)
@pytest.mark.parametrize("minutes", WHENS)
def test_threads(api: Api, certificate: Certificate, library: Any, requests: int, minutes: int) -> None:
    statuses: list[int] = []
    with library.Client(auth=token_auth(api), **options(library, certificate)) as client:

        def ask() -> None:
            statuses.append(client.get(api.url + USER).status_code)

        ask()
        api.clock.advance(minutes * 60)
        in_threads(ask, requests)

    assert statuses == [200] * (requests + 1)
    assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, 1)


def test_threads_and_loops_share_one_login(api: Api, certificate: Certificate) -> None:
    auth = token_auth(api)
    statuses: list[int] = []
    trust = certificate.client_context()

    async def in_loop() -> None:
        async with httpx2.AsyncClient(auth=auth, verify=trust, timeout=None, trust_env=False) as client:

            async def one() -> None:
                statuses.append((await client.get(api.url + USER)).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(one)

    def in_thread() -> None:
        with httpx.Client(auth=auth, verify=trust, timeout=None, trust_env=False) as client:
            statuses.append(client.get(api.url + USER).status_code)

    works: list[Callable[[], object]] = [
        lambda: anyio.run(in_loop, backend="asyncio"),
        lambda: anyio.run(in_loop, backend="trio"),
        in_thread,
        in_thread,
    ]
    run_all(works)

    assert statuses == [200] * 22
    assert api.front.paths[LOGIN] == 1


def test_a_server_that_rotates_refresh_tokens_gets_the_newest_each_time(
    tmp_path: Path, certificate: Certificate
) -> None:
    with serve_api(tmp_path, certificate, Clock(), rotate_refresh_tokens=True) as api:
        statuses: list[int] = []
        with httpx2.Client(auth=token_auth(api), **options(httpx2, certificate)) as client:
            for _ in range(4):
                in_threads(lambda: statuses.append(client.get(api.url + USER).status_code), 20)
                api.clock.advance(26 * 60)

        assert statuses == [200] * 80
        assert (api.front.paths[LOGIN], api.front.paths[REFRESH]) == (1, 3)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.anyio
async def test_a_cancelled_login_hands_its_turn_on(api: Api, certificate: Certificate) -> None:
    auth = token_auth(api)
    async with httpx2.AsyncClient(auth=auth, verify=certificate.client_context(), trust_env=False) as client:
        with anyio.CancelScope() as scope:
            client.event_hooks = {"request": [lambda _: cancel(scope)]}
            await client.get(api.url + USER)
        assert scope.cancelled_caught
        client.event_hooks = {}

        assert (await client.get(api.url + USER)).status_code == 200


def test_a_login_that_cannot_be_sent_hands_its_turn_on() -> None:
    auth = TokenAuth("https://127.0.0.1:1", EMAIL, PASSWORD)
    with httpx2.Client(auth=auth, trust_env=False) as client:
        for _ in range(2):
            with pytest.raises(httpx2.ConnectError):
                client.get("https://127.0.0.1:1/")


def test_a_turn_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.05)
    held = turns.Turns()
    assert held.take_if_free()

    with pytest.raises(LoginFailed, match="did not end"):
        held.take()
    for backend in ("asyncio", "trio"):
        with pytest.raises(LoginFailed, match="did not end"):
            anyio.run(held.take_async, backend=backend)

    held.give_back()
    anyio.run(held.take_async, backend="trio")
    assert not held.take_if_free()


def options(library: Any, certificate: Certificate) -> dict[str, Any]:
    # Every connection is kept: httpx closes idle ones under threads that have just got them.
    limits = library.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=None
    )
    return {"verify": certificate.client_context(), "timeout": None, "trust_env": False, "limits": limits}


async def cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()
    await anyio.lowlevel.checkpoint()


def in_threads(work: Callable[[], object], times: int) -> None:
    run_all([work] * times)


def run_all(works: list[Callable[[], object]]) -> None:
    together = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        together.wait(30)
        work()

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
