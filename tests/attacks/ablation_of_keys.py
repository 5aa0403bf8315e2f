"""The guards on keys and key sets, and the attacks that each holds off."""

from typing import Any

import jwt

from tests.attacks.ablation_row import Row
from tests.attacks.cases import Case
from tests.attacks.families import case


def poison(name: str) -> Case:
    return case("jwks_poisoning", name)


def weak(name: str) -> Case:
    return case("weak_keys", name)


def any_key(keys: Any, kid: Any) -> Any:
    return keys._by_kid.get(kid, keys.keys[0])


KEYS = (
    Row(
        "tokens.jwk.load_key_set: a key set is an object with a list of at most {} 'keys' (RFC 7517 §5)",
        poison("101 keys"),
    ),
    Row(
        "tokens.jwk.load_key: a key is a JSON object",
        weak("null in a key's place, inline"),
        outcome=AttributeError,
    ),
    Row(
        "tokens.jwk._kid: 'kid' is a printable string of at most {} characters",
        weak("a name with a line end, fetched"),
    ),
    Row("tokens.jwk._check_purpose: its 'use' is not 'sig'", weak("for encryption, fetched")),
    Row("tokens.jwk._check_purpose: its 'key_ops' does not hold 'verify'", weak("to sign alone, fetched")),
    Row(
        "tokens.jwk._check_purpose: its 'key_ops' holds more than signing",
        weak("to verify and to encrypt, fetched"),
    ),
    Row("tokens.jwk._check_purpose: its 'key_ops' says a thing twice", weak("to verify twice, fetched")),
    Row(
        "tokens.jwk._algorithm: its 'alg' is not allowed for it",
        weak("for an algorithm that is not allowed, fetched"),
        "return ALGORITHMS[named]",
    ),
    Row(
        "tokens.jwk._algorithm: it names no 'alg', and there is not exactly one that fits it: "
        "narrow 'algorithms'",
        weak("for no algorithm, of six, fetched"),
    ),
    Row("tokens.jwk._check_origin: a secret key that was fetched is known to others", poison("a secret")),
    Row(
        "tokens.jwk._check_origin: it holds a private part, so whoever sent it can sign with it too",
        weak("with its private part: poisoned-ES256, fetched"),
    ),
    Row(
        "tokens.jwk._member: its {} is missing",
        weak("a modulus that is a number, inline"),
        outcome=TypeError,
    ),
    Row(
        "tokens.jwk._member: its {} is not base64url",
        weak("a padded modulus, fetched"),
        """
        from base64 import urlsafe_b64decode
        return urlsafe_b64decode(value + "==")
        """,
    ),
    Row(
        "tokens.jwk._check_strength: it is shorter than {} bytes (RFC 7518 §3.2)",
        weak("a secret of 32 bytes for HS512, inline"),
    ),
    Row(
        "tokens.jwk._check_strength: its point is of small order, so that anybody can sign for it",
        weak("Ed25519 at 1, fetched"),
    ),
    Row(
        "tokens.jwk._check_rsa: its modulus is not of {} to {} bits (RFC 7518 §3.3)",
        weak("RSA of 1,024 bits, fetched"),
    ),
    Row(
        "tokens.jwk._check_rsa: its modulus or its exponent is none of RSA",
        weak("an exponent beyond 2^64, fetched"),
    ),
    Row(
        "tokens.jwk._check_rsa: its modulus can be factored (ROCA, CVE-2017-15361)",
        weak("a modulus of ROCA, fetched"),
    ),
    Row(
        "tokens.jwk._built: its parts make no key",
        weak("a point off the curve, inline"),
        "raise",
        ValueError,
    ),
    Row("tokens.jwk._check_names: two keys have one 'kid'", poison("one name for two, the other way round")),
    Row(
        "tokens.jwk._check_together: one key is there twice: a key serves one algorithm (RFC 8725 §3.1)",
        poison("one key for two algorithms"),
    ),
    Row(
        "tokens.jwk._check_together: secret and public keys are mixed",
        poison("secret and public keys, inline"),
    ),
    Row(
        "no 'kid' means a key only where there is one",
        case("kid_injection", "no 'kid', where two keys are known"),
        patch=("tokens.jwk:KeySet.find", any_key),
    ),
    Row(
        "a key is looked up by a string",
        case("kid_injection", "RS256: a 'kid' that is ['rs256-key']"),
        outcome=TypeError,
        patch=("tokens.jwk:KeySet.find", any_key),
    ),
)
SIGNING_KEYS = (
    Row("tokens.trusted._check_secrets: key {}: {}", weak("32 zeros for a secret, inline")),
    Row(
        "tokens.keyring.load_signing_key: "
        "a signing key names its 'kid', and its 'alg' as one that is known here",
        case("key_reuse", "a signing key with no name"),
    ),
    Row(
        "tokens.keyring.load_signing_key: key {}: its 'key_ops' is not 'sign', alone or beside 'verify'",
        case("key_reuse", "a signing key that may encrypt too"),
    ),
    Row(
        "tokens.keyring.load_signing_key: key {}: it has no private part, so it cannot sign",
        case("key_reuse", "a signing key with no private part"),
    ),
    Row(
        "tokens.keyring._read: a signing key is a private JWK, as a JSON object",
        case("key_reuse", "text that is no key"),
        "raise",
        ValueError,
    ),
    Row("tokens.keyring._secret: key {}: {}", case("key_reuse", "32 zeros for a secret")),
    Row(
        "tokens.keyring._secret: key {}: it looks like a key of another kind",
        case("key_reuse", "a public key for a secret"),
    ),
    Row(
        "tokens.keyring._private: key {}: its private part makes no key",
        case("key_reuse", "a private part of another key"),
        "raise",
        jwt.PyJWTError,
    ),
    Row(
        "tokens.keyring._check_names: two signing keys have one 'kid'",
        case("key_reuse", "two signing keys with one name"),
    ),
    Row(
        "tokens.keyring._check_names: "
        "one signing key is there twice: a key serves one algorithm (RFC 8725 §3.1)",
        case("key_reuse", "one signing key for two algorithms"),
    ),
)
FETCHING = (
    Row(
        "tokens.fetching.jwks_discovered: metadata_of_another_issuer",
        poison("metadata: of another issuer"),
    ),
    Row(
        "tokens.fetching._follow: too_many_redirects",
        poison("four redirects"),
        patch=("tokens.fetching:MAX_REDIRECTS", 9),
    ),
    Row("tokens.fetching._follow: redirect_to_another_origin", poison("a redirect to another host")),
    Row("tokens.fetching._read: status_{}", poison("status 404")),
    Row("tokens.fetching._read: compressed", poison("compressed")),
    Row("tokens.fetching._read: too_large", poison("more than 256 KiB")),
    Row("tokens.fetching._https: not_https", poison("metadata: keys over plain HTTP")),
    Row(
        "tokens.jwks.RemoteKeys._unavailable: jwks_unavailable",
        poison("an issuer that is dead for too long"),
        patch=("tokens.jwks:RemoteKeys._is_good", lambda self: True),
    ),
)
