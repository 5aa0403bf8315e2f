"""What one process does, times all of them, held against what one database and one Redis stand."""

from dataclasses import dataclass

from benchmarks.scale.costs import Costs
from benchmarks.scale.model import FOREVER, Fleet, Rates
from callcov_auth.cache.subscription import PING_INTERVAL
from callcov_auth.store.statements import MAX_CHANGES

# Taken for granted, not measured here: a PostgreSQL on a machine with 16 cores, whose indexes fit in memory.
READS_A_SECOND, WRITES_A_SECOND = 50_000, 5_000
# PostgreSQL's processes, with pgbouncer or without; Redis's maxclients as it comes.
DATABASE_CONNECTIONS, REDIS_CONNECTIONS = 500, 10_000
# Of the database, for each process: its lanes for reading and for writing. Of Redis: to hear, tell and count.
LANES, LINES = 6, 3
# How busy Redis's one thread may be before messages queue up behind each other.
BUSY = 0.7


@dataclass(frozen=True, slots=True)
class Load:
    """What a deployment does in a second, and how long after a revocation others refuse, in seconds."""

    fleet: Fleet
    rates: Rates
    reads: float
    writes: float
    redis_messages: float
    process_bytes: float
    mostly: float
    at_most: float
    broken: tuple[str, ...]

    def row(self) -> str:
        fleet = self.fleet
        cells = (
            f"{fleet.processes:,}",
            f"{fleet.keys:,}",
            f"{fleet.requests:,.0f}",
            f"{self.rates.hit_ratio:.0%}",
            rounded(self.reads),
            rounded(self.writes),
            rounded(self.redis_messages) if fleet.pushed else "–",
            f"{self.process_bytes / 2**20:.0f}",
            f"{_time(self.mostly)} / {_time(self.at_most)}",
            "; ".join(self.broken) or "nothing",
        )
        return f"| {' | '.join(cells)} |"


def load_of(fleet: Fleet, rates: Rates, costs: Costs) -> Load:
    reads = fleet.processes * rates.reads + fleet.revocations
    writes = fleet.processes * rates.touches + fleet.revocations
    delivered = fleet.processes * rates.messages
    pings = fleet.processes / PING_INTERVAL if fleet.pushed else 0.0
    told = delivered + pings + (fleet.revocations if fleet.pushed else 0.0)
    mostly, at_most = _lags(fleet, costs)
    return Load(
        fleet,
        rates,
        reads,
        writes,
        told,
        costs.process_bytes + rates.entries * costs.entry_bytes,
        mostly,
        at_most,
        tuple(_broken(fleet, rates, reads, writes, delivered * costs.delivery)),
    )


def _lags(fleet: Fleet, costs: Costs) -> tuple[float, float]:
    """Return how long others let a revoked key in: the middle one of them, and the last."""
    polled = fleet.interval + costs.poll
    busy = fleet.processes * fleet.revocations * costs.delivery
    if not fleet.pushed or busy >= 1:
        return polled / 2, polled
    # Redis tells one subscriber after another, and behind those of the revocations before (M/D/1).
    round_of_all = fleet.processes * costs.delivery
    queue = busy / (2 * (1 - busy)) * round_of_all
    return costs.push + queue + round_of_all / 2, costs.push + queue + round_of_all


def _broken(fleet: Fleet, rates: Rates, reads: float, writes: float, busy: float) -> list[str]:
    found = {
        f"the database's reads, {reads / READS_A_SECOND:.1f} times over": reads > READS_A_SECOND,
        f"the database's writes, {writes / WRITES_A_SECOND:.1f} times over": writes > WRITES_A_SECOND,
        f"{fleet.processes * LANES:,} connections to the database": fleet.processes * LANES
        > DATABASE_CONNECTIONS,
        f"Redis, {busy:.1f} processors busy with telling": fleet.pushed and busy > BUSY,
        f"{fleet.processes * LINES:,} connections to Redis": fleet.pushed
        and fleet.processes * LINES > REDIS_CONNECTIONS,
        "the feed, which empties the cache at each poll": rates.rows > MAX_CHANGES * rates.polls,
    }
    return [what for what, is_so in found.items() if is_so]


def rounded(value: float) -> str:
    """Return a rate with two digits that mean something."""
    if value >= 1000:
        digits = len(f"{value:.0f}") - 2
        return f"{round(value, -digits):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _time(seconds: float) -> str:
    if seconds == FOREVER:
        return "never"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
