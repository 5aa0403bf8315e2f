"""The form in which OAuth 2.0 clients log in, such as Swagger UI: RFC 6749 §4.3.2."""

from urllib.parse import parse_qsl

from starlette.types import Scope

from callcov_auth.asgi.headers import header_values
from callcov_auth.errors import ValidationFailed

FORM = b"application/x-www-form-urlencoded"
# A client sends six at most.
MAX_FIELDS = 16

_NAMES = {"username": "email", "password": "password"}


def is_form(scope: Scope) -> bool:
    """Whether the body of a request says of itself that it is a form."""
    kinds = header_values(scope, b"content-type")
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == FORM


def login_from(raw: bytes) -> dict[str, str]:
    """Return the email and the password in a form. Raises ValidationFailed.

    Who the client is and which scopes it would like is passed over: there are no clients here, and a login
    grants what the user may do.
    """
    try:
        sent = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        # 'from None', for the error may quote the password.
        raise ValidationFailed({"body": "is not a form"}) from None
    fields = dict(sent)
    if len(fields) != len(sent):
        raise ValidationFailed({"body": "holds a field twice"})
    if fields.get("grant_type", "password") != "password":
        raise ValidationFailed({"grant_type": "is not 'password'"})
    return {_NAMES[name]: value for name, value in fields.items() if name in _NAMES}
