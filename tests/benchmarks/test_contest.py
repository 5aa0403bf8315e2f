"""How apps are measured: what is sent, how often, and what is charged to whom. The clock is the tests'."""

import asyncio
import time

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.harness.contest import Entrant, contest, figure, itself, undisturbed_time
from benchmarks.harness.figures import Effort
from benchmarks.harness.requests import Leg, WrongAnswer, cpu_time, no_app, scope_of
from benchmarks.peers.subject import Headers, Subject

EFFORT = Effort("test", rounds=15, turns=2, scale=1)
HEADERS_TAKE = 300


class Clock:
    """CPU time that only apps spend, in ns."""

    def __init__(self) -> None:
        self.now = 0
        self.seen: list[str] = []

    def app(self, name: str, takes: int, status: int = 200) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            self.seen.append(name)
            self.now += takes
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return answer

    def headers(self) -> Headers:
        self.now += HEADERS_TAKE
        return [(b"authorization", b"Bearer something")]

    def entrant(self, name: str, app: int, bare: int) -> Entrant:
        apps = self.app(name, app), self.app(f"bare {name}", bare)
        return Entrant(name, Subject(name, True, *apps, self.headers, "", ""))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "process_time_ns", lambda: clock.now)
    return clock


def test_the_app_is_charged_for_what_it_adds_and_not_for_making_the_request(clock: Clock) -> None:
    rounds = asyncio.run(contest([clock.entrant("a", 90_000, 70_000)], EFFORT))
    assert len(rounds) == EFFORT.rounds
    for each in rounds:
        assert each["a"].app == pytest.approx(90_000)
        assert each["a"].bare == pytest.approx(70_000)
        assert each["a"].added == pytest.approx(20_000)


def test_of_a_machine_with_two_speeds_the_faster_one_counts() -> None:
    slow, fast = [1_160.0] * 6, [1_000.0] * 2
    assert undisturbed_time([*slow, *fast]) == undisturbed_time([*fast, *slow]) == 1_000
    assert undisturbed_time([1_002, 1_000, *slow]) == 1_001
    assert undisturbed_time([7]) == 7


def test_a_figure_is_the_median_of_the_rounds_ratios(clock: Clock) -> None:
    entrants = [clock.entrant("ours", 80_000, 70_000), clock.entrant("theirs", 570_000, 70_000)]
    rounds = asyncio.run(contest(entrants, EFFORT))
    found = figure("row", rounds, lambda each: each["theirs"].added / each["ours"].added, note="n")
    assert (found.row, found.value, found.detail) == ("row", pytest.approx(50), {"note": "n"})


def test_an_app_beside_itself_is_one(clock: Clock) -> None:
    entrants = [clock.entrant("one", 90_000, 70_000), clock.entrant("other", 90_000, 70_000)]
    found = itself("an app", asyncio.run(contest(entrants, EFFORT)), "one", "other")
    assert (found.row, found.value, found.detail["of"]) == ("itself", pytest.approx(1), "an app")


def test_an_app_that_is_slow_by_itself_comes_twice_in_a_round(clock: Clock) -> None:
    asyncio.run(contest([clock.entrant("slow", 250_000_000, 70_000)], EFFORT))
    calibrating, a_batch_and_its_lead_in = 2, 2
    assert clock.seen.count("slow") == calibrating + EFFORT.rounds * 2 * a_batch_and_its_lead_in


def test_apps_come_in_a_random_order_and_back(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr("benchmarks.harness.contest.BATCH", 1)
    entrants = [clock.entrant("a", 1_000, 1_000), clock.entrant("b", 1_000, 1_000)]
    asyncio.run(contest(entrants, EFFORT))
    seen = [name for name in clock.seen if name in ("a", "b")]
    assert seen[:4] == ["a", "a", "b", "b"], "each is timed before the first round"
    batches = seen[4::2]
    assert batches == seen[5::2], "a request that leads in, and the one that counts"
    turns = {tuple(batches[at : at + 4]) for at in range(0, len(batches), 4)}
    assert turns == {("a", "b", "b", "a"), ("b", "a", "a", "b")}


def test_an_app_that_answers_otherwise_is_not_measured(clock: Clock) -> None:
    leg = Leg(clock.app("refusing", 1, status=401), clock.headers)
    with pytest.raises(WrongAnswer, match="401 in the place of 200"):
        asyncio.run(cpu_time(leg, 1))


def test_a_refusal_can_be_what_is_asked_for(clock: Clock) -> None:
    leg = Leg(clock.app("refusing", 1_000, status=401), clock.headers, status=401)
    assert asyncio.run(cpu_time(leg, 10)) == 1_000 + HEADERS_TAKE


def test_the_request_alone_is_what_no_app_takes(clock: Clock) -> None:
    assert asyncio.run(cpu_time(Leg(no_app, clock.headers, status=0), 10)) == HEADERS_TAKE


def test_no_two_requests_share_what_a_server_makes_anew() -> None:
    one, other = scope_of([]), scope_of([])
    assert one == other
    assert one["headers"] is not other["headers"]
    assert one["state"] is not other["state"]
    assert one["headers"][0][0] is not other["headers"][0][0]


def test_an_app_that_waits_for_the_client_to_leave_hears_of_it_after_its_answer() -> None:
    heard: list[str] = []

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch() -> None:
            while (message := await receive())["type"] != "http.disconnect":
                heard.append(message["type"])
            heard.append("answered" if answered else "too early")

        answered = False
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        answered = True
        await send({"type": "http.response.body", "body": b""})
        await watching

    asyncio.run(cpu_time(Leg(streaming, list), 1))
    assert heard == ["http.request", "answered"]
