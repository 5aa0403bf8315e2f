"""The store of a program that needs none: a resource server, which takes others' tokens alone."""

from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from callcov_auth.store.protocol import Change


class NoStore:
    """Opens and closes; whatever else is asked of it is a mistake in the program."""

    async def open(self) -> None:
        return None

    async def aclose(self) -> None:
        return None

    async def has_foreign_keys(self, _mac_ids: Collection[str]) -> bool:
        return False

    async def changes_after(self, cursor: int | None) -> tuple[int, Sequence[Change] | None]:
        return cursor or 0, []

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            f"a resource server has no store, so there is no {name!r}: with CALLCOV_AUTH_SECRET it has one"
        )


def no_store() -> Any:
    return NoStore()
