"""What docs/deploy.md shows, as far as it can be run or read here; nginx's part is in tests/server."""

import os
import re
import secrets
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from callcov_auth import AuthSettings
from callcov_auth.asgi.endpoints import CHECK_PATH
from callcov_auth.asgi.forwarded import identity_headers
from callcov_auth.cli.serve import STOP_GRACE
from callcov_auth.principal import ANONYMOUS
from tests.support.nginx_server import free_port
from tests.support.polling import eventually_in_thread

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
TIMEOUT = 60
IDENTITY = {name.lower() for name in identity_headers(ANONYMOUS)}


def block(kind: str, under: str) -> str:
    """Return the first block of this kind under a heading of the page."""
    section = PAGE.split(f"\n## {under}\n")[1].split("\n## ")[0]
    found = re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def service() -> ConfigParser:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini", "As a service of systemd"))
    return unit


def compose() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(block("yaml", "In containers"))["services"]["auth"]
    return found


def arguments() -> dict[str, list[str]]:
    """The command lines that the page shows, without the program's own name."""
    docker = re.search(r"^CMD (\[.*\])$", block("dockerfile", "In containers"), re.MULTILINE)
    assert docker is not None
    commands = {
        "systemd": service()["Service"]["ExecStart"].split(),
        "compose": compose()["command"],
        "docker": yaml.safe_load(docker[1]),
    }
    assert {Path(command[0]).name for command in commands.values()} == {"callcov-auth"}
    return {name: command[1:] for name, command in commands.items()}


@pytest.mark.parametrize("way", ["systemd", "compose", "docker"])
def test_the_command_runs_is_healthy_and_stops(way: str, tmp_path: Path) -> None:
    port = str(free_port())
    command = [part.replace("8000", port).replace("0.0.0.0", "127.0.0.1") for part in arguments()[way]]
    probe = compose()["healthcheck"]["test"]
    assert probe[:2] == ["CMD", "python"]
    env = {
        **os.environ,
        "CALLCOV_AUTH_SECRET": secrets.token_urlsafe(48),
        "CALLCOV_AUTH_TRUSTED_PROXIES": "127.0.0.1",
        "CALLCOV_AUTH_DATABASE_URL": f"sqlite:///{tmp_path}/callcov_auth.db",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "callcov_auth", *command], stderr=log, env=env)
    try:
        asks = [sys.executable, *probe[2:-1], probe[-1].replace("8000", port)]
        eventually_in_thread(lambda: subprocess.run(asks, capture_output=True).returncode == 0)
        answer = httpx2.get(
            f"http://127.0.0.1:{port}/api/v1{CHECK_PATH}", headers={"X-Forwarded-Proto": "https"}
        )
        assert answer.json()["error"]["code"] == "missing_token"
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait(TIMEOUT)
    assert subprocess.run(asks, capture_output=True).returncode != 0


def test_a_stop_has_the_time_that_it_needs() -> None:
    assert int(service()["Service"]["TimeoutStopSec"]) > STOP_GRACE
    assert int(compose()["stop_grace_period"].removesuffix("s")) > STOP_GRACE
    assert "SIGTERM" in service()["Service"]["SuccessExitStatus"]


def test_every_setting_that_is_shown_is_one() -> None:
    shown = set(re.findall(r"CALLCOV_AUTH_([A-Z_]+)", PAGE))
    assert shown
    assert {name.lower() for name in shown} <= set(AuthSettings.model_fields)


def test_traefik_asks_and_is_told_everything() -> None:
    http = yaml.safe_load(block("yaml", "Traefik"))["http"]
    asks = http["middlewares"]["callcov-auth"]["forwardAuth"]
    assert asks["address"].endswith(f"/api/v1{CHECK_PATH}")
    assert {name.lower() for name in asks["authResponseHeaders"]} == IDENTITY
    assert "Authorization" in asks["authRequestHeaders"]
    assert http["routers"]["app"]["middlewares"] == ["callcov-auth"]


def test_envoy_asks_and_is_told_everything() -> None:
    (asks,) = yaml.safe_load(block("yaml", "Envoy"))["http_filters"]
    config = asks["typed_config"]
    assert config["failure_mode_allow"] is False
    assert config["http_service"]["path_prefix"] == f"/api/v1{CHECK_PATH}"
    allowed = {
        pattern.get("exact", pattern.get("prefix"))
        for pattern in config["http_service"]["authorization_request"]["allowed_headers"]["patterns"]
    }
    assert {"x-original-uri", "x-forwarded-uri"}.isdisjoint(allowed)
    (taken,) = config["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
    assert all(name.startswith(taken["prefix"]) for name in IDENTITY)


def test_the_image_installs_extras_that_there_are() -> None:
    asked = re.search(r'"/src\[([a-z,]+)\]"', block("dockerfile", "In containers"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert asked is not None
    assert set(asked[1].split(",")) <= set(extras)
