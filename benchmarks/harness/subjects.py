"""Subjects in a contest: how they are called there, and what a figure says of them."""

import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.harness.contest import Entrant, Round, figure
from benchmarks.harness.figures import Figure
from benchmarks.harness.intervals import median_interval
from benchmarks.peers.proof import prove
from benchmarks.peers.subject import Subject


def documented(name: str) -> str:
    return f"{name}, as documented"


def tuned(name: str) -> str:
    return f"{name}, tuned"


async def proven(subjects: Iterable[Subject]) -> list[Entrant]:
    """Return the entrants, each of which lets its own caller in and nobody else. Raises NotProven."""
    entrants = [Entrant((tuned if one.tuned else documented)(one.name), one) for one in subjects]
    for entrant in entrants:
        await prove(entrant.subject)
    return entrants


def described(entrant: Entrant, rounds: Sequence[Round], called: str | None = None) -> dict[str, Any]:
    """Return what the plot and the page show of a subject. Times are in µs."""
    added = median_interval([each[entrant.name].added / 1000 for each in rounds])
    bare = median_interval([each[entrant.name].bare / 1000 for each in rounds])
    subject = entrant.subject
    return {
        "name": called or entrant.name,
        "package": subject.name,
        "tuned": subject.tuned,
        "added_us": [added.low, added.value, added.high],
        "bare_us": bare.value,
        "more": subject.more,
        "less": subject.less,
    }


def added_by_ours(row: str, entrant: Entrant, rounds: Sequence[Round], ours: str, **detail: Any) -> Figure:
    """Return the added time of an entrant by that of ours, which is called ``ours`` in the contest."""
    return figure(
        row,
        rounds,
        lambda each: each[entrant.name].added / each[ours].added,
        wording=f"added time of {entrant.name} ÷ ours",
        subject=described(entrant, rounds),
        **detail,
    )


def versions(requirements: Sequence[str]) -> dict[str, str]:
    """Return the versions in this environment of what ``requirements`` name, and of what all stand on."""
    names = [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements]
    found = {name: version(name) for name in (*names, "starlette", "sqlalchemy")}
    return {"python": sys.version.split()[0], **found}
