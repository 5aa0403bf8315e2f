"""How does load grow, from one process to 10,000 of them, a billion keys and a million requests a second?

    python -m benchmarks.scaling [--markdown FILE]

First the package's parts are measured on this machine. A simulation of one process of many builds on that,
and is held against real runs at 1, 2, 4 and 8 processes: what is counted must be within a factor of 1.5 of
what is simulated. Then it goes where no machine here can follow, with four ways to set a deployment up. The
exit code is 1 where a real run is not as simulated. With ``--markdown`` the tables between the markers of
FILE are replaced.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.fleet import silence
from benchmarks.harness.page import replaced
from benchmarks.scale import real
from benchmarks.scale.costs import Costs, measure_costs
from benchmarks.scale.limits import Load, load_of
from benchmarks.scale.model import Fleet, Process, Rates, simulate
from benchmarks.sites import redis_server

SEED = 20_260_101
FACTOR = 1.5
# In seconds, each real run; and what a process is asked for in a second.
RUN, RATE = 8.0, 60.0
REAL_PROCESSES = (1, 2, 4, 8)
COMPARED = ("requests", "lookups", "polls", "touches", "messages")

# A key is replaced each 90 days, as the setting rotation_days has it.
REPLACED_EACH = 90 * 86400
SIZES = ((1, 1_000), (8, 100_000), (100, 10_000_000), (1_000, 100_000_000), (10_000, 1_000_000_000))
REQUESTS_AT_A_PROCESS = 100.0


@dataclass(frozen=True, slots=True)
class Design:
    name: str
    pushed: bool = True
    interval: float = 1.0
    cache_ttl: float = 60.0
    cache_size: int = 16384
    routed: bool = False


DESIGNS = (
    Design("polling: as it comes", pushed=False),
    Design("with Redis: `redis_url`"),
    Design(
        "and patience: `revocation_interval=10`, `cache_ttl=3600`, `cache_size=100000`",
        interval=10,
        cache_ttl=3600,
        cache_size=100_000,
    ),
    Design(
        "and requests routed by key, with the same settings",
        interval=10,
        cache_ttl=3600,
        cache_size=100_000,
        routed=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a process of so many does in a second, counted and simulated."""

    processes: int
    counted: Rates
    simulated: Rates

    def ratios(self) -> dict[str, float]:
        return {
            name: getattr(self.counted, name) / max(getattr(self.simulated, name), 1e-9) for name in COMPARED
        }

    @property
    def holds(self) -> bool:
        return all(1 / FACTOR <= ratio <= FACTOR for ratio in self.ratios().values())


def fleets(design: Design) -> Iterator[Fleet]:
    for processes, keys in SIZES:
        yield Fleet(
            processes,
            keys,
            requests=processes * REQUESTS_AT_A_PROCESS,
            revocations=keys / REPLACED_EACH,
            pushed=design.pushed,
            interval=design.interval,
            cache_ttl=design.cache_ttl,
            cache_size=design.cache_size,
            routed=design.routed,
        )


def compare(processes: int, costs: Costs, *, seconds: float = RUN) -> Comparison:
    """Run so many processes, and simulate one of them, from a cold start; more revocations than life has."""
    fleet = Fleet(
        processes, keys=400, requests=processes * RATE, revocations=4.0, interval=0.5, cache_ttl=2.0
    )
    with tempfile.TemporaryDirectory() as folder:
        counted = real.run(fleet, Path(folder), seconds=seconds, seed=SEED)
    # Several, for one is as much a matter of chance as a real process is.
    runs = [Process(fleet, lookup=costs.lookup, seed=SEED + number).run(seconds) for number in range(8)]
    return Comparison(processes, counted, mean(runs))


def mean(runs: Sequence[Rates]) -> Rates:
    means = {name: sum(getattr(run, name) for run in runs) / len(runs) for name in (*COMPARED, "rows")}
    return replace(runs[0], **means)


def markdown_of_costs(costs: Costs) -> list[str]:
    return [
        "| what | measured |",
        "|---|---|",
        f"| a cached caller | {costs.hit * 1e6:.1f} µs |",
        f"| a lookup, SQLite | {costs.lookup * 1e6:.0f} µs |",
        f"| a poll that finds nothing, SQLite | {costs.poll * 1e6:.0f} µs |",
        f"| a push, from the commit to another's cache | {costs.push * 1e3:.1f} ms |",
        f"| Redis's processor, for a message to one subscriber | {costs.delivery * 1e6:.1f} µs |",
        f"| a cached caller in memory | {costs.entry_bytes:.0f} bytes |",
        f"| a key in the database, with its indexes, SQLite | {costs.stored_bytes:.0f} bytes |",
        f"| a process, with an empty cache | {costs.process_bytes / 2**20:.0f} MiB |",
    ]


def markdown_of_comparisons(found: Sequence[Comparison]) -> list[str]:
    lines = [f"| processes | {' | '.join(COMPARED)} |", f"|---{'|---' * len(COMPARED)}|"]
    for each in found:
        cells = [
            f"{getattr(each.counted, name):.2f} ÷ {getattr(each.simulated, name):.2f} = {ratio:.2f}"
            for name, ratio in each.ratios().items()
        ]
        lines.append(f"| {each.processes} | {' | '.join(cells)} |")
    return lines


def markdown_of_loads(design: Design, loads: Sequence[Load]) -> list[str]:
    lines = [
        f"**{design.name[0].upper()}{design.name[1:]}**",
        "",
        "| processes | keys | requests/s | cached | reads/s | writes/s | Redis messages/s | MiB a process "
        "| revoked elsewhere after, mostly / at most | what breaks |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [*lines, *(load.row() for load in loads), ""]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Simulate many processes, and hold it against real ones.")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="replace the tables there")
    chosen = parser.parse_args(arguments)
    silence()
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        costs = measure_costs(server, Path(folder))
    found = [compare(processes, costs) for processes in REAL_PROCESSES]
    lines = ["### What the parts cost", "", *markdown_of_costs(costs), ""]
    lines += ["### Counted, and simulated", "", *markdown_of_comparisons(found), "", "### Growth", ""]
    for design in DESIGNS:
        lines += markdown_of_loads(design, loads_of(design, costs))
    print("\n".join(lines))
    if chosen.markdown is not None:
        page = chosen.markdown.read_text("utf-8")
        chosen.markdown.write_text(replaced(page, "\n".join(lines)), "utf-8")
    if all(each.holds for each in found):
        return 0
    print(f"what was counted is not within a factor of {FACTOR} of what was simulated")
    return 1


def loads_of(design: Design, costs: Costs) -> list[Load]:
    return [
        load_of(fleet, simulate(fleet, lookup=costs.lookup, seed=SEED), costs) for fleet in fleets(design)
    ]


if __name__ == "__main__":
    sys.exit(main())
