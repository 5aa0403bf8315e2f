"""What does the strict verifier cost, beside PyJWT alone?

    python -m benchmarks.guards [--rounds N] [--check]

Each round verifies one token many times with ``TokenVerifier.verify`` and as many times with ``jwt.decode``
(the same key, with audience, issuer and required claims), in a random order, in one process, in CPU time.
Printed are the median of the rounds' ratios and its 95 % interval; with ``--check`` the exit code is 1 where
a median is above its target.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import jwt

from benchmarks.bearers import AUDIENCE, ISSUER, Signer, right_claims, run, signers, verifier

TARGETS = {"HS256": 1.3, "RS256": 1.1, "ES256": 1.1}
ROUNDS = 401
CALLS = 40
REQUIRED = ["iss", "sub", "aud", "exp"]
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for one call, of each side and in each round."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        return sorted(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))


def interval(ordered: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of a sorted sample, by its ranks alone."""
    half_width = 1.96 * math.sqrt(len(ordered)) / 2
    low, high = len(ordered) / 2 - half_width, len(ordered) / 2 + half_width
    return ordered[max(math.floor(low), 0)], ordered[min(math.ceil(high), len(ordered) - 1)]


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - began) / CALLS


def sides(signer: Signer) -> tuple[Callable[[], object], Callable[[], object]]:
    claims = right_claims(int(time.time()))
    token = jwt.encode(claims, signer.key, signer.alg, headers={"kid": signer.kid, "typ": "at+jwt"})
    ours = verifier([signer.jwk], time.time)
    key = signer.key if isinstance(signer.key, bytes) else signer.key.public_key()

    def strict() -> object:
        return run(ours.verify(token))

    def plain() -> object:
        return jwt.decode(
            token, key, [signer.alg], audience=AUDIENCE, issuer=ISSUER, options={"require": REQUIRED}
        )

    return strict, plain


def measure(signer: Signer, rounds: int, order: random.Random) -> Cost:
    both = sides(signer)
    times: tuple[list[float], list[float]] = ([], [])
    for call in both:
        seconds(call)
    for _ in range(rounds):
        for side in order.sample((0, 1), 2):
            times[side].append(seconds(both[side]))
    return Cost(*times)


def report(alg: str, cost: Cost) -> bool:
    """Print the figures of one algorithm. Whether its target is met."""
    ratio, (low, high) = median(cost.ratios), interval(cost.ratios)
    met = ratio <= TARGETS[alg]
    print(
        f"{alg}  ours {median(cost.ours) * 1e6:6.1f} µs  jwt.decode {median(cost.theirs) * 1e6:6.1f} µs  "
        f"ratio {ratio:.3f} [{low:.3f}, {high:.3f}]  at most {TARGETS[alg]}: {'met' if met else 'MISSED'}"
    )
    return met


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The cost of TokenVerifier.verify beside jwt.decode.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    asked = parser.parse_args(arguments)
    order = random.Random(SEED)  # noqa: S311
    keys = signers()
    met = [report(alg, measure(keys[alg], asked.rounds, order)) for alg in TARGETS]
    return 1 if asked.check and not all(met) else 0


if __name__ == "__main__":
    sys.exit(main())
