"""Login, refresh, logout and issue, through ``auth.tokens``."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.errors import InvalidCredentials, InvalidToken, TokenExpired, TokenRevoked, ValidationFailed
from callcov_auth.store.protocol import Session, User
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.issuer import TokenPair
from tests.support.clock import Clock
from tests.support.settings import make_settings
from tests.support.tokens import Forge

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"
WEEK = 604800


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", PASSWORD, scopes=["calls:read", "calls:write"])


@pytest.fixture
async def pair(auth: Auth, user: User) -> TokenPair:
    return await auth.tokens.login(user.email, PASSWORD)


def access(pair: TokenPair) -> str:
    return pair.access_token.get_secret_value()


def refresh(pair: TokenPair) -> str:
    return pair.refresh_token.get_secret_value()


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


async def test_what_login_gives(auth: Auth, user: User, pair: TokenPair, clock: Clock) -> None:
    assert (pair.token_type, pair.expires_in) == ("bearer", 1800)
    assert set(part(access(pair), 0)) == {"alg", "kid", "typ"}
    assert (part(access(pair), 0)["typ"], part(refresh(pair), 0)["typ"]) == ("at+jwt", "rt+jwt")
    claims = part(access(pair), 1)
    assert set(claims) == {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "sid"}
    assert (claims["sub"], claims["scope"]) == (user.id, "calls:read calls:write")
    assert (claims["exp"], claims["iat"], claims["nbf"]) == (clock() + 1800, clock(), clock())
    assert part(refresh(pair), 1)["exp"] == clock() + WEEK
    assert part(refresh(pair), 1)["sid"] == claims["sid"]
    assert part(refresh(pair), 1)["jti"] != claims["jti"]


async def test_tokens_stay_out_of_the_repr(pair: TokenPair) -> None:
    assert access(pair) not in repr(pair)
    assert refresh(pair) not in repr(pair)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("user@example.com", "wrong"),
        ("user@example.com", PASSWORD + " "),
        ("user@example.com", PASSWORD.lower()),
        ("nobody@example.com", PASSWORD),
    ],
)
async def test_a_wrong_email_and_a_wrong_password_are_one_answer(
    auth: Auth, user: User, email: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials, match="The email or the password is wrong") as caught:
        await auth.tokens.login(email, password)
    assert caught.value.details == {}


async def test_the_email_is_compared_without_case(auth: Auth, user: User) -> None:
    assert await auth.tokens.login("USER@Example.COM", PASSWORD)


async def test_a_disabled_user_is_answered_as_a_wrong_password(auth: Auth, user: User) -> None:
    await auth.users.disable(user.id)
    with pytest.raises(InvalidCredentials):
        await auth.tokens.login(user.email, PASSWORD)


@pytest.mark.parametrize(
    ("email", "password", "named"),
    [
        ("no-at-sign", PASSWORD, "email"),
        ("a@b@c", PASSWORD, "email"),
        ("a b@c.de", PASSWORD, "email"),
        ("x" * 250 + "@c.de", PASSWORD, "email"),
        ("a\x00@c.de", PASSWORD, "email"),
        ("a@c.de", "", "password"),
        ("a@c.de", "x" * 1025, "password"),
        ("a@c.de", "\ud800", "password"),
    ],
)
async def test_what_login_does_not_try(auth: Auth, email: str, password: str, named: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.tokens.login(email, password)
    assert set(caught.value.details["fields"]) == {named}


async def test_the_first_refresh_token_serves_for_seven_days(
    auth: Auth, pair: TokenPair, clock: Clock
) -> None:
    for _ in range(6):
        clock.advance(86400)
        renewed = await auth.tokens.refresh(refresh(pair))
        assert refresh(renewed) == refresh(pair)
        assert access(renewed) != access(pair)
        assert part(access(renewed), 1)["sid"] == part(access(pair), 1)["sid"]
        await auth.authenticate("Bearer " + access(renewed))
    clock.advance(86399)
    await auth.tokens.refresh(refresh(pair))
    clock.advance(1)
    with pytest.raises(TokenExpired):
        await auth.tokens.refresh(refresh(pair))


async def test_a_refresh_grants_what_the_user_may_do_by_then(auth: Auth, user: User, pair: TokenPair) -> None:
    await auth.users.set_scopes(user.id, ["users:read"])
    renewed = await auth.tokens.refresh(refresh(pair))
    assert (await auth.authenticate("Bearer " + access(renewed))).scopes == {"users:read"}


async def test_the_two_tokens_do_not_stand_in_for_each_other(auth: Auth, pair: TokenPair) -> None:
    with pytest.raises(InvalidToken) as caught:
        await auth.tokens.refresh(access(pair))
    assert caught.value.reason == "token_wrong_typ"
    with pytest.raises(InvalidToken) as caught:
        await auth.authenticate("Bearer " + refresh(pair))
    assert caught.value.reason == "token_wrong_typ"


@pytest.mark.parametrize("sent", ["", "junk", "a.b.c", "sk_live_" + "a" * 48, "x" * 9000])
async def test_junk_is_no_refresh_token(auth: Auth, sent: str) -> None:
    with pytest.raises(InvalidToken):
        await auth.tokens.refresh(sent)


async def test_after_logout_the_refresh_token_is_revoked(auth: Auth, pair: TokenPair) -> None:
    await auth.tokens.logout(refresh(pair))
    with pytest.raises(TokenRevoked):
        await auth.tokens.refresh(refresh(pair))
    await auth.authenticate("Bearer " + access(pair))
    await auth.tokens.logout(refresh(pair))


async def test_logout_by_the_access_tokens_session(auth: Auth, pair: TokenPair) -> None:
    principal = await auth.authenticate("Bearer " + access(pair))
    await auth.tokens.logout(session_id=principal.session_id)
    with pytest.raises(TokenRevoked):
        await auth.tokens.refresh(refresh(pair))
    await auth.tokens.logout()


async def test_logout_ends_one_session_alone(auth: Auth, user: User, pair: TokenPair) -> None:
    other = await auth.tokens.login(user.email, PASSWORD)
    await auth.tokens.logout(refresh(other))
    assert await auth.tokens.refresh(refresh(pair))


async def test_logout_of_an_expired_refresh_token_has_nothing_to_do(
    auth: Auth, pair: TokenPair, clock: Clock
) -> None:
    clock.advance(WEEK)
    await auth.tokens.logout(refresh(pair))
    with pytest.raises(InvalidToken):
        await auth.tokens.logout("junk")


async def test_logout_ends_revocable_access_tokens_too(clock: Clock) -> None:
    async with Auth(make_settings(revocable_access_tokens=True), clock=clock) as auth:
        await auth.users.create("user@example.com", PASSWORD)
        pair = await auth.tokens.login("user@example.com", PASSWORD)
        await auth.authenticate("Bearer " + access(pair))
        await auth.tokens.logout(refresh(pair))
        with pytest.raises(TokenRevoked):
            await auth.authenticate("Bearer " + access(pair))


@pytest.mark.parametrize("act", ["disable", "set_password"])
async def test_sessions_end_with_the_users_standing(
    auth: Auth, user: User, pair: TokenPair, act: str
) -> None:
    if act == "disable":
        await auth.users.disable(user.id)
    else:
        await auth.users.set_password(user.id, "AnotherPassword456!")
    with pytest.raises(TokenRevoked):
        await auth.tokens.refresh(refresh(pair))


async def test_a_session_of_nobody_is_not_refreshed(auth: Auth, user: User, clock: Clock) -> None:
    forge = Forge(auth)
    header = forge.header(typ="rt+jwt")
    await auth.store.add_session(Session("ses_1", "usr_gone", clock(), clock() + WEEK))
    with pytest.raises(TokenRevoked) as caught:
        await auth.tokens.refresh(forge.token(header, forge.claims(sub="usr_gone")))
    assert caught.value.reason == "user_disabled"
    with pytest.raises(InvalidToken) as mismatch:
        await auth.tokens.refresh(forge.token(header, forge.claims(sub=user.id)))
    assert mismatch.value.reason == "token_not_the_sessions_subject"


async def test_an_access_token_on_its_own(auth: Auth, clock: Clock) -> None:
    token = await auth.tokens.issue("service-a", scopes={"calls:read"})
    principal = await auth.authenticate(f"Bearer {token}")
    assert (principal.subject, principal.scopes) == ("service-a", {"calls:read"})
    session = await auth.store.session(principal.session_id or "")
    assert session is not None
    assert session.expires_at == clock() + 1800


@pytest.mark.parametrize(("subject", "scopes"), [("", []), ("a\n", []), ("x" * 256, []), ("a", ["b c"])])
async def test_what_is_not_issued(auth: Auth, subject: str, scopes: list[str]) -> None:
    with pytest.raises(ValidationFailed):
        await auth.tokens.issue(subject, scopes=scopes)


@pytest.mark.parametrize("act", ["disable", "set_password"])
async def test_a_login_does_not_outlive_what_overtook_it(
    auth: Auth, user: User, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is right, and is changed before the session begins."""
    check = auth.tokens.check_password

    async def overtaken(email: str, password: str, address: str | None) -> User:
        checked = await check(email, password, address)
        if act == "disable":
            await auth.users.disable(user.id)
        else:
            await auth.users.set_password(user.id, "AnotherPassword456!")
        return checked

    monkeypatch.setattr(auth.tokens, "check_password", overtaken)
    with pytest.raises(InvalidCredentials):
        await auth.tokens.login(user.email, PASSWORD)


async def test_two_logins_that_hash_anew_at_once_are_both_right(tmp_path: Any) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/users.db")
    async with Auth(settings) as auth:
        await auth.users.create("user@example.com", PASSWORD)
    async with (
        Auth(settings.replace(password_time_cost=2, password_workers=4)) as auth,
        anyio.create_task_group() as group,
    ):
        for _ in range(4):
            group.start_soon(auth.tokens.login, "user@example.com", PASSWORD)


class NeverAgrees(SqlStore):
    """Finds another password each time a login is about to begin its session."""

    async def add_session(self, session: Session, *, password_hash: str | None = None) -> bool:
        return False


async def test_a_login_gives_up_where_the_password_changes_again_and_again() -> None:
    async with Auth(make_settings(), store=NeverAgrees("sqlite://")) as auth:
        await auth.users.create("user@example.com", PASSWORD)
        with pytest.raises(InvalidCredentials) as caught:
            await auth.tokens.login("user@example.com", PASSWORD)
    assert caught.value.reason == "password_changed_meanwhile"
