"""Work that is worth a look while it is done: by nobody, unless the settings ask for it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

_NOTHING = nullcontext()


class Watch(Protocol):
    """Whoever watches: a span and a duration come of it."""

    def __call__(self, operation: str, /, *, kind: str | None = None) -> AbstractContextManager[object]:
        """Return what the operation is done within. ``kind`` is that of a credential.

        It raises nothing, and lets through whatever is raised within.
        """
        ...


def unwatched(_operation: str, *, kind: str | None = None) -> AbstractContextManager[object]:  # noqa: ARG001
    """Watch nothing."""
    return _NOTHING
