"""A body that is sent once, so that no redirect carries a password or a refresh token elsewhere."""

from collections.abc import AsyncIterator, Iterator

from callcov_auth.client.errors import LoginFailed


class _Once:
    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    def _take(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            raise LoginFailed("the login was redirected")
        return content


class OnceSync(_Once):
    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        yield self._take()


class OnceAsync(_Once):
    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._take()
