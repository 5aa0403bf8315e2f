"""What a shell completes: commands, options and a few values, without a setting and without a database."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from callcov_auth.setting_types import Environment, SigningAlgorithm
from tests.cli.running import TIMEOUT, python
from tests.cli.terminal import at_terminal

VARIABLE = "_CALLCOV_AUTH_COMPLETE"

# Bash as it calls a completion: the function, and the words of the line.
ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_callcov_auth_completion callcov-auth
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(autouse=True)
def program(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program by its name, as it is installed."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "callcov-auth").write_text(f'#!/bin/sh\nexec {sys.executable} -m callcov_auth "$@"\n')
    (place / "callcov-auth").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")


def script_of(shell: str) -> str:
    return python("-m", "callcov_auth", env={VARIABLE: f"source_{shell}"}).stdout


def completed(line: str) -> list[str]:
    """Return what bash offers for the last word of a line."""
    Path("script").write_text(script_of("bash"))
    words = " ".join(shlex.quote(word) for word in line.split(" "))
    asked = subprocess.run(
        ["bash", "--norc", "-c", ASK.format(script="./script", words=words)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert asked.stderr == ""
    return asked.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("callcov-auth ke", ["keys"]),
        ("callcov-auth d", ["doctor", "demo", "db"]),
        ("callcov-auth keys cr", ["create"]),
        ("callcov-auth keys create a@example.com --exp", ["--expires-in-days"]),
        ("callcov-auth keys create --environment ", list(Environment.__args__)),
        ("callcov-auth signing-keys add --alg ", list(SigningAlgorithm.__args__)),
        ("callcov-auth signing-keys add --alg PS", ["PS256", "PS384", "PS512"]),
        # One that is too long by an argument, which a command refuses.
        ("callcov-auth users list one two --j", ["--json"]),
        ("callcov-auth keys revoke key_", []),
    ],
)
def test_bash_is_offered(line: str, offered: list[str]) -> None:
    assert completed(line) == offered


def test_the_tab_key_completes_in_bash(folder: Path) -> None:
    Path("script").write_text(script_of("bash"))
    with at_terminal(["bash", "--norc", "-i"], PS1="ready> ") as screen:
        screen.answer("ready> ", "source ./script")
        screen.wait_for("ready> ")
        screen.type("callcov-auth keys stal\t")
        screen.wait_for("stale ")
        screen.type("--d\t7 --help\n")
        screen.wait_for("Usage: callcov-auth keys stale")
        screen.answer("ready> ", "exit")
        assert screen.ended() == 0
    assert "callcov-auth keys stale --days 7 --help" in screen.text


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell: str) -> None:
    asked = {VARIABLE: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "callcov-auth keys st"}
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    answer = python("-m", "callcov_auth", env=asked | action)
    assert answer.stderr == ""
    assert "stale" in answer.stdout
    assert "create" not in answer.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_that_of_the_program(shell: str) -> None:
    script = script_of(shell)
    assert "callcov-auth" in script
    assert VARIABLE in script


def test_it_is_installed_for_the_shell_in_which_one_types(folder: Path) -> None:
    """The shell's start file is the one of the folder, which stands in for a home here."""
    with at_terminal(["bash", "--norc", "-i"], PS1="ready> ", HOME=str(folder)) as screen:
        screen.answer("ready> ", "callcov-auth --install-completion")
        screen.answer("ready> ", "exit")
        screen.ended()
    assert "completion installed" in screen.text
    (installed,) = (folder / ".bash_completions").iterdir()
    assert str(installed) in (folder / ".bashrc").read_text()
    assert installed.read_text() == script_of("bash").strip()


def test_it_needs_nothing_and_makes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even settings that hold, nor what takes long to load."""
    monkeypatch.setenv("CALLCOV_AUTH_NONSENSE", "hunter2hunter2")
    heavy = {"sqlalchemy", "pydantic_settings", "cryptography", "starlette", "anyio"}
    asking = (
        "import atexit, json, sys\n"
        f"atexit.register(lambda: print(json.dumps(sorted({heavy} & set(sys.modules))), file=sys.stderr))\n"
        "sys.argv = ['callcov-auth']\n"
        "from callcov_auth.cli import main\n"
        "main()\n"
    )
    words = {VARIABLE: "complete_bash", "COMP_WORDS": "callcov-auth keys revoke --", "COMP_CWORD": "3"}
    answer = python("-c", asking, env=words)
    assert answer.stdout.split() == ["--json", "--help"]
    assert json.loads(answer.stderr) == []
    assert list(folder.iterdir()) == []
