"""Lists of keys: their order, their pages, and cursors that are none."""

from base64 import urlsafe_b64encode

import pytest

from callcov_auth.errors import ValidationFailed
from callcov_auth.store.protocol import Key, KeyPage, Store
from callcov_auth.testing.store_contract.samples import NO_LIMIT, NOW, make_key, with_keys, with_user

LATER = NOW + 60


async def keys_are_listed_newest_first(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1"), make_key("key_3", created_at=LATER), make_key("key_2"))
    page = await _page(store, limit=NO_LIMIT)
    assert [key.id for key in page.keys] == ["key_3", "key_2", "key_1"]


async def pages_of_keys_made_at_one_moment_hold_each_key_once(store: Store) -> None:
    await with_user(store, "usr_1", "usr_2")
    own = [make_key(f"key_{number}") for number in (3, 0, 6, 2, 5, 1, 4)]
    others = [make_key(f"key_{number}", owner="usr_2") for number in (8, 7)]
    await with_keys(store, *own, *others)
    await _assert_listed_in_twos(store, "usr_1", own)
    await _assert_listed_in_twos(store, None, [*own, *others])


async def moments_that_differ_by_a_hair_stay_apart_over_pages(store: Store) -> None:
    await with_user(store)
    keys = [make_key(f"key_{number}", created_at=NOW + number / 3) for number in range(5)]
    await with_keys(store, *keys)
    pages = await _all_pages(store, limit=1)
    assert [page.keys for page in pages] == [[key] for key in reversed(keys)]


async def every_page_tells_the_total(store: Store) -> None:
    await with_user(store)
    await with_keys(store, *(make_key(f"key_{number}") for number in range(5)))
    assert [page.total for page in await _all_pages(store, limit=2)] == [5, 5, 5]


async def a_page_that_is_just_full_is_the_last(store: Store) -> None:
    await with_user(store)
    await with_keys(store, *(make_key(f"key_{number}") for number in range(4)))
    assert [len(page.keys) for page in await _all_pages(store, limit=2)] == [2, 2]


async def a_key_made_while_one_pages_moves_nothing(store: Store) -> None:
    await with_user(store)
    await with_keys(store, *(make_key(f"key_{number}") for number in range(4)))
    first = await _page(store, limit=2)
    await with_keys(store, make_key("key_9", created_at=LATER))
    second = await _page(store, limit=2, cursor=first.cursor)
    assert [key.id for key in (*first.keys, *second.keys)] == ["key_3", "key_2", "key_1", "key_0"]


async def keys_that_do_not_work_are_listed_only_when_asked_for(store: Store) -> None:
    await with_user(store)
    await with_keys(
        store,
        make_key("key_1"),
        make_key("key_2", revoked_at=NOW),
        make_key("key_3", expires_at=LATER),
        make_key("key_4", expires_at=LATER + 0.5),
    )
    working = await store.keys("usr_1", at=LATER, include_expired=False, limit=NO_LIMIT, cursor=None)
    every = await store.keys("usr_1", at=LATER, include_expired=True, limit=NO_LIMIT, cursor=None)
    assert ({key.id for key in working.keys}, working.total) == ({"key_1", "key_4"}, 2)
    assert ({key.id for key in every.keys}, every.total) == ({"key_1", "key_2", "key_3", "key_4"}, 4)


async def an_owner_sees_no_other_owners_keys(store: Store) -> None:
    await with_user(store, "usr_1", "usr_2")
    await with_keys(store, make_key("key_1", owner="usr_1"), make_key("key_2", owner="usr_2"))
    own = await _page(store, limit=NO_LIMIT)
    every = await _page(store, None, limit=NO_LIMIT)
    assert ([key.id for key in own.keys], own.total) == (["key_1"], 1)
    assert ({key.id for key in every.keys}, every.total) == ({"key_1", "key_2"}, 2)


async def nobodys_keys_are_an_empty_page(store: Store) -> None:
    assert await _page(store, "usr_0", limit=10) == KeyPage([], 0, None)


async def what_is_no_cursor_is_refused_by_name(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    for junk in (
        "",
        "?",
        "key_1",
        "Ω",
        "A" * 256,
        *_encoded("", " ", "1", "x key_1", "1 key_1 2", "1 \xff", "1 \0"),
    ):
        with pytest.raises(ValidationFailed) as refusal:
            await _page(store, limit=10, cursor=junk)
        assert refusal.value.details["fields"].keys() == {"cursor"}, junk


async def what_is_no_moment_is_no_cursor(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    for junk in _encoded("nan key_1", "inf key_1", "-inf key_1", "1e999 key_1"):
        with pytest.raises(ValidationFailed):
            await _page(store, limit=10, cursor=junk)


async def _page(
    store: Store, owner: str | None = "usr_1", *, limit: int, cursor: str | None = None
) -> KeyPage:
    return await store.keys(owner, at=NOW, include_expired=True, limit=limit, cursor=cursor)


async def _assert_listed_in_twos(store: Store, owner: str | None, keys: list[Key]) -> None:
    pages = await _all_pages(store, owner, limit=2)
    assert [len(page.keys) for page in pages[:-1]] == [2] * (len(keys) // 2)
    assert [key for page in pages for key in page.keys] == sorted(keys, key=_id, reverse=True)


async def _all_pages(store: Store, owner: str | None = "usr_1", *, limit: int) -> list[KeyPage]:
    pages = [await _page(store, owner, limit=limit)]
    while pages[-1].cursor is not None:
        assert len(pages) <= NO_LIMIT, "the list has no end"
        pages.append(await _page(store, owner, limit=limit, cursor=pages[-1].cursor))
    return pages


def _encoded(*texts: str) -> list[str]:
    return [urlsafe_b64encode(text.encode("latin-1")).decode().rstrip("=") for text in texts]


def _id(key: Key) -> str:
    return key.id
