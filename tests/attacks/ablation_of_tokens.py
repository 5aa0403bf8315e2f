"""The guards on a credential, and the attacks that each holds off."""

import re
from typing import Any

from callcov_auth.tokens import guards as token_guards
from callcov_auth.tokens.verifier import check_signature
from tests.attacks.ablation_row import Row
from tests.attacks.cases import Case
from tests.attacks.families import case


def refresh(name: str) -> Case:
    return case("refresh_and_access", f"refresh: {name}")


def without(name: str) -> tuple[str, tuple[str, ...]]:
    kept = tuple(each for each in token_guards.REFUSED_HEADERS if each != name)
    return "tokens.guards:REFUSED_HEADERS", kept


async def by_any_key(verifier: Any, token: Any, claims: Any, issuer: Any) -> None:
    """A check that looks for the key among those of all issuers."""
    for each in verifier._issuers.values():
        if await each.keys.find(token.header.get("kid")) is not None:
            await check_signature(token, each.keys, each.types)
            return issuer.rules.check(claims, verifier._clock())
    raise AssertionError("no issuer has the key")


TOKEN = rb"([A-Za-z0-9\-._~+/]+=*)"
STRICT_JSON = (
    Row("strict_json.read_object: json_too_deep", case("size_and_depth", "claims: 16 lists in the object")),
    Row(
        "strict_json.read_object: not_a_json_object",
        case("encodings", "claims that are b'[]'"),
        outcome=AttributeError,
    ),
    Row("strict_json.read_object: not_json", case("encodings", "claims that are b'{'"), "raise", ValueError),
    Row(
        "strict_json._refuse_half_characters: not_unicode",
        case("encodings", 'claims that end with b\',"x":"\\\\ud800"}\''),
    ),
    Row("strict_json._unique: duplicate_name", case("duplicate_names", 'own: claims, then "sub":"admin"')),
    Row("strict_json._decimal: number_out_of_bounds", case("size_and_depth", "claims: 1e999")),
    Row(
        "strict_json._bounded: number_out_of_bounds",
        case("size_and_depth", "claims: an integer of 33 digits"),
    ),
    Row("strict_json._no_constant: not_json", case("encodings", "claims that end with b',\"x\":NaN}'")),
)
CREDENTIALS = (
    Row("credential.parse_authorization: header_too_long", case("size_and_depth", "a header of 8193 bytes")),
    Row(
        "credential.classify: unknown_form",
        case("encodings", "'=' after part 2"),
        'return Credential("token", text)',
        "token_not_base64url",
    ),
    Row(
        "credential._not_bearer: unsupported_scheme",
        case("header_smuggling", "'Token TOKEN'"),
        patch=("credential:_BEARER", re.compile(rb"\w+ +" + TOKEN)),
    ),
    Row(
        "credential._not_bearer: header_malformed",
        case("header_smuggling", "'Bearer TOKEN TOKEN'"),
        patch=("credential:_BEARER", re.compile(rb"bearer +" + TOKEN + rb".*", re.IGNORECASE)),
    ),
    Row(
        "auth.Auth.at_sight: kind_not_accepted",
        case("cross_environment", "a token where keys are taken"),
    ),
    Row(
        "auth._header_bytes: header_not_visible_ascii",
        case("api_keys", "full-width characters, as text"),
        "raise",
        UnicodeEncodeError,
    ),
    Row(
        "asgi.credentials.find_authorization: several_credentials",
        case("header_smuggling", "two headers"),
    ),
    Row(
        "asgi.credentials._from_key_header: key_header_malformed",
        case("header_smuggling", "a token in the key's header"),
    ),
    Row(
        "asgi.credentials._from_subprotocols: subprotocol_malformed",
        case("header_smuggling", "subprotocols ['bearer', 'TOKEN', 'bearer', 'TOKEN']"),
    ),
)
API_KEYS = (
    Row(
        "keys.validator.KeyValidator._find: key_unknown",
        case("api_keys", "one that is freshly minted"),
        outcome=AttributeError,
    ),
    Row(
        "keys.validator.KeyValidator.refuse_at_sight: key_malformed",
        case("api_keys", "one character less"),
        outcome=AttributeError,
    ),
    Row(
        "keys.validator.KeyValidator.refuse_at_sight: key_mac_wrong",
        case("api_keys", "all zeros"),
        outcome="key_unknown",
    ),
    Row(
        "keys.validator.KeyValidator._refuse_misplaced: key_environment",
        case("cross_environment", "a test key where live ones are taken"),
    ),
    Row(
        "keys.validator.KeyValidator._refuse_misplaced: key_segment",
        case("cross_environment", "a key of segment dev where prod is taken"),
    ),
    Row("keys.validator._refuse_ended: key_revoked", case("api_keys", "one that was revoked")),
    Row(
        "keys.validator._refuse_ended: key_owner_disabled",
        case("api_keys", "one whose owner was disabled"),
    ),
    Row("keys.validator._refuse_ended: key_expired", case("api_keys", "one that ended")),
)
TOKENS = (
    Row("base64url.decode: not_base64url", refresh("'=' after it")),
    Row(
        "base64url.decode: not_canonical_base64url",
        case("encodings", "a loose end in the signature of own"),
    ),
    Row("tokens.guards.take_apart: too_long", refresh("one that is too long")),
    Row("tokens.guards.take_apart: not_three_parts", refresh("four parts"), "parts = parts[:3]"),
    Row("tokens.guards.take_apart: header_{}", case("crit", "own: 'crit' ['exp']")),
    Row("the header 'crit'", case("crit", "own: 'crit' []"), patch=without("crit")),
    Row("the header 'b64'", case("crit", "own: 'b64' False"), patch=without("b64")),
    Row("the header 'zip'", case("crit", "'zip' 'DEF'"), patch=without("zip")),
    Row("the header 'cty'", case("crit", "own: 'cty' 'JWT'"), patch=without("cty")),
    Row("tokens.claims.ClaimRules.check: wrong_iss", refresh("another issuer")),
    Row(
        "tokens.claims.ClaimRules.scopes: scope_malformed",
        case("claim_types", "scope ['calls:read']"),
        "listed = value",
    ),
    Row("tokens.claims.ClaimRules.scopes: scope_malformed", case("claim_types", "scope 'a  b'"), number=2),
    Row("tokens.claims.ClaimRules._check_times: token_expired", case("claim_types", "own: exp 1800000000")),
    Row(
        "tokens.claims.ClaimRules._check_times: {}_in_the_future",
        case("claim_types", "nbf 1800000001"),
    ),
    Row("tokens.claims._check_name: {}_missing_or_malformed", case("claim_types", "sub ''")),
    Row("tokens.claims._check_name: {}_not_printable", case("claim_types", "sub 'usr_1\\x00'")),
    Row("tokens.claims._check_audience: aud_missing_or_malformed", case("claim_types", "aud {'callcov': 1}")),
    Row("tokens.claims._check_audience: wrong_aud", case("claim_types", "aud 'other'")),
    Row("tokens.claims._time: {}_missing_or_malformed", case("claim_types", "nbf False")),
    Row(
        "tokens.verifier.TokenVerifier._issuer: wrong_iss",
        case("claim_types", "iss 'call'"),
        """
        from dataclasses import replace
        issuer = replace(self._own, rules=replace(self._own.rules, issuer=name))
        """,
    ),
    Row(
        "an issuer is looked up by a string",
        case("claim_types", "iss ['callcov']"),
        outcome=TypeError,
        patch=("tokens.verifier:TokenVerifier._issuer", lambda self, claims: self._issuers[claims["iss"]]),
    ),
    Row(
        "each issuer by its own keys",
        case("issuer_mix_up", "ES256-2 as ES384"),
        patch=("tokens.verifier:TokenVerifier._check", by_any_key),
    ),
    Row(
        "tokens.verifier.TokenVerifier._refuse_ended_session: session_revoked",
        case("cross_environment", "a token of an ended session, where they are revocable"),
    ),
    Row("tokens.verifier.check_signature: wrong_typ", case("refresh_and_access", "own: 'typ' 'rt+jwt'")),
    Row(
        "a 'typ' is compared as a string",
        case("refresh_and_access", "own: 'typ' 1"),
        outcome=AttributeError,
        patch=("tokens.verifier:_media_type", lambda typ: typ.lower()),
    ),
    Row(
        "tokens.verifier.check_signature: unknown_kid",
        case("kid_injection", "RS256: a prefix of it"),
        "key = keys._keys.keys[0]",
    ),
    Row(
        "tokens.verifier.check_signature: alg_not_the_keys", case("none", "the right signature under 'none'")
    ),
    Row(
        "tokens.verifier.check_signature: signature_wrong",
        case("bad_signatures", "own: the first bit flipped"),
    ),
    Row("tokens.issuer.TokenService._session: session_revoked", refresh("after logout")),
    Row("tokens.issuer.TokenService._session: not_the_sessions_subject", refresh("another's session")),
    Row("tokens.issuer.TokenService._session: user_disabled", refresh("of a user who was disabled")),
    Row(
        "tokens.issuer.TokenService.session_of: refresh_superseded",
        case("refresh_families", "a look at a token that was used"),
    ),
    Row(
        "tokens.families.Families._end: refresh_reused",
        case("refresh_families", "a token that was used, just past its grace"),
    ),
    Row(
        "tokens.families.Families.is_reused: generation_unknown",
        case("refresh_families", "a generation that nobody made yet"),
        "return False",
    ),
    Row(
        "tokens.families.generation_of: generation_malformed",
        case("refresh_families", "a generation that is True"),
        outcome="token_generation_unknown",
    ),
)
