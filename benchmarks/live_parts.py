"""What a hit's time goes to in a server: middlewares that do ever more of what ours does, under load.

    python -m benchmarks.live_parts [starlette] [fastapi]

They are three of ``benchmarks.hit_parts``, measured as the row of live throughput is. Prints what each
answers a second as a part of what the bare app answers: with a middleware that does nothing, with one that
finds the caller and puts them on the request, with all that a hit needs, and with ours.
"""

import sys
from collections.abc import Sequence

from benchmarks.harness.intervals import median_interval
from benchmarks.harness.quiet import Watch
from benchmarks.harness.serving import Cores, cores, keeping_to
from benchmarks.hit_parts import Awaits, PutsTheCallerInTheContext, PutsTheCallerOnTheRequest
from benchmarks.rows import live

FRAMEWORKS = ("starlette", "fastapi")
PARTS = (Awaits, PutsTheCallerOnTheRequest, PutsTheCallerInTheContext)


def measure(framework: str, kept: Cores) -> None:
    parts = {part.__name__: f"{part.__name__} {framework}" for part in PARTS}
    apps = live.apps_beside(framework) | parts
    rounds = live.throughput_rounds(apps, kept, Watch([]))
    served = live.medians(rounds)
    print(f"{framework}, {served[live.BARE]:,.0f} requests a second")
    for name in (live.AGAIN, *parts, live.OURS):
        part = median_interval(live.ratios(rounds, name))
        print(f"{name:28}{part.value:8.3f} ({part.low:.3f} to {part.high:.3f})")


def main(names: Sequence[str]) -> None:
    kept = cores()
    with keeping_to(kept.load):
        for framework in names or FRAMEWORKS:
            measure(framework, kept)


if __name__ == "__main__":
    main(sys.argv[1:])
