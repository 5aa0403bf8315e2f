"""The benchmark of revocations: what it counts, and when it says that a target falls short."""

from pathlib import Path

import pytest

from benchmarks import revocation
from benchmarks.revocation import Lags, main, measure, percentile, report, show


def lags(*rounds: float, mode: str = "redis", stale: int = 0) -> Lags:
    return Lags(mode, rounds, [9.0], stale, unavailable=0, served=1)


@pytest.mark.parametrize("mode", revocation.TARGETS)
def test_a_small_run_sees_every_watcher_refuse_every_key(mode: str, tmp_path: Path) -> None:
    found = measure(mode, tmp_path, rounds=3, watchers=2, load=50)
    assert len(found.rounds) == 3
    # A round that nobody saw the end of would end before it began.
    assert min(found.rounds) > 0
    assert all(call > lag for call, lag in zip(found.calls, found.rounds, strict=True))
    assert (found.stale, found.unavailable) == (0, 0)
    assert found.served > 0


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1.0), (50, 2.0), (75, 3.0), (76, 4.0), (99, 4.0), (100, 4.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


def test_each_mode_is_a_row_and_what_holds_is_no_line_more(capsys: pytest.CaptureFixture[str]) -> None:
    for found in (lags(0.004, 0.05), lags(1.4, mode="polling")):
        show(found)
    assert report([lags(0.004, 0.05), lags(1.4, mode="polling")])
    redis, polling = capsys.readouterr().out.splitlines()
    assert redis.split()[:6] == ["redis", "2", "4.0", "ms", "50.0", "ms"]
    assert polling.split()[0] == "polling"


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (lags(*[0.01] * 98, 0.06, 0.06), "redis: p99 is 60.0 ms, not 50 ms at most"),
        (lags(*[0.01] * 199, 0.3), "redis: worst is 300.0 ms, not 250 ms at most"),
        (lags(1.6, mode="restart"), "restart: worst is 1600.0 ms, not 1500 ms at most"),
        (lags(0.01, stale=2), "redis: a key was let in 2 times after it had been refused"),
    ],
)
def test_what_falls_short_is_named(found: Lags, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not report([found])
    assert capsys.readouterr().out.splitlines()[-1] == problem


def test_the_exit_code_tells_whether_all_targets_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for slowest, code in ((0.01, 0), (9.0, 1)):
        monkeypatch.setattr(revocation, "measure", lambda mode, *_, slow=slowest, **__: lags(slow, mode=mode))
        monkeypatch.setattr(revocation, "silence", lambda: None)
        assert main([]) == code


def test_an_unknown_mode_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pigeons"])
    assert "there is no pigeons" in capsys.readouterr().err
