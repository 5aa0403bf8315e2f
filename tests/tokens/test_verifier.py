"""Access tokens: each claim, each way to be wrong, and what is told apart."""

import secrets
from typing import Any

import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthError, InvalidToken, TokenExpired, TokenRevoked
from tests.support.clock import Clock
from tests.support.settings import make_settings
from tests.support.tokens import Forge, as_json, base64url

pytestmark = pytest.mark.anyio

ABSENT = Forge.ABSENT


@pytest.fixture
def forge(auth: Auth) -> Forge:
    return Forge(auth)


async def refusal_of(auth: Auth, token: str) -> AuthError:
    with pytest.raises(AuthError) as caught:
        await auth.authenticate(f"Bearer {token}")
    return caught.value


async def test_a_right_token_becomes_a_principal(auth: Auth, forge: Forge) -> None:
    principal = await auth.authenticate("Bearer " + forge.token())
    assert (principal.subject, principal.issuer, principal.kind) == ("usr_1", "callcov", "token")
    assert principal.scopes == {"calls:read"}
    assert principal.session_id == "ses_1"
    assert principal.expires_at == forge.claims()["exp"]
    assert principal.claims == forge.claims()
    assert (principal.key_id, principal.environment, principal.segment) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"iat": ABSENT},
        {"nbf": ABSENT},
        {"jti": ABSENT},
        {"sid": ABSENT},
        {"scope": ABSENT},
        {"scope": ""},
        {"scope": "calls:read users:*"},
        {"aud": ["other", "callcov"]},
        {"sub": "é" * 255},
        {"roles": {"deep": [1, 2]}},
        {"exp": 2**53 - 1},
    ],
)
async def test_what_a_token_may_also_be(auth: Auth, forge: Forge, changes: dict[str, Any]) -> None:
    principal = await auth.authenticate("Bearer " + forge.token(claims=forge.claims(**changes)))
    assert principal.is_authenticated


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_media_type_is_compared_as_rfc_7515_says(auth: Auth, forge: Forge, typ: str) -> None:
    assert await auth.authenticate("Bearer " + forge.token(forge.header(typ=typ)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": "none"}, "alg_not_the_keys"),
        ({"alg": "HS512"}, "alg_not_the_keys"),
        ({"alg": "hs256"}, "alg_not_the_keys"),
        ({"alg": ABSENT}, "alg_not_the_keys"),
        ({"alg": ["HS256"]}, "alg_not_the_keys"),
        ({"kid": ABSENT}, "unknown_kid"),
        ({"kid": "other"}, "unknown_kid"),
        ({"kid": None}, "unknown_kid"),
        ({"kid": {"a": 1}}, "unknown_kid"),
        ({"typ": ABSENT}, "wrong_typ"),
        ({"typ": "JWT"}, "wrong_typ"),
        ({"typ": "rt+jwt"}, "wrong_typ"),
        ({"typ": 1}, "wrong_typ"),
        ({"crit": ["exp"]}, "header_crit"),
    ],
)
async def test_a_wrong_header_is_refused(
    auth: Auth, forge: Forge, changes: dict[str, Any], reason: str
) -> None:
    refusal = await refusal_of(auth, forge.token(forge.header(**changes)))
    assert (type(refusal), refusal.reason) == (InvalidToken, f"token_{reason}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "other"}, "wrong_iss"),
        ({"iss": ABSENT}, "wrong_iss"),
        ({"iss": ["callcov"]}, "wrong_iss"),
        ({"sub": ABSENT}, "sub_missing_or_malformed"),
        ({"sub": ""}, "sub_missing_or_malformed"),
        ({"sub": 7}, "sub_missing_or_malformed"),
        ({"sub": "x" * 256}, "sub_missing_or_malformed"),
        ({"sub": "a\r\nX-Injected: 1"}, "sub_not_printable"),
        ({"sub": "a\x00"}, "sub_not_printable"),
        ({"jti": 1}, "jti_missing_or_malformed"),
        ({"sid": "a\n"}, "sid_not_printable"),
        ({"aud": ABSENT}, "aud_missing_or_malformed"),
        ({"aud": "other"}, "wrong_aud"),
        ({"aud": []}, "wrong_aud"),
        ({"aud": ["callcov", 1]}, "aud_missing_or_malformed"),
        ({"aud": {"callcov": 1}}, "aud_missing_or_malformed"),
        ({"scope": ["calls:read"]}, "scope_malformed"),
        ({"scope": "a  b"}, "scope_malformed"),
        ({"scope": 'a"b'}, "scope_malformed"),
        ({"scope": "a\tb"}, "scope_malformed"),
        ({"scope": None}, "scope_malformed"),
        ({"exp": ABSENT}, "exp_missing_or_malformed"),
        ({"exp": "1900000000"}, "exp_missing_or_malformed"),
        ({"exp": True}, "exp_missing_or_malformed"),
        ({"exp": None}, "exp_missing_or_malformed"),
        ({"exp": 2**53}, "exp_missing_or_malformed"),
        ({"exp": -1}, "exp_missing_or_malformed"),
        ({"nbf": "0"}, "nbf_missing_or_malformed"),
        ({"iat": False}, "iat_missing_or_malformed"),
    ],
)
async def test_a_wrong_claim_is_refused(
    auth: Auth, forge: Forge, changes: dict[str, Any], reason: str
) -> None:
    refusal = await refusal_of(auth, forge.token(claims=forge.claims(**changes)))
    assert (type(refusal), refusal.reason) == (InvalidToken, f"token_{reason}")
    assert refusal.message == "The token is not valid"


async def test_times_may_have_decimals(auth: Auth, forge: Forge, clock: Clock) -> None:
    token = forge.token(claims=forge.claims(exp=clock() + 0.5, iat=clock() - 0.5, nbf=clock() - 0.25))
    assert await auth.authenticate(f"Bearer {token}")
    clock.advance(0.5)
    assert type(await refusal_of(auth, token)) is TokenExpired


@pytest.mark.parametrize("name", ["iat", "nbf"])
async def test_a_token_from_the_future_is_refused(auth: Auth, forge: Forge, clock: Clock, name: str) -> None:
    token = forge.token(claims=forge.claims(**{name: clock() + 1}))
    assert (await refusal_of(auth, token)).reason == f"token_{name}_in_the_future"
    clock.advance(1)
    assert await auth.authenticate(f"Bearer {token}")


async def test_a_token_expires_at_its_second(auth: Auth, forge: Forge, clock: Clock) -> None:
    token = forge.token()
    clock.advance(1799)
    await auth.authenticate(f"Bearer {token}")
    clock.advance(1)
    refusal = await refusal_of(auth, token)
    assert (type(refusal), refusal.reason, refusal.message) == (
        TokenExpired,
        "token_expired",
        "The token expired",
    )


async def test_leeway_bears_on_every_time(clock: Clock) -> None:
    async with Auth(make_settings(leeway=10), clock=clock) as auth:
        forge = Forge(auth)
        late = forge.token(claims=forge.claims(exp=clock() - 9))
        early = forge.token(claims=forge.claims(nbf=clock() + 10, iat=clock() + 10))
        for token in (late, early):
            await auth.authenticate(f"Bearer {token}")
        too_early = forge.token(claims=forge.claims(nbf=clock() + 10.5))
        assert (await refusal_of(auth, too_early)).reason == "token_nbf_in_the_future"
        clock.advance(1)
        assert type(await refusal_of(auth, late)) is TokenExpired


async def test_an_expired_token_that_is_not_genuine_is_invalid(
    auth: Auth, forge: Forge, clock: Clock
) -> None:
    token = forge.token(claims=forge.claims(exp=clock() - 1))
    tampered = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert (await refusal_of(auth, tampered)).reason == "token_signature_wrong"
    elsewhere = forge.token(claims=forge.claims(exp=clock() - 1, aud="other"))
    assert (await refusal_of(auth, elsewhere)).reason == "token_wrong_aud"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_changed_part_is_refused(auth: Auth, forge: Forge, part: int) -> None:
    parts = forge.token().split(".")
    changed = {
        0: base64url(as_json(forge.header(extra=1))),
        1: base64url(as_json(forge.claims(scope="*"))),
        2: base64url(secrets.token_bytes(32)),
    }
    parts[part] = changed[part]
    assert (await refusal_of(auth, ".".join(parts))).reason == "token_signature_wrong"


async def test_anothers_token_is_refused(auth: Auth) -> None:
    async with Auth(make_settings()) as other:
        token = await other.tokens.issue("usr_1")
    assert (await refusal_of(auth, token)).reason == "token_unknown_kid"


async def test_keys_and_tokens_are_taken_only_where_the_setting_says(clock: Clock) -> None:
    async with Auth(make_settings(accept={"api_key"}), clock=clock) as auth:
        assert (await refusal_of(auth, Forge(auth).token())).reason == "kind_not_accepted"
    async with Auth(make_settings(accept={"token"}), clock=clock) as auth:
        await auth.authenticate("Bearer " + Forge(auth).token())
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k")
        refusal = await refusal_of(auth, key.api_key.get_secret_value())
        assert (type(refusal), refusal.reason) == (InvalidToken, "kind_not_accepted")


async def test_a_session_is_looked_up_where_access_tokens_are_revocable(clock: Clock) -> None:
    async with Auth(make_settings(revocable_access_tokens=True), clock=clock) as auth:
        issued = await auth.tokens.issue("usr_1")
        principal = await auth.authenticate(f"Bearer {issued}")
        await auth.tokens.logout(session_id=principal.session_id)
        refusal = await refusal_of(auth, issued)
        assert (type(refusal), refusal.reason) == (TokenRevoked, "session_revoked")
        stray = Forge(auth).token()
        assert type(await refusal_of(auth, stray)) is TokenRevoked
        without = Forge(auth).token(claims=Forge(auth).claims(sid=ABSENT))
        assert type(await refusal_of(auth, without)) is TokenRevoked
