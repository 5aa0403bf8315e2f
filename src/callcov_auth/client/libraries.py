"""The class that the installed HTTP libraries know an authentication by."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    import httpx
    import httpx2

    class HttpxAuth(httpx2.Auth, httpx.Auth):
        """An ``auth=`` of either library, for sync and async clients."""

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...
else:

    def _bases() -> tuple[type, ...]:
        found = []
        for library in ("httpx2", "httpx"):
            try:
                found.append(import_module(library).Auth)
            except ImportError:
                continue
        if not found and find_spec("requests") is None:
            raise ImportError("callcov_auth.client needs httpx2: pip install 'callcov-auth[client]'")
        return tuple(found)

    # Each library takes an instance of its own class, so that this is one of all that are there.
    HttpxAuth = type("HttpxAuth", _bases(), {"__doc__": "An ``auth=`` of either library, sync and async."})


class NotPickled:
    """What holds a credential goes into no file and to no other process."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a credential and is not pickled")
