"""wrk, which tells how many requests a second a server answers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.requests import WrongAnswer

MISSING = "wrk is needed and is not on the PATH; on Debian: apt-get install wrk"
CONNECTIONS = 32
# In a file, because a command line can be read by every process. The last line is ours to read.
SCRIPT = """
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["X-Forwarded-Proto"] = "https"
function done(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("%d %d %d\\n", summary.requests, summary.duration, failed))
end
"""


class NoWrk(RuntimeError):
    """wrk is not installed."""


@contextmanager
def script(key: str) -> Iterator[Path]:
    """Write what wrk is to send, for a bearer of ``key``. Raises NoWrk."""
    if shutil.which("wrk") is None:
        raise NoWrk(MISSING)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bearer.lua"
        path.touch(mode=0o600)
        path.write_text(SCRIPT.format(key=key))
        yield path


def begun(port: int, script: Path, seconds: int) -> "subprocess.Popen[str]":
    """Begin to send to a server, over as many connections as it takes to keep it busy."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)]
    return subprocess.Popen(  # noqa: S603
        [*command, f"http://127.0.0.1:{port}/hello"], stdout=subprocess.PIPE, text=True
    )


def told(load: "subprocess.Popen[str]") -> tuple[int, float]:
    """Return how many requests were answered once it ends, and the seconds that it took.

    Raises WrongAnswer if one was not answered, or not well.
    """
    output = load.communicate()[0]
    if load.returncode:
        raise WrongAnswer(f"wrk ended with {load.returncode}")
    requests, microseconds, failed = map(int, output.splitlines()[-1].split())
    if failed or not requests:
        raise WrongAnswer(f"{failed} of {requests} requests failed")
    return requests, microseconds / 1e6


def served_per_second(port: int, script: Path, seconds: int) -> float:
    """Return the requests a second that were answered. Raises WrongAnswer if one was not, or not well."""
    requests, took = told(begun(port, script, seconds))
    return requests / took
