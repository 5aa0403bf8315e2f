"""The types that the package promises (py.typed), seen by mypy and by pyright in a user's program."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISTAKES = {
    (number, line.rpartition("# ")[2])
    for number, line in enumerate((HERE / "mistakes.py").read_text("utf-8").splitlines(), 1)
    if "  # " in line
}
# What pyright calls the mistakes that mypy knows by these names.
RULES = {
    "arg-type": "reportArgumentType",
    "attr-defined": "reportAttributeAccessIssue",
    "call-arg": "reportCallIssue",
    "misc": "reportAttributeAccessIssue",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Away from this checkout and its configuration, where a user's program would be."""
    made = tmp_path_factory.mktemp("typed")
    for name in ("program.py", "mistakes.py"):
        (made / name).write_text((HERE / name).read_text("utf-8"), "utf-8")
    return made


def mypy(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def pyright(folder: Path, name: str, *, mode: str) -> set[tuple[int, str]]:
    """Return each line that pyright complains of, with its rule."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": mode}), "utf-8")
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", name]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = json.loads(ran.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    return {(one["range"]["start"]["line"] + 1, one.get("rule")) for one in told["generalDiagnostics"]}


def test_a_users_program_is_right_for_mypy(folder: Path) -> None:
    ran = mypy(folder, "program.py")

    assert (ran.stdout.strip(), ran.returncode) == ("Success: no issues found in 1 source file", 0)


def test_a_users_program_is_right_for_pyright(folder: Path) -> None:
    assert pyright(folder, "program.py", mode="strict") == set()


def test_mypy_tells_of_a_users_mistakes(folder: Path) -> None:
    told = re.findall(
        r"^mistakes\.py:(\d+): error: .*\[([\w-]+)\]$", mypy(folder, "mistakes.py").stdout, re.M
    )

    assert {(int(number), kind) for number, kind in told} == MISTAKES


def test_pyright_tells_of_a_users_mistakes(folder: Path) -> None:
    expected = {(number, RULES[kind]) for number, kind in MISTAKES}

    assert pyright(folder, "mistakes.py", mode="standard") == expected
