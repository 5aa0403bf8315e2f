"""``callcov-auth users import``."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from callcov_auth.cli.commands import Json, Scopes
from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.importing import File, run_import, take_all

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.importing import Tally


class Source(StrEnum):
    """Whose table the file is."""

    CSV = "csv"
    FASTAPI_USERS = "fastapi-users"


def import_users(
    file: File,
    source: Annotated[
        Source, typer.Option("--from", help="Whose columns the file has; csv are those named above.")
    ] = Source.CSV,
    scopes: Scopes = None,
    superuser_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--superuser-scope",
            metavar="SCOPE",
            help="A scope for who is a superuser in fastapi-users.",
        ),
    ] = None,
    verified_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--verified-scope", metavar="SCOPE", help="A scope for who is verified in fastapi-users."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take over users from elsewhere, with their passwords; run again, it goes on where it was.

    Columns: email, and, if wanted, password_hash (Argon2 or bcrypt; without one the user cannot log in until
    'users set-password'), id (kept as it is), scopes (with spaces between), created_at, disabled_at. --scope
    gives scopes to everybody. A password is hashed anew at its first login here.

    With --from, the file is another program's table as it is. Exit code 1 if a line is refused.
    """
    marks = [*(superuser_scopes or ()), *(verified_scopes or ())]
    if marks and source is not Source.FASTAPI_USERS:
        raise Unusable(
            "--superuser-scope and --verified-scope go with '--from fastapi-users' alone: add it, or name "
            "each user's scopes in the column scopes."
        )

    async def work(auth: "Auth", opened: BinaryIO) -> "Tally":
        from callcov_auth.users.foreign_tables import fastapi_users
        from callcov_auth.users.imports import BATCH, OURS, UserImport
        from callcov_auth.users.service import ScopesRequest
        from callcov_auth.validation import validated

        # Once, and not at each line.
        validated(ScopesRequest, {"scopes": [*(scopes or ()), *marks]})
        table = OURS
        if source is Source.FASTAPI_USERS:
            table = fastapi_users(
                superuser_scopes=superuser_scopes or (), verified_scopes=verified_scopes or ()
            )
        importing = UserImport(
            auth.store, clock=lambda: auth.now, table=table, scopes=scopes or (), on_event=auth.on_event
        )
        return await take_all(opened, table, importing, batch=BATCH)

    run_import(file, work, as_json=as_json)
