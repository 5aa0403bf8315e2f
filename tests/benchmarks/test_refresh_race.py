"""The race of many clients on one refresh token, in small; and that it tells what does not hold."""

import pytest

from benchmarks.refresh_race import PROMISE, Findings, main, report


def test_a_small_race_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "2", "--clients", "8", "--grace", "1"]) == 0
    shown = capsys.readouterr().out
    assert "families whose first token was stolen" in shown
    assert shown.splitlines()[-1] == "holds"


@pytest.mark.parametrize(
    "wrong",
    [
        {"refused": ["token_revoked"]},
        {"forked": ["[1, 2] after 0"]},
        {"alive": ["200"]},
        {"died_after": [0.1, PROMISE + 0.001]},
        {"died_after": []},
    ],
    ids=lambda wrong: " ".join(wrong),
)
def test_one_wrong_answer_is_enough(
    wrong: dict[str, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    right = Findings(asked=2, took=[0.01, 0.02], died_after=[0.1])
    assert report(right)
    for name, seen in wrong.items():
        setattr(right, name, seen)
    assert not report(right)
    assert capsys.readouterr().out.splitlines()[-1] == "DOES NOT HOLD"
