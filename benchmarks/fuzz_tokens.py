"""Mutated tokens through this package, joserfc and PyJWT: who takes what?

    python -m benchmarks.fuzz_tokens [--count 200000] [--seed N]

Each token is right, then changed by one to three mutations (none in one of twenty), most of them before it
is signed with the right key, for HS256, RS256, ES256 or EdDSA. The keys are new in each run, the mutations
follow the seed. All three have the same keys, issuer, audience, required claims and clock.

The exit code is 1 where joserfc refuses what we take for no cause of ``differential/causes.py``, where
anything but an AuthError leaves our side, and where one of the three refuses a token that was not changed.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.bearers import Signer, right_claims, signers
from benchmarks.differential.causes import CAUSES, explain
from benchmarks.differential.draft import Draft, Mutation, finish
from benchmarks.differential.encodings import ENCODINGS
from benchmarks.differential.values import NOW, VALUES
from benchmarks.differential.verdicts import Verdict, is_stray, judges

COUNT = 200_000
SEED = 20_260_101
MUTATIONS = (*VALUES, *ENCODINGS)
# How many mutations a token gets, by weight.
HOW_MANY = {0: 5, 1: 60, 2: 25, 3: 10}
UNCHANGED = "unchanged"
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Mutant:
    mutations: tuple[str, ...]
    text: str = field(repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.mutations or (UNCHANGED,)


@dataclass(slots=True)
class Findings:
    """What came of a run: counts by mutation and by cause, and whatever must not be."""

    seen: Counter[str] = field(default_factory=Counter)
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    agreement: Counter[tuple[bool, ...]] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, mutant: Mutant, verdicts: Mapping[str, Verdict]) -> None:
        self.agreement[tuple(verdict is None for verdict in verdicts.values())] += 1
        for kind in mutant.kinds:
            self.seen[kind] += 1
            self.taken.update((kind, name) for name, verdict in verdicts.items() if verdict is None)
        self._judge(mutant, verdicts)

    def _judge(self, mutant: Mutant, verdicts: Mapping[str, Verdict]) -> None:
        ours, joserfc = verdicts["ours"], verdicts["joserfc"]
        if is_stray(ours):
            self._wrong("stray exception", mutant, ours)
        if not mutant.mutations and any(verdicts.values()):
            self._wrong("a right token is refused", mutant, next(filter(None, verdicts.values())))
        if ours is None and joserfc is not None:
            cause = explain(mutant.text, joserfc)
            self.causes[cause or "unexplained"] += 1
            if cause is None:
                self._wrong("taken by us, refused by joserfc", mutant, joserfc)

    def _wrong(self, what: str, mutant: Mutant, verdict: Verdict) -> None:
        self.wrong.append(f"{what}: {', '.join(mutant.kinds)}: {verdict!r}: {mutant.text}")


def mutants(keys: Mapping[str, Signer], count: int, seed: int) -> Iterator[Mutant]:
    rng = random.Random(seed)  # noqa: S311
    for _ in range(count):
        signer = rng.choice(list(keys.values()))
        header = {"alg": signer.alg, "kid": signer.kid, "typ": "at+jwt"}
        chosen = _chosen(rng)
        text = finish(Draft(rng, signer, keys, header, right_claims(NOW)), chosen)
        yield Mutant(tuple(mutation.name for mutation in chosen), text)


def _chosen(rng: random.Random) -> list[Mutation]:
    (how_many,) = rng.choices(list(HOW_MANY), list(HOW_MANY.values()))
    return rng.sample(MUTATIONS, how_many)


def examine(count: int, seed: int) -> Findings:
    """Return what the three make of so many tokens."""
    keys = signers()
    three = judges(keys)
    findings = Findings()
    for mutant in mutants(keys, count, seed):
        findings.add(mutant, {name: judge(mutant.text) for name, judge in three.items()})
    return findings


def report(findings: Findings) -> None:
    print(f"{'mutation':34} {'tokens':>8} {'ours':>8} {'joserfc':>8} {'pyjwt':>8}")
    for kind, number in sorted(findings.seen.items()):
        taken = " ".join(f"{findings.taken[kind, name]:8}" for name in ("ours", "joserfc", "pyjwt"))
        print(f"{kind:34} {number:8} {taken}")
    print("\ntaken by")
    for verdicts, number in findings.agreement.most_common():
        names = [name for name, took in zip(("ours", "joserfc", "pyjwt"), verdicts, strict=True) if took]
        print(f"{number:8}  {', '.join(names) or 'none'}")
    print("\ntaken by us, refused by joserfc, because of")
    for cause in CAUSES:
        print(f"{findings.causes[cause.name]:8}  {cause.name}: {cause.why}")
    print(f"{findings.causes['unexplained']:8}  unexplained")
    for line in findings.wrong[:SHOWN]:
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Mutated tokens through three verifiers.")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    findings = examine(asked.count, asked.seed)
    report(findings)
    print(f"\n{asked.count} tokens, seed {asked.seed}, {time.monotonic() - began:.0f} s")
    print(f"{len(findings.wrong)} that must not be")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
