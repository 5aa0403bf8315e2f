"""How many instructions a request takes, counted by Valgrind: the same on a busy machine as on a quiet one.

    python -m benchmarks --instructions [check|update]

The counts of each Python stand in ``instructions.json``; a change of more than 5 % fails the check, so that
slow creep is seen where a timing would be lost in noise. Valgrind is in every Linux distribution.
"""

import asyncio
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from starlette.types import Receive, Scope, Send

from benchmarks.harness.requests import Leg, cpu_time
from benchmarks.peers import ours
from callcov_auth import Auth, AuthMiddleware

KEPT = Path(__file__).with_name("instructions.json")
ALLOWED = 0.05
# The difference of two counts is free of what a process costs to start.
FEW, MANY = 500, 4500
PROBES = ("bare", "key", "token")
_COLLECTED = re.compile(r"Collected : (\d+)")


class NoValgrind(RuntimeError):
    """It is not on the path. The text tells the cure."""


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The least that an app can do: what a framework does would drown what is counted."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def drive(probe: str, requests: int) -> None:
    """Send so many requests; what a probe counts."""
    # Nothing else may happen meanwhile, and under Valgrind a second is soon over.
    settings = ours.memory_settings(revocation_interval=60, cache_ttl=3600)
    async with Auth(settings) as auth:
        credential = await (ours.new_token if probe == "token" else ours.new_key)(auth)
        app = answer if probe == "bare" else AuthMiddleware(answer, auth=auth)
        # One collection of everything, in one run and not in the other, would outweigh what is counted.
        gc.disable()
        await cpu_time(Leg(app, ours.bearer(credential)), requests)


def counted(probe: str, requests: int) -> int:
    """Return how many instructions a process takes that sends so many requests."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise NoValgrind("valgrind is not installed; on Debian: apt-get install valgrind")
    command = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m", __name__]
    done = subprocess.run(  # noqa: S603
        [*command, probe, str(requests)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = _COLLECTED.search(done.stderr)
    if found is None:
        raise RuntimeError("valgrind told no count")
    return int(found[1])


def measured() -> dict[str, int]:
    """Return the instructions of a bare request, and what a cached key and a cached token add to it."""
    totals = {probe: (counted(probe, MANY) - counted(probe, FEW)) // (MANY - FEW) for probe in PROBES}
    bare = totals.pop("bare")
    return {"bare": bare, **{probe: total - bare for probe, total in totals.items()}}


def this_python() -> str:
    major, minor, _ = platform.python_version_tuple()
    return f"{platform.python_implementation()} {major}.{minor} {platform.machine()}"


def verdict(kept: dict[str, int], now: dict[str, int]) -> list[str]:
    """Return a line for each count that moved by more than is allowed; the bare app's is none of ours."""
    return [
        f"{probe}: {now[probe]} instructions, {now[probe] / kept[probe] - 1:+.1%} of {kept[probe]}"
        for probe in PROBES
        if probe != "bare" and abs(now[probe] / kept[probe] - 1) > ALLOWED
    ]


def main(update: bool) -> int:
    kept: dict[str, dict[str, int]] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    try:
        now = measured()
    except NoValgrind as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{this_python()}: {now}")
    if update:
        KEPT.write_text(json.dumps({**kept, this_python(): now}, indent=2) + "\n")
        return 0
    if this_python() not in kept:
        print("no count is kept for this Python: --instructions update", file=sys.stderr)
        return 1
    moved = verdict(kept[this_python()], now)
    print("\n".join(moved) or "within 5 % of what is kept")
    return 1 if moved else 0


if __name__ == "__main__":
    asyncio.run(drive(sys.argv[1], int(sys.argv[2])))
