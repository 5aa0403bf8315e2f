"""Four processes on one database, and a model that knows every right answer.

    python -m benchmarks.soak [--minutes N] [--database sqlite|postgres] [--seed N]

Keys are made, used, rotated and revoked in any process, and used in any other. Each answer is held against
the model: a key that works must be let in; one that was revoked must be refused, at once where it was
revoked, and elsewhere when the time has passed that the feed promises. Memory and connections of each
process are looked at all the while; after a sixth of the time they must be flat. The exit code is 1 where an
answer was wrong or something grew.
"""

import argparse
import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from benchmarks.sites import DATABASES, database
from callcov_auth import Auth, AuthError, AuthSettings
from callcov_auth.cache.feed import TRUSTED_INTERVALS

PROCESSES = 4
INTERVAL = 0.2
# How long another process may let in what was revoked, in seconds, and what a busy machine is forgiven.
PROMISE = TRUSTED_INTERVALS * INTERVAL + 0.5
KEYS = 200
# What may happen in one turn, and how often.
ACTS = {"use": 90, "make": 3, "rotate": 3, "revoke": 4}
# How often memory and connections are looked at, in turns.
LOOK = 500
LEAD_IN = 1 / 6
# By how much what is flat may move.
TOLERANCE = 1.10

_processes = get_context("spawn")


@dataclass(slots=True)
class Known:
    """A key, and since when it is refused, by whose word."""

    id: str
    header: str = field(repr=False)
    ended_at: float | None = None
    ended_by: int | None = None


@dataclass(slots=True)
class Model:
    """What every answer must be. ``wrong`` counts what was otherwise."""

    alive: list[Known] = field(default_factory=list)
    ended: list[Known] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def end(self, key: Known, process: int, now: float) -> None:
        key.ended_at, key.ended_by = now, process
        self.alive.remove(key)
        self.ended.append(key)
        del self.ended[:-KEYS]

    def judge(self, key: Known, process: int, asked_at: float, outcome: str) -> None:
        self.answers[outcome] += 1
        if outcome not in self._right(key, process, asked_at):
            self.wrong[f"{outcome} for a key that {'works' if key.ended_at is None else 'ended'}"] += 1

    def _right(self, key: Known, process: int, asked_at: float) -> set[str]:
        if key.ended_at is None:
            return {"let in"}
        refused = {"token_revoked", "token_expired"}
        is_told = process == key.ended_by or asked_at > key.ended_at + PROMISE
        return refused if is_told else {*refused, "let in"}


@dataclass(frozen=True, slots=True)
class Look:
    """Memory of all processes in MiB, and their open files, connections among them."""

    memory: float
    files: int


def serve(values: dict[str, Any], pipe: Connection) -> None:
    """Be one of the processes: do what comes over ``pipe``, and tell what came of it."""
    anyio.run(_serve, values, pipe)


async def _serve(values: dict[str, Any], pipe: Connection) -> None:
    async with Auth(AuthSettings(_env_file=None, **values)) as auth:
        while (order := await to_thread.run_sync(pipe.recv)) is not None:
            try:
                pipe.send(await _do(auth, *order))
            except AuthError as refusal:
                pipe.send(refusal.code)


async def _do(auth: Auth, act: str, argument: str) -> Any:
    if act == "use":
        await auth.authenticate(argument)
        return "let in"
    if act == "user":
        return (await auth.users.create(argument, secrets.token_urlsafe(16))).id
    if act == "revoke":
        await auth.keys.revoke(argument)
        return "done"
    if act == "rotate":
        new = await auth.keys.rotate(argument, grace_seconds=0)
    else:
        new = await auth.keys.create(argument, name="soak")
    return new.id, f"Bearer {new.api_key.get_secret_value()}"


@dataclass(slots=True)
class Driver:
    pipes: Sequence[Connection]
    model: Model
    chance: random.Random
    owner: str

    def turn(self) -> None:
        process = self.chance.randrange(len(self.pipes))
        (act,) = self.chance.choices(list(ACTS), weights=list(ACTS.values()))
        if act == "use":
            self._use(process)
        elif act == "make" or not self.model.alive:
            self._make(process)
        else:
            self._end(process, act)

    def _use(self, process: int) -> None:
        keys = self.model.ended if self.chance.random() < 0.3 else self.model.alive
        if not keys:
            return
        key = self.chance.choice(keys)
        asked_at = time.monotonic()
        self.model.judge(key, process, asked_at, self.ask(process, "use", key.header))

    def _make(self, process: int) -> None:
        # As many as there may be, so that nothing grows by itself.
        if len(self.model.alive) < KEYS:
            self.model.alive.append(Known(*self.ask(process, "make", self.owner)))

    def _end(self, process: int, act: str) -> None:
        key = self.chance.choice(self.model.alive)
        answer = self.ask(process, act, key.id)
        self.model.end(key, process, time.monotonic())
        if act == "rotate":
            self.model.alive.append(Known(*answer))

    def ask(self, process: int, act: str, argument: str) -> Any:
        self.pipes[process].send((act, argument))
        return self.pipes[process].recv()


def soak(values: dict[str, Any], seconds: float, seed: int) -> tuple[Model, list[Look]]:
    """Run for so many seconds; return what was answered, and what was seen of the processes."""
    with _running(values) as (processes, pipes):
        driver = Driver(pipes, Model(), random.Random(seed), "")  # noqa: S311
        driver.owner = driver.ask(0, "user", "owner@example.com")
        looks, turns, until = [], 0, time.monotonic() + seconds
        while time.monotonic() < until:
            driver.turn()
            turns += 1
            if turns % LOOK == 0:
                looks.append(_look(processes))
        return driver.model, looks


@contextmanager
def _running(values: dict[str, Any]) -> Iterator[tuple[list[int], list[Connection]]]:
    with ExitStack() as stack:
        pids, pipes = [], []
        for _ in range(PROCESSES):
            here, there = _processes.Pipe()
            process = _processes.Process(target=serve, args=(values, there), daemon=True)
            process.start()
            there.close()
            stack.callback(process.join, 30)
            stack.callback(here.send, None)
            pids.append(process.pid or 0)
            pipes.append(here)
        yield pids, pipes


def _look(processes: Sequence[int]) -> Look:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes)
    files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes)
    return Look(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files)


def grew(looks: Sequence[Look]) -> list[str]:
    """Return what was not flat after the lead-in: its most late on, beside its most early on."""
    steady = looks[int(len(looks) * LEAD_IN) :]
    early, late = steady[: len(steady) // 3], steady[-(len(steady) // 3) :]
    if not early or not late:
        return []
    found = []
    for name in ("memory", "files"):
        before, after = (max(getattr(look, name) for look in part) for part in (early, late))
        if after > before * TOLERANCE:
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--database", choices=DATABASES, default="postgres")
    parser.add_argument("--seed", type=int, default=20_260_101)
    chosen = parser.parse_args()
    with database(chosen.database) as url:
        values = {
            "secret": secrets.token_urlsafe(48),
            "database_url": url,
            "revocation_interval": INTERVAL,
            "max_active_keys": 10_000,
            "password_memory_kib": 8,
        }
        model, looks = soak(values, chosen.minutes * 60, chosen.seed)
    growth = grew(looks)
    print(f"{sum(model.answers.values())} answers: {dict(model.answers)}; {sum(model.wrong.values())} wrong")
    for problem in (*model.wrong.items(), *growth):
        print(problem)
    if looks:
        first, last = looks[0], looks[-1]
        print(f"memory {first.memory:.0f} to {last.memory:.0f} MiB, files {first.files} to {last.files}")
    sys.exit(bool(model.wrong or growth))


if __name__ == "__main__":
    main()
