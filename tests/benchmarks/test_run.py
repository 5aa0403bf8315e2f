"""What a run makes of its figures: void, missed, missing, and the exit code."""

import json
import subprocess
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks.harness.figures import FULL, QUICK, Effort, Figure
from benchmarks.harness.page import END, START
from benchmarks.harness.run import GROUPS, Measure, Run, run
from benchmarks.targets import ALL, BY_NAME, Target
from tests.benchmarks.figures import all_holding, falling_short, figure, holding, itself, run_of

HOT = [target for target in ALL if target.group == "hot"]


def test_a_run_whose_targets_all_hold_passes() -> None:
    measured = run_of(*all_holding("hot"))
    assert measured.passes
    assert command.exit_code(measured, check=True) == 0


@pytest.mark.parametrize("target", HOT, ids=lambda target: target.name)
def test_one_target_that_falls_short_fails_the_check_alone(target: Target) -> None:
    others = [holding(other) for other in HOT if other is not target]
    measured = run_of(itself(), falling_short(target), *others)
    assert measured.missed == [target]
    assert command.exit_code(measured, check=True) == 1
    assert command.exit_code(measured, check=False) == 0


def test_a_figure_on_its_bound_holds() -> None:
    for target in ALL:
        assert target.holds(target.bound)


def test_a_target_without_a_figure_fails_the_check() -> None:
    measured = run_of(itself(), *map(holding, HOT[1:]))
    assert measured.missing == HOT[:1]
    assert command.exit_code(measured, check=True) == 1


def test_a_quick_run_may_leave_rows_out() -> None:
    measured = run_of(itself(), *map(holding, HOT[1:]), effort=QUICK.name)
    assert command.exit_code(measured, check=True) == 0


def test_only_the_rows_that_were_asked_for_can_be_missing() -> None:
    assert run_of(*all_holding("refusals"), groups=["refusals"]).passes


def test_a_figure_without_a_target_decides_nothing() -> None:
    assert run_of(*all_holding("hot"), figure("anything", 1e9)).passes


@pytest.mark.parametrize("check", [True, False])
def test_a_void_run_fails_even_where_nothing_is_checked(check: bool) -> None:
    measured = run_of(*all_holding("hot"), itself(1.02))
    assert [found.value for found in measured.void] == [1.02]
    assert command.exit_code(measured, check=check) == 1


def in_turn(*answers: list[Figure]) -> Measure:
    left = list(answers)
    return lambda group, effort: left.pop(0)


def test_a_group_in_which_an_app_is_not_itself_is_measured_once_more() -> None:
    measured = run(
        ["hot"], FULL, in_turn([itself(1.02), figure("first", 1)], [itself(), figure("second", 1)])
    )
    assert [found.row for found in measured.figures] == ["itself", "second"]
    assert not measured.void


def test_after_the_second_time_it_is_void() -> None:
    measured = run(["hot"], FULL, in_turn([itself(1.02)], [itself(0.98)]))
    assert [found.value for found in measured.void] == [0.98]


def test_a_group_that_equals_itself_is_measured_once() -> None:
    assert run(["hot"], FULL, in_turn([itself()])).figures == [itself()]


def failing(group: str, effort: Effort) -> list[Figure]:
    if group == "hot":
        raise subprocess.CalledProcessError(1, "worker")
    return all_holding(group)


@pytest.mark.parametrize("check", [True, False])
def test_a_group_that_fails_takes_nothing_from_the_others_but_fails_the_run(check: bool) -> None:
    measured = run(["hot", "refusals"], FULL, failing)
    assert measured.failed == ["hot"]
    assert {found.row for found in measured.figures} >= {"refused-missing"}
    assert command.exit_code(measured, check=check) == 1


def test_the_machine_and_the_date_are_written_down() -> None:
    measured = run([], FULL)
    assert measured.machine["cpu"]
    assert measured.machine["cores"] >= 1
    assert measured.machine["libraries"].keys() >= {"callcov-auth", "starlette", "pyjwt"}
    assert measured.date.count("-") == 2


def test_targets_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(ALL)


@pytest.fixture
def measured_hot(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], Effort]]:
    """Runs of the command that measure nothing and find all targets held; what they were asked for."""
    asked: list[tuple[list[str], Effort]] = []

    def measuring(groups: list[str], effort: Effort) -> Run:
        asked.append((groups, effort))
        return run_of(*all_holding("hot"), groups=groups, effort=effort.name)

    monkeypatch.setattr(command, "run", measuring)
    return asked


@pytest.mark.usefixtures("measured_hot")
def test_the_command_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert command.main(["hot", "--check", "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert {each["row"] for each in written["figures"]} == {"itself", *(target.name for target in HOT)}
    assert (written["date"], written["machine"]["cpu"]) == ("2026-01-02", "A CPU")
    assert "cached key on Starlette" in capsys.readouterr().out


@pytest.mark.usefixtures("measured_hot")
def test_the_command_puts_the_table_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}{END}\nafter\n")
    command.main(["hot", "--markdown", str(page)])
    assert "| cached key on Starlette: added time ÷ the bare request |" in page.read_text()
    assert page.read_text().startswith("before")


@pytest.mark.parametrize("option", ["--json", "--svg", "--markdown"])
def test_what_cannot_be_written_is_told_before_anything_is_measured(
    option: str, tmp_path: Path, measured_hot: list[tuple[list[str], Effort]]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["hot", option, str(tmp_path / "no folder" / "file")])
    assert measured_hot == []


def test_without_rows_the_command_measures_all(measured_hot: list[tuple[list[str], Effort]]) -> None:
    command.main([])
    assert [(list(groups), effort) for groups, effort in measured_hot] == [(list(GROUPS), FULL)]


def test_a_quick_run_says_what_it_leaves_out(
    measured_hot: list[tuple[list[str], Effort]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["hot", "--quick", "--check"]) == 0
    assert measured_hot == [(["hot"], QUICK)]
    assert "no peers but those that are installed" in capsys.readouterr().out


def test_a_row_that_there_is_not_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["hott"])
    assert "there is no row hott; there are hot," in capsys.readouterr().err
