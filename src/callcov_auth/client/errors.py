"""What the client raises. No text of these holds a credential."""


class InsecureOrigin(ValueError):
    """A credential was to be sent where others could read it."""

    def __init__(self) -> None:
        super().__init__(
            "credentials are sent over HTTPS alone: use an https:// address, or, for local work on a "
            "loopback address, allow_loopback_http=True"
        )


class LoginFailed(Exception):
    """There is no access token to be had.

    ``code`` and ``status`` are the server's refusal, where it gave one; ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.retry_after = code, status, retry_after

    def again(self) -> "LoginFailed":
        """Return the same failure for another request, without the traces of the first."""
        return LoginFailed(str(self), code=self.code, status=self.status, retry_after=self.retry_after)
