"""Rows that another program made: how a file's columns are read, and what became of each line."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from callcov_auth.errors import ValidationFailed

Fields = Mapping[str, Any]
T = TypeVar("T")

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
# The year 9999, past which RFC 3339 cannot write a time.
_END_OF_TIME = 253402300800.0
# As SQLite, PostgreSQL and Python write them, in CSV and in JSON.
_TRUTHS = {
    **dict.fromkeys(("1", "t", "true"), True),
    **dict.fromkeys(("0", "f", "false"), False),
}


def _words(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError("is a time such as 2026-01-31T12:00:00Z, or Unix seconds")
    return time.timestamp()


# Of how many lines it is told why they were refused; the others are only counted.
MAX_TOLD = 1000

WORDS = BeforeValidator(_words)
"""A list that a file may write as one text, with spaces between."""
Time = Annotated[float, BeforeValidator(_seconds), Field(ge=0, lt=_END_OF_TIME)]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as files have it. ``columns`` has for each field of ours the column that stands for it.

    ``read`` makes our fields of what stands at a line, at a time; it raises ValidationFailed, by columns or
    by fields. ``is_ours`` says that no other columns are expected; another program's table may have any.
    """

    columns: Mapping[str, str]
    required: Collection[str]
    read: Callable[[Fields, float], Fields]
    is_ours: bool = False

    @property
    def names(self) -> Mapping[str, str]:
        """As what a refusal tells a field or a column; what is not here may be anything."""
        known = (*self.required, *self.columns.values())
        return {**{column: column for column in known}, **self.columns}


def our_table(model: type[BaseModel]) -> Table:
    """Return the table whose columns are the fields of ``model``."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return Table({name: name for name in model.model_fields}, required, lambda fields, _now: fields, True)


@dataclass(frozen=True, slots=True)
class ImportLine:
    """What stands at one line of a file, by the names of its columns."""

    number: int
    fields: Fields = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a line was not imported. ``reason`` shows nothing of what stands there."""

    line: int
    field: str
    reason: str


@dataclass(slots=True)
class Tally:
    """How many lines came to what, and why the first of those that were refused were.

    ``names`` are those of its Table.
    """

    names: Mapping[str, str]
    imported: int = 0
    present: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, line: int, fields: Mapping[str, str]) -> None:
        """Note what is wrong with each field, leaving out names that are none: one may be a secret."""
        refusals = []
        for path, reason in fields.items():
            name = self.names.get(path.partition(".")[0])
            shown = ("a field", "has a name that is not known") if name is None else (name, reason)
            refusals.append(Refusal(line, *shown))
        self.note(*refusals)

    def tried(self, line: int, work: Callable[[], T]) -> T | None:
        """Return what ``work`` makes of a line; what it refuses is noted."""
        try:
            return work()
        except ValidationFailed as error:
            self.refuse(line, error.details["fields"])
            return None

    def note(self, *refusals: Refusal) -> None:
        """Note all that is wrong with one line."""
        self.refused += 1
        if self.refused <= MAX_TOLD:
            self.refusals += refusals


def truth(fields: Fields, column: str) -> bool:
    """Return whether a column says so. Raises ValidationFailed where it does not say."""
    found = _TRUTHS.get(str(fields.get(column)).lower())
    if found is None:
        raise ValidationFailed({column: "is neither true nor false"})
    return found


def in_utc(value: Any) -> Any:
    """Return a time with its zone, which tables leave out where it is UTC's."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        # It is refused as the field that it stands for.
        return value
    return time.replace(tzinfo=UTC).isoformat() if time.tzinfo is None else value


def said(fields: Fields) -> dict[str, Any]:
    """Return the fields that hold something."""
    return {name: value for name, value in fields.items() if value is not None}
