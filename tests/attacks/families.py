"""Every family of attacks, by its file."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.attacks.cases import Case, Control

# The files here that hold no family.
_TESTS_OF_ALL = {"test_ablation", "test_families"}
FAMILIES = sorted(
    path.stem.removeprefix("test_")
    for path in Path(__file__).parent.glob("test_*.py")
    if path.stem not in _TESTS_OF_ALL
)


def cases(family: str) -> tuple[Case, ...]:
    return import_module(f"tests.attacks.test_{family}").CASES


def controls(family: str) -> tuple[Control, ...]:
    return import_module(f"tests.attacks.test_{family}").CONTROLS


def every_case() -> Iterator[Case]:
    for family in FAMILIES:
        yield from cases(family)


def case(family: str, name: str) -> Case:
    return next(each for each in cases(family) if each.name == name)
