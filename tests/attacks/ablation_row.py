"""One guard, and the attack that it holds off."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from tests.attacks.ablation import switch_off
from tests.attacks.cases import Case

GETS_IN = "gets in"
Outcome = str | type[Exception]


@dataclass(frozen=True, slots=True)
class Row:
    """A guard, the case that needs it, and how it is switched off.

    ``instead`` stands in the place of what raises; ``patch`` puts values in the place of names instead,
    for a guard that is no statement of its own. ``outcome`` is the exception, or the later reason, that
    comes in the place of a let-through.
    """

    guard: str
    case: Case
    instead: str = "pass"
    outcome: Outcome = GETS_IN
    number: int = 1
    patch: tuple[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.guard} {self.number}" if self.number > 1 else self.guard

    def switch_off(self, patch: pytest.MonkeyPatch) -> None:
        if self.patch is None:
            switch_off(patch, self.guard, self.instead, self.number)
            return
        target, value = self.patch
        module, names = target.split(":")
        *owners, name = names.split(".")
        owner: Any = import_module(f"callcov_auth.{module}")
        for each in owners:
            owner = getattr(owner, each)
        patch.setattr(owner, name, value)
