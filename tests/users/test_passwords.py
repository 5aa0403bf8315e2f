"""Argon2id off the loop, and its bounds."""

import threading

import anyio
import pytest

from callcov_auth.errors import AuthUnavailable
from callcov_auth.users import passwords
from callcov_auth.users.passwords import Passwords

pytestmark = pytest.mark.anyio


@pytest.fixture
def cheap() -> Passwords:
    return Passwords(time_cost=1, memory_kib=8, workers=1)


async def test_a_hash_is_argon2id_in_one_lane_and_verifies(cheap: Passwords) -> None:
    made = await cheap.hash("SecurePassword123!")
    assert made.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await cheap.verify(made, "SecurePassword123!")
    assert not await cheap.verify(made, "SecurePassword123")
    assert made != await cheap.hash("SecurePassword123!")


async def test_nobodys_password_is_never_right(cheap: Passwords) -> None:
    assert not await cheap.verify(None, "")
    assert not await cheap.verify(None, "SecurePassword123!")


async def test_an_unknown_users_check_does_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = Passwords(time_cost=1, memory_kib=8, workers=1)
    seen = []
    hasher = cheap._hasher
    made = await cheap.hash("SecurePassword123!")

    class Watched:
        hash = staticmethod(hasher.hash)

        @staticmethod
        def verify(password_hash: str, password: str) -> bool:
            seen.append(password_hash.rsplit("$", 2)[0])
            return hasher.verify(password_hash, password)

    monkeypatch.setattr(cheap, "_hasher", Watched)
    await cheap.verify(made, "wrong")
    await cheap.verify(None, "wrong")
    assert seen == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


async def test_a_hash_that_cannot_be_read_matches_nothing(cheap: Passwords) -> None:
    assert not await cheap.verify("not a hash", "SecurePassword123!")


async def test_costs_that_changed_ask_for_a_rehash(cheap: Passwords) -> None:
    made = await cheap.hash("SecurePassword123!")
    assert not cheap.needs_rehash(made)
    assert Passwords(time_cost=2, memory_kib=8, workers=1).needs_rehash(made)


async def test_hashing_leaves_the_loop_free(cheap: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    release, threads = threading.Event(), []

    def slow(_hasher: object, password: str) -> str:
        threads.append(threading.current_thread())
        release.wait(10)
        return password

    monkeypatch.setattr("argon2.PasswordHasher.hash", slow)
    async with anyio.create_task_group() as group:
        group.start_soon(cheap.hash, "a password")
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert threads[0] is not threading.main_thread()


async def test_a_long_queue_is_refused_early(cheap: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    release, running, most = threading.Event(), [], []

    def slow(_hasher: object, _password: str) -> str:
        running.append(1)
        most.append(len(running))
        release.wait(10)
        running.pop()
        return "hash"

    monkeypatch.setattr("argon2.PasswordHasher.hash", slow)
    async with anyio.create_task_group() as group:
        for _ in range(passwords.MAX_WAITING):
            group.start_soon(cheap.hash, "a password")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AuthUnavailable) as caught:
            await cheap.hash("one password too many")
        assert (caught.value.reason, caught.value.retry_after) == ("password_queue_full", 2)
        release.set()
    assert len(most) == passwords.MAX_WAITING
    assert max(most) == 1
    assert await cheap.hash("a password again") == "hash"
