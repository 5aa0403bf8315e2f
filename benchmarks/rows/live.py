"""Live servers side by side: uvicorn with httptools and uvloop, one process, wall time.

The servers share one core and the load has the other, where there are two; of the servers only one is asked
at a time.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from statistics import median

from benchmarks.harness.contest import there_and_back, undisturbed_time
from benchmarks.harness.figures import FULL, ITSELF, Effort, Figure
from benchmarks.harness.intervals import median_interval
from benchmarks.harness.open_loop import Paced, get, load
from benchmarks.harness.quiet import Watch
from benchmarks.harness.samples import figure_of, percentile
from benchmarks.harness.serving import Cores, Served, cores, keeping_to, serving
from benchmarks.harness.slices import served_per_second as served_in_turns
from benchmarks.harness.wrk import script, served_per_second

# Where its objects lie in memory makes a process a hundredth or two faster or slower for life, so the servers
# are started so often, and asked so often each time: until the bare app equals itself within 0.015.
STARTS, ROUNDS = 15, 3
# How long the bare app is asked how much it can serve, in seconds.
BATCH = 1
# Before each batch of it, in seconds and at this rate, so that no server begins with cold caches.
LEAD_IN, LEAD_IN_RATE = 0.05, 2_000
# The open loop's batch, in seconds, and what goes before it. It is short, since a shared machine stalls for
# milliseconds now and then: most batches are spared.
SHORT_BATCH, SHORT_LEAD_IN = 0.04, 0.01
# How often each is asked for its p99 in a round, there and back.
TURNS, QUICK_TURNS = 24, 6
BARE, AGAIN, OURS = "bare", "bare, once more", "ours"
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that is measured, and the bearer that it is sent. All are as long, so all read the same."""

    served: Served
    key: str = field(repr=False)
    script: Path
    watch: Watch

    def throughput(self) -> float:
        """Return how many requests a second are answered."""
        self.lead_in()
        return self.watch.left_alone(lambda: served_per_second(self.served.port, self.script, BATCH))

    def p99(self, rate: float) -> float:
        """Return the 99th percentile of one batch's times at so many requests a second, in seconds."""
        paced = Paced(repeat(get("/hello", self.key)), rate, SHORT_LEAD_IN + SHORT_BATCH)
        load(self.served.port, paced, spin=True)
        return percentile(paced.latencies[int(rate * SHORT_LEAD_IN) :], 0.99)

    def lead_in(self) -> None:
        load(self.served.port, Paced(repeat(get("/hello", self.key)), LEAD_IN_RATE, LEAD_IN), spin=True)


Round = Mapping[str, float]


def measure(effort: Effort) -> list[Figure]:
    """Measure throughput and p99; a quick run leaves out the first, for wrk needs whole seconds."""
    kept, is_full = cores(), effort.name == FULL.name
    with keeping_to(kept.load):
        figures = [p99_beside("starlette", kept, effort.rounds, TURNS if is_full else QUICK_TURNS)]
        if is_full:
            figures += throughput_beside("starlette", kept)
            figures += throughput_beside("fastapi", kept)
    return figures


def apps_beside(framework: str) -> dict[str, str]:
    """Return which apps of the live server are measured: the bare one twice, and ours."""
    return {BARE: f"bare {framework}", AGAIN: f"bare {framework}", OURS: f"key {framework}"}


def throughput_beside(framework: str, kept: Cores) -> list[Figure]:
    watch = Watch([])
    rounds = throughput_rounds(apps_beside(framework), kept, watch)
    by_name = medians(rounds)
    beside = f"{by_name[OURS]:,.0f} requests a second beside {by_name[BARE]:,.0f}"
    return [
        figure_of(ITSELF, ratios(rounds, AGAIN), of=f"{framework}, live, under wrk"),
        figure_of(
            f"live-{framework}",
            ratios(rounds, OURS),
            requests_per_second=by_name,
            note=f"{beside}{watch.remarks()}",
        ),
    ]


def throughput_rounds(apps: Mapping[str, str], kept: Cores, watch: Watch) -> list[Round]:
    """Start the servers again and again, and return what each answered a second in each round.

    The first round after a start is a lead-in.
    """
    order, rounds = random.Random(SEED), []  # noqa: S311
    for _ in range(STARTS):
        with ExitStack() as stack:
            contenders = started(stack, apps, kept, watch)
            rounds += [throughputs(contenders, order) for _ in range(ROUNDS + 1)][1:]
    return rounds


def throughputs(contenders: Mapping[str, Contender], order: random.Random) -> Round:
    """Return how many requests a second each answers, in turns with the others: a second of each."""
    servers = {name: each.served for name, each in contenders.items()}
    scripts = {name: each.script for name, each in contenders.items()}
    watch = contenders[BARE].watch
    return watch.left_alone(lambda: served_in_turns(servers, scripts, len(servers), order))


def p99_beside(framework: str, kept: Cores, rounds: int, turns: int) -> Figure:
    """Time each request of an open loop at half of what the bare app serves.

    The figure is of the batches that nothing disturbed, the fastest quarter of a round's. How far the bare
    app is from itself is told and voids nothing: the tails of two differ by more than their throughput.
    """
    with ExitStack() as stack:
        contenders = started(stack, apps_beside(framework), kept, watch := Watch([]))
        order = random.Random(SEED)  # noqa: S311
        # The first is a lead-in.
        rates, found = zip(*[p99s(contenders, turns, order) for _ in range(rounds + 1)][1:], strict=True)
    itself = median_interval(ratios(found, AGAIN))
    beside = f"bare beside itself: {itself.value:.3f} ({itself.low:.3f} to {itself.high:.3f})"
    return figure_of(
        "live-p99",
        ratios(found, OURS),
        p99_us={name: seconds * 1e6 for name, seconds in medians(found).items()},
        requests_per_second=median(rates),
        itself=[itself.low, itself.value, itself.high],
        note=f"{beside}{watch.remarks()}",
    )


def started(stack: ExitStack, apps: Mapping[str, str], kept: Cores, watch: Watch) -> dict[str, Contender]:
    """Start the apps. One that knows no key of its own is sent that of ours."""
    served = {name: stack.enter_context(serving(app, kept.servers)) for name, app in apps.items()}
    watch.servers = [each.process for each in served.values()]
    keys = {name: (*each.keys, *served[OURS].keys)[0] for name, each in served.items()}
    return {
        name: Contender(each, keys[name], stack.enter_context(script(keys[name])), watch)
        for name, each in served.items()
    }


def p99s(contenders: Mapping[str, Contender], turns: int, order: random.Random) -> tuple[float, Round]:
    """Return how many requests a second there were in one round, and each one's p99.

    Each round asks anew what half is: of the same server, one second's requests were 1.4 times another's,
    and at 0.7 of what it can serve a p99 is of the queue more than of the request.
    """
    rate = contenders[BARE].throughput() / 2
    found: dict[str, list[float]] = {name: [] for name in contenders}
    watch = contenders[BARE].watch
    for _ in range(turns):
        for name, p99 in watch.left_alone(lambda: turn(contenders, rate, order)):
            found[name].append(p99)
    return rate, {name: undisturbed_time(batches) for name, batches in found.items()}


def turn(contenders: Mapping[str, Contender], rate: float, order: random.Random) -> list[tuple[str, float]]:
    """Return the p99 of two batches of each, by name."""
    return [(name, contenders[name].p99(rate)) for name in there_and_back(contenders, order)]


def ratios(rounds: Sequence[Round], name: str) -> list[float]:
    """Return one contender by the bare app, in each round."""
    return [each[name] / each[BARE] for each in rounds]


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}
