"""The life of keys, through ``auth.keys``."""

import re

import pytest

from callcov_auth import Auth
from callcov_auth.errors import (
    Conflict,
    InsufficientPermissions,
    KeyLimitReached,
    NotFound,
    TokenExpired,
    ValidationFailed,
)
from callcov_auth.store.protocol import User
from tests.keys.test_validator import bearer, refusal_of
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

DAY = 86400


@pytest.fixture
async def owner(auth: Auth) -> User:
    return await auth.users.create("owner@example.com", "SecurePassword123!", scopes=["calls:*"])


async def test_a_new_key_shows_its_text_once_and_never_in_a_repr(auth: Auth, owner: User) -> None:
    new = await auth.keys.create(owner.id, name="Production", description="for the server")
    text = new.api_key.get_secret_value()
    assert text.startswith("sk_live_")
    assert text[:14] == new.key_prefix
    assert text not in repr(new)
    stored = await auth.keys.get(new.id)
    assert (stored.name, stored.description, stored.owner) == ("Production", "for the server", owner.id)
    assert text not in repr(stored)
    assert text.encode() not in stored.digest


async def test_defaults_of_a_new_key(auth: Auth, owner: User, clock: Clock) -> None:
    new = await auth.keys.create(owner.id, name="k")
    assert (new.environment, new.segment, new.description, new.expires_at) == ("live", None, None, None)
    assert new.created_at == clock()
    assert new.scopes == {"calls:*"}
    assert re.fullmatch("key_[0-9a-f]{24}", new.id)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u2028b"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\x9bb"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "k", "description": "x" * 501}, "description"),
        ({"name": "k", "environment": "staging"}, "environment"),
        ({"name": "k", "segment": "Dev"}, "segment"),
        ({"name": "k", "segment": "d" * 17}, "segment"),
        ({"name": "k", "scopes": ["a b"]}, "scopes.0"),
        ({"name": "k", "scopes": [""]}, "scopes.0"),
        ({"name": "k", "scopes": ["a"] * 101}, "scopes"),
        ({"name": "k", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "k", "expires_in_days": "1"}, "expires_in_days"),
        ({"name": "k", "scope": ["calls:read"]}, "scope"),
    ],
)
async def test_wrong_fields_are_named(auth: Auth, owner: User, fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.keys.create(owner.id, **fields)  # type: ignore[arg-type]
    assert set(caught.value.details["fields"]) == {named}


@pytest.mark.parametrize("name", ["Ada’s laptop", "naïve\u00a0name", "👩\u200d💻 CI", "קוד", "\U0001fae8"])
async def test_a_name_is_whatever_people_write_on_one_line(auth: Auth, owner: User, name: str) -> None:
    new = await auth.keys.create(owner.id, name=name)
    assert (await auth.keys.get(new.id)).name == name


async def test_scopes_are_a_subset_of_the_owners(auth: Auth, owner: User) -> None:
    assert (await auth.keys.create(owner.id, name="k", scopes={"calls:read"})).scopes == {"calls:read"}
    assert (await auth.keys.create(owner.id, name="k", scopes=())).scopes == frozenset()
    with pytest.raises(InsufficientPermissions) as caught:
        await auth.keys.create(owner.id, name="k", scopes=["calls:read", "users:read", "*"])
    assert caught.value.required == ("*", "users:read")


async def test_a_narrow_token_makes_no_wider_key(auth: Auth, owner: User) -> None:
    assert (await auth.keys.create(owner.id, name="k", limit={"calls:read"})).scopes == {"calls:read"}
    with pytest.raises(InsufficientPermissions):
        await auth.keys.create(owner.id, name="k", scopes=["calls:write"], limit={"calls:read"})


async def test_a_key_has_an_owner_who_is_there(auth: Auth, owner: User) -> None:
    with pytest.raises(NotFound):
        await auth.keys.create("usr_none", name="k")
    await auth.users.disable(owner.id)
    with pytest.raises(NotFound):
        await auth.keys.create(owner.id, name="k")


async def test_active_keys_are_limited_and_others_do_not_count(auth: Auth, owner: User, clock: Clock) -> None:
    first = await auth.keys.create(owner.id, name="k")
    await auth.keys.create(owner.id, name="k", expires_in_days=1)
    for _ in range(8):
        await auth.keys.create(owner.id, name="k")
    with pytest.raises(KeyLimitReached):
        await auth.keys.create(owner.id, name="one more")
    await auth.keys.revoke(first.id)
    await auth.keys.create(owner.id, name="in its place")
    clock.advance(DAY)
    await auth.keys.create(owner.id, name="in the expired one's place")
    with pytest.raises(KeyLimitReached):
        await auth.keys.create(owner.id, name="one more")


async def test_listing_pages_newest_first(auth: Auth, owner: User, clock: Clock) -> None:
    other = await auth.users.create("other@example.com", "SecurePassword123!")
    await auth.keys.create(other.id, name="not theirs")
    made = []
    for number in range(5):
        clock.advance(1)
        made.append((await auth.keys.create(owner.id, name=f"k{number}")).id)
    first = await auth.keys.list(owner.id, limit=3)
    rest = await auth.keys.list(owner.id, limit=3, cursor=first.cursor)
    assert [key.id for key in [*first.keys, *rest.keys]] == made[::-1]
    assert (first.total, rest.total, rest.cursor) == (5, 5, None)
    assert (await auth.keys.list()).total == 6


async def test_listing_leaves_out_what_ended_unless_asked(auth: Auth, owner: User, clock: Clock) -> None:
    revoked = await auth.keys.create(owner.id, name="revoked")
    await auth.keys.revoke(revoked.id)
    await auth.keys.create(owner.id, name="expired", expires_in_days=1)
    clock.advance(DAY)
    working = await auth.keys.create(owner.id, name="working")
    assert [key.id for key in (await auth.keys.list(owner.id)).keys] == [working.id]
    assert (await auth.keys.list(owner.id, include_expired=True)).total == 3


async def test_get_and_revoke_know_the_owner(auth: Auth, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k")
    for owner_id, key_id in (("usr_other", key.id), (owner.id, "key_none")):
        with pytest.raises(NotFound):
            await auth.keys.get(key_id, owner=owner_id)
        with pytest.raises(NotFound):
            await auth.keys.revoke(key_id, owner=owner_id)
    assert (await auth.keys.get(key.id, owner=owner.id)).revoked_at is None


async def test_revoking_twice_keeps_the_first_time(auth: Auth, owner: User, clock: Clock) -> None:
    key = await auth.keys.create(owner.id, name="k")
    await auth.keys.revoke(key.id, owner=owner.id)
    revoked_at = clock()
    clock.advance(10)
    await auth.keys.revoke(key.id, owner=owner.id)
    assert (await auth.keys.get(key.id)).revoked_at == revoked_at


async def test_rotation_leaves_the_old_key_until_its_grace(auth: Auth, owner: User, clock: Clock) -> None:
    old = await auth.keys.create(
        owner.id, name="k", description="d", environment="test", segment="dev", scopes=["calls:read"]
    )
    await auth.authenticate(bearer(old))
    new = await auth.keys.rotate(old.id, grace_seconds=10)
    assert (new.name, new.description, new.environment, new.segment, new.scopes) == (
        "k",
        "d",
        "test",
        "dev",
        {"calls:read"},
    )
    for key in (old, new):
        await auth.authenticate(bearer(key))
    clock.advance(10)
    await auth.authenticate(bearer(new))
    assert type(await refusal_of(auth, bearer(old))) is TokenExpired


async def test_rotation_without_grace_ends_the_old_key_at_once(auth: Auth, owner: User) -> None:
    old = await auth.keys.create(owner.id, name="k")
    await auth.authenticate(bearer(old))
    await auth.keys.rotate(old.id, grace_seconds=0)
    assert type(await refusal_of(auth, bearer(old))) is TokenExpired


async def test_a_rotated_key_lives_as_long_as_the_old_one(auth: Auth, owner: User, clock: Clock) -> None:
    old = await auth.keys.create(owner.id, name="k", expires_in_days=2)
    clock.advance(DAY)
    new = await auth.keys.rotate(old.id, grace_seconds=30 * DAY)
    assert new.expires_at == clock() + 2 * DAY
    assert (await auth.keys.get(old.id)).expires_at == old.expires_at


@pytest.mark.parametrize("days", [None, 90])
async def test_a_key_that_is_rotated_twice_has_two_successors_that_last(
    auth: Auth, owner: User, clock: Clock, days: int | None
) -> None:
    old = await auth.keys.create(owner.id, name="k", expires_in_days=days)
    clock.advance(DAY)
    successors = [await auth.keys.rotate(old.id, grace_seconds=seconds) for seconds in (3600, 60)]

    end = None if days is None else clock() + days * DAY
    assert [new.expires_at for new in successors] == [end, end]
    clock.advance(60)
    for new in successors:
        assert await auth.authenticate(f"Bearer {new.api_key.get_secret_value()}")
    with pytest.raises(TokenExpired):
        await auth.authenticate(f"Bearer {old.api_key.get_secret_value()}")


async def test_a_key_that_works_no_more_is_not_rotated(auth: Auth, owner: User, clock: Clock) -> None:
    revoked = await auth.keys.create(owner.id, name="k")
    expired = await auth.keys.create(owner.id, name="k", expires_in_days=1)
    await auth.keys.revoke(revoked.id)
    clock.advance(DAY)
    for key in (revoked, expired):
        with pytest.raises(Conflict):
            await auth.keys.rotate(key.id)
    with pytest.raises(NotFound):
        await auth.keys.rotate("key_none")
    with pytest.raises(ValidationFailed):
        await auth.keys.rotate(revoked.id, grace_seconds=-1)


async def test_rotation_works_at_the_limit_and_has_a_bound_of_its_own() -> None:
    async with Auth(make_settings(max_active_keys=2)) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        keys = [await auth.keys.create(owner.id, name="k") for _ in range(2)]
        for key in keys:
            await auth.keys.rotate(key.id)
        with pytest.raises(KeyLimitReached):
            await auth.keys.rotate(keys[0].id)


async def test_a_digest_is_imported_once(auth: Auth, owner: User) -> None:
    imported = await auth.keys.import_digest(owner.id, b"d" * 32, name="old")
    assert (imported.imported, imported.key_prefix) == (True, "")
    with pytest.raises(Conflict):
        await auth.keys.import_digest(owner.id, b"d" * 32, name="again")
    with pytest.raises(ValueError, match="32 bytes"):
        await auth.keys.import_digest(owner.id, b"short", name="old")
