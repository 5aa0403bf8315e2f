"""What a file of keys from elsewhere holds, line by line, and what became of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from callcov_auth.keys import foreign
from callcov_auth.keys.service import KeyRequest
from callcov_auth.validation import Line, Name, Scopes

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
# The year 9999, past which RFC 3339 cannot write a time.
_END_OF_TIME = 253402300800.0


def _words(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value) else value


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


Time = Annotated[float, BeforeValidator(_seconds), Field(ge=0, lt=_END_OF_TIME)]


class ImportRow(KeyRequest):
    """A key from elsewhere. Without ``scopes`` it gets all of its owner's, as a new key does.

    ``expires_in_days`` counts from the import on.
    """

    owner: Name
    digest: Annotated[Line, Field(min_length=1, max_length=512)]
    kind: foreign.Kind
    prefix: Annotated[str, Field(pattern=r"^sk_[!-~]*$", max_length=64)] | None = None
    scopes: Annotated[Scopes | None, BeforeValidator(_words)] = None
    expires_in_days: Annotated[Annotated[int, Field(ge=1, le=3650)] | None, BeforeValidator(_whole)] = None
    expires_at: Time | None = None
    created_at: Time | None = None


@dataclass(frozen=True, slots=True)
class ImportLine:
    """What stands at one line of a file, by the names of ImportRow's fields."""

    number: int
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a line was not imported. ``reason`` shows no digest."""

    line: int
    field: str
    reason: str


@dataclass(slots=True)
class Tally:
    imported: int = 0
    present: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, line: int, fields: Mapping[str, str]) -> None:
        """Note what is wrong with each field, leaving out names that are none: one may be a digest."""
        for path, reason in fields.items():
            name = path.partition(".")[0]
            is_known = name in ImportRow.model_fields
            shown = (name, reason) if is_known else ("a field", "has a name that is not known")
            self.refusals.append(Refusal(line, *shown))

    @property
    def refused(self) -> int:
        """How many lines; one line may have several refusals."""
        return len({refusal.line for refusal in self.refusals})
