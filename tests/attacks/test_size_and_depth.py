"""Tokens that cost more than they are worth (RFC 9110 §5.4, RFC 8259 §9)."""

import pytest

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken, with_claims
from tests.support.issuers import World
from tests.support.tokens import as_json

pytestmark = pytest.mark.anyio

MAX_BYTES = 8192


def added(text: str, part: str = "claims") -> Make:
    def make(world: World) -> str:
        raw = as_json(getattr(world.own, part)())
        return world.own.token(**{part: raw[:-1] + b',"x":' + text.encode() + b"}"})

    return make


def of_length(length: int) -> Make:
    """A right token in a header value of so many bytes, white space included."""

    def make(world: World) -> bytes:
        return f"Bearer {world.own.token()}".encode().ljust(length)

    return make


def deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" * (opening != "[") + closing * levels


CASES = (
    *(
        sent(f"a header of {length} bytes", "RFC 9110 §5.4", "header_too_long", of_length(length))
        for length in (MAX_BYTES + 1, 2**16, 2**20)
    ),
    sent("a token of 9 KiB", "RFC 9110 §5.4", "header_too_long", with_claims("own", x="x" * 6800)),
    sent("8,000 dots", "CVE-2025-30204", "unknown_form", lambda world: "." * 8000),
    sent(
        "8,000 dots after a token",
        "CVE-2025-30204",
        "header_too_long",
        lambda world: world.own.token() + "." * 8000,
    ),
    sent("2,000 parts", "CVE-2025-30204", "unknown_form", lambda world: "e30." * 2000 + "e30"),
    *(
        sent(f"{part}: {name}", "RFC 8259 §9, CVE-2020-10735", f"token_{reason}", added(text, part))
        for part in ("header", "claims")
        for name, text, reason in (
            ("16 lists in the object", deep(16), "json_too_deep"),
            ("17 lists", deep(17), "json_too_deep"),
            ("2,000 lists", deep(2000), "json_too_deep"),
            ("16 objects in the object", deep(16, '{"a":', "}"), "json_too_deep"),
            ("2,000 lists that never close", "[" * 2000, "json_too_deep"),
            ("an integer of 33 digits", "1" * 33, "number_out_of_bounds"),
            ("an integer of 3,000 digits", "1" * 3000, "number_out_of_bounds"),
            ("a decimal of 3,000 digits", "0." + "1" * 3000, "number_out_of_bounds"),
            ("an exponent of 3,000 digits", "1e" + "1" * 3000, "number_out_of_bounds"),
            ("1e999", "1e999", "number_out_of_bounds"),
            ("-1e999", "-1e999", "number_out_of_bounds"),
        )
    ),
    sent(
        "1,001 scopes", "RFC 6749 §3.3", "token_scope_malformed", with_claims("own", scope="a " * 1000 + "a")
    ),
)
CONTROLS = (
    control("a header of 8,192 bytes", of_length(MAX_BYTES)),
    control("a token of 8 KiB", with_claims("own", x="x" * 5500)),
    control("15 lists in the object", added(deep(15))),
    control("many lists, none deep", added("[" + ",".join(["[]"] * 500) + "]")),
    control("brackets in a string", added('"' + "[{" * 500 + '"')),
    control("an integer of 32 digits", added("1" * 32)),
    control("1e308", added("1e308")),
    control("1,000 scopes", with_claims("own", scope=" ".join(["a"] * 1000))),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
