"""An API key's way to a principal, over a real store."""

import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthError, InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.keys.format import mint
from callcov_auth.keys.service import NewKey
from callcov_auth.keys.validator import MAX_UNKNOWN
from callcov_auth.store.protocol import User
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


class CountingStore(SqlStore):
    """Counts the lookups of keys."""

    lookups = 0

    async def keys_by_digest(self, digests, salted_prefixes=()):  # type: ignore[no-untyped-def]
        self.lookups += 1
        return await super().keys_by_digest(digests, salted_prefixes)


@pytest.fixture
async def owner(auth: Auth) -> User:
    return await auth.users.create(
        "owner@example.com", "SecurePassword123!", scopes=["calls:*", "users:read"]
    )


def bearer(key: NewKey) -> str:
    return f"Bearer {key.api_key.get_secret_value()}"


async def refusal_of(auth: Auth, header: str) -> AuthError:
    with pytest.raises(AuthError) as caught:
        await auth.authenticate(header)
    return caught.value


async def test_a_key_becomes_its_owners_principal(auth: Auth, owner: User) -> None:
    key = await auth.keys.create(
        owner.id, name="k", environment="test", segment="dev", scopes=["calls:read"], expires_in_days=1
    )
    principal = await auth.authenticate(bearer(key))
    assert principal.subject == owner.id
    assert (principal.issuer, principal.kind, principal.key_id) == ("callcov", "api_key", key.id)
    assert (principal.environment, principal.segment) == ("test", "dev")
    assert principal.scopes == {"calls:read"}
    assert principal.expires_at == key.expires_at
    assert principal.session_id is None
    assert principal.claims == {}


async def test_scopes_are_cut_to_the_owners_at_each_use(auth: Auth, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k")
    assert (await auth.authenticate(bearer(key))).scopes == {"calls:*", "users:read"}
    await auth.users.set_scopes(owner.id, ["calls:read"])
    assert (await auth.authenticate(bearer(key))).scopes == {"calls:read"}
    await auth.users.set_scopes(owner.id, ["*"])
    assert (await auth.authenticate(bearer(key))).scopes == {"calls:*", "users:read"}


async def test_an_expired_key_is_told_apart(auth: Auth, owner: User, clock: Clock) -> None:
    key = await auth.keys.create(owner.id, name="k", expires_in_days=1)
    clock.advance(86400 - 0.5)
    await auth.authenticate(bearer(key))
    clock.advance(0.5)
    refusal = await refusal_of(auth, bearer(key))
    assert (type(refusal), refusal.reason) == (TokenExpired, "key_expired")


async def test_leeway_is_for_tokens_and_does_not_lengthen_a_key(clock: Clock) -> None:
    async with Auth(make_settings(leeway=60), clock=clock) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k", expires_in_days=1)
        clock.advance(86400 - 0.5)
        await auth.authenticate(bearer(key))
        clock.advance(0.5)
        assert type(await refusal_of(auth, bearer(key))) is TokenExpired


async def test_a_revoked_key_is_refused_by_the_next_request(auth: Auth, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k")
    await auth.authenticate(bearer(key))
    await auth.keys.revoke(key.id)
    refusal = await refusal_of(auth, bearer(key))
    assert (type(refusal), refusal.reason) == (TokenRevoked, "key_revoked")


async def test_a_disabled_owners_key_is_refused(auth: Auth, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k")
    await auth.authenticate(bearer(key))
    await auth.users.disable(owner.id)
    refusal = await refusal_of(auth, bearer(key))
    assert (type(refusal), refusal.reason) == (TokenRevoked, "key_owner_disabled")


async def test_a_genuine_key_that_is_not_stored_is_unknown(auth: Auth) -> None:
    stray = mint(auth.settings.key_mac_key, "live")
    refusal = await refusal_of(auth, f"Bearer {stray}")
    assert (type(refusal), refusal.reason) == (InvalidToken, "key_unknown")


async def test_the_client_is_not_told_why_a_key_is_wrong(auth: Auth) -> None:
    unknown = await refusal_of(auth, "Bearer " + mint(auth.settings.key_mac_key, "live"))
    forged = await refusal_of(auth, "Bearer " + mint(b"another key", "live"))
    malformed = await refusal_of(auth, "Bearer sk_live_x")
    assert (forged.reason, malformed.reason) == ("key_mac_wrong", "key_malformed")
    assert unknown.message == forged.message == malformed.message


async def test_forged_keys_cost_no_query(clock: Clock) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(), store=store, clock=clock) as auth:
        for key in ("sk_live_x", mint(b"another key", "live"), mint(b"another key", "test", "dev")):
            await refusal_of(auth, f"Bearer {key}")
        assert store.lookups == 0
        await refusal_of(auth, "Bearer " + mint(auth.settings.key_mac_key, "live"))
        assert store.lookups == 1


async def test_an_unknown_key_costs_one_query_for_as_long_as_that_is_remembered(clock: Clock) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(negative_ttl=5), store=store, clock=clock) as auth:
        unknown = "Bearer " + mint(auth.settings.key_mac_key, "live")
        reasons = [(await refusal_of(auth, unknown)).reason for _ in range(3)]
        assert (reasons, store.lookups) == (["key_unknown", "key_still_unknown", "key_still_unknown"], 1)
        clock.advance(5)
        assert (await refusal_of(auth, unknown)).reason == "key_unknown"
        assert store.lookups == 2


async def test_without_a_negative_ttl_the_store_is_asked_each_time(clock: Clock) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(negative_ttl=0), store=store, clock=clock) as auth:
        unknown = "Bearer " + mint(auth.settings.key_mac_key, "live")
        assert [(await refusal_of(auth, unknown)).reason for _ in range(2)] == ["key_unknown"] * 2


async def test_a_flood_of_unknown_keys_pushes_no_good_one_out_and_is_bounded(clock: Clock) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(cache_size=4), store=store, clock=clock) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        good = [bearer(await auth.keys.create(owner.id, name="k")) for _ in range(4)]
        for header in good:
            await auth.authenticate(header)
        for _ in range(MAX_UNKNOWN + 100):
            await refusal_of(auth, "Bearer " + mint(auth.settings.key_mac_key, "live"))
        lookups = store.lookups
        for header in good:
            await auth.authenticate(header)
        assert store.lookups == lookups
        assert len(auth._keys._unknown) == MAX_UNKNOWN


@pytest.mark.parametrize(
    ("settings", "environment", "segment", "reason"),
    [
        ({"accepted_environments": {"live"}}, "test", None, "key_environment"),
        ({"accepted_environments": {"test"}}, "live", None, "key_environment"),
        ({"accepted_segments": {"prod"}}, "live", "dev", "key_segment"),
        ({"accepted_segments": {"prod"}}, "live", None, "key_segment"),
    ],
)
async def test_a_deployment_refuses_keys_of_other_places(
    settings: dict[str, set[str]], environment: str, segment: str | None, reason: str
) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(**settings), store=store) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k", environment=environment, segment=segment)
        refusal = await refusal_of(auth, bearer(key))
        assert (type(refusal), refusal.reason) == (InvalidToken, reason)
        assert store.lookups == 0


async def test_an_accepted_segment_is_let_in() -> None:
    async with Auth(make_settings(accepted_segments={"prod"}, accepted_environments={"live"})) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k", segment="prod")
        assert (await auth.authenticate(bearer(key))).segment == "prod"


async def test_an_imported_key_is_looked_up_without_our_mac(auth: Auth, owner: User) -> None:
    from callcov_auth.keys.format import digest

    foreign = "sk_legacy-0123456789"
    refusal = await refusal_of(auth, f"Bearer {foreign}")
    assert refusal.reason == "key_malformed"
    imported = await auth.keys.import_digest(
        owner.id, digest(auth.settings.pepper_key, foreign), name="old", scopes=["calls:read"]
    )
    principal = await auth.authenticate(f"Bearer {foreign}")
    assert (principal.key_id, principal.scopes) == (imported.id, {"calls:read"})
    assert (await refusal_of(auth, "Bearer sk_legacy-other")).reason == "key_unknown"


async def test_an_imported_key_is_kept_to_its_place_by_what_is_stored() -> None:
    from callcov_auth.keys.format import digest

    async with Auth(make_settings(accepted_environments={"live"})) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        stored = digest(auth.settings.pepper_key, "sk_old")
        await auth.keys.import_digest(owner.id, stored, name="old", environment="test")
        assert (await refusal_of(auth, "Bearer sk_old")).reason == "key_environment"


async def test_imported_keys_are_known_after_a_restart(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from callcov_auth.keys.format import digest

    settings = make_settings(database_url=f"sqlite:///{tmp_path}/keys.db")
    async with Auth(settings) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        await auth.keys.import_digest(owner.id, digest(settings.pepper_key, "sk_old"), name="old")
    async with Auth(settings) as auth:
        assert (await auth.authenticate("Bearer sk_old")).subject == owner.id
