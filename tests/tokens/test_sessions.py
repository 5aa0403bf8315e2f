"""What is said of a session: in events, in refusals, in the names that tokens carry."""

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from callcov_auth import Auth
from callcov_auth.errors import TokenRevoked
from callcov_auth.store.protocol import Session, User
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.issuer import TokenPair
from callcov_auth.tokens.keyring import hs256_key
from tests.support.clock import Clock
from tests.support.issuers import as_setting, trusted_party
from tests.support.settings import make_settings
from tests.support.tokens import Forge

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", PASSWORD)


@pytest.fixture
async def pair(auth: Auth, user: User) -> TokenPair:
    return await auth.tokens.login(user.email, PASSWORD)


def refresh_token(pair: TokenPair) -> str:
    return pair.refresh_token.get_secret_value()


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def refused_for(auth: Auth, token: str) -> tuple[str, str]:
    with pytest.raises(TokenRevoked) as caught:
        await auth.tokens.refresh(token)
    return caught.value.reason, caught.value.message


async def test_login_and_logout_are_told_with_who_and_which(
    auth: Auth, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    pair = await auth.tokens.login(user.email, PASSWORD)
    await auth.tokens.logout(refresh_token(pair))
    session_id = claims_of(refresh_token(pair))["sid"]
    assert [record.getMessage() for record in caplog.records] == [
        f"logged_in user_id={user.id!r} session_id={session_id!r}",
        f"logged_out session_id={session_id!r} user_id={user.id!r}",
    ]


async def test_names_that_nobody_guesses_and_that_stay_short(pair: TokenPair) -> None:
    claims = claims_of(refresh_token(pair))
    assert re.fullmatch(r"ses_[0-9a-f]{24}", claims["sid"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", claims["jti"])


async def test_what_is_said_after_logout(auth: Auth, pair: TokenPair) -> None:
    await auth.tokens.logout(refresh_token(pair))
    assert await refused_for(auth, refresh_token(pair)) == ("session_revoked", "The session was ended")


async def test_what_is_said_where_the_user_is_gone(auth: Auth, clock: Clock) -> None:
    forge = Forge(auth)
    await auth.store.add_session(Session("ses_1", "usr_gone", clock(), clock() + 1800))
    token = forge.token(forge.header(typ="rt+jwt"), forge.claims(sub="usr_gone"))
    assert await refused_for(auth, token) == ("user_disabled", "The session was ended")


async def test_what_is_said_of_a_session_that_ended_before_its_access_token(clock: Clock) -> None:
    async with Auth(make_settings(revocable_access_tokens=True), clock=clock) as auth:
        token = await auth.tokens.issue("usr_1")
        await auth.tokens.logout(session_id=claims_of(token)["sid"])
        with pytest.raises(TokenRevoked) as caught:
            await auth.authenticate(f"Bearer {token}")
    assert (caught.value.reason, caught.value.message) == ("session_revoked", "The session was ended")


async def test_a_resource_server_with_a_store_of_its_own_has_no_key_to_sign_with(clock: Clock) -> None:
    settings = make_settings(
        secret=None, accept={"token"}, trusted_issuers=[as_setting(trusted_party("ES256", int(clock())))]
    )
    async with Auth(settings, store=SqlStore("sqlite://"), clock=clock) as auth:
        with pytest.raises(RuntimeError) as caught:
            await auth.tokens.issue("usr_1")
    assert str(caught.value) == "a resource server has no signing key: with CALLCOV_AUTH_SECRET it has one"


def test_a_derived_key_is_named_by_a_fingerprint_of_it() -> None:
    """Worked out apart from the code, so that tokens in the field stay valid through a change of it."""
    key = secrets.token_bytes(32)
    assert hs256_key(key).kid == hashlib.blake2b(b"kid", key=key, digest_size=8).hexdigest()
    assert hs256_key(key).kid == hs256_key(key).verifying.kid
