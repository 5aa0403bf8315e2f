"""``run_check``: the conversation holds, and it notices where something does not."""

import io
import re
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callcov_auth.demo import steps
from callcov_auth.demo.check import run_check
from callcov_auth.demo.conversation import Talk
from callcov_auth.errors import InvalidCredentials
from callcov_auth.tokens.claims import ClaimRules
from callcov_auth.users.service import UserService

ROW = re.compile(r"  (?P<mark>holds|FAILS)  (?P<title>\S.*?)  +(?P<came>none|\d{3}( [a-z_]+)?) +\d+ ms")
STEPS = sum(len(listed) for listed in steps.TOPICS.values())


@dataclass(frozen=True)
class Run:
    code: int
    lines: list[str]

    @property
    def marks(self) -> dict[str, str]:
        rows = [found for line in self.lines if (found := ROW.fullmatch(line))]
        return {found["title"]: found["mark"] for found in rows}

    def below(self, title: str) -> list[str]:
        """The two lines that explain a failed step."""
        at = next(number for number, line in enumerate(self.lines) if f"FAILS  {title}  " in line)
        return [" ".join(line.split()) for line in self.lines[at + 1 : at + 3]]


def checked() -> Run:
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = run_check()
    return Run(code, printed.getvalue().splitlines())


@dataclass(frozen=True)
class GoodRun(Run):
    left_behind: list[Path]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> GoodRun:
    folder = tmp_path_factory.mktemp("check")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        run = checked()
    return GoodRun(run.code, run.lines, list(folder.iterdir()))


def test_every_step_holds(good: GoodRun) -> None:
    failed = [title for title, mark in good.marks.items() if mark == "FAILS"]
    assert failed == []
    assert good.code == 0


def test_it_ends_with_how_many_steps_hold(good: GoodRun) -> None:
    assert STEPS >= 30
    assert good.lines[-1] == f"{STEPS} of {STEPS} steps hold"
    assert len(good.marks) == STEPS


def test_the_table_has_every_topic(good: GoodRun) -> None:
    assert [line for line in good.lines if line in steps.TOPICS] == list(steps.TOPICS)


def test_the_table_shows_no_credential(good: GoodRun) -> None:
    text = "\n".join(good.lines)
    assert not re.search(r"sk_(live|test)_\w{20}|eyJ\w+|SecurePassword", text)


def test_its_files_are_removed(good: GoodRun) -> None:
    assert good.left_behind == []


def test_a_verifier_that_forgets_time_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimRules, "_check_times", lambda *_: None)
    run = checked()
    failed = {title for title, mark in run.marks.items() if mark == "FAILS"}
    assert failed == {"an expired token is told apart", "a refresh token ends after seven days"}
    assert run.below("an expired token is told apart") == ["expected 401 token_expired", "came 200"]
    assert run.code == 1
    assert run.lines[-1] == f"{STEPS - 2} of {STEPS} steps hold"


def test_after_a_failed_login_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any) -> None:
        raise InvalidCredentials()

    monkeypatch.setattr(UserService, "check_password", nobody)
    run = checked()
    assert run.code == 1
    assert len(run.marks) == STEPS
    assert run.below("login gives two tokens") == ["expected 200", "came 401 invalid_credentials"]
    assert run.below("users me says who is calling") == [
        "expected 'access' from an earlier step",
        "came nothing, for that step failed",
    ]
    assert run.marks["a body over 64 kib is refused"] == "holds"


def test_an_error_in_a_step_is_told_by_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def a_step_with_an_error(talk: Talk) -> None:
        talk.get("/health")
        raise LookupError("sk_live_of_somebody")

    monkeypatch.setattr(steps, "TOPICS", {"One": [a_step_with_an_error]})
    run = checked()
    assert run.code == 1
    assert run.below("a step with an error") == ["expected an answer that can be read", "came LookupError"]
    assert "sk_live_of_somebody" not in "\n".join(run.lines)
    assert run.lines[-1] == "0 of 1 steps hold"
