"""Other issuers whose keys stand in the settings: each is held to its own keys and its own rules."""

from typing import Any

import pytest

from callcov_auth import Auth, Principal
from callcov_auth.errors import InvalidToken, TokenExpired
from callcov_auth.settings import SettingsError
from tests.support.clock import Clock
from tests.support.issuers import ABSENT, TRUSTED, Party, as_setting, signer, trusted_party
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

A, B = "ES256", "ES256-2"


@pytest.fixture
def a(clock: Clock) -> Party:
    return trusted_party(A, int(clock()))


@pytest.fixture
def b(clock: Clock) -> Party:
    return trusted_party(B, int(clock()))


def trusting(clock: Clock, *issuers: dict[str, Any], **changes: Any) -> Auth:
    return Auth(make_settings(trusted_issuers=issuers, **changes), clock=clock)


async def taken(auth: Auth, token: str) -> Principal:
    return await auth.authenticate(f"Bearer {token}")


async def refused_for(auth: Auth, token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        await auth.authenticate(f"Bearer {token}")
    assert caught.value.message == "The token is not valid"
    return caught.value.reason.removeprefix("token_")


@pytest.mark.parametrize("name", TRUSTED)
async def test_a_key_of_each_kind_verifies_its_issuers_tokens(name: str, clock: Clock) -> None:
    party = trusted_party(name, int(clock()))
    async with trusting(clock, as_setting(party)) as auth:
        principal = await taken(auth, party.token())
    assert (principal.subject, principal.issuer, principal.kind) == ("usr_1", party.issuer, "token")
    assert (principal.scopes, principal.session_id) == ({"calls:read"}, "ses_1")
    assert principal.claims == party.claims()


async def test_an_issuers_token_is_held_against_its_own_keys_alone(a: Party, b: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a), as_setting(b)) as auth:
        for party, other in ((a, b), (b, a)):
            assert (await taken(auth, party.token())).issuer == party.issuer
            by_name = party.token({"kid": other.signer.kid}, by=other.signer)
            assert await refused_for(auth, by_name) == "unknown_kid"
            without_name = party.token({"kid": ABSENT}, by=other.signer)
            assert await refused_for(auth, without_name) == "signature_wrong"


async def test_our_own_keys_make_no_token_of_another_issuer_nor_theirs_one_of_ours(
    a: Party, clock: Clock
) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        ours = await auth.tokens.issue("usr_1")
        assert (await taken(auth, ours)).issuer == "callcov"
        own = auth.tokens.keyring.signing
        forged = own.sign("at+jwt", a.claims())
        assert await refused_for(auth, forged) == "unknown_kid"
        forged = a.token(claims={"iss": "callcov", "aud": "callcov"})
        assert await refused_for(auth, forged) == "unknown_kid"
        forged = a.token({"kid": own.kid}, {"iss": "callcov", "aud": "callcov"})
        assert await refused_for(auth, forged) == "alg_not_the_keys"


async def test_equal_key_names_of_two_issuers_do_not_meet(a: Party, b: Party, clock: Clock) -> None:
    settings = [as_setting(party) for party in (a, b)]
    for setting in settings:
        setting["jwks"]["keys"][0]["kid"] = "same"
    async with trusting(clock, *settings) as auth:
        for party, other in ((a, b), (b, a)):
            assert (await taken(auth, party.token({"kid": "same"}))).issuer == party.issuer
            assert await refused_for(auth, party.token({"kid": "same"}, by=other.signer)) == "signature_wrong"


async def test_an_issuer_that_nobody_trusts_is_refused(a: Party, b: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        assert await refused_for(auth, b.token()) == "wrong_iss"
        for near in (a.issuer + "/", a.issuer.upper(), [a.issuer], {a.issuer: 1}, ABSENT, ""):
            assert await refused_for(auth, a.token(claims={"iss": near})) == "wrong_iss"


async def test_each_issuer_has_its_audience(a: Party, b: Party, clock: Clock) -> None:
    settings = as_setting(a) | {"audience": "for-a"}, as_setting(b) | {"audience": "for-b"}
    async with trusting(clock, *settings) as auth:
        assert await taken(auth, a.token(claims={"aud": "for-a"}))
        assert await taken(auth, b.token(claims={"aud": ["x", "for-b"]}))
        for wrong in ("for-b", "callcov", ["for-b"], []):
            assert await refused_for(auth, a.token(claims={"aud": wrong})) == "wrong_aud"


async def test_what_another_issuers_token_may_lack(a: Party, clock: Clock) -> None:
    lacking = dict.fromkeys(("iat", "nbf", "jti", "scope", "sid"), ABSENT)
    async with trusting(clock, as_setting(a)) as auth:
        principal = await taken(auth, a.token(claims=lacking))
        assert (principal.scopes, principal.session_id) == (frozenset(), None)
        for needed in ("exp", "sub", "aud"):
            assert (
                await refused_for(auth, a.token(claims={needed: ABSENT})) == f"{needed}_missing_or_malformed"
            )


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (["calls:read", "calls:write"], {"calls:read", "calls:write"}),
        ("calls:read calls:write", {"calls:read", "calls:write"}),
        ([], set()),
        ("", set()),
        (ABSENT, set()),
    ],
)
async def test_scopes_may_stand_in_another_claim(
    scopes: Any, granted: set[str], a: Party, clock: Clock
) -> None:
    async with trusting(clock, as_setting(a) | {"scope_claim": "scp"}) as auth:
        assert (await taken(auth, a.token(claims={"scp": scopes, "scope": "*"}))).scopes == granted


@pytest.mark.parametrize("scopes", [["a b"], ["a", 1], [["a"]], [""], ["a\n"], {"a": 1}, 5, None, "a  b"])
async def test_scopes_in_another_claim_are_read_strictly(scopes: Any, a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a) | {"scope_claim": "scp"}) as auth:
        assert await refused_for(auth, a.token(claims={"scp": scopes})) == "scope_malformed"


async def test_a_list_of_scopes_is_for_the_other_claim_alone(a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        assert await refused_for(auth, a.token(claims={"scope": ["calls:read"]})) == "scope_malformed"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "JWT", "jwt", ABSENT])
async def test_the_types_that_are_taken(typ: Any, a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        assert await taken(auth, a.token({"typ": typ}))


@pytest.mark.parametrize("typ", ["rt+jwt", "application/rt+jwt", "RT+JWT", "none", "", "id+jwt", 5, ["JWT"]])
async def test_the_types_that_are_not(typ: Any, a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        assert await refused_for(auth, a.token({"typ": typ})) == "wrong_typ"


async def test_the_types_can_be_narrowed_and_widened(a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a) | {"token_types": ["application/At+JWT"]}) as auth:
        assert await taken(auth, a.token())
        for typ in ("JWT", ABSENT):
            assert await refused_for(auth, a.token({"typ": typ})) == "wrong_typ"
    async with trusting(clock, as_setting(a) | {"token_types": ["acme+jwt"]}) as auth:
        assert await taken(auth, a.token({"typ": "acme+jwt"}))


async def test_our_own_tokens_keep_their_type_whatever_others_have(a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a)) as auth:
        own = auth.tokens.keyring.signing
        claims = a.claims(iss="callcov", aud="callcov")
        assert await taken(auth, own.sign("at+jwt", claims))
        for typ in ("JWT", "rt+jwt", ""):
            assert await refused_for(auth, own.sign(typ, claims)) == "wrong_typ"


async def test_leeway_bears_on_others_too(a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a), leeway=10) as auth:
        late, early = a.token(claims={"exp": a.now - 9}), a.token(claims={"nbf": a.now + 10})
        for token in (late, early):
            assert await taken(auth, token)
        assert await refused_for(auth, a.token(claims={"nbf": a.now + 11})) == "nbf_in_the_future"
        clock.advance(1)
        with pytest.raises(TokenExpired):
            await taken(auth, late)


async def test_others_sessions_are_not_looked_up(a: Party, clock: Clock) -> None:
    async with trusting(clock, as_setting(a), revocable_access_tokens=True) as auth:
        assert await taken(auth, a.token())


# The settings


def wrong(setting: dict[str, Any], **changes: Any) -> str:
    kept = {name: value for name, value in (setting | changes).items() if value is not ABSENT}
    with pytest.raises(SettingsError) as caught:
        Auth(make_settings(trusted_issuers=[kept]))
    assert str(caught.value).startswith("CALLCOV_AUTH_TRUSTED_ISSUERS: ")
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"jwks": ABSENT}, "an issuer has exactly one of jwks, jwks_url and discovery"),
        ({"discovery": True}, "an issuer has exactly one of jwks, jwks_url and discovery"),
        ({"jwks_url": "https://a.example/keys"}, "an issuer has exactly one of jwks, jwks_url and discovery"),
        ({"jwks": []}, "valid dictionary"),
        ({"issuer": ""}, "at least 1 character"),
        ({"issuer": "a\nb"}, "match pattern"),
        ({"issuer": ABSENT}, "0.issuer: Field required"),
        ({"audience": ABSENT}, "0.audience: Field required"),
        ({"audience": ""}, "at least 1 character"),
        ({"algorithms": []}, "at least 1 item"),
        ({"token_types": []}, "at least 1 item"),
        ({"token_types": ["rt+jwt"]}, "never taken as an access token"),
        ({"token_types": ["application/RT+JWT"]}, "never taken as an access token"),
        ({"token_types": [""]}, "a type is not empty"),
        ({"token_types": ["application/"]}, "a type is not empty"),
        ({"scope_claim": ""}, "at least 1 character"),
        ({"stale_for": -1}, "greater than or equal to 0"),
        ({"stale_for": 604801}, "less than or equal to 604800"),
        ({"jwks_uri": "https://a.example"}, "0.jwks_uri: there is no such setting"),
        ({"algorithms": ["ES256", "none", "HS1"]}, "there is no algorithm HS1, none; known are HS256, HS384"),
        ({"algorithms": ["RS256"]}, "key 'es256-key': its 'alg' is not allowed for it"),
        ({"jwks": {"keys": []}}, "its key set is empty"),
        ({"jwks": {}}, "a key set is an object with a list"),
        ({"jwks": {"keys": [signer("ES256", "a").private_jwk()]}}, "key 'a': it holds a private part"),
        ({"jwks": {"keys": [signer("ES256", "a").jwk(use="enc")]}}, "key 'a': its 'use' is not 'sig'"),
        (
            {"jwks": {"keys": [signer("ES256", "a").jwk(), signer("ES256", "b").jwk(use="enc")]}},
            "key 'b': its 'use' is not 'sig'",
        ),
        ({"jwks": {"keys": [signer("ES256", "a").jwk()] * 2}}, "two keys have one 'kid'"),
        ({"jwks": {"keys": [signer("HS256", "a").jwk()]}}, "key 'a': its 'alg' is not allowed for it"),
    ],
)
def test_a_wrong_issuer_stops_the_start_and_is_named(changes: dict[str, Any], problem: str, a: Party) -> None:
    assert problem in wrong(as_setting(a), **changes)


@pytest.mark.parametrize("setting", ["jwks_url", "discovery"])
@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/keys",
        "ftp://a.example/keys",
        "file:///etc/passwd",
        "//a.example/keys",
        "a.example/keys",
        "https:///keys",
        "https://",
        "https://[a.example/keys",
        "https://a.example:port/keys",
        "https://a.example:99999/keys",
        "https://a.example:0/keys",
        "https://user@a.example/keys",
        "https://:hunter22@a.example/keys",
        "https://a.example/keys#part",
        "https://a.example/keys#",
        "",
    ],
)
def test_keys_are_fetched_from_whole_https_addresses_alone(setting: str, url: str, a: Party) -> None:
    problem = wrong(as_setting(a), jwks=ABSENT, **{setting: url})
    assert f"0.{setting}: " in problem
    assert "hunter22" not in problem


@pytest.mark.parametrize("issuer", ["callcov-eu", "http://a.example", "https://"])
def test_an_issuer_that_is_no_https_address_has_no_usual_metadata(issuer: str, a: Party) -> None:
    problem = wrong(as_setting(a), jwks=ABSENT, discovery=True, issuer=issuer)
    assert "discovery: true is for an issuer that starts with 'https://'" in problem


def test_an_issuer_with_our_own_name_is_refused(a: Party) -> None:
    assert "two issuers have one name, or one has ours" in wrong(as_setting(a), issuer="callcov")


def test_two_issuers_of_one_name_are_refused(a: Party) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_ISSUERS: two issuers have one name"):
        make_settings(trusted_issuers=[as_setting(a), as_setting(a)])


def test_a_secret_key_of_another_issuer_is_not_shown(clock: Clock) -> None:
    party = trusted_party("HS256", int(clock()))
    settings = make_settings(trusted_issuers=[as_setting(party)])
    assert party.signer.jwk()["k"] not in f"{settings!r} {settings.model_dump()} {Auth(settings)!r}"
