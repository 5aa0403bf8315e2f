"""The site, built once for all tests that look at it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.markdown import ROOT


@dataclass(frozen=True, slots=True)
class Site:
    """``pages`` are the built ones, and ``said`` is what was told meanwhile."""

    folder: Path
    said: str

    @property
    def pages(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*.html") if path.name != "404.html")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("CALLCOV_AUTH_")}
    # As scripts/docs does it.
    env["NO_MKDOCS_2_WARNING"] = "1"
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return Site(folder, ran.stdout + ran.stderr)
