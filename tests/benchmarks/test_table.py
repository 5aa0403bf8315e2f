"""The table: what stands in it, and that no unsure figure stands there without the words for it."""

from collections.abc import Callable

import pytest

from benchmarks.harness.figures import Figure
from benchmarks.harness.page import NoMarkers, replaced
from benchmarks.harness.run import Run
from benchmarks.harness.table import WIDE, line, lines, markdown, shown, text
from tests.benchmarks.figures import figure, itself, run_of, subject


def test_a_row_shows_figure_interval_target_and_whether_it_holds() -> None:
    found = line(figure("starlette-key", 0.155, spread=0.002))
    assert found.cells() == (
        "cached key on Starlette: added time ÷ the bare request",
        "0.155",
        "0.153 to 0.157",
        "≤ 0.2",
        "yes",
    )


def test_a_row_that_falls_short_says_so() -> None:
    assert line(figure("pyjwt", 29.5, spread=0.1)).holds == "NO"


@pytest.mark.parametrize("row", ["starlette-key", "without a target"])
def test_a_wide_interval_is_said_beside_the_figure(row: str) -> None:
    assert line(figure(row, 0.1, spread=0.006)).figure == f"0.100 ({WIDE})"
    assert line(figure(row, 0.1, spread=0.004)).figure == "0.100"


def test_a_count_has_no_interval() -> None:
    found = line(Figure("cold-crowd-queries", 1, 1, 1))
    assert (found.figure, found.interval, found.holds) == ("1", "", "yes")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.04567, "0.046"), (1.2345, "1.23"), (32.15, "32.1"), (1234.6, "1,235"), (3, "3"), (-0.5, "-0.500")],
)
def test_numbers_have_the_digits_that_mean_something(value: float, said: str) -> None:
    assert shown(value) == said


def test_rows_come_in_the_targets_order_then_others_then_the_app_beside_itself() -> None:
    run = run_of(
        itself(), figure("other", 2), figure("refused-forged", 1), figure("starlette-key", 0.1, spread=0.001)
    )
    assert [found.wording for found in lines(run)] == [
        "cached key on Starlette: added time ÷ the bare request",
        "refusal of a forged key ÷ the bare request",
        "other",
        "the same app, built twice: an app",
    ]


def test_a_note_stands_below_its_row() -> None:
    said = text(run_of(figure("full-cache-hot", 1.2, note="a plain dict pays 9 ×"), groups=[])).splitlines()
    assert said[2] == "  a plain dict pays 9 ×"


@pytest.mark.parametrize("form", [text, markdown])
def test_what_is_void_failed_or_missing_is_said(form: Callable[[Run], str]) -> None:
    said = form(run_of(itself(1.02), groups=["refusals", "hot"], failed=["hot"]))
    assert "VOID: an app beside itself is 1.020" in said
    assert "failed: hot" in said
    assert "not measured: refusal of a forged key ÷ the bare request" in said


def test_markdown_has_the_machine_its_versions_and_the_date() -> None:
    said = markdown(run_of(itself(), groups=[]))
    expected = "Measured on 2026-01-02: A CPU, 2 cores, 8 GiB, Linux x86_64, CPython 3.11.7; starlette 1.0.0."
    assert expected in said


def test_markdown_says_of_each_package_once_what_it_does_more_and_less() -> None:
    tuned = figure("authx", 60, subject=subject("authx", 1, 2, 3), versions={"authx": "1.7.0"})
    documented = figure(
        "authx, as documented", 70, subject=subject("authx", 1, 2, 3), versions={"authx": "1.7.0"}
    )
    ours = figure("starlette-key", 0.1, subject=subject("callcov-auth", 1, 2, 3, more="", less=""))
    said = markdown(run_of(documented, tuned, ours, groups=[]))
    assert said.count("| authx | Much. | Little. | authx 1.7.0 |") == 1
    assert "| callcov-auth" not in said


def test_markdown_lets_no_text_break_its_cells() -> None:
    assert "a \\| b" in markdown(run_of(figure("row", 1, wording="a | b"), groups=[]))


def test_what_stands_between_the_markers_is_replaced_and_nothing_else() -> None:
    page = "# Speed\n\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\n\nafter\n"
    new = replaced(page, "new")
    assert new == "# Speed\n\n<!-- benchmarks -->\n\nnew\n\n<!-- /benchmarks -->\n\nafter\n"
    assert replaced(new, "new") == new


@pytest.mark.parametrize("page", ["", "<!-- benchmarks -->", "<!-- /benchmarks --> <!-- benchmarks -->"])
def test_a_page_without_both_markers_is_refused(page: str) -> None:
    with pytest.raises(NoMarkers, match="<!-- benchmarks -->"):
        replaced(page, "new")
