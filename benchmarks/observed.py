"""What does a request with a remembered key take more where OpenTelemetry is told of it?

    python -m benchmarks.observed

Prints how many times as long it takes as without the setting ``otel``, with the real SDK: the whole request
to an app on Starlette, and what authentication adds to it. The times are the best of many short batches in
turn, which other programs disturb least.
"""

import asyncio
from contextlib import AsyncExitStack

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.harness.requests import Leg, cpu_time, no_app
from benchmarks.peers import ours
from callcov_auth import Auth

ROUNDS, BATCH = 1000, 100


async def app_and_bare(stack: AsyncExitStack, *, otel: bool) -> tuple[Leg, Leg]:
    """Return a request to a guarded app, and the same without authentication."""
    auth = await stack.enter_async_context(Auth(ours.memory_settings(otel=otel, cache_ttl=3600)))
    subject = ours.subject(auth, await ours.new_key(auth))
    return Leg(subject.app, subject.headers), Leg(subject.bare, subject.headers)


async def best_times(*legs: Leg) -> list[float]:
    """Return the shortest time of a request of each, in ns."""
    rounds = [[await cpu_time(leg, BATCH) for leg in legs] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


async def main() -> None:
    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    async with AsyncExitStack() as stack:
        without, bare = await app_and_bare(stack, otel=False)
        again, _ = await app_and_bare(stack, otel=False)
        told, _ = await app_and_bare(stack, otel=True)
        nothing = Leg(no_app, without.headers, status=0)
        times = await best_times(without, again, told, bare, nothing)
    off, twin, on, alone = (time - times[-1] for time in times[:-1])
    print(f"the whole request: {on / off:.3f}")
    print(f"what authentication adds: {(on - alone) / (off - alone):.3f}")
    print(f"the same app, built again, beside itself: {twin / off:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
