"""One issuer's key for another's tokens: each by its own keys alone (RFC 8725 §3.8)."""

import pytest

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken, with_header
from tests.support.issuers import AUDIENCE, PARTIES, SPARE_KEY, World

pytestmark = pytest.mark.anyio

SOURCE = "RFC 8725 §3.8"
# Each with the next, so that every one is once the liar and once the victim.
RING = [(liar, PARTIES[(place + 1) % len(PARTIES)]) for place, liar in enumerate(PARTIES)]


def posing(liar: str, victim: str, *, kid: bool, alg: bool = False) -> Make:
    """A token that ``liar`` signs, with the claims of ``victim``; and with its names, where that is asked."""

    def make(world: World) -> str:
        named = {"kid": world[victim].signer.kid} if kid else {"kid": world[liar].signer.kid}
        said = {"alg": world[victim].signer.alg if alg else world[liar].signer.alg}
        return world[victim].token(named | said, by=world[liar].signer)

    return make


CASES = (
    *(
        sent(f"{liar} as {victim}", SOURCE, "token_unknown_kid", posing(liar, victim, kid=False))
        for liar, victim in RING
    ),
    *(
        sent(
            f"{liar} as {victim}, with its 'kid'",
            SOURCE,
            "token_alg_not_the_keys",
            posing(liar, victim, kid=True),
        )
        for liar, victim in RING
        if {liar, victim} not in ({"ES256", "ES256-2"}, {"Ed25519", "Ed448"}, {"HS256", "own"})
    ),
    *(
        sent(
            f"{liar} as {victim}, with its 'kid' and 'alg'",
            SOURCE,
            "token_signature_wrong",
            posing(liar, victim, kid=True, alg=True),
        )
        for liar, victim in RING
    ),
    *(
        sent(
            f"{victim}'s key by another's name",
            SOURCE,
            "token_unknown_kid",
            lambda world, victim=victim, other=other: world[victim].token({"kid": world[other].signer.kid}),
        )
        for victim, other in (("ES256", "ES256-2"), ("ES256-2", "ES256"), ("own", "HS256"), ("HS256", "own"))
    ),
    sent(
        "a second key of one issuer for another",
        SOURCE,
        "token_unknown_kid",
        lambda world: world["ES256"].token({"kid": SPARE_KEY.kid}, by=SPARE_KEY),
    ),
    *(
        sent(
            f"an issuer called {issuer!r}",
            "RFC 7519 §4.1.1, CVE-2024-53861",
            "token_wrong_iss",
            lambda world, issuer=issuer: world["RS256"].token(claims={"iss": issuer}),
        )
        for issuer in (
            "https://rs256.example/",
            "http://rs256.example",
            "HTTPS://RS256.EXAMPLE",
            "https://rs256.example.evil.example",
            "https://rs256.exampl",
            "https://evil@rs256.example",
            " https://rs256.example",
            "https://rs256.example#",
            "https://rs256.\u0435xample",
            ["https://rs256.example"],
            {"https://rs256.example": 1},
            "",
            None,
        )
    ),
    *(
        sent(
            f"{who}: the audience of {whose}",
            "RFC 8725 §3.9",
            "token_wrong_aud",
            lambda world, who=who, aud=aud: world[who].token(claims={"aud": aud}),
        )
        for who, whose, aud in (("own", "the others", AUDIENCE), ("RS256", "ours", "callcov"))
    ),
)
CONTROLS = (
    *(control(f"{who} as itself", with_header(who)) for who in PARTIES),
    control(
        "a second key of its issuer",
        lambda world: world["ES384"].token({"kid": SPARE_KEY.kid, "alg": "ES256"}, by=SPARE_KEY),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
