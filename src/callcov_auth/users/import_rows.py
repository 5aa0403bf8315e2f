"""What a file of users from elsewhere holds, line by line."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from callcov_auth.importing import WORDS, Time
from callcov_auth.validation import Email, Input, Line, Scopes

# It stands in the ``sub`` of tokens, in headers and in logs; an owner with an @ is an email.
_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
# What the audit log calls the command line.
_NOBODYS_ID = "cli"


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _id(text: str) -> str:
    if not _ID.fullmatch(text) or text == _NOBODYS_ID:
        raise ValueError("is 1 to 64 letters, digits and any of . _ ~ -")
    return text


class UserRow(Input):
    """A user from elsewhere. Without ``id`` one is made; without ``password_hash`` nobody can log in."""

    email: Email
    password_hash: Annotated[Line, Field(min_length=1, max_length=512)] | None = None
    id: Annotated[str, BeforeValidator(_text), AfterValidator(_id)] | None = None
    scopes: Annotated[Scopes, WORDS] = Field(default_factory=list)
    created_at: Time | None = None
    disabled_at: Time | None = None
