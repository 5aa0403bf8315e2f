"""The refusal table: one small class for each code a client can meet.

Everything that refuses a request raises one of these; ``asgi/refusals.py`` alone turns them into
responses. What the client may read is ``description`` and ``details``; ``reason`` is for the log and
names the check that refused.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

Body = tuple[str, Mapping[str, Any]]
"""A refusal's media type, and its content as JSON data."""


class AuthError(Exception):
    """A refusal. Raised in an endpoint, it is answered in CallCov's error form."""

    code: ClassVar[str] = "internal_error"
    """What a client's program goes by."""
    status: ClassVar[int] = 500
    """Of HTTP."""
    description: ClassVar[str] = "Something went wrong on the server"
    """The message where none is given."""
    challenge: ClassVar[str | None] = None
    """The ``error`` of the Bearer challenge (RFC 6750 §3.1); empty for a challenge without one."""
    details: Mapping[str, Any] = MappingProxyType({})
    """What the client may read beside the message."""
    retry_after: int | None = None
    """In seconds; None where asking again does not help."""
    key_id: str | None = None
    """Of a key that is known, and is refused all the same. For the log, as ``key_owner`` is."""
    key_owner: str | None = None
    """Whose that key is: the user's id."""

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.message = message or self.description
        """What the client is told, for people."""
        self.reason = reason or self.code
        """Which check refused; for the log alone."""
        if details:
            self.details = dict(details)
        if retry_after is not None:
            self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message

    def headers(self) -> list[tuple[str, str]]:
        """Headers of this refusal beside its challenge (RFC 9110 §10.2.3 for ``Retry-After``)."""
        return [] if self.retry_after is None else [("retry-after", str(self.retry_after))]


class MissingToken(AuthError):
    code, status, challenge = "missing_token", 401, ""
    description = "An Authorization header with a Bearer credential is required"


class InvalidToken(AuthError):
    code, status, challenge = "invalid_token", 401, "invalid_token"
    description = "The credential is not valid"


class TokenExpired(AuthError):
    code, status, challenge = "token_expired", 401, "invalid_token"
    description = "The token expired"


class TokenRevoked(AuthError):
    code, status, challenge = "token_revoked", 401, "invalid_token"
    description = "The credential was revoked"


class InvalidCredentials(AuthError):
    code, status = "invalid_credentials", 401
    description = "The email or the password is wrong"


class InsufficientPermissions(AuthError):
    """The caller lacks scopes. With none named, no scope would help: another kind of caller is needed."""

    code, status, challenge = "insufficient_permissions", 403, "insufficient_scope"
    description = "The credential lacks a scope that is required here"

    def __init__(self, *required: str, message: str | None = None, reason: str | None = None) -> None:
        self.required: Sequence[str] = required
        """The scopes that would have done."""
        details = {"required_scopes": list(required)} if required else None
        super().__init__(message, reason=reason, details=details)


class HttpsRequired(AuthError):
    code, status = "https_required", 403
    description = "This API is served over HTTPS only"


class NotFound(AuthError):
    code, status = "not_found", 404
    description = "There is no such resource"


class Conflict(AuthError):
    code, status = "conflict", 409
    description = "The request conflicts with what is stored"


class KeyLimitReached(AuthError):
    code, status = "key_limit_reached", 409
    description = "The number of active API keys is at its limit; revoke one first"


class MalformedJson(AuthError):
    code, status = "malformed_json", 400
    description = "The body is not valid JSON"


class BodyTooLarge(AuthError):
    code, status = "body_too_large", 413
    description = "The body is larger than 64 KiB"


class ValidationFailed(AuthError):
    """Fields of the wrong type or out of bounds. ``fields`` names them and never holds a value."""

    code, status = "validation_error", 422
    description = "Some fields are missing or not valid"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(details={"fields": dict(fields)})


class RateLimited(AuthError):
    """Too many failures, or too many uses of a key. ``reset`` is in seconds from now."""

    code, status = "rate_limited", 429
    description = "Too many failed attempts; try again later"

    def __init__(
        self,
        message: str | None = None,
        *,
        limit: int,
        remaining: int,
        reset: int,
        reason: str | None = None,
    ) -> None:
        self.limit, self.remaining, self.reset = limit, remaining, reset
        super().__init__(message, reason=reason, retry_after=reset)

    def headers(self) -> list[tuple[str, str]]:
        """``Retry-After``, and the three ``X-RateLimit-`` headers."""
        return [
            *super().headers(),
            ("x-ratelimit-limit", str(self.limit)),
            ("x-ratelimit-remaining", str(self.remaining)),
            ("x-ratelimit-reset", str(self.reset)),
        ]


class AuthUnavailable(AuthError):
    """The answer cannot be known now: the store or a needed key set is out of reach."""

    code, status = "auth_unavailable", 503
    description = "Authentication is not available right now"

    def __init__(
        self, message: str | None = None, *, reason: str | None = None, retry_after: int = 1
    ) -> None:
        super().__init__(message, reason=reason, retry_after=retry_after)


class InternalError(AuthError):
    code, status = "internal_error", 500


REFUSALS: tuple[type[AuthError], ...] = (
    MissingToken,
    InvalidToken,
    TokenExpired,
    TokenRevoked,
    InvalidCredentials,
    InsufficientPermissions,
    HttpsRequired,
    NotFound,
    Conflict,
    KeyLimitReached,
    MalformedJson,
    BodyTooLarge,
    ValidationFailed,
    RateLimited,
    AuthUnavailable,
    InternalError,
)
"""Every refusal that a client can meet."""


def callcov_error(error: AuthError, request_id: str) -> Body:
    """Return the default form of a refusal: CallCov's ``{"error": {…}}``."""
    return "application/json", callcov_content(error.code, error.message, error.details, request_id)


def callcov_content(
    code: str, message: str, details: Mapping[str, Any], request_id: str
) -> Mapping[str, Any]:
    """Return the content of ``callcov_error``; the request id is the last thing in it."""
    content: dict[str, Any] = {"code": code, "message": message}
    if details:
        content["details"] = details
    content["request_id"] = request_id
    return {"error": content}


def problem_details(error: AuthError, request_id: str) -> Body:
    """Return a refusal as RFC 9457 problem details. Give it to ``render_refusal`` to use it."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": error.description,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
    }
    if error.details:
        problem["details"] = error.details
    return "application/problem+json", problem
