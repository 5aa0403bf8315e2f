"""The time of the imports: that it is measured, and that a longer one is told."""

import pytest

from benchmarks.import_time import BESIDE, GUARDED, NAMES, PACKAGE, main, report


def test_each_import_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=3)[3] for line in shown[: len(NAMES)]] == list(NAMES.values())
    assert all(float(line.split()[0]) > 0 for line in shown[: len(NAMES)])


@pytest.mark.parametrize(("package", "holds"), [(1.0, True), (1.25, True), (1.26, False)])
def test_more_than_a_quarter_more_does_not_hold(
    package: float, holds: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report({BESIDE: 1.0, PACKAGE: package, GUARDED: 9.0}) is holds
    assert ("DOES NOT HOLD" in capsys.readouterr().out) is not holds
