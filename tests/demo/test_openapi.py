"""Schemathesis against the demo: what its OpenAPI says holds, whatever is sent.

The demo is another process, for what Schemathesis makes up as passwords, it makes up as names too, and the
watch for leaks would find them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.markdown import ROOT

CONFIG = Path(__file__).with_name("schemathesis.toml")
TIMEOUT = 120.0


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """The demo's address, and a token of its user's."""
    command = [sys.executable, "-m", "tests.demo.served", folder]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdin is not None
        assert demo.stdout is not None
        with demo.stdin:
            url, token = demo.stdout.readline().split()
            yield url, token


def test_the_demo_is_what_its_openapi_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG, "run", "--no-color"]
    report = ["--report", "json", "--report-json-path", "report.json"]
    with served(tmp_path) as (url, token):
        ran = subprocess.run(
            [*command, *report, f"{url}/openapi.json"],
            env={**os.environ, "DEMO_TOKEN": token},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["complete"]
    assert found["operations"]["tested"] == found["operations"]["total"] == 14
    statuses = {name: phase["status"] for name, phase in found["phases"].items() if name != "examples"}
    assert statuses == {"coverage": "success", "fuzzing": "success", "stateful": "success"}
    # Nobody logs in by chance; every other operation did what it is for.
    never = {
        operation
        for operation, phases in found["valid_rates"].items()
        if not any(rate["accepted"] for rate in phases.values())
    }
    assert never <= {"POST /api/v1/auth/login", "POST /api/v1/auth/refresh"}
