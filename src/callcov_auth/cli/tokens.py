"""``callcov-auth tokens``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callcov_auth.cli.asking import ask_token
from callcov_auth.cli.commands import Command, Json, Scopes, noun
from callcov_auth.cli.errors import REFUSED
from callcov_auth.cli.output import print_json
from callcov_auth.cli.session import with_auth, with_auth_from

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.errors import AuthError

app = noun("Access tokens.")


@app.command(cls=Command)
def issue(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A user's id, or another name.", show_default=False)
    ],
    scopes: Scopes = None,
    as_json: Json = False,
) -> None:
    """Print an access token. Without --scope it may do nothing."""

    async def work(auth: "Auth") -> dict[str, Any]:
        token = await auth.tokens.issue(subject, scopes=scopes or ())
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": auth.settings.access_token_ttl,
        }

    answer = with_auth(work, makes_database=True)
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer["access_token"])


@app.command(cls=Command)
def inspect(as_json: Json = False) -> None:
    """Show what a token says, and whether it verifies; exit code 1 where it does not.

    The token is asked for, or is the first line of standard input. Neither it nor its signature is shown.
    """
    from callcov_auth.settings import AuthSettings

    token = ask_token()
    found = with_auth_from(AuthSettings(), lambda auth: _inspected(auth, token))
    if as_json:
        print_json(found.document)
    else:
        found.print()
    if found.refusal is not None:
        raise typer.Exit(REFUSED)


@dataclass(frozen=True, slots=True)
class Inspected:
    """``header`` and ``claims`` are None for what is no token at all; nobody vouches for them otherwise."""

    header: dict[str, Any] | None
    claims: dict[str, Any] | None
    refusal: "AuthError | None"

    @property
    def document(self) -> dict[str, Any]:
        refusal = self.refusal
        return {
            "header": self.header,
            "claims": self.claims,
            "verifies": refusal is None,
            "code": None if refusal is None else refusal.code,
            "reason": None if refusal is None else refusal.reason,
        }

    def print(self) -> None:
        # As JSON, which escapes whatever a stranger's token holds against the terminal.
        if self.header is not None:
            typer.echo("header:")
            print_json(self.header)
            typer.echo("claims:")
            print_json(self.claims)
        refusal = self.refusal
        typer.echo("verifies: yes" if refusal is None else f"verifies: no, {refusal.code} ({refusal.reason})")


async def _inspected(auth: "Auth", token: str) -> Inspected:
    from callcov_auth.errors import AuthError
    from callcov_auth.tokens.guards import take_apart

    try:
        parts = take_apart(token)
        claims = parts.claims()
    except AuthError as refusal:
        return Inspected(None, None, refusal)
    typ = str(parts.header.get("typ")).lower().removeprefix("application/")
    return Inspected(dict(parts.header), claims, await _refusal(auth, token, typ))


async def _refusal(auth: "Auth", token: str, typ: str) -> "AuthError | None":
    from callcov_auth.errors import AuthError
    from callcov_auth.tokens.verifier import REFRESH

    try:
        if typ == REFRESH:
            await auth.tokens.session_of(token)
        else:
            await auth.authenticate(f"Bearer {token}")
    except AuthError as refusal:
        return refusal
    return None
