"""Secrets typed at a terminal: asked for, without an echo."""

import pytest

from tests.cli.running import EMAIL, PASSWORD, add_user, run, run_json, with_auth
from tests.cli.terminal import terminal

pytestmark = pytest.mark.usefixtures("installation")


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

    assert exit_code == 130, "as where Ctrl-C ends a command"
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
