"""What the tree may hold: no path of a machine, no registry, no lock file, nothing big."""

import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Where there is no checkout to ask, such as in an unpacked sdist: what tools leave behind.
LEFT_BEHIND = (
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    ".benchmarks",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "site",
    ".coverage*",
    ".env",
    "*.db",
    "*.db-*",
    ".vectors",
    "mutants",
)
MAX_BYTES = 100_000

# Written in parts, so that no pattern finds itself.
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9_.}])/(?:work|farm|root|home|Users)/")
REGISTRY_HOST = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian)\." + r"(?:org|com)\b", re.IGNORECASE)
LOCK_FILES = ("*.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "requirements*.txt")


def tracked() -> list[Path] | None:
    """The files that git keeps or would keep; None outside a checkout of its own."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        return None
    try:
        found = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [ROOT / name for name in found.stdout.decode().split("\0") if name]


def walked() -> Iterator[Path]:
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if not any(fnmatch(part, pattern) for part in parts for pattern in LEFT_BEHIND):
            yield path


@pytest.fixture(scope="module")
def files() -> list[Path]:
    kept = tracked()
    return sorted(path for path in (walked() if kept is None else kept) if path.is_file())


def hits(files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_tree_is_seen(files: list[Path]) -> None:
    seen = {str(path.relative_to(ROOT)) for path in files}
    assert {"pyproject.toml", "README.md", "scripts/test", "src/callcov_auth/auth.py"} <= seen
    assert str(Path(__file__).relative_to(ROOT)) in seen


def test_a_walk_finds_what_git_keeps(files: list[Path]) -> None:
    assert set(files) <= set(walked())


def test_no_file_names_a_path_of_a_machine(files: list[Path]) -> None:
    assert hits(files, MACHINE_PATH) == []


def test_no_file_names_a_package_registry(files: list[Path]) -> None:
    assert hits(files, REGISTRY_HOST) == []


@pytest.mark.parametrize("place", ["root", "home", "Users", "work", "farm"])
@pytest.mark.parametrize("before", ["", "'", " ", "=", "file://", "("])
def test_a_path_of_a_machine_is_recognised(place: str, before: str) -> None:
    assert MACHINE_PATH.search(f"{before}/{place}/someone/file")


@pytest.mark.parametrize("text", ["src/work/", "../home/", "https://example.com/root/"])
def test_other_paths_are_let_be(text: str) -> None:
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("host", ["pypi", "files.pythonhosted", "registry.npmjs", "deb.debian"])
def test_a_registry_is_recognised(host: str) -> None:
    assert REGISTRY_HOST.search(f"https://{host}.{'org'}/simple")


def test_there_is_no_lock_file(files: list[Path]) -> None:
    assert [path for path in files for pattern in LOCK_FILES if fnmatch(path.name, pattern)] == []


def test_nothing_but_tests_is_large(files: list[Path]) -> None:
    outside_tests = [path for path in files if ROOT / "tests" not in path.parents]
    assert [path for path in outside_tests if path.stat().st_size > MAX_BYTES] == []


def test_scripts_can_be_run(files: list[Path]) -> None:
    scripts = [path for path in files if path.read_bytes().startswith(b"#!")]
    assert scripts
    assert [path for path in scripts if not path.stat().st_mode & 0o100] == []
