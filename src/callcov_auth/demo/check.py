"""``callcov-auth demo --check``: the whole conversation over real sockets, step by step."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callcov_auth.demo.answers import NotHeld
from callcov_auth.demo.extras import need_extras

if TYPE_CHECKING:
    from callcov_auth.demo.conversation import Step, Talk


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went. ``came`` is its last answer; ``failure`` is None where it held."""

    title: str
    came: str
    milliseconds: float
    failure: NotHeld | None


def run_check() -> int:
    """Hold every step against servers of its own and print a table. Return 0, or 1 where one does not hold.

    Raises SystemExit, with one line, where a package is missing.
    """
    need_extras("fastapi", "uvicorn", "websockets", "httpx2")
    # Here, because without the extras they cannot be imported.
    from callcov_auth.demo.servers import conversation
    from callcov_auth.demo.steps import TOPICS

    outcomes = []
    with _quiet_servers(), conversation() as talk:
        for topic, steps in TOPICS.items():
            print(f"\n{topic}", flush=True)
            outcomes += [_shown(_run(step, talk)) for step in steps]
    held = sum(outcome.failure is None for outcome in outcomes)
    print(f"\n{held} of {len(outcomes)} steps hold")
    return 0 if held == len(outcomes) else 1


def _run(step: "Step", talk: "Talk") -> Outcome:
    talk.last = None
    begun = time.perf_counter()
    failure = _failure(step, talk)
    milliseconds = (time.perf_counter() - begun) * 1000
    return Outcome(step.__name__.replace("_", " "), str(talk.last or "none"), milliseconds, failure)


def _failure(step: "Step", talk: "Talk") -> NotHeld | None:
    try:
        step(talk)
    except NotHeld as not_held:
        return not_held
    except Exception as error:
        # Its kind alone: its text may hold what was sent.
        return NotHeld("an answer that can be read", type(error).__name__)
    return None


def _shown(outcome: Outcome) -> Outcome:
    mark = "holds" if outcome.failure is None else "FAILS"
    print(f"  {mark}  {outcome.title:<48}{outcome.came:<30}{outcome.milliseconds:>7.0f} ms", flush=True)
    if outcome.failure is not None:
        print(f"         expected {outcome.failure.expected}\n         came     {outcome.failure.came}")
    return outcome


@contextmanager
def _quiet_servers() -> Iterator[None]:
    """Keep warnings out of the table where nobody set logging up: the refusals are what the steps ask for."""
    nowhere = logging.NullHandler()
    loggers = [logging.getLogger(name) for name in ("callcov_auth", "uvicorn")]
    for logger in loggers:
        logger.addHandler(nowhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(nowhere)
