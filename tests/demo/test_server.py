"""``run_demo``: a server that stays up, and a script to paste that shows all of CallCov's documentation."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from callcov_auth.demo.server import run_demo
from callcov_auth.demo.settings import EMAIL, PASSWORD, SCOPES, demo_settings

RUN_DEMO = "from callcov_auth.demo.server import run_demo; run_demo(0)"
LAST_LINE = "# Ctrl-C here ends the demo\n"
TIMEOUT = 60.0

CURLS = ["stand-in", *(["curl"] if shutil.which("curl") else [])]


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a demo that keeps its files in ``folder``, and the script that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN_DEMO],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs these tests in its background has them, and so the demo, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process, printed_by(process)
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def printed_by(process: subprocess.Popen[str]) -> str:
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line == LAST_LINE:
            return "".join(lines)
    raise AssertionError(f"the demo ended after {lines}")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a running demo printed."""
    with running_demo(tmp_path_factory.mktemp("demo")) as (_, printed):
        yield printed


def pasted(script: str, folder: Path, curl: str) -> list[dict[str, Any]]:
    """Run ``script`` in bash and return the JSON that it shows."""
    commands = folder / "bin"
    commands.mkdir()
    (commands / "python3").symlink_to(sys.executable)
    if curl == "stand-in":
        stand_in = commands / "curl"
        stand_in.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent}/stand_in_curl.py" "$@"\n'
        )
        stand_in.chmod(0o755)
    (folder / "script.sh").write_text(script)
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", str(folder / "script.sh")],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("curl", CURLS)
def test_the_printed_script_runs_as_it_is_pasted(script: str, tmp_path: Path, curl: str) -> None:
    login, me, refreshed, created, analyses, revoked, refusal = pasted(script, tmp_path, curl)

    assert login["token_type"] == "bearer"
    assert login["expires_in"] == 1800
    assert me["email"] == EMAIL
    assert me["scopes"] == list(SCOPES)
    assert refreshed["refresh_token"] == login["refresh_token"]
    assert refreshed["access_token"] != login["access_token"]
    assert created["name"] == "Production Server Key"
    assert created["api_key"].startswith("sk_live_")
    assert analyses["asked_by"]["kind"] == "api_key"
    assert revoked["success"] is True
    assert refusal["error"]["code"] == "token_revoked"


def test_it_shows_every_example_of_the_documentation(script: str) -> None:
    examples = [
        "POST /api/v1/auth/login",
        "GET /api/v1/users/me",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/api-keys/",
        "GET /api/v1/analysis/",
        "DELETE /api/v1/api-keys/$KEY_ID",
    ]
    shown = [line.split(" -X ")[1].split(" \\")[0] for line in script.splitlines() if " -X " in line]
    assert set(examples) == {f"{line.split(' http')[0]} /{line.split('/', 3)[3]}" for line in shown}


def test_it_names_the_server_that_runs_and_no_other(script: str) -> None:
    assert "api.callcov.com" not in script
    base_url = script.split(" with ")[0].removeprefix("# CallCov demo on ").rstrip(",")
    assert httpx2.get(f"{base_url}/health", trust_env=False).json() == {"status": "ok"}
    assert script.count("http://") == script.count(base_url)


def test_it_says_who_may_log_in_and_that_https_is_off(script: str) -> None:
    assert EMAIL in script
    assert PASSWORD in script
    assert "require_https is off" in script


def test_an_interactive_zsh_can_read_its_comments_as_commands(script: str) -> None:
    comments = "".join(line for line in script.splitlines() if line.startswith("#"))
    assert not set(comments) & set("'\"`()$*?[]<>|&;~\\")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_and_removes_its_files(tmp_path: Path, ending: signal.Signals) -> None:
    with running_demo(tmp_path) as (process, _):
        assert list(tmp_path.rglob("*.db"))
        process.send_signal(ending)
        _, complaints = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, complaints) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            run_demo(port)
    why = os.strerror(errno.EADDRINUSE)
    assert stopped.value.code == f"Port {port} cannot be used ({why}): name another with --port"


def test_no_setting_from_outside_changes_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CALLCOV_AUTH_REALM=elsewhere\n")
    monkeypatch.setenv("CALLCOV_AUTH_API_PREFIX", "/elsewhere")
    settings = demo_settings(tmp_path)
    assert (settings.realm, settings.api_prefix) == ("callcov", "/api/v1")


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        ("server import run_demo as run; run(0)", "fastapi, uvicorn, websockets"),
        ("check import run_check as run; run()", "fastapi, uvicorn, websockets, httpx2"),
    ],
)
def test_missing_extras_are_one_line_with_the_cure(call: str, missing: str) -> None:
    without = "import sys; sys.modules.update(dict.fromkeys(['fastapi', 'uvicorn', 'websockets', 'httpx2']))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{without}; from callcov_auth.demo.{call}"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == f"The demo needs {missing}: pip install 'callcov-auth[fastapi,server,client]'\n"
