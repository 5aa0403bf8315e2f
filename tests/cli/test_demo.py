"""``demo``: the command is the door to the demo, which has tests of its own."""

import re
import socket

import pytest

from callcov_auth.demo import check
from tests.cli.running import run, run_process


def test_the_whole_conversation_holds() -> None:
    checked = run_process("demo", "--check")

    assert checked.returncode == 0, checked.stdout
    held = re.fullmatch(r"(\d+) of (\d+) steps hold", checked.stdout.splitlines()[-1])
    assert held is not None
    assert held[1] == held[2]
    assert int(held[1]) >= 30


def test_a_step_that_does_not_hold_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "run_check", lambda: 1)

    assert run("demo", "--check").exit_code == 1


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run_process("demo", "--port", port)

    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"Port {port} cannot be used" in line
