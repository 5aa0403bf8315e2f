"""The added time of each package as SVG, on a logarithmic axis, for light pages and dark ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Any

from benchmarks.harness.figures import Figure

WIDTH, LEFT, RIGHT = 900, 310, 80
TOP, ROW, BOTTOM = 64, 24, 44
OURS = "callcov-auth"

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.small { font-size: 11px; fill: #59636e; }
.grid { stroke: #d1d9e0; }
.range { stroke: #59636e; stroke-width: 2; }
.dot { fill: #59636e; stroke: #59636e; stroke-width: 2; }
.ours { fill: #0969da; stroke: #0969da; }
.documented { fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .range { stroke: #9198a1; }
  .dot { fill: #9198a1; stroke: #9198a1; }
  .ours { fill: #4493f8; stroke: #4493f8; }
  .documented { fill: none; }
}
"""


class NothingToShow(ValueError):
    """No figure tells what a package adds."""


@dataclass(frozen=True, slots=True)
class Dot:
    """What one package adds to a request, in µs, with its interval."""

    name: str
    low: float
    value: float
    high: float
    ours: bool
    tuned: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """Powers of ten, from the one below all to the one above all."""

    first: int
    last: int

    def x(self, value: float) -> float:
        part = (log10(value) - self.first) / (self.last - self.first)
        return LEFT + max(0.0, min(1.0, part)) * (WIDTH - LEFT - RIGHT)


def dot(subject: Mapping[str, Any]) -> Dot:
    low, value, high = subject["added_us"]
    return Dot(subject["name"], low, value, high, subject["package"] == OURS, subject["tuned"])


def dots(figures: Iterable[Figure]) -> list[Dot]:
    """Return a dot for each subject, fastest first. What adds nothing that can be told has no place here."""
    subjects = [figure.detail["subject"] for figure in figures if "subject" in figure.detail]
    found = [dot(each) for each in subjects]
    return sorted((each for each in found if each.low > 0), key=lambda each: each.value)


def svg(figures: Iterable[Figure]) -> str:
    """Return the plot. Raises NothingToShow."""
    shown = dots(figures)
    if not shown:
        raise NothingToShow("no row of this run tells what a package adds")
    axis = Axis(floor(log10(min(dot.low for dot in shown))), ceil(log10(max(dot.high for dot in shown))))
    height = TOP + ROW * len(shown) + BOTTOM
    body = [*_axis(axis, height), *(part for at, dot in enumerate(shown) for part in _row(dot, at, axis))]
    return "\n".join([*_head(height), *body, "</svg>", ""])


def _head(height: int) -> Sequence[str]:
    title = "Time that authentication adds to a request"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{title}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="16" y="26">{title}</text>',
        '<text class="small" x="16" y="44">µs of CPU time, logarithmic, with the 95 % interval. '
        "Filled: tuned; hollow: as its documentation shows.</text>",
    )


def _axis(axis: Axis, height: int) -> list[str]:
    parts = []
    for power in range(axis.first, axis.last + 1):
        x, bottom = axis.x(10.0**power), height - BOTTOM
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        label = f"{10.0**power:,g}" if power < 0 else f"{10**power:,}"
        parts.append(f'<text class="small" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    return parts


def _row(dot: Dot, at: int, axis: Axis) -> tuple[str, ...]:
    y = TOP + ROW * at + ROW / 2
    low, middle, high = axis.x(dot.low), axis.x(dot.value), axis.x(dot.high)
    kind = "dot" + (" ours" if dot.ours else "") + ("" if dot.tuned else " documented")
    return (
        f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(dot.name)}</text>',
        f'<line class="range" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>',
        f'<circle class="{kind}" cx="{middle:.1f}" cy="{y:.1f}" r="5"/>',
        f'<text class="small" x="{high + 10:.1f}" y="{y + 4:.1f}">{_amount(dot.value)}</text>',
    )


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
