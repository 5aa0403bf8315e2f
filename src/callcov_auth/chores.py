"""What is done beside the requests, again and again, as long as the process lives."""

from collections.abc import Awaitable, Callable

from callcov_auth.events import logger

Chore = Callable[[], Awaitable[None]]


async def attempt(chore: Chore) -> None:
    """Do it, and only log what it raises.

    A store of somebody else's may fail in any way: the task that asks it must outlive that, and a request
    in whose time it is done must be answered all the same.
    """
    try:
        await chore()
    except Exception:
        logger.exception("housekeeping failed; it is tried again")
