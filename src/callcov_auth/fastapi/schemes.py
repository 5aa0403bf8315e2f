"""What OpenAPI says of credentials: a key or a token as a bearer, and the login that gives a token.

They read nothing from a request. A credential is judged in one place, and that is not here.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.openapi.models import SecurityBase as Model
from fastapi.security.base import SecurityBase

LOGIN = "/auth/login"


class Shown(SecurityBase):
    """A security scheme that is shown, and asks for nothing."""

    def __init__(self, name: str, model: Model) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        return None


_flow = OAuthFlowPassword(tokenUrl="", scopes={})

BEARER = Shown(
    "bearer", HTTPBearer(bearerFormat="API key or JWT", description="An API key, or an access token.")
)
PASSWORD = Shown("login", OAuth2(flows=OAuthFlows(password=_flow), description="Email and password."))


def password_form(login: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of RFC 6749 §4.3.2's form, where ``login`` is that of the same in JSON."""
    fields = login["properties"]
    return {
        "type": "object",
        "required": ["username", "password"],
        "properties": {
            "grant_type": {"const": "password"},
            "username": {**fields["email"], "title": "Username", "description": "The email."},
            "password": {**fields["password"], "format": "password"},
        },
    }


def show_login_at(prefix: str) -> None:
    """Say where one logs in: relative to the documentation, for the app may be mounted anywhere."""
    _flow.tokenUrl = (prefix + LOGIN).removeprefix("/")


show_login_at("/api/v1")
