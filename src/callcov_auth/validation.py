"""Values from outside, checked by pydantic models and refused without being shown."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from callcov_auth.errors import ValidationFailed

MAX_SCOPES = 100
MAX_PAGE = 200


class Input(BaseModel):
    """What a caller gives: types are not converted, and an unknown field is an error, for a mistyped
    ``scope`` must not be read as 'no scopes named'."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


def _encodable(text: str) -> str:
    # JSON can hold half of a surrogate pair, and no database, hash or header can. Most texts are ASCII, of
    # which this is known at a glance, and a login has four of them looked at.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds characters that are not valid Unicode")
    return text


def _storable(text: str) -> str:
    # PostgreSQL's text holds every character but this one.
    if "\0" in text:
        raise ValueError("holds the character NUL")
    return text


def _on_one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("holds control characters")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _normal_email(text: str) -> str:
    return _printable(text).lower()


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _shown(pattern: str) -> Any:
    """Show in OpenAPI, as a pattern, what a validator asks for."""
    return Field(json_schema_extra={"pattern": pattern})


# To JSON Schema, by which OpenAPI describes us, 30.0 is an integer (draft 2020-12, §4.2.3).
WHOLE = BeforeValidator(_whole)
Text = Annotated[str, AfterValidator(_encodable)]
StoredText = Annotated[Text, AfterValidator(_storable), _shown(r"^[^\u0000]*$")]
# What ends a line, or turns the order about in which it is read: a log or a table that shows it would lie
# (Unicode Standard Annex #9, §2). NUL is one of them.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_CONTROLS}]")
Line = Annotated[Text, AfterValidator(_on_one_line), _shown(f"^[^{_CONTROLS}]*$")]
# A scope-token of RFC 6749 §3.3.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
SCOPE_PATTERN = f"^{_SCOPE_TOKEN.pattern}$"
_EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+$"
# In the place of a pattern, which few can read.
_SAID = {
    SCOPE_PATTERN: "A scope has 1 to 128 ASCII characters, without spaces, quotes and backslashes",
    _EMAIL_PATTERN: "This is no email address",
}


def is_scope_token(text: str) -> bool:
    return _SCOPE_TOKEN.fullmatch(text) is not None


ScopeToken = Annotated[str, Field(pattern=SCOPE_PATTERN)]
Scopes = Annotated[list[ScopeToken], Field(max_length=MAX_SCOPES)]
# What names a subject: it reaches headers and logs.
Name = Annotated[Text, AfterValidator(_printable), Field(min_length=1, max_length=255)]
# Enough to catch a slip; only a message to the address would prove more.
Email = Annotated[
    str,
    # Before the validators, for behind one a pattern is not shown in OpenAPI.
    Field(pattern=_EMAIL_PATTERN, max_length=254, json_schema_extra={"format": "email"}),
    AfterValidator(_encodable),
    AfterValidator(_normal_email),
]
# The upper bound is that of the work a stranger can ask of Argon2.
Password = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_encodable)]
# NIST SP 800-63B §3.1.1.2: at least 8 characters, and no rules of composition.
NewPassword = Annotated[str, Field(min_length=8, max_length=1024), AfterValidator(_encodable)]


class PageRequest(Input):
    """Which page of a list: at most ``limit`` of it, after where ``cursor`` says."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: Annotated[str, Field(max_length=256)] | None = None


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Return ``values`` as ``model``. Raises ValidationFailed, which names fields and shows no value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fields = {_path(problem["loc"]): _message(problem) for problem in error.errors(include_input=False)}
    raise ValidationFailed(fields)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:64] for part in location) or "body"


def _message(problem: Any) -> str:
    pattern = problem.get("ctx", {}).get("pattern")
    return _SAID.get(pattern) or str(problem["msg"]).removeprefix("Value error, ")
