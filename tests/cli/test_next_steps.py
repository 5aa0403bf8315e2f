"""Every error names the next thing to type: each place in the source that makes one is looked at."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import callcov_auth
from callcov_auth.cli.errors import _NEXT, Unusable, explained
from callcov_auth.errors import AuthUnavailable, NotFound
from callcov_auth.settings import SettingsError
from callcov_auth.store.protocol import SchemaError

PACKAGE = Path(callcov_auth.__file__).parent
# The rooms that commands call.
ROOMS = (
    *("keys/service.py", "keys/imports.py", "users/service.py", "tokens/rotation.py", "store/sql.py"),
    "cli",
)
# What tells what is wrong and ends with what to do.
TOLD = ("Unusable", "TransferError", "SchemaError")
# What to do is a command, an option, a setting, or something else to do, after the problem.
VERBS = (
    *("add", "be", "call", "change", "check", "delete", "export", "give", "import", "install", "leave"),
    *("look", "mend", "move", "name", "pip install", "pipe", "run", "see", "set", "take", "unset", "upgrade"),
    *("use", "write"),
)
STEP = re.compile(rf"[:;,] (?:it was [a-z ]+, so )?(?:{'|'.join(VERBS)})\b|'callcov-auth |'keys who'")


def _calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def _constants(path: Path) -> dict[str, str]:
    """Return the texts that a module keeps under a name."""
    return {
        target.id: _text(node.value, {})
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _text(node: ast.expr, named: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return named.get(node.id, "{}")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, named) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, named)
    if isinstance(node, ast.BinOp):
        return _text(node.left, named) + _text(node.right, named)
    return "{}"


TEXTS = {
    place: _text(call.args[0], _constants(PACKAGE / place.partition(":")[0]))
    for name in TOLD
    for place, call in _calls(name)
}
# Made of what has its own next step: another error's text, or a finding's problem and cure.
PASSED_ON = re.compile(r"[^a-z]*(?:\{\}[^a-z]*)+|The database: \{\}; \{\}")


@pytest.mark.parametrize("place", TEXTS)
def test_what_cannot_be_used_ends_with_what_to_do(place: str) -> None:
    text = TEXTS[place]
    assert STEP.search(text) or PASSED_ON.fullmatch(text), text


def test_there_are_many_of_them() -> None:
    assert len(TEXTS) > 30
    assert sum(bool(PASSED_ON.fullmatch(text)) for text in TEXTS.values()) <= 3


def _reasons() -> set[str]:
    paths = [
        path
        for room in ROOMS
        for path in (sorted((PACKAGE / room).glob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / room])
    ]
    return {
        str(each.value.value)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for each in node.keywords
        if each.arg == "reason" and isinstance(each.value, ast.Constant)
    }


@pytest.mark.parametrize("reason", sorted(_reasons() - {"key_scopes_beyond_owner"}))
def test_a_refusal_that_a_command_can_meet_has_its_own_next_step(reason: str) -> None:
    told = explained(NotFound("There is no such thing", reason=reason))
    assert told is not None
    (line,) = told.lines
    assert line == f"There is no such thing: {_NEXT[reason]}"
    assert "'callcov-auth " in line


def test_nothing_is_told_of_what_cannot_happen() -> None:
    assert _NEXT.keys() <= _reasons() | {"key_limit_reached"}


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (AuthUnavailable(reason="store_down"), "check CALLCOV_AUTH_DATABASE_URL"),
        (AuthUnavailable(reason="password_queue_full"), "'callcov-auth doctor'"),
        (NotFound(), "'callcov-auth doctor'"),
        (SettingsError("CALLCOV_AUTH_LEEWAY: it is above 60"), "set it right in .env or the environment"),
        (Unusable("It cannot be: leave it"), "leave it"),
        (SchemaError("it is newer: upgrade the package"), "upgrade the package"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_other_errors_have_one_too(error: Exception, step: str) -> None:
    told = explained(error)
    assert told is not None
    assert step in told.lines[-1]
