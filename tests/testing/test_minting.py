"""Keys and tokens for tests: genuine under the settings they are made for, and no others."""

import json
from typing import Any

import pytest

from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import InvalidToken, TokenExpired
from callcov_auth.keys.format import read
from callcov_auth.testing import Clock, auth_settings, mint_key, mint_token
from callcov_auth.testing.minting import shared_settings
from tests.support.issuers import AUDIENCE, signer
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


def test_a_key_has_the_form_and_the_mac_of_the_settings() -> None:
    settings = make_settings()
    form = read(mint_key(settings, environment="test", segment="dev"))

    assert form is not None
    assert (form.environment, form.segment) == ("test", "dev")
    assert form.is_genuine(settings.key_mac_keys)
    assert not form.is_genuine(make_settings().key_mac_keys)


async def test_a_key_is_refused_as_unknown_and_not_at_sight(auth: Auth) -> None:
    with pytest.raises(InvalidToken) as known:
        await auth.authenticate(f"Bearer {mint_key(auth.settings)}")
    with pytest.raises(InvalidToken) as strange:
        await auth.authenticate(f"Bearer {mint_key(make_settings())}")

    assert (known.value.reason, strange.value.reason) == ("key_unknown", "key_mac_wrong")


async def test_a_token_is_taken(auth: Auth, clock: Clock) -> None:
    token = mint_token(auth.settings, subject="usr_7", scopes={"b", "a"}, now=clock.now)
    principal = await auth.authenticate(f"Bearer {token}")

    assert (principal.subject, principal.scopes) == ("usr_7", {"a", "b"})
    assert principal.expires_at == clock.now + auth.settings.access_token_ttl


async def test_a_token_ends_when_it_is_told_to(auth: Auth, clock: Clock) -> None:
    header = f"Bearer {mint_token(auth.settings, expires_in=60, now=clock.now)}"
    await auth.authenticate(header)
    clock.advance(60)
    with pytest.raises(TokenExpired):
        await auth.authenticate(header)
    with pytest.raises(TokenExpired):
        await auth.authenticate(f"Bearer {mint_token(auth.settings, expires_in=-1, now=clock.now)}")


@pytest.mark.parametrize("claims", [{"aud": "others"}, {"exp": None}, {"iss": "somebody"}, {"sub": 7}])
async def test_a_claim_may_be_made_wrong(auth: Auth, clock: Clock, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await auth.authenticate(f"Bearer {mint_token(auth.settings, now=clock.now, claims=claims)}")


async def test_a_claim_may_be_added(auth: Auth, clock: Clock) -> None:
    token = mint_token(auth.settings, now=clock.now, claims={"team": "blue", "scope": None})
    principal = await auth.authenticate(f"Bearer {token}")

    assert (principal.claims["team"], principal.scopes) == ("blue", frozenset())


async def test_a_token_is_signed_as_the_settings_sign() -> None:
    settings = make_settings(signing_keys=[json.dumps(signer("ES256", "k1").private_jwk())])
    async with Auth(settings) as auth:
        principal = await auth.authenticate(f"Bearer {mint_token(settings, subject='usr_9')}")

    assert principal.subject == "usr_9"


async def test_without_settings_both_fit_those_of_the_fixture() -> None:
    async with Auth(shared_settings()) as auth:
        token = mint_token(now=auth.now)
        assert (await auth.authenticate(f"Bearer {token}")).subject == "usr_test"
        with pytest.raises(InvalidToken) as refused:
            await auth.authenticate(f"Bearer {mint_key()}")
    assert refused.value.reason == "key_unknown"


def test_a_resource_server_signs_nothing() -> None:
    issuer = {
        "issuer": "https://other.example",
        "audience": AUDIENCE,
        "jwks": {"keys": [signer("ES256", "k1").jwk()]},
    }
    settings = make_settings(secret=None, accept={"token"}, trusted_issuers=[issuer])
    with pytest.raises(ValueError, match="a resource server has no signing key"):
        mint_token(settings)


def test_settings_for_tests_are_cheap_and_take_what_a_test_changes() -> None:
    settings = auth_settings(require_https=True, realm="tests")

    assert isinstance(settings, AuthSettings)
    assert (settings.require_https, settings.realm, settings.password_memory_kib) == (True, "tests", 8)
    assert auth_settings().require_https is False
    assert auth_settings().secret != settings.secret
