"""A stolen refresh token, used beside its owner's: one of the two comes too late, and both are out."""

import pytest

from callcov_auth import Auth
from callcov_auth.errors import InvalidToken, TokenRevoked
from callcov_auth.tokens.families import GENERATION
from callcov_auth.tokens.issuer import TokenPair
from tests.attacks.cases import PASSWORD, Attempt, Case, Control, new_user, refreshes, refused, taken
from tests.support.issuers import World

pytestmark = pytest.mark.anyio

SOURCE = "RFC 9700 §4.14.2"
GRACE = 10


def some_time_ago(world: World, seconds: float) -> Auth:
    """A process on the same store, where refresh tokens rotate, as it was so long ago."""
    settings = world.auth.settings.replace(rotate_refresh_tokens=True, refresh_grace=GRACE)
    return Auth(settings, store=world.auth.store, clock=lambda: world.clock() - seconds)


async def used_once(world: World, seconds: float, times: int = 1) -> tuple[str, TokenPair]:
    """Return login's refresh token, superseded so long ago, and what the last refresh then gave."""
    auth = some_time_ago(world, seconds)
    pair = await auth.tokens.login((await new_user(world)).email, PASSWORD)
    stolen = pair.refresh_token.get_secret_value()
    for _ in range(times):
        pair = await auth.tokens.refresh(pair.refresh_token.get_secret_value())
    return stolen, pair


def reused(seconds: float, times: int = 1) -> Attempt:
    async def attempt(world: World) -> object:
        stolen, _ = await used_once(world, seconds, times)
        return await some_time_ago(world, 0).tokens.refresh(stolen)

    return attempt


async def reused_where_rotation_is_off_by_now(world: World) -> object:
    stolen, _ = await used_once(world, GRACE)
    return await world.auth.tokens.refresh(stolen)


async def newest_after_reuse(world: World) -> object:
    """Whoever of owner and thief came second finds that the first one's token is dead as well."""
    stolen, pair = await used_once(world, GRACE)
    auth = some_time_ago(world, 0)
    with pytest.raises(TokenRevoked):
        await auth.tokens.refresh(stolen)
    return await auth.tokens.refresh(pair.refresh_token.get_secret_value())


async def looked_at(world: World) -> object:
    stolen, _ = await used_once(world, GRACE)
    return await world.auth.tokens.session_of(stolen)


def malformed(value: object) -> Case:
    return Case(
        f"a generation that is {value!r}",
        "RFC 7519 §4.3",
        "token_generation_malformed",
        refreshes(lambda party: party.token(claims={GENERATION: value})),
        InvalidToken,
        "refresh",
    )


def revoked(name: str, reason: str, attempt: Attempt) -> Case:
    return Case(name, SOURCE, reason, attempt, TokenRevoked, "refresh")


CASES = (
    revoked("a token that was used, just past its grace", "refresh_reused", reused(GRACE)),
    revoked("a token that was used long ago", "refresh_reused", reused(86400)),
    revoked("a token that was used ten generations ago", "refresh_reused", reused(GRACE, times=10)),
    revoked("the same, where rotation is off by now", "refresh_reused", reused_where_rotation_is_off_by_now),
    revoked("the newest of a family that was reused", "session_revoked", newest_after_reuse),
    revoked("a look at a token that was used", "refresh_superseded", looked_at),
    *(malformed(value) for value in ("1", None, True, -1, 0.5, [1], {})),
    Case(
        "a generation that nobody made yet",
        SOURCE,
        "token_generation_unknown",
        refreshes(lambda party: party.token(claims={GENERATION: 1})),
        InvalidToken,
        "refresh",
    ),
)
CONTROLS = (
    Control("a token that was used a moment ago", reused(GRACE - 0.5)),
    Control("one that was used ten generations ago, all in their grace", reused(GRACE - 0.5, times=10)),
    Control("a generation of 0", refreshes(lambda party: party.token(claims={GENERATION: 0}))),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
