"""The guards in the source, and how one of them is switched off for a test."""

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import callcov_auth

PACKAGE = Path(callcov_auth.__file__).parent
MODULES = (
    "base64url",
    "strict_json",
    "credential",
    "auth",
    "keys.validator",
    "asgi.credentials",
    *(f"tokens.{path.stem}" for path in sorted((PACKAGE / "tokens").glob("*.py")) if path.stem != "__init__"),
)
# What says no, with its reason as the first argument.
SAYERS = ("refused", "NotStrictJson", "NotBase64url", "BadKey", "FetchFailed")
REFUSALS = ("InvalidToken", "TokenExpired", "TokenRevoked", "AuthUnavailable")


def guards() -> list[str]:
    """Return every guard as ``module.function: reason``; what passes a reason on is no guard of its own."""
    return [
        f"{module}.{function}: {reason}"
        for module in MODULES
        for function, reason in _guards_in(_tree(module).body, ())
    ]


def _tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())


def _guards_in(body: Sequence[ast.stmt], outer: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _guards_in(statement.body, (*outer, statement.name))
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(statement):
                reason = reason_of(node)
                if reason is not None:
                    yield ".".join((*outer, statement.name)), reason


def reason_of(node: ast.AST) -> str | None:
    """Return the reason in a call that makes a refusal, with {} for what is filled in."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    if node.func.id in SAYERS and node.args:
        return _template(node.args[0])
    if node.func.id in REFUSALS:
        return next((_template(each.value) for each in node.keywords if each.arg == "reason"), None)
    return None


def _template(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


class _Without(ast.NodeTransformer):
    """Puts ``instead`` in the place of one statement that raises, of those with this reason."""

    def __init__(self, reason: str, number: int, instead: str) -> None:
        self._reason = reason
        self._countdown = number
        self._instead = ast.parse(inspect.cleandoc(instead)).body

    def visit_Raise(self, node: ast.Raise) -> Any:
        if not any(reason_of(part) == self._reason for part in ast.walk(node)):
            return node
        self._countdown -= 1
        return self._instead if self._countdown == 0 else node

    @property
    def found(self) -> bool:
        return self._countdown <= 0


def switch_off(patch: pytest.MonkeyPatch, guard: str, instead: str = "pass", number: int = 1) -> None:
    """Let ``instead`` stand in the place of what ``guard`` raises; ``number`` counts those of one name."""
    place, reason = guard.split(": ", 1)
    module, names = _split(place)
    node = _node(_tree(module).body, names)
    without = _Without(reason, number, instead)
    changed = ast.fix_missing_locations(without.visit(node))
    assert without.found, f"there is no such guard: {guard}"
    changed.decorator_list = []
    namespace = dict(vars(importlib.import_module(f"callcov_auth.{module}")))
    exec(compile(ast.Module([changed], []), "<without a guard>", "exec"), namespace)
    patch.setattr(_function(module, names), "__code__", namespace[names[-1]].__code__)


def _split(place: str) -> tuple[str, list[str]]:
    module = next(
        module for module in sorted(MODULES, key=len, reverse=True) if place.startswith(f"{module}.")
    )
    return module, place.removeprefix(f"{module}.").split(".")


def _node(body: Sequence[ast.stmt], names: list[str]) -> Any:
    found = next(each for each in body if getattr(each, "name", None) == names[0])
    return found if len(names) == 1 else _node(found.body, names[1:])  # type: ignore[attr-defined]


def _function(module: str, names: list[str]) -> Any:
    found: Any = importlib.import_module(f"callcov_auth.{module}")
    for name in names:
        found = getattr(found, name)
    return found
