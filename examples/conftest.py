"""Each example is started by its one command, as a process of its own, once for all its tests."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from callcov_auth.client import ApiKeyAuth, TokenAuth
from examples.development import FAREWELL

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 60


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The variables that the example beside the test prints, while it runs."""
    example = request.path.parent.name
    with started(example, tmp_path_factory.mktemp(example)) as variables:
        yield variables


@pytest.fixture(scope="module")
def by_key(said: Mapping[str, str]) -> Iterator[httpx2.Client]:
    auth = ApiKeyAuth(said["CALLCOV_API_KEY"], allow_loopback_http=True)
    with httpx2.Client(base_url=said["API"], auth=auth, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def by_token(said: Mapping[str, str]) -> Iterator[httpx2.Client]:
    auth = TokenAuth(said["API"], said["EMAIL"], said["PASSWORD"], allow_loopback_http=True)
    with httpx2.Client(base_url=said["API"], auth=auth, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def token(said: Mapping[str, str]) -> str:
    login = {"email": said["EMAIL"], "password": said["PASSWORD"]}
    answer = httpx2.post(f"{said['API']}/api/v1/auth/login", json=login, trust_env=False)
    return str(answer.json()["access_token"])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def started(example: str, folder: Path, *, where: Path = ROOT) -> Iterator[Mapping[str, str]]:
    """Run ``python -m examples.EXAMPLE`` on free ports, and end it tidily. Its output goes to ``folder``."""
    output, log = folder / "output", folder / "log"
    command = [sys.executable, "-m", f"examples.{example}", "--port", "0"]
    with output.open("wb") as out, log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=where, stdout=out, stderr=errors)
    try:
        variables = _variables(process, output, log)
        yield variables
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_TIMEOUT)
    assert process.returncode == 0, log.read_text()
    assert not Path(variables.get("CURL_CA_BUNDLE", "not made")).exists(), "its folder is left behind"


def _variables(process: "subprocess.Popen[bytes]", output: Path, log: Path) -> Mapping[str, str]:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        text = output.read_text()
        if FAREWELL in text:
            return dict(re.findall(r"^export (\w+)=(.+)$", text, re.M))
        time.sleep(0.02)
    raise AssertionError(f"the example did not start: {log.read_text()}")


@pytest.fixture(autouse=True)
def settings_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who runs the tests has set changes nothing."""
    for name in list(os.environ):
        if name.upper().startswith("CALLCOV_AUTH_"):
            monkeypatch.delenv(name)
