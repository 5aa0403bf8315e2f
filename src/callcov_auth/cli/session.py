"""An open Auth for as long as one command lasts."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import typer

from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.progress import spinner

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.settings import AuthSettings

T = TypeVar("T")

_LOOK = "see that CALLCOV_AUTH_DATABASE_URL and the current folder are right"


def with_auth(work: "Callable[[Auth], Awaitable[T]]", *, makes_database: bool = False) -> T:
    """Return what ``work`` returns, run on an Auth from the settings in the environment or ``.env``.

    The audit log says that the command line did it. Raises SettingsError, SchemaError, and whatever ``work``
    raises; Unusable for a resource server. Unless ``makes_database``, it tells of a database that was not
    there: a new one in the wrong folder says that there is nothing.
    """
    from callcov_auth.cli.checks import database_not_made
    from callcov_auth.errors import NotFound

    settings = settings_with_database()
    is_new = not makes_database and database_not_made(settings) is not None
    try:
        result = with_auth_from(settings, work)
    except NotFound as error:
        if is_new:
            error.add_note(f"{error.message}, and there was no database: {_LOOK}")
        raise
    if is_new:
        typer.echo(f"note: there was no database, so an empty one was made: {_LOOK}", err=True)
    return result


def with_auth_from(settings: "AuthSettings", work: "Callable[[Auth], Awaitable[T]]") -> T:
    """Return what ``work`` returns, as ``with_auth`` does, also for a resource server."""
    import anyio

    from callcov_auth.acting import Acting, who_acts
    from callcov_auth.auth import Auth

    async def opened() -> T:
        who_acts.set(partial(Acting, actor="cli"))
        async with AsyncExitStack() as stack:
            # An older schema is brought up to date here, which may take its time.
            with spinner("Opening the database"):
                auth = await stack.enter_async_context(Auth(settings))
            return await work(auth)

    return anyio.run(opened)


def settings_with_database() -> "AuthSettings":
    """Return the settings in the environment or ``.env``. Raises Unusable for a resource server's."""
    from callcov_auth.settings import AuthSettings

    settings = AuthSettings()
    if settings.is_resource_server:
        raise Unusable("A resource server has no database: set CALLCOV_AUTH_SECRET to have one.")
    return settings
