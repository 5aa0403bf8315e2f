"""Many tries at once over several processes, in small; and that it tells what does not hold."""

from collections import Counter

import pytest

from benchmarks.login_limit import Round, main, report


def test_a_small_run_holds(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--rounds", "2", "--tries", "300", "--processes", "3", "--redis-url", redis_url]
    assert main(given) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-3:] for line in shown[1:3]] == [["5", "to", "5"], ["100", "to", "100"]]
    assert shown[-1] == "holds"


@pytest.mark.parametrize(("evaluated", "let_in"), [(4, 100), (6, 100), (5, 99), (5, 101)])
def test_one_too_many_or_too_few_is_enough(
    evaluated: int, let_in: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(count: int) -> Counter[str]:
        return Counter(evaluated=count, refused=1000 - count)

    right = Round(ended(5), ended(100), 0.1)
    assert report([right], 1000, 8)
    assert not report([right, Round(ended(evaluated), ended(let_in), 0.1)], 1000, 8)
    assert capsys.readouterr().out.splitlines()[-1] == "DOES NOT HOLD"
