"""Forged keys as fast as they go, beside good ones, and beside them as many requests to a public path."""

import json
import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice, repeat
from math import inf
from statistics import median

from benchmarks.harness.figures import Effort, Figure
from benchmarks.harness.open_loop import Crowd, Paced, get, load
from benchmarks.harness.quiet import Watch
from benchmarks.harness.samples import count_of, figure_of, percentile
from benchmarks.harness.serving import Served, cores, keeping_to, serving
from benchmarks.harness.stores import IN_VAIN

FORGED = 500_000
CONNECTIONS = 16
# How many requests a second the hundred good keys send together.
GOOD_RATE = 500
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Round:
    """The good ones' 99th percentiles, in seconds, beside each flood, and how fast it went."""

    forged: float
    public: float
    forged_per_second: float


def measure(effort: Effort) -> list[Figure]:
    flood = max(1, effort.scaled(FORGED) // effort.rounds)
    kept = cores()
    with keeping_to(kept.load), serving("besieged", kept.servers) as served:
        see_all(served)
        before = calls(served)
        keys = forged_keys()
        order = random.Random(SEED)  # noqa: S311
        watch = Watch([served.process])
        rounds = [
            watch.left_alone(lambda: one_round(served, keys, flood, order)) for _ in range(effort.rounds)
        ]
        made = {name: count - before.get(name, 0) for name, count in calls(served).items()}
    rate = median(each.forged_per_second for each in rounds)
    p99 = [median(each.forged for each in rounds) * 1e3, median(each.public for each in rounds) * 1e3]
    return [
        count_of("forged-queries", made.get(IN_VAIN, 0), forged=flood * effort.rounds, store_calls=made),
        figure_of(
            "forged-p99",
            [each.forged / each.public for each in rounds],
            forged_and_public_p99_ms=p99,
            forged_per_second=rate,
            note=f"{rate:,.0f} forged keys a second were refused{watch.remarks()}",
        ),
    ]


def one_round(served: Served, keys: Iterator[str], flood: int, order: random.Random) -> Round:
    """Send one flood and then the other, in a random order."""
    forged = Crowd((get("/hello", key) for key in islice(keys, flood)), CONNECTIONS, status=401)
    public = Crowd(repeat(get("/open"), flood), CONNECTIONS)
    found = {}
    for crowd in order.sample([forged, public], 2):
        found[id(crowd)] = beside(served, crowd)
    took = forged.answered[-1] - forged.answered[0]
    return Round(found[id(forged)], found[id(public)], flood / took)


def beside(served: Served, crowd: Crowd) -> float:
    """Return the 99th percentile of the good ones' times while ``crowd`` goes on."""
    good = Paced(cycle([get("/hello", key) for key in served.keys]), GOOD_RATE, inf)
    load(served.port, good, crowd, spin=True)
    return percentile(good.latencies, 0.99)


def see_all(served: Served) -> None:
    """Send every good key once, and wait for its answer, so that each is remembered."""
    good = Crowd((get("/hello", key) for key in served.keys), CONNECTIONS)
    load(served.port, Paced(repeat(get("/open")), GOOD_RATE, inf), good, spin=False)


def forged_keys() -> Iterator[str]:
    """Yield keys of the right form whose MAC is wrong, each another one."""
    for number in range(10**42):
        yield f"sk_live_{number:042d}000000"


def calls(served: Served) -> Mapping[str, int]:
    """Return how often each method of the server's store was called."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(get("/calls").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    found: Mapping[str, int] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found
