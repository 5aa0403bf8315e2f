"""A run as a table: for the terminal, and as Markdown for the docs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.harness.figures import ITSELF, Figure
from benchmarks.harness.intervals import is_wide
from benchmarks.harness.run import Run
from benchmarks.targets import ALL, BY_NAME

WIDE = "interval wider than 10 %"
PACKAGES = ("package", "more than callcov-auth", "less", "measured with")
HEADINGS = ("row", "figure", "95 % interval", "target", "holds")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table, as text."""

    wording: str
    figure: str
    interval: str
    target: str = ""
    holds: str = ""
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return (self.wording, self.figure, self.interval, self.target, self.holds)


def lines(run: Run) -> list[Line]:
    """Return the rows with a target in the targets' order, those without after them, what is void last."""
    by_row = {figure.row: figure for figure in run.figures if figure.row != ITSELF}
    promised = [by_row.pop(target.name) for target in ALL if target.name in by_row]
    themselves = [figure for figure in run.figures if figure.row == ITSELF]
    return [line(figure) for figure in (*promised, *by_row.values(), *themselves)]


def line(figure: Figure) -> Line:
    value, interval = shown(figure.value), f"{shown(figure.low)} to {shown(figure.high)}"
    if figure.low == figure.high:
        interval = ""
    elif is_wide(figure):
        # Never the one without the other.
        value = f"{value} ({WIDE})"
    found = Line(_wording(figure), value, interval, note=figure.detail.get("note", ""))
    target = BY_NAME.get(figure.row)
    if target is None:
        return found
    holds = "yes" if target.holds(figure.value) else "NO"
    return replace(found, target=f"{target.direction} {target.bound:g}", holds=holds)


def shown(value: float) -> str:
    """Return a number with three digits that mean something; a count as it is."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _wording(figure: Figure) -> str:
    target = BY_NAME.get(figure.row)
    if target is not None:
        return target.wording
    if figure.row == ITSELF:
        return f"the same app, built twice: {figure.detail.get('of', '')}"
    return str(figure.detail.get("wording", figure.row))


def text(run: Run) -> str:
    """Return the table in columns, with each note below its row."""
    shown_lines = lines(run)
    rows = [HEADINGS, *(each.cells() for each in shown_lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    printed = [_aligned(HEADINGS, widths)]
    for each in shown_lines:
        printed.append(_aligned(each.cells(), widths))
        if each.note:
            printed.append(f"  {each.note}")
    return "\n".join([*printed, *remarks(run)])


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def remarks(run: Run) -> list[str]:
    """Return what is to be said about the run as a whole."""
    said = [f"failed: {group}, which gave no figures" for group in run.failed]
    said += [f"not measured: {target.wording}" for target in run.missing]
    said += [
        f"VOID: {figure.detail.get('of', 'an app')} beside itself is {figure.value:.3f}"
        for figure in run.void
    ]
    return said


def markdown(run: Run) -> str:
    """Return the table, the machine, and what each package does more and less."""
    rows = [HEADINGS, tuple("---" for _ in HEADINGS), *(_noted(each).cells() for each in lines(run))]
    parts = [_table(rows), *remarks(run), machine(run)]
    packages = _packages(run.figures)
    if packages:
        parts.append(_table([PACKAGES, tuple("---" for _ in PACKAGES), *packages]))
    return "\n\n".join(parts)


def _noted(given: Line) -> Line:
    return replace(given, wording=f"{given.wording} ({given.note})") if given.note else given


def machine(run: Run) -> str:
    """Return with what, and when, it was measured."""
    kind = run.machine
    libraries = ", ".join(f"{name} {version}" for name, version in kind["libraries"].items())
    return (
        f"Measured on {run.date}: {kind['cpu']}, {kind['cores']} cores, {kind['memory_gib']} GiB, "
        f"{kind['system']}, {kind['python']}; {libraries}."
    )


def _packages(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    found = {}
    for figure in figures:
        subject = figure.detail.get("subject")
        if subject and subject["more"]:
            versions = figure.detail.get("versions", {}).items()
            beside = ", ".join(f"{name} {version}" for name, version in versions) or "as above"
            found[subject["package"]] = (subject["package"], subject["more"], subject["less"], beside)
    return list(found.values())


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
