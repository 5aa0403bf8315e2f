"""What a fuzzer found (see ``benchmarks/fuzz_guards.py``): nothing but the expected refusals leaves."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import targets

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
MAX_BYTES = 200_000


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name[:12])
def test_nothing_stray_leaves(path: Path) -> None:
    assert targets.run(path.read_bytes()) in (True, False)


def test_the_corpus_holds_what_is_taken_and_what_is_refused_by_each_target() -> None:
    outcomes: dict[Callable[[bytes], bool], set[bool]] = defaultdict(set)
    for data in (path.read_bytes() for path in CORPUS if path.stat().st_size):
        outcomes[targets.target_of(data)].add(targets.run(data))
    assert outcomes == {target: {True, False} for target in targets.TARGETS}


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS) < MAX_BYTES


@pytest.mark.parametrize(
    ("target", "name", "data"),
    [
        (targets.authorization, "parse_authorization", b"Bearer a.b.c"),
        (targets.json_object, "read_object", b"{}"),
        (targets.token_text, "take_apart", b"a.b.c"),
        (targets.token_parts, "take_apart", b"a\0b\0c"),
        (targets.key_set, "load_key_set", b"{}"),
    ],
)
def test_a_target_lets_what_is_no_refusal_out(
    monkeypatch: pytest.MonkeyPatch, target: Callable[[bytes], bool], name: str, data: bytes
) -> None:
    def broken(*_args: object, **_options: object) -> object:
        raise RecursionError

    monkeypatch.setattr(targets, name, broken)
    with pytest.raises(RecursionError):
        target(data)
