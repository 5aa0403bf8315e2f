"""The simulation of many processes: that it does as the package does, and what it says breaks."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks import scaling
from benchmarks.scale import real
from benchmarks.scale.costs import Costs, measure_costs
from benchmarks.scale.limits import load_of, rounded
from benchmarks.scale.model import Fleet, Process, Rates, rank, simulate
from benchmarks.scaling import Comparison, main
from callcov_auth.store.statements import MAX_CHANGES
from tests.support.redis_server import RedisServer

COSTS = Costs(1e-6, 3e-4, 2e-4, 1e-3, 1e-6, 1700.0, 5e7, 600.0)
SMALL = Fleet(4, keys=50, requests=400, revocations=0, pushed=False)


def rates(fleet: Fleet, seconds: float = 100, warm_up: float = 0.0) -> Rates:
    return Process(fleet, lookup=0.0, seed=1).run(seconds, warm_up=warm_up)


def test_one_seed_gives_one_answer() -> None:
    fleet = replace(SMALL, revocations=2.0, pushed=True)
    answers = [Process(fleet, lookup=0.001, seed=seed).run(50) for seed in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def test_a_process_gets_its_share_of_the_requests() -> None:
    assert rates(SMALL).requests == pytest.approx(100, rel=0.05)


def test_each_key_is_looked_up_once_while_its_entry_lives() -> None:
    assert rates(SMALL, 50).lookups * 50 == 50
    assert rates(replace(SMALL, cache_ttl=1e9), 50, warm_up=50).lookups == 0


def test_a_small_cache_is_asked_in_vain() -> None:
    assert rates(replace(SMALL, cache_size=5)).lookups > 10
    assert rates(replace(SMALL, cache_size=5)).entries == 5


@pytest.mark.parametrize(
    ("pushed", "revocations", "polls"), [(False, 50, 1.0), (True, 0, 1.0), (True, 5000, 2.67)]
)
def test_it_polls_once_an_interval_and_four_times_at_most(
    pushed: bool, revocations: float, polls: float
) -> None:
    fleet = replace(SMALL, requests=0, pushed=pushed, revocations=revocations)
    assert rates(fleet, 20).polls == pytest.approx(polls, rel=0.1)


def test_more_changes_than_a_poll_can_tell_empty_the_cache() -> None:
    many = replace(SMALL, revocations=MAX_CHANGES * 1.2)
    assert rates(many, 20, warm_up=20).lookups > 10
    assert "empties the cache" in "".join(load_of(many, rates(many, 20), COSTS).broken)


def test_a_use_is_written_once_a_minute_in_one_batch_an_interval() -> None:
    assert rates(replace(SMALL, cache_ttl=0.001), 20).touches <= 1.0
    assert rates(replace(SMALL, cache_ttl=0.001), 10, warm_up=40).touches == 0


def test_requests_routed_by_key_meet_fewer_keys() -> None:
    fleet = Fleet(100, keys=1_000_000, requests=1000, revocations=0)
    anywhere, routed = (
        simulate(replace(fleet, routed=routed), lookup=0.0, seed=1).lookups for routed in (False, True)
    )
    assert routed < anywhere


def test_a_key_asked_for_is_one_of_those_there_are() -> None:
    drawn = [rank(Random(seed), 3) for seed in range(200)]
    assert set(drawn) == {1, 2, 3}
    assert drawn.count(1) > drawn.count(2) > drawn.count(3)


def test_what_a_process_does_is_done_by_all() -> None:
    fleet = replace(SMALL, pushed=True, revocations=2.0)
    load = load_of(fleet, Rates(100, 5, 1, 2, 0.5, 2, 50), COSTS)
    assert load.reads == pytest.approx(4 * (5 + 1 + 1 / 5 + 1 / 30) + 2)
    assert load.writes == pytest.approx(4 * 0.5 + 2)
    assert load.redis_messages == pytest.approx(4 * 2 + 4 + 2)
    assert load.process_bytes == 5e7 + 50 * 1700
    assert load.broken == ()


def test_a_redis_that_cannot_follow_leaves_the_poll() -> None:
    fleet = Fleet(10_000, 10**9, requests=10**6, revocations=200)
    load = load_of(fleet, Rates(100, 50, 4, 200, 1, 200, 100), COSTS)
    assert load.at_most == pytest.approx(fleet.interval, rel=0.01)
    broken = "; ".join(load.broken)
    for part in (
        "reads",
        "writes",
        "connections to the database",
        "Redis, 2.0 processors",
        "connections to Redis",
    ):
        assert part in broken


def test_pushes_are_late_by_what_redis_has_to_tell() -> None:
    quick, slow = (
        load_of(replace(SMALL, pushed=True, processes=count), rates(SMALL), COSTS) for count in (2, 2000)
    )
    assert COSTS.push < quick.at_most < slow.at_most < 2 * SMALL.interval


@pytest.mark.parametrize(
    ("value", "shown"), [(0.04, "0.0"), (9.94, "9.9"), (99.4, "99"), (1234, "1,200"), (987_654, "990,000")]
)
def test_a_rate_is_shown_by_two_digits(value: float, shown: str) -> None:
    assert rounded(value) == shown


def test_a_row_has_a_cell_for_each_column() -> None:
    load = load_of(SMALL, rates(SMALL), COSTS)
    header, line, row, _ = scaling.markdown_of_loads(scaling.DESIGNS[0], [load])[2:]
    assert header.count("|") == line.count("|") == row.count("|")


def test_real_processes_hear_what_is_revoked_and_count_what_they_ask(tmp_path: Path) -> None:
    fleet = Fleet(2, keys=20, requests=80, revocations=10.0, interval=0.2, cache_ttl=0.5)
    counted = real.run(fleet, tmp_path, seconds=2, seed=1)
    assert counted.requests > counted.lookups > 0
    assert min(counted.polls, counted.messages, counted.touches) > 0


def test_the_costs_are_measured(own_redis: RedisServer, tmp_path: Path) -> None:
    costs = measure_costs(own_redis, tmp_path)
    assert 0 < costs.hit < costs.lookup
    assert min(costs.poll, costs.push, costs.delivery) > 0
    assert 1000 < costs.entry_bytes < 5000
    assert 100 < costs.stored_bytes < 5000
    assert costs.process_bytes > 2**20


@pytest.mark.parametrize(("lookups", "code"), [(14.0, 0), (16.0, 1), (6.0, 1)])
def test_the_exit_code_tells_whether_real_runs_are_as_simulated(
    lookups: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = Rates(100, 10, 1, 2, 1, 2, 50)
    found = Comparison(1, replace(simulated, lookups=lookups), simulated)
    monkeypatch.setattr(scaling, "measure_costs", lambda *_: COSTS)
    monkeypatch.setattr(scaling, "compare", lambda *_: found)
    monkeypatch.setattr(scaling, "SIZES", ((2, 100),))
    monkeypatch.setattr(scaling, "simulate", lambda *_, **__: simulated)
    monkeypatch.setattr(scaling, "silence", lambda: None)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmarks -->\n<!-- /benchmarks -->\nafter\n")
    assert main(["--markdown", str(page)]) == code
    written = page.read_text()
    assert written.startswith("before\n")
    assert f"{lookups:.2f} ÷ 10.00" in written
