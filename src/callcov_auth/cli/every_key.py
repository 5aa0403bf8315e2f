"""All keys, over all pages."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.cli.progress import Tell
    from callcov_auth.store.protocol import Key


async def every_key(auth: "Auth", owner: str | None, *, include_expired: bool, tell: "Tell") -> "list[Key]":
    """Return all keys of ``owner``, or of everybody, newest first."""
    from callcov_auth.validation import MAX_PAGE

    keys: list[Key] = []
    cursor: str | None = None
    while True:
        page = await auth.keys.list(owner, include_expired=include_expired, limit=MAX_PAGE, cursor=cursor)
        keys += page.keys
        tell(len(page.keys), page.total)
        cursor = page.cursor
        if cursor is None:
            return keys
