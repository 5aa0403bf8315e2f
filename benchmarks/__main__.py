"""Is callcov-auth as fast as it promises?

    python -m benchmarks [ROW…] [--check] [--quick] [--json FILE] [--svg FILE] [--markdown FILE]
    python -m benchmarks --instructions [check|update]

Each ROW is a module of ``benchmarks.rows``; without one, all are measured, which takes a quiet machine and
a long while. The exit code is 1 where the run is void, or where something could not be measured; with
``--check`` also where a target falls short.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.harness.figures import FULL, QUICK
from benchmarks.harness.page import NoMarkers, replaced
from benchmarks.harness.plot import NothingToShow, svg
from benchmarks.harness.run import GROUPS, Run, run
from benchmarks.harness.table import markdown, text

QUICK_LEAVES_OUT = (
    "A quick run: fewer rounds, small caches and stores, and no peers but those that are installed here. "
    "Its figures are no proof."
)


def arguments_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure callcov-auth beside bare apps and other packages."
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of: {', '.join(GROUPS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target falls short")
    parser.add_argument("--quick", action="store_true", help="a short run, which proves nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw what each package adds")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="put the table between a page's markers"
    )
    parser.add_argument(
        "--instructions",
        nargs="?",
        const="check",
        choices=("check", "update"),
        help="count the instructions of a hit, and measure nothing else",
    )
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.rows) - set(GROUPS))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    problem = cannot_write(given)
    if problem:
        parser.error(problem)
    return given


def cannot_write(given: argparse.Namespace) -> str | None:
    """Say what would keep the files from being written, before a long run is spent."""
    for file in (given.json, given.svg):
        if file and not file.parent.is_dir():
            return f"there is no folder {file.parent}"
    try:
        if given.markdown:
            replaced(given.markdown.read_text(), "")
    except (OSError, NoMarkers) as error:
        return f"{given.markdown}: {error}"
    return None


def write(measured: Run, given: argparse.Namespace) -> None:
    """Write the files that were asked for."""
    if given.json:
        given.json.write_text(json.dumps(asdict(measured), indent=2, ensure_ascii=False) + "\n")
    if given.svg:
        try:
            given.svg.write_text(svg(measured.figures))
        except NothingToShow as error:
            print(f"--svg: {error}", file=sys.stderr)
    if given.markdown:
        given.markdown.write_text(replaced(given.markdown.read_text(), markdown(measured)))


def exit_code(measured: Run, *, check: bool) -> int:
    if check:
        return 0 if measured.passes else 1
    return 1 if measured.void or measured.failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    given = arguments_from(arguments)
    if given.instructions:
        # Here, because it needs valgrind, which the rows do not.
        code: int = import_module("benchmarks.instructions").main(update=given.instructions == "update")
        return code
    measured = run(given.rows or GROUPS, QUICK if given.quick else FULL)
    print(text(measured))
    if given.quick:
        print(QUICK_LEAVES_OUT)
    write(measured, given)
    return exit_code(measured, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
