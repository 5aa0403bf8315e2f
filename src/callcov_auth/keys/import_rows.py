"""What a file of keys from elsewhere holds, line by line."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from callcov_auth.importing import WORDS, Time
from callcov_auth.keys import foreign
from callcov_auth.keys.service import RatedKeyRequest
from callcov_auth.validation import Line, Name, Scopes


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value) else value


class ImportRow(RatedKeyRequest):
    """A key from elsewhere. Without ``scopes`` it gets all of its owner's, as a new key does.

    ``expires_in_days`` counts from the import on.
    """

    owner: Name
    digest: Annotated[Line, Field(min_length=1, max_length=512)]
    kind: foreign.Kind
    prefix: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=64)] | None = None
    scopes: Annotated[Scopes | None, WORDS] = None
    expires_in_days: Annotated[Annotated[int, Field(ge=1, le=3650)] | None, BeforeValidator(_whole)] = None
    expires_at: Time | None = None
    created_at: Time | None = None
    revoked_at: Time | None = None
