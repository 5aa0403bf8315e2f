"""What somebody sends to wear the server out, and what becomes of everybody else meanwhile."""

from benchmarks.abuse import forged, logins, unknown
from benchmarks.harness.figures import Effort, Figure


def measure(effort: Effort) -> list[Figure]:
    return [*forged.measure(effort), *unknown.measure(effort), *logins.measure(effort)]
