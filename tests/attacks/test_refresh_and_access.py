"""A token for another purpose: no kind is taken for another (RFC 8725 §3.11 and §3.12, RFC 9068 §2.1)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from callcov_auth.errors import InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.store.protocol import Session
from callcov_auth.tokens.issuer import TokenPair
from tests.attacks.cases import (
    Case,
    Control,
    control,
    logged_in,
    new_user,
    refreshes,
    refused,
    sent,
    shown,
    taken,
    with_header,
)
from tests.support.issuers import ABSENT, Party, World, own_party

pytestmark = pytest.mark.anyio

TYP = "token_wrong_typ"
SOURCE = "RFC 8725 §3.11"


async def refresh_token_as_access(world: World) -> object:
    pair = await logged_in(world)
    return await world.auth.authenticate(f"Bearer {pair.refresh_token.get_secret_value()}")


async def access_token_as_refresh(world: World) -> object:
    pair = await logged_in(world)
    return await world.auth.tokens.refresh(pair.access_token.get_secret_value())


async def refreshed_after(world: World, end: Callable[[World, TokenPair], Awaitable[None]]) -> object:
    pair = await logged_in(world)
    await end(world, pair)
    return await world.auth.tokens.refresh(pair.refresh_token.get_secret_value())


async def log_out(world: World, pair: TokenPair) -> None:
    await world.auth.tokens.logout(pair.refresh_token.get_secret_value())


async def refreshed_by_disabled_user(world: World) -> object:
    """A session that began while its user was being disabled, so that it was not ended with the others."""
    user = await new_user(world)
    await world.auth.users.disable(user.id)
    now = int(world.clock())
    await world.auth.store.add_session(Session(f"ses_{user.id}", user.id, now, now + 60))
    usual = {"sub": user.id, "sid": f"ses_{user.id}"}
    return await world.auth.tokens.refresh(
        replace(own_party(world.auth, world.clock, "rt+jwt"), usual=usual).token()
    )


def refreshing(
    name: str,
    reason: str,
    make: Callable[[Party], str],
    source: str = SOURCE,
    error: type[Exception] = InvalidToken,
) -> Case:
    return Case(name, source, reason, refreshes(make), error, "refresh")


CASES = (
    Case("login's refresh token as an access token", SOURCE, TYP, refresh_token_as_access),
    Case("login's access token as a refresh token", SOURCE, TYP, access_token_as_refresh, door="refresh"),
    *(
        sent(f"{who}: 'typ' {shown(typ)}", SOURCE, TYP, with_header(who, typ=typ))
        for who, types in (
            ("own", ("rt+jwt", "RT+JWT", "application/rt+jwt", "JWT", "", "at", "at+jwt ", "id_token+jwt")),
            ("own", (ABSENT, None, 1, ["at+jwt"], {"at+jwt": 1}, True, "logout+jwt", "application/")),
            ("RS256", ("rt+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "", 1, ["JWT"])),
            ("ES256", ("rt+jwt", "application/rt+jwt", "application/application/at+jwt")),
        )
        for typ in types
    ),
    *(
        refreshing(f"refresh: 'typ' {shown(typ)}", TYP, lambda party, typ=typ: party.token({"typ": typ}))
        for typ in ("at+jwt", "JWT", ABSENT, None, 1)
    ),
    refreshing(
        "refresh: '=' after it", "token_not_base64url", lambda party: party.token() + "=", "RFC 7515 §2"
    ),
    refreshing(
        "refresh: four parts", "token_not_three_parts", lambda party: party.token() + ".e30", "RFC 7515 §7.1"
    ),
    refreshing(
        "refresh: a line end after it",
        "token_not_base64url",
        lambda party: party.token() + "\n",
        "RFC 7515 §2",
    ),
    refreshing(
        "refresh: one that is too long",
        "token_too_long",
        lambda party: party.token(claims={"x": "x" * 8000}),
        "RFC 9110 §5.4",
    ),
    refreshing(
        "refresh: another issuer",
        "token_wrong_iss",
        lambda party: party.token(claims={"iss": "https://rs256.example"}),
    ),
    refreshing(
        "refresh: another audience", "token_wrong_aud", lambda party: party.token(claims={"aud": "other"})
    ),
    refreshing(
        "refresh: another's session",
        "token_not_the_sessions_subject",
        lambda party: party.token(claims={"sub": "usr_2"}),
    ),
    refreshing(
        "refresh: past its end",
        "token_expired",
        lambda party: party.token(claims={"exp": party.now}),
        error=TokenExpired,
    ),
    refreshing(
        "refresh: no such session",
        "session_revoked",
        lambda party: party.token(claims={"sid": "ses_none"}),
        error=TokenRevoked,
    ),
    refreshing(
        "refresh: no session",
        "session_revoked",
        lambda party: party.token(claims={"sid": ABSENT}),
        error=TokenRevoked,
    ),
    Case(
        "refresh: after logout",
        "RFC 9700 §4.14",
        "session_revoked",
        lambda world: refreshed_after(world, log_out),
        TokenRevoked,
        "refresh",
    ),
    Case(
        "refresh: of a user who was disabled",
        "RFC 9700 §4.14",
        "user_disabled",
        refreshed_by_disabled_user,
        TokenRevoked,
        "refresh",
    ),
)
CONTROLS = (
    *(
        control(f"own: 'typ' {shown(typ)}", with_header("own", typ=typ))
        for typ in ("AT+JWT", "application/at+jwt")
    ),
    *(
        control(f"RS256: 'typ' {shown(typ)}", with_header("RS256", typ=typ))
        for typ in ("JWT", "jwt", "at+jwt", ABSENT)
    ),
    Control("refresh: as it should be", refreshes(lambda party: party.token())),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
