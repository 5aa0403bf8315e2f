"""What reads bytes from strangers, as functions of bytes: for a fuzzer, and for the replay of its corpus.

A target tells whether its input is taken. It raises where a refusal is not the one that is expected, and
where what came of a taken input is wrong.
"""

import json
from collections.abc import Callable

from callcov_auth.credential import parse_authorization
from callcov_auth.errors import AuthError, InvalidToken
from callcov_auth.strict_json import MAX_DEPTH, NotStrictJson, read_object
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.claims import ClaimRules, Claims
from callcov_auth.tokens.guards import MAX_TOKEN_LENGTH, take_apart
from callcov_auth.tokens.jwk import BadKey, load_key_set
from tests.support.tokens import base64url

NOW = 1_800_000_000
RULES = ClaimRules("callcov", "callcov")
LISTED = ClaimRules("callcov", "callcov", scope_claim="scp")


def authorization(data: bytes) -> bool:
    try:
        credential = parse_authorization(data)
    except InvalidToken:
        return False
    assert data.strip(b" \t").endswith(credential.text.encode("ascii"))
    return True


def json_object(data: bytes) -> bool:
    try:
        value = read_object(data)
    except NotStrictJson as refusal:
        assert str(refusal).isidentifier()
        return False
    assert json.loads(data) == value
    assert depth_of(value) <= MAX_DEPTH
    return True


def token_text(data: bytes) -> bool:
    return read_token(data.decode("latin-1"))


def token_parts(data: bytes) -> bool:
    """Header, payload and signature, with a zero byte between: a fuzzer does not find base64url by itself."""
    header, _, rest = data.partition(b"\0")
    payload, _, signature = rest.partition(b"\0")
    return read_token(f"{base64url(header)}.{base64url(payload)}.{base64url(signature)}")


def key_set(data: bytes) -> bool:
    try:
        document = read_object(data)
    except NotStrictJson:
        return False
    taken = [keys_of(document, data, inline=inline) for inline in (True, False)]
    return any(taken)


# The first byte of an input picks the one that reads the rest.
TARGETS: tuple[Callable[[bytes], bool], ...] = (authorization, json_object, token_text, token_parts, key_set)


def target_of(data: bytes) -> Callable[[bytes], bool]:
    return TARGETS[data[0] % len(TARGETS)]


def run(data: bytes) -> bool:
    return bool(data) and target_of(data)(data[1:])


def read_token(text: str) -> bool:
    try:
        token = take_apart(text)
        claims = token.claims()
    except InvalidToken as refusal:
        assert refusal.reason.startswith("token_")
        return False
    assert len(text) <= MAX_TOKEN_LENGTH
    assert f"{token.signed.decode()}.{base64url(token.signature)}" == text
    assert json.loads(token.payload) == claims
    taken = [fits(claims, rules) for rules in (RULES, LISTED)]
    return any(taken)


def fits(claims: Claims, rules: ClaimRules) -> bool:
    try:
        rules.check(claims, NOW)
    except AuthError:
        return False
    assert claims["exp"] > NOW
    assert "callcov" in claims["aud"]
    assert all(map(str.isprintable, rules.scopes(claims)))
    return True


def keys_of(document: object, data: bytes, *, inline: bool) -> bool:
    try:
        keys, _ = load_key_set(document, algorithms=ALGORITHMS.keys(), inline=inline)
    except BadKey:
        return False
    assert not any(key.verifies(b"signed", data) for key in keys.keys)
    return bool(keys.keys)


def depth_of(value: object) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max(map(depth_of, items), default=0)
