"""Our own keys: which one signs, which others verify, and what the world sees of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from callcov_auth import Auth, AuthSettings, Principal
from callcov_auth.errors import InvalidToken
from callcov_auth.settings import SettingsError
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.guards import take_apart
from callcov_auth.tokens.jwk import PRIVATE_MEMBERS
from tests.support.clock import Clock
from tests.support.issuers import ABSENT, signer
from tests.support.settings import make_settings
from tests.support.tokens import base64url

pytestmark = pytest.mark.anyio

Jwk = dict[str, Any]

# Each algorithm with each kind of key that serves it.
KINDS = sorted({*ALGORITHMS, "Ed25519", "Ed448"} - {"EdDSA"})
PUBLIC_KINDS = [name for name in KINDS if not name.startswith("HS")]


def keys_of(*jwks: Jwk, **changes: Any) -> AuthSettings:
    return make_settings(signing_keys=[json.dumps(jwk) for jwk in jwks], **changes)


def jwk_of(name: str, kid: str = "k1", **changes: Any) -> Jwk:
    return signer(name, kid).private_jwk(**changes)


def header_of(token: str) -> Mapping[str, Any]:
    return take_apart(token).header


async def taken(auth: Auth, token: str) -> Principal:
    return await auth.authenticate(f"Bearer {token}")


async def refused_for(auth: Auth, token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        await auth.authenticate(f"Bearer {token}")
    return caught.value.reason


@pytest.mark.parametrize("name", KINDS)
async def test_a_key_of_each_kind_signs_and_verifies(name: str) -> None:
    async with Auth(keys_of(jwk_of(name))) as auth:
        token = await auth.tokens.issue("usr_1", scopes=["calls:read"])
        assert header_of(token) == {"alg": signer(name, "k1").alg, "kid": "k1", "typ": "at+jwt"}
        principal = await taken(auth, token)
        assert (principal.subject, principal.scopes) == ("usr_1", {"calls:read"})


async def test_the_first_signs_and_the_rest_verify() -> None:
    old, new = jwk_of("ES256", "old"), jwk_of("Ed25519", "new")
    async with Auth(keys_of(old)) as auth:
        before = await auth.tokens.issue("usr_1")
    async with Auth(keys_of(new, old)) as auth:
        after = await auth.tokens.issue("usr_1")
        assert header_of(after)["kid"] == "new"
        for token in (before, after):
            assert (await taken(auth, token)).subject == "usr_1"
    async with Auth(keys_of(new)) as auth:
        assert await taken(auth, after)
        assert await refused_for(auth, before) == "token_unknown_kid"


async def test_signing_keys_stand_in_the_secrets_place_for_tokens() -> None:
    secret = make_settings().secret
    async with Auth(make_settings(secret=secret)) as auth:
        before = await auth.tokens.issue("usr_1")
    async with Auth(keys_of(jwk_of("ES256"), secret=secret)) as auth:
        assert await refused_for(auth, before) == "token_unknown_kid"
    async with Auth(keys_of(jwk_of("ES256"), secret=secret, previous_secrets=[secret])) as auth:
        assert await taken(auth, before)
        assert header_of(await auth.tokens.issue("usr_1"))["alg"] == "ES256"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"d": ABSENT}, "it has no private part, so it cannot sign"),
        ({"d": None}, "its private part makes no key"),
        ({"d": "AQ"}, "its private part makes no key"),
        ({"d": signer("ES256", "k2").private_jwk()["d"]}, "its private part makes no key"),
        ({"kid": ABSENT}, "a signing key names its 'kid'"),
        ({"kid": 1}, "a signing key names its 'kid'"),
        ({"kid": "a\nb"}, "'kid' is a printable string"),
        ({"alg": ABSENT}, "its 'alg' as one that is known here"),
        ({"alg": "none"}, "its 'alg' as one that is known here"),
        ({"alg": "ES256K"}, "its 'alg' as one that is known here"),
        ({"alg": "ES384"}, "its 'alg' is not allowed for it"),
        ({"alg": "HS256"}, "its 'alg' is not allowed for it"),
        ({"kty": ["EC"]}, "its 'alg' is not allowed for it"),
        ({"use": "enc"}, "its 'use' is not 'sig'"),
        ({"key_ops": ["verify"]}, "its 'key_ops' is not 'sign', alone or beside 'verify'"),
        ({"key_ops": ["sign", "deriveKey"]}, "its 'key_ops' is not 'sign', alone or beside 'verify'"),
        ({"key_ops": None}, "its 'key_ops' is not 'sign', alone or beside 'verify'"),
        ({"x": ABSENT}, "its 'x' is missing"),
        ({"y": "AQAB"}, "its parts make no key"),
    ],
)
def test_a_key_that_cannot_sign_stops_the_start_and_is_not_shown(changes: Jwk, problem: str) -> None:
    jwk = jwk_of("ES256", **changes)
    with pytest.raises(SettingsError) as caught:
        Auth(keys_of(jwk))
    assert str(caught.value).startswith("CALLCOV_AUTH_SIGNING_KEYS: ")
    assert problem in str(caught.value)
    assert caught.value.__cause__ is None
    for member in ("d", "x", "y"):
        assert str(jwk_of("ES256")[member]) not in str(caught.value)


def test_a_private_part_of_another_rsa_key_is_refused() -> None:
    stray = signer("RS256", "k2").private_jwk()
    mixed = jwk_of("RS256") | {name: stray[name] for name in ("d", "p", "q", "dp", "dq", "qi")}
    for jwk in (mixed, jwk_of("RS256", p=ABSENT, q=ABSENT, dp=ABSENT, dq=ABSENT, qi=ABSENT, d="AQ")):
        with pytest.raises(SettingsError, match="SIGNING_KEYS: key 'k1': its private part makes no key"):
            Auth(keys_of(jwk))


@pytest.mark.parametrize("text", ["", "junk", "[]", "5", '{"kty":"EC","kty":"EC"}', '{"d":NaN}', "\ud800"])
def test_what_is_no_jwk_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^CALLCOV_AUTH_SIGNING_KEYS: a signing key is a private JWK"):
        Auth(make_settings(signing_keys=[text]))


def test_two_signing_keys_of_one_name_stop_the_start() -> None:
    with pytest.raises(SettingsError, match="SIGNING_KEYS: two signing keys have one 'kid'"):
        Auth(keys_of(jwk_of("ES256", "k1"), jwk_of("Ed25519", "k1")))


def test_one_signing_key_for_two_algorithms_stops_the_start() -> None:
    jwk = jwk_of("RS256")
    with pytest.raises(SettingsError, match="SIGNING_KEYS: one signing key is there twice"):
        Auth(keys_of(jwk, jwk | {"kid": "k2", "alg": "PS256"}))


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (b"short", "it is shorter than 32 bytes"),
        (bytes(32), "it repeats itself too much"),
        (b"our-very-own-secret-for-all-the-tokens", "it reads like a placeholder"),
        (
            json.dumps({"kty": "oct", "jti": "f3a9d17c52e80b64c7d2"}).encode(),
            "it looks like a key of another kind",
        ),
    ],
)
def test_a_weak_secret_key_stops_the_start(secret: bytes, problem: str) -> None:
    with pytest.raises(SettingsError, match=f"SIGNING_KEYS: key 'k1': {problem}") as caught:
        Auth(keys_of(jwk_of("HS256", k=base64url(secret))))
    assert base64url(secret) not in str(caught.value)


def test_a_secret_key_that_is_missing_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="SIGNING_KEYS: key 'k1': its 'k' is missing"):
        Auth(keys_of(jwk_of("HS256", k=ABSENT)))


async def test_signing_keys_come_from_the_environment_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    jwks = [jwk_of("ES256", "first"), jwk_of("RS256", "second")]
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", make_settings().secret.get_secret_value())
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite://")
    for listed in (jwks, [json.dumps(jwk) for jwk in jwks]):
        monkeypatch.setenv("CALLCOV_AUTH_SIGNING_KEYS", json.dumps(listed))
        async with Auth(AuthSettings()) as auth:
            assert header_of(await auth.tokens.issue("usr_1"))["kid"] == "first"
            assert len(auth.tokens.public_keys()["keys"]) == 2


@pytest.mark.parametrize("name", ["SIGNING_KEYS", "PREVIOUS_SECRETS", "TRUSTED_ISSUERS"])
@pytest.mark.parametrize("text", ['[{"d": "Kp3vLq9xWz2"', "Kp3vLq9xWz2", '{"d": "Kp3vLq9xWz2"}', "[" * 9999])
def test_a_variable_that_holds_no_list_names_itself_and_not_its_value(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CALLCOV_AUTH_{name}", text)
    with pytest.raises(SettingsError) as caught:
        AuthSettings(secret=make_settings().secret)
    assert str(caught.value).startswith(f"CALLCOV_AUTH_{name}: ")
    assert "Kp3vLq9xWz2" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_no_part_of_a_signing_key_stands_in_a_repr() -> None:
    settings = keys_of(jwk_of("ES256"), jwk_of("HS256", "k2"))
    auth = Auth(settings)
    shown = f"{settings!r} {settings.model_dump()} {auth!r} {auth.tokens!r} {auth.tokens.keyring.signing!r}"
    for secret in (jwk_of("ES256")["d"], jwk_of("HS256", "k2")["k"]):
        assert secret not in shown


# What the world sees


@pytest.mark.parametrize("name", PUBLIC_KINDS)
def test_the_public_set_shows_what_verifies_and_no_more(name: str) -> None:
    jwk = jwk_of(name, use=ABSENT, key_ops=["sign"], note="made by hand", k="c2VjcmV0")
    (shown,) = Auth(keys_of(jwk)).tokens.public_keys()["keys"]
    assert shown == signer(name, "k1").jwk()
    assert not PRIVATE_MEMBERS & shown.keys()


def test_secret_keys_are_not_shown() -> None:
    assert Auth(make_settings()).tokens.public_keys() == {"keys": []}
    mixed = keys_of(
        jwk_of("HS256", "secret"), jwk_of("ES256", "k1"), previous_secrets=[make_settings().secret]
    )
    assert [jwk["kid"] for jwk in Auth(mixed).tokens.public_keys()["keys"]] == ["k1"]


# Older secrets


async def test_tokens_of_an_older_secret_still_verify_and_new_ones_are_the_newests(clock: Clock) -> None:
    first, second, third = (make_settings().secret for _ in range(3))
    tokens = []
    for secret in (first, second):
        async with Auth(make_settings(secret=secret), clock=clock) as auth:
            tokens.append(await auth.tokens.issue("usr_1"))
    async with Auth(make_settings(secret=third, previous_secrets=[second, first]), clock=clock) as auth:
        tokens.append(await auth.tokens.issue("usr_1"))
        for token in tokens:
            assert (await taken(auth, token)).subject == "usr_1"
    async with Auth(make_settings(secret=third), clock=clock) as auth:
        assert await taken(auth, tokens[2])
        for token in tokens[:2]:
            assert await refused_for(auth, token) == "token_unknown_kid"


async def test_a_session_outlives_a_change_of_the_secret(tmp_path: Any) -> None:
    database = f"sqlite:///{tmp_path / 'a.db'}"
    old, new = (make_settings().secret for _ in range(2))
    async with Auth(make_settings(secret=old, database_url=database)) as auth:
        await auth.users.create("user@example.com", "SecurePassword123!", scopes=["calls:read"])
        pair = await auth.tokens.login("user@example.com", "SecurePassword123!")
        refresh = pair.refresh_token.get_secret_value()
    changed = make_settings(secret=new, previous_secrets=[old], database_url=database)
    async with Auth(changed) as auth:
        renewed = (await auth.tokens.refresh(refresh)).access_token.get_secret_value()
        await auth.tokens.logout(refresh)
    async with Auth(make_settings(secret=new, database_url=database)) as auth:
        assert (await taken(auth, renewed)).scopes == {"calls:read"}
        with pytest.raises(InvalidToken) as caught:
            await auth.tokens.refresh(refresh)
        assert caught.value.reason == "token_unknown_kid"


@pytest.mark.parametrize("setting", ["secret", "pepper"])
async def test_an_api_key_moves_to_the_pepper_in_force_when_it_is_used(setting: str, tmp_path: Any) -> None:
    database = f"sqlite:///{tmp_path / 'a.db'}"
    old, new = (make_settings().secret for _ in range(2))
    async with Auth(make_settings(database_url=database, **{setting: old})) as auth:
        owner = await auth.users.create("user@example.com", "SecurePassword123!")
        used, unused = [await auth.keys.create(owner.id, name=name) for name in ("used", "unused")]
    async with Auth(make_settings(database_url=database, previous_secrets=[old], **{setting: new})) as auth:
        before = (await auth.keys.get(used.id)).digest
        for _ in range(2):
            assert (await taken(auth, used.api_key.get_secret_value())).key_id == used.id
        assert (await auth.keys.get(used.id)).digest != before
        made_since = await auth.keys.create(owner.id, name="new")
    async with Auth(make_settings(database_url=database, **{setting: new})) as auth:
        for key in (used, made_since):
            assert (await taken(auth, key.api_key.get_secret_value())).key_id == key.id
        assert await refused_for(auth, unused.api_key.get_secret_value()) == "key_unknown"


async def test_a_key_of_no_secret_of_ours_is_still_refused_without_a_query() -> None:
    async with Auth(make_settings(previous_secrets=[make_settings().secret])) as auth:
        async with Auth(make_settings()) as other:
            owner = await other.users.create("user@example.com", "SecurePassword123!")
            stray = await other.keys.create(owner.id, name="k")
        assert await refused_for(auth, stray.api_key.get_secret_value()) == "key_mac_wrong"


@pytest.mark.parametrize(("secret", "problem"), [("", "shorter than 32 bytes"), ("a" * 40, "repeats itself")])
def test_a_weak_older_secret_stops_the_start_too(secret: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=f"CALLCOV_AUTH_PREVIOUS_SECRETS: .*{problem}"):
        make_settings(previous_secrets=[secret])
