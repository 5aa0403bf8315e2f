"""Peers share an environment until their pins conflict. What pip and venv would do is told by the tests."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.harness import venvs
from benchmarks.harness.venvs import (
    Environments,
    InstallFailed,
    NoSuchPython,
    base_python,
    pip_installs,
    without_version,
)

CONFLICTS = ({"left==1", "right==2"}, {"ours>=2", "old-ours"})

Installed = list[tuple[str, list[str]]]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installed:
    """What was installed, by folder. ``left`` and ``right`` conflict, and so do ``old-ours`` and ours."""
    done: Installed = []

    def install(python: str, requirements: list[str]) -> bool:
        if any(set(requirements) >= conflict for conflict in CONFLICTS):
            return False
        done.append((folder_of(python), requirements))
        return True

    monkeypatch.setattr(venvs, "FOLDER", tmp_path)
    monkeypatch.setattr(venvs, "UVLOOP", "uvloop")
    monkeypatch.setattr(venvs, "make", lambda environment: None)
    monkeypatch.setattr(venvs, "our_dependencies", lambda: ["ours>=2"])
    monkeypatch.setattr(venvs, "pip_installs", install)
    return done


def peer(name: str, *requirements: str) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(REQUIREMENTS=requirements, PYTHON=None)
    return module


def folder_of(python: str) -> str:
    return Path(python).parts[-3]


def test_callcov_auth_is_installed_after_what_it_and_the_peer_need(
    installed: Installed, tmp_path: Path
) -> None:
    Environments(tmp_path).python_for(peer("a", "left==1"))
    assert installed == [
        ("environment-1", ["ours>=2", "uvloop", "left==1"]),
        ("environment-1", ["--no-deps", "-e", str(venvs.ROOT)]),
    ]


def test_peers_that_go_together_share_an_environment(installed: Installed, tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    pythons = [environments.python_for(each) for each in (peer("a", "left==1"), peer("b", "other"))]
    assert {folder_of(python) for python in pythons} == {"environment-1"}
    assert installed[-2] == ("environment-1", ["ours>=2", "uvloop", "left==1", "other"])


@pytest.mark.usefixtures("installed")
def test_peers_that_conflict_have_one_each(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    pythons = [environments.python_for(each) for each in (peer("a", "left==1"), peer("b", "right==2"))]
    assert [folder_of(python) for python in pythons] == ["environment-1", "environment-2"]


def test_where_a_peer_conflicts_with_ours_its_own_pins_win(installed: Installed, tmp_path: Path) -> None:
    Environments(tmp_path).python_for(peer("a", "old-ours"))
    assert installed[-2] == ("environment-1", ["ours", "uvloop", "old-ours"])


@pytest.mark.parametrize(
    ("requirement", "name"), [("a-b>=2,<3", "a-b"), ("pyjwt[crypto]>=2.15.1", "pyjwt[crypto]"), ("a", "a")]
)
def test_a_requirement_has_a_name(requirement: str, name: str) -> None:
    assert without_version(requirement) == name


def test_what_an_earlier_run_made_is_used_again(installed: Installed, tmp_path: Path) -> None:
    first = Environments(tmp_path).python_for(peer("a", "left==1"))
    installed.clear()
    assert Environments(tmp_path).python_for(peer("a", "left==1")) == first
    assert installed == []


def test_other_requirements_are_installed(installed: Installed, tmp_path: Path) -> None:
    Environments(tmp_path).python_for(peer("a", "left==1"))
    Environments(tmp_path).python_for(peer("a", "other"))
    assert installed[-2] == ("environment-1", ["ours>=2", "uvloop", "other"])


def test_other_dependencies_of_ours_begin_anew(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Environments(tmp_path).python_for(peer("a", "left==1"))
    monkeypatch.setattr(venvs, "our_dependencies", lambda: ["ours>=9"])
    Environments(tmp_path).python_for(peer("a", "left==1"))
    assert installed[-2] == ("environment-1", ["ours>=9", "uvloop", "left==1"])


def test_a_peer_that_needs_nothing_runs_here(installed: Installed, tmp_path: Path) -> None:
    assert Environments(tmp_path).python_for(peer("a")) == sys.executable
    assert installed == []


@pytest.mark.usefixtures("installed")
def test_a_peer_whose_own_requirements_conflict_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match="a: its own requirements conflict"):
        Environments(tmp_path).python_for(peer("a", *CONFLICTS[0]))


def test_a_failure_that_is_no_conflict_is_told(tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    pip.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    pip.chmod(0o700)
    with pytest.raises(InstallFailed, match="no network"):
        pip_installs(str(pip), [])


def test_pins_that_conflict_are_told_from_that(tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    pip.write_text("#!/bin/sh\necho 'ERROR: ResolutionImpossible: for help' >&2\nexit 1\n")
    pip.chmod(0o700)
    assert pip_installs(str(pip), []) is False


def test_the_python_that_runs_does_where_nothing_newer_is_needed() -> None:
    assert base_python(None) == base_python("3.11") == sys.executable


def test_a_python_that_there_is_not_is_named() -> None:
    with pytest.raises(NoSuchPython, match=r"python3\.99"):
        base_python("3.99")
