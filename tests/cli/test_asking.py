"""Secrets typed at a terminal: asked for, without an echo."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.cli.running import EMAIL, PASSWORD, TIMEOUT, add_user, run, run_json, with_auth

pytestmark = pytest.mark.usefixtures("installation")


@dataclass
class Terminal:
    """A process at the other end of a pseudo-terminal, and all that it showed."""

    process: subprocess.Popen[bytes]
    descriptor: int
    shown: bytes = field(default=b"")

    def answer(self, prompt: str, text: str, *, end: str = "\n") -> None:
        """Wait for ``prompt``, and type ``text``."""
        start = len(self.shown)
        while prompt.encode() not in self.shown[start:]:
            assert self._read(), f"no {prompt!r} after {self.shown!r}"
        os.write(self.descriptor, (text + end).encode())

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], TIMEOUT)
        assert ready, f"nothing more after {self.shown!r}"
        try:
            read = os.read(self.descriptor, 4096)
        except OSError:
            # Linux's way to say that the other end is closed.
            return False
        self.shown += read
        return bool(read)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "callcov_auth", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        os.close(ours)
        process.kill()
        process.wait(TIMEOUT)


def test_a_password_is_asked_for_twice_and_not_echoed() -> None:
    with terminal("users", "add", EMAIL) as screen:
        screen.answer("Password: ", PASSWORD)
        screen.answer("Repeat for confirmation: ", PASSWORD)
        exit_code = screen.ended()

    assert exit_code == 0
    assert EMAIL.encode() in screen.shown
    assert PASSWORD.encode() not in screen.shown
    assert with_auth(lambda auth: auth.tokens.login(EMAIL, PASSWORD)).expires_in == 1800


def test_two_that_differ_are_asked_for_again() -> None:
    add_user()

    with terminal("users", "set-password", EMAIL) as screen:
        screen.answer("Password: ", "a first password")
        screen.answer("Repeat for confirmation: ", "a slip of the hand")
        screen.answer("Password: ", "a second password")
        screen.answer("Repeat for confirmation: ", "a second password")
        exit_code = screen.ended()

    assert exit_code == 0
    assert with_auth(lambda auth: auth.tokens.login(EMAIL, "a second password")).expires_in == 1800


def test_a_token_is_asked_for_and_not_echoed() -> None:
    token = run("tokens", "issue", "usr_1").stdout.strip()

    with terminal("tokens", "inspect") as screen:
        screen.answer("Token: ", token)
        exit_code = screen.ended()

    assert exit_code == 0
    assert b"verifies: yes" in screen.shown
    assert token.encode() not in screen.shown


def test_a_question_left_unanswered_adds_nobody() -> None:
    end_of_file = "\x04"
    with terminal("users", "add", EMAIL) as screen:
        screen.answer("Password: ", end_of_file, end="")
        exit_code = screen.ended()

    assert exit_code == 1
    assert b"Traceback" not in screen.shown
    assert run("users", "list", "--json").stdout.count("usr_") == 0


def test_a_key_is_asked_for_and_not_echoed() -> None:
    add_user()
    made = run_json("keys", "create", EMAIL, "--name", "ci")

    with terminal("keys", "who") as screen:
        screen.answer("API key: ", made["api_key"])
        exit_code = screen.ended()

    assert exit_code == 0
    assert made["id"].encode() in screen.shown
    assert made["api_key"].encode() not in screen.shown
