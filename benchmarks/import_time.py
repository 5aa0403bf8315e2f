"""What does a program pay for ``import callcov_auth``, beside what an ASGI app imports anyway?

    python -m benchmarks.import_time [--rounds N] [--check]

Each import is timed in a process of its own, with its byte code written, one after the other in each round;
printed are the best of N times, which other programs disturb least. The package must take at most 1.25
times as long as Starlette, pydantic-settings and PyJWT: with ``--check``, the exit code is 1 where it takes
longer. Its names are imported when they are first used, so what a guarded app takes in all is printed too.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence

LIMIT = 1.25
ROUNDS = 20
PACKAGE = "import callcov_auth"
BESIDE = "import starlette.applications, jwt; from pydantic_settings import BaseSettings"
GUARDED = f"{BESIDE}; from callcov_auth import AuthMiddleware, AuthSettings"
NAMES = {
    BESIDE: "Starlette, pydantic-settings and PyJWT",
    PACKAGE: "import callcov_auth",
    GUARDED: "all these with AuthMiddleware and AuthSettings",
}
TIMED = "import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"


def seconds(statement: str) -> float:
    """Return how long ``statement`` takes in a new process, beside the start of Python itself."""
    command = [sys.executable, "-c", TIMED.format(statement=statement)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603


def measure(rounds: int) -> dict[str, float]:
    """Return the shortest time of each import."""
    for statement in NAMES:
        seconds(statement)
    timed = [{statement: seconds(statement) for statement in NAMES} for _ in range(rounds)]
    return {statement: min(times[statement] for times in timed) for statement in NAMES}


def report(best: Mapping[str, float]) -> bool:
    """Print the figures, and return whether the limit holds."""
    for statement, name in NAMES.items():
        print(f"{best[statement] * 1000:7.1f} ms  {best[statement] / best[BESIDE]:5.2f}  {name}")
    holds = best[PACKAGE] <= LIMIT * best[BESIDE]
    print("holds" if holds else f"DOES NOT HOLD: more than {LIMIT} times as long")
    return holds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What importing the package takes.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--check", action="store_true", help="exit with 1 where it takes too long")
    given = parser.parse_args(arguments)
    holds = report(measure(given.rounds))
    return 0 if holds or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())
