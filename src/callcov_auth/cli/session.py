"""An open Auth for as long as one command lasts."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from callcov_auth.auth import Auth

T = TypeVar("T")


def with_auth(work: "Callable[[Auth], Awaitable[T]]") -> T:
    """Return what ``work`` returns, run on an Auth from the settings in the environment or ``.env``.

    The audit log says that the command line did it. Raises SettingsError, SchemaError, and whatever ``work``
    raises.
    """
    import anyio

    from callcov_auth.acting import Acting, who_acts
    from callcov_auth.auth import Auth
    from callcov_auth.settings import AuthSettings

    async def opened() -> T:
        who_acts.set(partial(Acting, actor="cli"))
        async with Auth(AuthSettings()) as auth:
            return await work(auth)

    return anyio.run(opened)
