"""Mutations of headers and claims, before they are JSON."""

from typing import Any

from benchmarks.bearers import AUDIENCE, ISSUER
from benchmarks.differential.draft import Draft, Mutation

NOW = 1_800_000_000

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**53, 2**64, 10**40, 1e300, "", " ", "0", "a", "A" * 256),
    *([], {}, [None], [[]], {"a": {"b": [1, 2]}}, ["a", "b"], ["a", 1]),
    *("\x00", "a\nb", "a\tb", "\u202e", "é", "e\u0301", "\U0001f600", "\ud800", "ﬀ"),
)
TIMES: tuple[Any, ...] = (
    *(NOW, NOW - 1, NOW + 1, NOW + 0.5, NOW - 0.5, NOW + 10**6, 0, -1, 2**53, 2**53 - 1, 1e15, 1e16, 1e308),
    *(str(NOW + 100), [NOW + 100], {"a": 1}, True, None, float(NOW + 100)),
)
AUDIENCES: tuple[Any, ...] = (
    *([AUDIENCE], [AUDIENCE, "b"], ["b", AUDIENCE], ["b"], [], "b", "", AUDIENCE + "/", AUDIENCE.upper()),
    *([AUDIENCE, 1], [[AUDIENCE]], {AUDIENCE: 1}, None, 1, AUDIENCE[:-1], [""], ["a"] * 200),
)
SCOPES: tuple[Any, ...] = (
    *("", " ", "a", "a b", "a  b", " a", "a ", "*", "calls:*", "a\tb", "é", 'a"', "a\\b", ["a"], [], None),
    *(1, {}, "x" * 129, " ".join("abcdefgh")),
)
NAMES: tuple[Any, ...] = (
    *(ISSUER, ISSUER + "/", ISSUER.upper(), "https://other.example", [ISSUER], {"a": ISSUER}, *ODD),
)
ALGORITHMS: tuple[Any, ...] = (
    *(
        "none",
        "None",
        "NONE",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES384",
        "EdDSA",
    ),
    *("Ed25519", "hs256", " HS256", "HS256 ", "", None, 1, ["HS256"], {"alg": "HS256"}),
)
TYPES: tuple[Any, ...] = (
    *("at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/AT+JWT", "JWT", "jwt", "rt+jwt", "JOSE"),
    *("at+jwt ", "application/application/at+jwt", "at+jwt;v=1", None, 1, [], ["at+jwt"]),
)
KIDS: tuple[Any, ...] = (
    *(
        "kid-HS256",
        "kid-RS256",
        "kid-ES256",
        "kid-EdDSA",
        "KID-HS256",
        "kid-HS256 ",
        "../../dev/null",
        "' or 1=1",
    ),
    *("", None, 1, 1.5, True, ["kid-HS256"], {"kid": "a"}, "a" * 500, "\x00"),
)
KEY = {"kty": "oct", "k": "AAAA"}
HEADERS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("crit", (["exp"], ["b64"], [], ["a"], "exp", None, 1, ["alg"], [1])),
    ("b64", (True, False, None, "false", 0)),
    ("zip", ("DEF", None, "")),
    ("cty", ("JWT", "application/jwt", "at+jwt", "", None, 1)),
    ("jku", ("https://evil.example/keys", "file:///etc/passwd", "", None, 1)),
    ("x5u", ("https://evil.example/cert", "http://169.254.169.254/", None)),
    ("jwk", (KEY, {}, None, "a", [KEY])),
    ("x5c", (["MIIB"], [], "MIIB", [1], None)),
    ("x5t", ("AAAA", 1, None)),
    ("x5t#S256", ("AAAA", 1, None)),
    ("enc", ("A128GCM", None)),
    ("epk", ({}, None)),
    ("iss", (ISSUER, "b")),
    ("ALG", ("none", "HS256")),
    ("alg ", ("none",)),
    ("extra", (*ODD, "x" * 600)),
    ("", (1,)),
)


def change_alg(draft: Draft) -> None:
    draft.header["alg"] = draft.rng.choice(ALGORITHMS)


def change_kid(draft: Draft) -> None:
    draft.header["kid"] = draft.rng.choice(KIDS)


def change_typ(draft: Draft) -> None:
    draft.header["typ"] = draft.rng.choice(TYPES)


def take_the_other_keys_name(draft: Draft) -> None:
    draft.header["kid"] = draft.other_signer().kid


def add_a_header(draft: Draft) -> None:
    name, values = draft.rng.choice(HEADERS)
    draft.header[name] = draft.rng.choice(values)


def drop_a_header(draft: Draft) -> None:
    if draft.header:
        del draft.header[draft.rng.choice(sorted(draft.header))]


def drop_a_claim(draft: Draft) -> None:
    if draft.claims:
        del draft.claims[draft.rng.choice(sorted(draft.claims))]


def change_a_time(draft: Draft) -> None:
    draft.claims[draft.rng.choice(("exp", "iat", "nbf"))] = draft.rng.choice(TIMES)


def change_the_audience(draft: Draft) -> None:
    draft.claims["aud"] = draft.rng.choice(AUDIENCES)


def change_the_scope(draft: Draft) -> None:
    draft.claims[draft.rng.choice(("scope", "scope", "scp"))] = draft.rng.choice(SCOPES)


def change_a_name(draft: Draft) -> None:
    draft.claims[draft.rng.choice(("iss", "sub", "jti", "sid"))] = draft.rng.choice(NAMES)


def change_any_claim(draft: Draft) -> None:
    draft.claims[draft.rng.choice(sorted(draft.claims) or ["sub"])] = draft.rng.choice(ODD)


def add_a_claim(draft: Draft) -> None:
    name = draft.rng.choice(("roles", "EXP", "exp ", "é", "", "cnf", "act", "nonce", "azp"))
    draft.claims[name] = draft.rng.choice(ODD)


def nest_a_claim(draft: Draft) -> None:
    value: Any = draft.rng.choice(ODD)
    for _ in range(draft.rng.randint(1, 40)):
        value = [value] if draft.rng.random() < 0.5 else {"a": value}
    draft.claims["nested"] = value


def fill_up(draft: Draft) -> None:
    draft.claims["filling"] = "x" * draft.rng.choice((100, 1000, 4000, 5000, 6000, 8000))


def names_by_the_hundred(draft: Draft) -> None:
    draft.claims.update({f"n{number}": number for number in range(draft.rng.randint(1, 300))})


VALUES = tuple(
    Mutation(mutate.__name__, "values", mutate)
    for mutate in (
        *(change_alg, change_kid, change_typ, take_the_other_keys_name, add_a_header, drop_a_header),
        *(drop_a_claim, change_a_time, change_the_audience, change_the_scope, change_a_name),
        *(change_any_claim, add_a_claim, nest_a_claim, fill_up, names_by_the_hundred),
    )
)
