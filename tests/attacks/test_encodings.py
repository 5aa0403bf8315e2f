"""One token in two spellings, and JSON that two readers read in two ways (RFC 7515 §2, RFC 7493)."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken
from tests.support.issuers import World
from tests.support.tokens import as_json, base64url

pytestmark = pytest.mark.anyio

Change = Callable[..., str]

PADDING = "RFC 7515 §2 and appendix C"
NOT_JSON = "RFC 7519 §7.2, RFC 7493 §2.1"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signed_with(part: int, change: Change) -> Make:
    """A token of which one part is written otherwise before it is signed."""

    def make(world: World) -> str:
        parts = [as_json(world.own.header(x="ab")), as_json(world.own.claims(x="abc"))]
        return world.own.signed(
            ".".join(change(raw) if i == part else base64url(raw) for i, raw in enumerate(parts))
        )

    return make


def sent_with(part: int, change: Change, who: str = "own") -> Make:
    """A right token of which one part is written otherwise afterwards."""

    def make(world: World) -> str:
        parts = world[who].token().split(".")
        parts[part] = change(parts[part])
        return ".".join(parts)

    return make


def loose_end(text: str) -> str:
    """Return another spelling of the same bytes: with bits left over that are not zero."""
    return text[:-1] + LETTERS[LETTERS.index(text[-1]) + 1]


def uneven(raw: bytes) -> str:
    """Return ``raw``, of which white space makes the length no multiple of three, with a loose end."""
    return loose_end(base64url(raw + b" " * (1 if len(raw) % 3 != 2 else 2)))


def padded(raw: bytes) -> str:
    return urlsafe_b64encode(raw + b" " * (4 - len(raw) % 3)).decode()


def plain(world: World) -> str:
    """Return claims in the alphabet of RFC 4648 §4, with both of its own characters."""
    text = b64encode(as_json(world.own.claims(x=">?" * 9))).decode().rstrip("=")
    assert {"+", "/"} <= set(text)
    return text


def raw_claims(raw: bytes) -> Make:
    return lambda world: world.own.token(claims=raw)


def recoded(encoding: str) -> Make:
    return lambda world: world.own.token(claims=as_json(world.own.claims()).decode().encode(encoding))


def replaced(old: str, new: str, part: str = "claims") -> Make:
    def make(world: World) -> str:
        raw = as_json(getattr(world.own, part)()).replace(old.encode(), new.encode())
        return world.own.token(**{part: raw})

    return make


def added(text: bytes) -> Make:
    return lambda world: world.own.token(claims=as_json(world.own.claims())[:-1] + text)


CASES = (
    *(
        sent(f"'=' after part {part}", PADDING, reason, sent_with(part, lambda text: text + "="))
        for part, reason in enumerate(("header_malformed", "header_malformed", "unknown_form"))
    ),
    *(
        sent(f"padding signed in part {part}", PADDING, "header_malformed", signed_with(part, padded))
        for part in (0, 1)
    ),
    *(
        sent(
            f"'=' after the signature of {who}",
            PADDING,
            "unknown_form",
            sent_with(2, lambda text: text + "=", who),
        )
        for who in ("RS256", "ES256", "Ed25519")
    ),
    *(
        sent(f"{text!r} in part {part}", "RFC 7515 §2", "unknown_form", sent_with(part, change))
        for text in ("+", "/", "~")
        for part in (0, 1, 2)
        for change in [lambda part, text=text: part[:4] + text + part[4:]]
    ),
    *(
        sent(f"{name} in part {part}", "RFC 7515 §2", "header_malformed", sent_with(part, change))
        for name, text in (
            ("'='", "="),
            ("a line end", "\n"),
            ("a space", " "),
            ("NUL", "\x00"),
            ("'?'", "?"),
            ("'%2E'", "%2E"),
        )
        for part in (1, 2)
        for change in [lambda part, text=text: part[:4] + text + part[4:]]
    ),
    sent(
        "the other alphabet",
        "RFC 4648 §5",
        "unknown_form",
        lambda world: world.own.signed(f"{base64url(as_json(world.own.header()))}.{plain(world)}"),
    ),
    *(
        sent(
            f"a loose end in part {part}",
            "RFC 4648 §3.5",
            "token_not_canonical_base64url",
            signed_with(part, uneven),
        )
        for part in (0, 1)
    ),
    *(
        sent(f"a loose end in the signature of {who}", "RFC 4648 §3.5", "token_not_canonical_base64url", make)
        for who in ("own", "RS256", "ES256", "Ed25519")
        for make in [sent_with(2, loose_end, who)]
    ),
    sent(
        "one character too many",
        "RFC 4648 §4",
        "token_not_canonical_base64url",
        sent_with(2, lambda t: t + "AA"),
    ),
    *(
        sent(f"claims in {encoding}", "RFC 7519 §7.2", reason, recoded(encoding))
        for encoding, reason in (
            ("utf-16", "token_not_json"),
            ("utf-16-le", "token_not_json"),
            ("utf-32-be", "token_not_json"),
            ("utf-8-sig", "token_not_json"),
            ("cp500", "token_not_json"),
        )
    ),
    *(
        sent(f"claims that are {raw[:20]!r}", NOT_JSON, f"token_{reason}", raw_claims(raw))
        for raw, reason in (
            (b" ", "not_json"),
            (b"null", "not_a_json_object"),
            (b"true", "not_a_json_object"),
            (b"0", "not_a_json_object"),
            (b'"sub"', "not_a_json_object"),
            (b"[]", "not_a_json_object"),
            (b'[["sub","usr_1"]]', "not_a_json_object"),
            (b"{", "not_json"),
            (b"{}{}", "not_json"),
            (b"{'sub':'usr_1'}", "not_json"),
            (b'{"sub":"\xff"}', "not_json"),
            (b'{"sub":"\xc0\xaf"}', "not_json"),
            (b'{"sub":"\xed\xa0\x80"}', "not_json"),
            (b'{"sub":"a\nb"}', "not_json"),
            (b'{"sub":"\\x41"}', "not_json"),
            (b"{sub:1}", "not_json"),
            (b"\x00{}", "not_json"),
            (b"<sub>usr_1</sub>", "not_json"),
            (b"\x80\x04\x95", "not_json"),
        )
    ),
    *(
        sent(f"claims that end with {text!r}", NOT_JSON, f"token_{reason}", added(text))
        for text, reason in (
            (b",}", "not_json"),
            (b"}}", "not_json"),
            (b"}\x00", "not_json"),
            (b"}//", "not_json"),
            (b',"x":NaN}', "not_json"),
            (b',"x":Infinity}', "not_json"),
            (b',"x":-Infinity}', "not_json"),
            (b',"x":01}', "not_json"),
            (b',"x":0x10}', "not_json"),
            (b',"x":+1}', "not_json"),
            (b',"x":1_000}', "not_json"),
            (b',"x":"\\ud800"}', "not_unicode"),
            (b',"x":["\\udfff\\ud800"]}', "not_unicode"),
            (b',"\\ud83d":1}', "not_unicode"),
        )
    ),
    sent("exp is NaN", "RFC 7519 §2", "token_not_json", replaced("1800001800", "NaN")),
    sent("exp is Infinity", "RFC 7519 §2", "token_not_json", replaced("1800001800", "Infinity")),
    *(
        sent(f"a header that is {raw!r}", "RFC 7515 §4", f"token_{reason}", make)
        for raw, reason in (
            (b"[]", "not_a_json_object"),
            (b'"HS256"', "not_a_json_object"),
            (b"HS256", "not_json"),
            (b'{"alg":"HS256"', "not_json"),
            (b'{"alg":NaN}', "not_json"),
        )
        for make in [lambda world, raw=raw: world.own.token(header=raw)]
    ),
    sent(
        "a header in UTF-16",
        "RFC 7515 §2",
        "token_not_json",
        lambda world: world.own.token(as_json(world.own.header()).decode().encode("utf-16")),
    ),
    sent(
        "JSON serialization",
        "RFC 7515 §7.2, CVE-2022-39227",
        "header_malformed",
        lambda world: '{"payload":"e30","protected":"e30","signature":"e30"}',
    ),
    sent(
        "JSON serialization around a right token",
        "CVE-2022-39227",
        "header_malformed",
        lambda world: '{"' + world.own.token() + '":"e30"}',
    ),
    sent("two parts", "RFC 7515 §7.1", "unknown_form", lambda world: world.own.token().rpartition(".")[0]),
    sent("four parts", "RFC 7515 §7.1", "unknown_form", lambda world: world.own.token() + ".e30"),
    sent(
        "five parts, as encrypted tokens have",
        "RFC 7516 §3.1",
        "unknown_form",
        lambda world: "e30.e30.e30.e30.e30",
    ),
    sent("an empty first part", "RFC 7515 §7.1", "unknown_form", sent_with(0, lambda _: "")),
    sent("an empty second part", "RFC 7797 §5", "unknown_form", sent_with(1, lambda _: "")),
)
CONTROLS = (
    control("white space within the JSON", replaced(",", " ,\n\t ")),
    control(
        "white space around the JSON",
        lambda world: world.own.token(claims=b" \r\n" + as_json(world.own.claims()) + b"\t "),
    ),
    control("letters written as \\u", replaced("usr_1", "\\u0075sr_1")),
    control("a whole pair of surrogates", lambda world: world.own.token(claims={"x": "\U0001f600"})),
    control("a header with escapes", replaced("HS256", "\\u0048S256", "header")),
    control("an exponent", replaced("1800001800", "1.80000180e9")),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
