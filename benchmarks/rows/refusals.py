"""A request that is refused, beside the bare request that it would have been."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count

from benchmarks.harness.apart import contest_apart
from benchmarks.harness.contest import Entrant, Round, figure, itself
from benchmarks.harness.figures import Effort, Figure
from benchmarks.peers import ours
from benchmarks.peers.subject import Headers, Subject

REFUSED = 401


def without_credential() -> Headers:
    return []


def malformed() -> Headers:
    return [(b"Authorization".lower(), b"Bearer " + b"neither a key nor a token")]


def forged() -> Callable[[], Headers]:
    """Return what makes keys of the right form, each another one, whose MAC is wrong."""
    numbers = count(secrets.randbelow(10**20))
    return lambda: [(b"Authorization".lower(), b"Bearer sk_live_%048d" % next(numbers))]


async def measure(effort: Effort) -> list[Figure]:
    entrants, rounds = await contest_apart(refused_entrants, effort)
    refused = [_ratio(entrant.name, rounds) for entrant in entrants[:3]]
    return [itself("a forged key's refusal", rounds, "forged", "forged again"), *refused]


async def refused_entrants(stack: AsyncExitStack) -> list[Entrant]:
    one, other = await ours.with_key(stack), await ours.with_key(stack)
    return [
        _refused("missing", one, without_credential),
        _refused("malformed", one, malformed),
        _refused("forged", one, forged()),
        _refused("forged again", other, forged()),
    ]


def _refused(name: str, subject: Subject, headers: Callable[[], Headers]) -> Entrant:
    return Entrant(name, replace(subject, headers=headers), REFUSED)


def _ratio(name: str, rounds: Sequence[Round]) -> Figure:
    return figure(f"refused-{name}", rounds, lambda each: each[name].app / each[name].bare)
