"""Apps measured in turn, round by round, so that what the machine does meanwhile falls on all of them."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from benchmarks.harness.figures import ITSELF, Effort, Figure
from benchmarks.harness.requests import Leg, cpu_time, no_app
from benchmarks.harness.samples import figure_of
from benchmarks.peers.subject import Subject

T = TypeVar("T")

# How long a batch takes, in ns, where that is more than one request: short, so that what disturbs a machine
# now and then falls into few of them.
BATCH = 1_500_000
# The lead-in is this part of a batch, where an entrant asks for no more.
LEAD_IN = 4
# Apps so slow that a request takes longer than this, in ns, have one turn in a round.
SLOW = 20_000_000
# The part of a round's batches that counts: one of so many.
FASTEST = 4
# Background work of an app, such as asking for revocations, is let run before each turn, in seconds.
PAUSE = 0.001
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Times:
    """CPU times of one request in one round, in ns, the driver's own taken off.

    ``app`` is with authentication, ``bare`` without.
    """

    app: float
    bare: float

    @property
    def added(self) -> float:
        return self.app - self.bare


@dataclass(frozen=True, slots=True)
class Entrant:
    """A subject under the name that its times are found by. ``status`` is what its app has to answer.

    ``lead_in`` is the fewest requests before those of a batch that are timed.
    """

    name: str
    subject: Subject
    status: int = 200
    lead_in: int = 0

    def legs(self) -> tuple[Leg, Leg, Leg]:
        """The app, the bare app, and nothing."""
        subject = self.subject
        return (
            Leg(subject.app, subject.headers, self.status),
            Leg(subject.bare, subject.headers),
            Leg(no_app, subject.headers, status=0),
        )


Round = Mapping[str, Times]


async def contest(entrants: Sequence[Entrant], effort: Effort) -> list[Round]:
    """Measure every entrant in each of ``effort.rounds`` rounds. Raises WrongAnswer.

    A round has several turns. In each of them all come in a random order and then in the reverse of it
    (A B … B A), so that a drift falls on all alike; each has a lead-in, so that none pays for the caches that
    another left cold. What counts are the fastest of an entrant's batches in the round.
    """
    order = random.Random(SEED)  # noqa: S311
    legs = [(leg, entrant.lead_in) for entrant in entrants for leg in entrant.legs()]
    racers = [await _racer(leg, lead_in, effort.turns) for leg, lead_in in legs]
    return [_named(entrants, await _round(racers, effort.turns, order)) for _ in range(effort.rounds)]


def figure(row: str, rounds: Sequence[Round], ratio: Callable[[Round], float], **detail: Any) -> Figure:
    """Return the median of ``ratio`` over the rounds, with its interval."""
    return figure_of(row, [ratio(each) for each in rounds], **detail)


def itself(of: str, rounds: Sequence[Round], one: str, other: str) -> Figure:
    """Return how an app came out beside the same app, built a second time."""
    return figure(ITSELF, rounds, lambda each: each[one].app / each[other].app, of=of)


@dataclass(frozen=True, slots=True)
class _Racer:
    """A leg, the requests of one batch of it and of the lead-in, and how many turns it has in a round."""

    leg: Leg
    requests: int
    lead_in: int
    turns: int


async def _racer(leg: Leg, lead_in: int, turns: int) -> _Racer:
    # The first request finds everything cold, so its time says nothing about the others.
    await cpu_time(leg, 1)
    size = 1
    while (took := await cpu_time(leg, size)) * size < BATCH / 2:
        size *= 2
    requests = max(1, int(BATCH / took))
    return _Racer(leg, requests, max(lead_in, -(-requests // LEAD_IN)), 1 if took > SLOW else turns)


async def _round(racers: Sequence[_Racer], turns: int, order: random.Random) -> list[float]:
    batches: list[list[float]] = [[] for _ in racers]
    for turn in range(turns):
        await asyncio.sleep(PAUSE)
        places = [place for place, racer in enumerate(racers) if turn < racer.turns]
        for place in there_and_back(places, order):
            batches[place].append(await _batch(racers[place]))
    return [undisturbed_time(each) for each in batches]


def there_and_back(all_of_them: Iterable[T], order: random.Random) -> list[T]:
    """Return all in a random order and then in the reverse of it, so that a drift falls on all alike."""
    there = list(all_of_them)
    order.shuffle(there)
    return [*there, *reversed(there)]


def undisturbed_time(batches: Sequence[float]) -> float:
    """Return the mean of the fastest quarter.

    A shared machine has two speeds, a sixth apart, within each second. The median falls now on this side and
    now on that of the two, for equal apps too; of the fastest quarter nearly all are of one.
    """
    return fmean(sorted(batches)[: max(1, len(batches) // FASTEST)])


async def _batch(racer: _Racer) -> float:
    await cpu_time(racer.leg, racer.lead_in)
    return await cpu_time(racer.leg, racer.requests)


def _named(entrants: Sequence[Entrant], times: Sequence[float]) -> Round:
    in_threes = zip(times[::3], times[1::3], times[2::3], strict=True)
    return {
        entrant.name: Times(app - nothing, bare - nothing)
        for entrant, (app, bare, nothing) in zip(entrants, in_threes, strict=True)
    }
