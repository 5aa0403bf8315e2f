"""What a store promises about signing keys, on each database."""

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from callcov_auth.errors import AuthUnavailable, Conflict
from callcov_auth.store.protocol import SealedKey
from callcov_auth.store.sql import SqlStore
from tests.support.databases import Database

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
AT_ONCE = 8
ROUNDS = 5


def sealed(kid: str, created_at: float, retires_at: float | None = None) -> SealedKey:
    return SealedKey(kid, "ES256", kid.encode(), created_at, created_at + 0.25, retires_at)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[SqlStore]:
    opened = SqlStore(database.url)
    await opened.open()
    yield opened
    await opened.aclose()


async def add(store: SqlStore, *kids: str, life: float = 100) -> None:
    """Add keys a second apart; each lets those before it retire ``life`` seconds later."""
    for kid in kids:
        kept = await store.signing_keys()
        at = NOW + len(kept)
        newest = kept[-1].kid if kept else None
        assert await store.add_signing_key(sealed(kid, at), retiring=at + life, only_if_newest=newest)


async def ends(store: SqlStore) -> dict[str, float | None]:
    return {key.kid: key.retires_at for key in await store.signing_keys()}


async def test_there_is_none_at_first(store: SqlStore) -> None:
    assert await store.signing_keys() == []


async def test_a_key_comes_back_as_it_was_given(store: SqlStore) -> None:
    key = SealedKey("k", "EdDSA", b"\x00\xff sealed", NOW + 0.123456, NOW + 1 / 3, None)
    assert await store.add_signing_key(key, retiring=NOW, only_if_newest=None)
    assert await store.signing_keys() == [key]


async def test_they_come_in_the_order_of_their_making(store: SqlStore) -> None:
    await add(store, "z", "m", "a")
    assert [key.kid for key in await store.signing_keys()] == ["z", "m", "a"]


async def test_a_new_key_lets_all_others_retire_and_has_no_end_itself(store: SqlStore) -> None:
    await add(store, "a", "b", "c")
    assert await ends(store) == {"a": NOW + 101, "b": NOW + 102, "c": None}


async def test_an_earlier_end_is_kept(store: SqlStore) -> None:
    await add(store, "a", "b")
    await store.retire_signing_key("a", at=NOW + 50)
    await store.retire_signing_key("a", at=NOW + 70)
    await add(store, "c")
    assert await ends(store) == {"a": NOW + 50, "b": NOW + 102, "c": None}


async def test_retiring_ends_one_key_alone(store: SqlStore) -> None:
    await add(store, "a", "b")
    await store.retire_signing_key("b", at=NOW + 60)
    await store.retire_signing_key("unknown", at=NOW)
    assert await ends(store) == {"a": NOW + 101, "b": NOW + 60}


async def test_those_that_retired_are_forgotten_with_the_next(store: SqlStore) -> None:
    await add(store, "a", "b", "c")
    await store.retire_signing_key("a", at=NOW + 3)
    await store.retire_signing_key("b", at=NOW + 3.1)
    await add(store, "d")
    assert [key.kid for key in await store.signing_keys()] == ["b", "c", "d"]


@pytest.mark.parametrize("known", [None, "a", "unknown"])
async def test_nothing_is_added_where_another_was_faster(store: SqlStore, known: str | None) -> None:
    await add(store, "a", "b")
    before = await ends(store)
    assert not await store.add_signing_key(sealed("c", NOW + 9), retiring=NOW, only_if_newest=known)
    assert await ends(store) == before


async def test_none_is_added_after_one_that_never_was(store: SqlStore) -> None:
    assert not await store.add_signing_key(sealed("a", NOW), retiring=NOW, only_if_newest="b")
    assert await store.signing_keys() == []


async def test_a_kid_is_there_once(store: SqlStore) -> None:
    await add(store, "a", "b")
    with pytest.raises(Conflict):
        await store.add_signing_key(sealed("a", NOW + 9), retiring=NOW + 10, only_if_newest="b")
    assert await ends(store) == {"a": NOW + 101, "b": None}, "the others' end was taken back too"


async def test_they_outlive_the_process(database: Database) -> None:
    first = SqlStore(database.url)
    await first.open()
    await add(first, "a", "b")
    await first.aclose()
    second = SqlStore(database.url)
    await second.open()
    assert await ends(second) == {"a": NOW + 101, "b": None}
    await second.aclose()


@pytest.mark.parametrize("url", ["sqlite:///missing/a.db", "postgresql:///a?host=/missing"])
async def test_a_store_out_of_reach_says_so(url: str) -> None:
    store = SqlStore(url)
    with pytest.raises(AuthUnavailable):
        await store.signing_keys()
    with pytest.raises(AuthUnavailable):
        await store.add_signing_key(sealed("a", NOW), retiring=NOW, only_if_newest=None)
    with pytest.raises(AuthUnavailable):
        await store.retire_signing_key("a", at=NOW)
    await store.aclose()


def test_of_many_processes_that_know_one_newest_key_one_adds_the_next(database: Database) -> None:
    url = database.url
    anyio.run(_open_and_close, url)
    together = threading.Barrier(AT_ONCE)
    newest = None
    for number in range(ROUNDS):
        with ThreadPoolExecutor(AT_ONCE) as processes:
            kids = [f"{number}-{process}" for process in range(AT_ONCE)]
            running = [processes.submit(anyio.run, _add, url, kid, newest, together) for kid in kids]
        added = [process.result() for process in running]
        assert added.count(True) == 1
        newest = kids[added.index(True)]
        assert anyio.run(_kids, url)[number:] == [newest]


async def _open_and_close(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await store.aclose()


async def _add(url: str, kid: str, newest: str | None, together: threading.Barrier) -> bool:
    store = SqlStore(url)
    await store.open()
    together.wait(20)
    number = int(kid.partition("-")[0])
    added = await store.add_signing_key(sealed(kid, NOW + number), retiring=NOW + 1000, only_if_newest=newest)
    await store.aclose()
    return added


async def _kids(url: str) -> list[str]:
    store = SqlStore(url)
    await store.open()
    kept = await store.signing_keys()
    await store.aclose()
    return [key.kid for key in kept]
