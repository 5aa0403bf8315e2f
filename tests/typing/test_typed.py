"""The types that the package promises (py.typed), seen by mypy in a user's program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> "Check":
    return Check(tmp_path_factory.mktemp("mypy"))


class Check:
    """Runs mypy away from this checkout and its configuration, where a user's program would be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str) -> subprocess.CompletedProcess[str]:
        (self._folder / name).write_text((HERE / name).read_text("utf-8"), "utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", name]
        return subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)


def test_a_users_program_is_right(check: Check) -> None:
    ran = check("program.py")

    assert (ran.stdout.strip(), ran.returncode) == ("Success: no issues found in 1 source file", 0)


def test_a_users_mistakes_are_told(check: Check) -> None:
    expected = {
        (number, line.rpartition("# ")[2])
        for number, line in enumerate((HERE / "mistakes.py").read_text("utf-8").splitlines(), 1)
        if "  # " in line
    }
    told = re.findall(r"^mistakes\.py:(\d+): error: .*\[([\w-]+)\]$", check("mistakes.py").stdout, re.M)

    assert {(int(number), kind) for number, kind in told} == expected
