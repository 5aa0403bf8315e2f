"""Fifty logins at once, beside requests whose key is remembered."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from statistics import mean, median

from argon2 import PasswordHasher

from benchmarks.abuse.forged import see_all
from benchmarks.harness.figures import FULL, Effort, Figure
from benchmarks.harness.live_server import EMAIL
from benchmarks.harness.open_loop import Crowd, Paced, get, load, post
from benchmarks.harness.quiet import Watch
from benchmarks.harness.samples import figure_of, percentile
from benchmarks.harness.serving import Served, serving
from benchmarks.peers.ours import memory_settings

LOGINS = 50
HOT_RATE = 500
LOGIN_PATH = "/api/v1/auth/login"
# How long each part of a round takes, in seconds.
PART = 2.0
ROUNDS = 15
# A quick run's: the least that an interval needs, and few logins, for all of them are waited for.
QUICK_LOGINS, QUICK_PART, QUICK_ROUNDS = 10, 0.4, 6


@dataclass(frozen=True, slots=True)
class Round:
    """99th percentiles in seconds, and what was done in a second."""

    quiet: float
    busy: float
    logins: float
    argon2: float


def measure(effort: Effort) -> list[Figure]:
    """Time hot requests with logins and without, and logins beside bare Argon2.

    Server and load may use every core, as the thread that hashes does.
    """
    is_full = effort.name == FULL.name
    rounds, part, count = (ROUNDS, PART, LOGINS) if is_full else (QUICK_ROUNDS, QUICK_PART, QUICK_LOGINS)
    with serving("besieged") as served:
        see_all(served)
        watch = Watch([served.process])
        found = [watch.left_alone(lambda: one_round(served, part, count)) for _ in range(rounds + 1)][1:]
    logins, argon2 = median(each.logins for each in found), median(each.argon2 for each in found)
    p99 = [median(each.quiet for each in found) * 1e3, median(each.busy for each in found) * 1e3]
    return [
        figure_of("login-p99", [each.busy / each.quiet for each in found], quiet_and_busy_p99_ms=p99),
        figure_of(
            "login-rate",
            [each.logins / each.argon2 for each in found],
            logins_and_argon2_per_second=[logins, argon2],
            note=f"{logins:.1f} logins a second beside {argon2:.1f} bare verifications{watch.remarks()}",
        ),
    ]


def one_round(served: Served, part: float, count: int) -> Round:
    quiet = hot(served, part)
    load(served.port, quiet, spin=False)
    argon2 = [bare_argon2(part / 2)]
    busy, logins = hot(served, part), crowd_of_logins(served, count)
    began = time.perf_counter()
    load(served.port, busy, logins, spin=False)
    # Right before and right after, so that a drift of the machine falls on both.
    argon2.append(bare_argon2(part / 2))
    return Round(
        percentile(quiet.latencies, 0.99),
        percentile(busy.latencies, 0.99),
        rate(logins.answered, began, part),
        mean(argon2),
    )


def hot(served: Served, seconds: float) -> Paced:
    return Paced(cycle([get("/hello", key) for key in served.keys]), HOT_RATE, seconds)


def crowd_of_logins(served: Served, count: int) -> Crowd:
    body = json.dumps({"email": EMAIL, "password": served.password}).encode()
    return Crowd(repeat(post(LOGIN_PATH, body)), count)


def rate(moments: Sequence[float], began: float, seconds: float) -> float:
    """Return how many came in a second, within so many seconds, or until the first where that took longer."""
    count = max(1, sum(moment <= began + seconds for moment in moments))
    return count / (moments[count - 1] - began)


def bare_argon2(seconds: float) -> float:
    """Return how many passwords one thread verifies in a second, at the same costs."""
    settings = memory_settings()
    hasher = PasswordHasher(
        time_cost=settings.password_time_cost, memory_cost=settings.password_memory_kib, parallelism=1
    )
    made = hasher.hash("a password")
    began, moments = time.perf_counter(), [0.0]
    while moments[-1] < began + seconds:
        hasher.verify(made, "a password")
        moments.append(time.perf_counter())
    return rate(moments[1:], began, seconds)
