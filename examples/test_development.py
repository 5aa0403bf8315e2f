"""What the start of every example promises, whatever it is started in."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from examples.conftest import ROOT, started
from examples.development import HOST, listening
from examples.programs import Program, python, run, take_ports
from tests.support.polling import eventually_in_thread

ANSWERS = 60


def start(example: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"examples.{example}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=ANSWERS
    )


def test_what_is_set_outside_changes_nothing_and_every_start_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    # Read, it would stop the start.
    (second / ".env").write_text("CALLCOV_AUTH_NO_SUCH_SETTING=1\n")
    with started("fastapi_app", first) as plain:
        monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "postgresql://production.example.com/auth")
        monkeypatch.setenv("CALLCOV_AUTH_NEITHER_IS_THIS", "1")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
        with started("fastapi_app", second, where=second) as other:
            assert plain.keys() == other.keys() == {"API", "EMAIL", "PASSWORD", "CALLCOV_API_KEY"}
            assert all(plain[name] != other[name] for name in ("PASSWORD", "CALLCOV_API_KEY"))


@pytest.mark.parametrize("example", ["starlette_websockets", "two_services"])
def test_a_port_in_use_is_one_line(example: str) -> None:
    with listening(0) as taken:
        port = str(taken.getsockname()[1])
        refused = start(example, "--port", port)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"Port {port} cannot be used")


@pytest.mark.parametrize(
    ("example", "module", "extras"),
    [("litestar_app", "litestar", "frameworks,server"), ("two_services", "uvicorn", "server,client")],
)
def test_a_package_that_is_missing_is_one_line(
    tmp_path: Path, example: str, module: str, extras: str
) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError(name={module!r})\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    refused = start(example, "--port", "0", PYTHONPATH=path)
    assert refused.returncode == 1
    assert refused.stderr == f"{module} is not installed: pip install '.[{extras}]'\n"


def test_where_one_program_ends_the_others_end_too() -> None:
    staying, ending = take_ports(0, 0)
    ends = f"import socket; socket.create_server(({HOST!r}, {ending})).accept()"
    said: list[str] = []
    with pytest.raises(SystemExit, match="one of the programs ended"):
        run(
            Program(python("http.server", "--bind", HOST, str(staying)), staying),
            Program((sys.executable, "-c", ends), ending),
            say=lambda: said.append("all answer"),
        )
    assert said == ["all answer"]
    eventually_in_thread(lambda: not is_listening(staying))


def test_a_program_that_does_not_start_ends_it_all() -> None:
    staying, never = take_ports(0, 0)
    with pytest.raises(SystemExit, match="one of the programs did not start"):
        run(
            Program(python("http.server", "--bind", HOST, str(staying)), staying),
            Program((sys.executable, "-c", ""), never),
            say=lambda: pytest.fail("not all answer"),
        )
    assert not is_listening(staying)


def is_listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((HOST, port)) == 0
