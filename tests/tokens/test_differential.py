"""Mutated tokens through this package, joserfc and PyJWT: a sample of ``benchmarks/fuzz_tokens.py``."""

import random
from functools import cache

import pytest

from benchmarks.bearers import right_claims, run, signers, verifier
from benchmarks.differential.causes import CAUSES, explain
from benchmarks.differential.draft import Draft, finish
from benchmarks.differential.values import NOW
from benchmarks.differential.verdicts import is_stray, judges
from benchmarks.fuzz_tokens import MUTATIONS, Findings, Mutant, examine
from callcov_auth.errors import InvalidToken

SAMPLE = 5_000
SEED = 7


@cache
def examined() -> Findings:
    return examine(SAMPLE, SEED)


# Not a fixture of the module: those come before the one that clears the environment.
@pytest.fixture
def findings() -> Findings:
    return examined()


def test_nothing_is_taken_that_joserfc_refuses_without_a_cause_that_is_known(findings: Findings) -> None:
    assert findings.wrong == []


def test_every_mutation_and_every_right_token_is_in_the_sample(findings: Findings) -> None:
    assert set(findings.seen) == {"unchanged", *(mutation.name for mutation in MUTATIONS)}
    assert min(findings.seen.values()) > SAMPLE / 100


def test_right_tokens_are_taken_by_all_three(findings: Findings) -> None:
    taken = {name: findings.taken["unchanged", name] for name in ("ours", "joserfc", "pyjwt")}
    assert set(taken.values()) == {findings.seen["unchanged"]}


def test_we_are_the_strictest_of_the_three(findings: Findings) -> None:
    only_ours = sum(number for took, number in findings.agreement.items() if took == (True, False, False))
    assert only_ours == 0
    assert findings.agreement[(False, True, True)] > 0


def test_a_difference_that_is_in_no_table_is_found() -> None:
    found = Findings()
    token = "e30.e30.e30"
    found.add(Mutant((), token), {"ours": None, "joserfc": ValueError("odd"), "pyjwt": None})
    assert found.causes["unexplained"] == 1
    assert len(found.wrong) == 2
    assert explain(token, ValueError("odd")) is None


def test_an_exception_that_is_no_refusal_is_found() -> None:
    found = Findings()
    found.add(Mutant(("a",), "x"), {"ours": KeyError("a"), "joserfc": None, "pyjwt": None})
    assert len(found.wrong) == 1
    assert is_stray(KeyError("a"))
    assert not is_stray(InvalidToken())
    assert not is_stray(None)


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ({"extra": 1}, "a header that nobody registered"),
        ({"jku": None}, "a malformed header about keys"),
        ({"x5c": ["x" * 500]}, "a header above 512 bytes"),
    ],
)
def test_each_cause_is_one(header: dict[str, object], cause: str) -> None:
    keys = signers()
    signer = keys["EdDSA"]
    right = {"alg": signer.alg, "kid": signer.kid, "typ": "at+jwt"}
    token = finish(Draft(random.Random(SEED), signer, keys, right | header, right_claims(NOW)), [])
    verify = verifier([key.jwk for key in keys.values()], lambda: NOW).verify
    assert run(verify(token)).subject == "usr_1"
    refusal = judges(keys)["joserfc"](token)
    assert refusal is not None
    assert explain(token, refusal) == cause
    assert cause in {known.name for known in CAUSES}
