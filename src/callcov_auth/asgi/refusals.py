"""AuthError → the messages that refuse a request, over HTTP and over WebSocket."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.responses import Response
from starlette.types import Scope, Send

from callcov_auth.asgi.headers import header_values
from callcov_auth.asgi.https import client_address
from callcov_auth.auth import Auth
from callcov_auth.errors import (
    AuthError,
    InsufficientPermissions,
    InternalError,
    callcov_content,
    callcov_error,
)
from callcov_auth.events import Refused, emit, is_told, logger
from callcov_auth.settings import AuthSettings

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# What may stand in error_description, RFC 6750 §3: no quote and no backslash.
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_RESPONSE_EXTENSION = "websocket.http.response"
# How much of a path is told.
MAX_PATH = 256
# In hexadecimal digits: 128 bits.
_ID_LENGTH = 32
_HTTP_RESPONSE = ("http.response.start", "http.response.body")
_WEBSOCKET_RESPONSE = (f"{_RESPONSE_EXTENSION}.start", f"{_RESPONSE_EXTENSION}.body")
_POLICY_VIOLATION = 1008


Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]
"""A refusal as it goes on the wire: status, headers, body."""


@dataclass(frozen=True, slots=True)
class _Form:
    """The part of a refusal that is the same for every request: the body around the request id, headers."""

    before: bytes
    after: bytes
    length: bytes
    """With a request id that was made here."""
    headers: tuple[tuple[bytes, bytes], ...]


def sent_request_id(scope: Scope) -> str | None:
    """Return the request's own ``X-Request-ID`` where it is fit to be echoed."""
    sent = header_values(scope, b"x-request-id")
    return sent[0].decode("ascii") if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]) else None


def request_id_of(scope: Scope) -> str:
    """Return the request's own ``X-Request-ID`` where it is fit to be echoed, else a new one."""
    sent = sent_request_id(scope)
    if sent is not None:
        return sent
    # It is no secret, and it is asked for at the rate of an attack.
    return random.randbytes(_ID_LENGTH // 2).hex()  # noqa: S311


def render(error: AuthError, request_id: str, settings: AuthSettings) -> Refusal:
    """Return ``error`` in the form that the settings ask for."""
    if settings.render_refusal is not None or error.details:
        return _render_anew(error, request_id, settings)
    form = _form(error.code, error.message, error.challenge, settings.realm)
    sent_id = request_id.encode("ascii")
    body = form.before + sent_id + form.after
    length = form.length if len(sent_id) == _ID_LENGTH else b"%d" % len(body)
    headers = [(b"content-length", length), (b"x-request-id", sent_id), *form.headers]
    if error.retry_after is not None:
        headers += _encoded(error.headers())
    return error.status, headers, body


# Bounded, for a message may be an endpoint's own; ours are few.
@lru_cache(maxsize=256)
def _form(code: str, message: str, challenge: str | None, realm: str) -> _Form:
    """Return what is ready of every refusal that says no more than ``message``."""
    before, after = _json(callcov_content(code, message, {}, "\x00")).rsplit(b"\\u0000", 1)
    headers = [("content-type", "application/json"), *_challenge(challenge, message, (), realm)]
    length = b"%d" % (len(before) + _ID_LENGTH + len(after))
    return _Form(before, after, length, tuple(_encoded(headers)))


def _render_anew(error: AuthError, request_id: str, settings: AuthSettings) -> Refusal:
    media_type, content = _content(error, request_id, settings)
    body = _json(content)
    required = error.required if isinstance(error, InsufficientPermissions) else ()
    headers = [
        ("content-length", str(len(body))),
        ("x-request-id", request_id),
        ("content-type", media_type),
        *error.headers(),
        *_challenge(error.challenge, error.message, required, settings.realm),
    ]
    return error.status, _encoded(headers), body


def refusal_of(error: Exception, scope: Scope, auth: Auth) -> Refusal:
    """Report ``error`` and render it; whatever is no AuthError is a bug, logged and shown to nobody."""
    request_id = request_id_of(scope)
    if not isinstance(error, AuthError):
        logger.error("internal_error request_id=%s", request_id, exc_info=error)
        error = InternalError(reason=type(error).__name__)
    # The audit log has no ear for all others, which come at the rate of an attack.
    if error.key_id is not None or is_told(Refused, auth.listener):
        emit(_event(error, request_id, scope, auth.settings), auth.on_event)
    return render(error, request_id, auth.settings)


def _event(error: AuthError, request_id: str, scope: Scope, settings: AuthSettings) -> Refused:
    return Refused(
        code=error.code,
        reason=error.reason,
        request_id=request_id,
        client=client_address(scope, settings.trusted_proxies),
        method=scope.get("method", "WEBSOCKET"),
        path=scope["path"][:MAX_PATH],
        key_id=error.key_id,
        owner=error.key_owner,
    )


def response_of(refusal: Refusal) -> Response:
    """Return ``refusal`` as Starlette's own kind of answer."""
    status, headers, body = refusal
    response = Response(body, status)
    response.raw_headers = headers
    return response


async def refuse(error: Exception, scope: Scope, send: Send, auth: Auth) -> None:
    """Answer a request or a WebSocket handshake with ``error``."""
    status, headers, body = refusal_of(error, scope, auth)
    if scope["type"] == "http":
        start, end = _HTTP_RESPONSE
        body = b"" if scope["method"] == "HEAD" else body
    elif _RESPONSE_EXTENSION in (scope.get("extensions") or {}):
        start, end = _WEBSOCKET_RESPONSE
    else:
        await close(error, send)
        return
    await send({"type": start, "status": status, "headers": headers})
    await send({"type": end, "body": body, "more_body": False})


async def close(error: Exception, send: Send) -> None:
    """Close a WebSocket; before it is accepted, servers turn this into a bare 403."""
    code = error.code if isinstance(error, AuthError) else InternalError.code
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": code})


def _content(error: AuthError, request_id: str, settings: AuthSettings) -> tuple[str, Mapping[str, Any]]:
    if settings.render_refusal is None:
        return callcov_error(error, request_id)
    try:
        return settings.render_refusal(error, request_id)
    except Exception:
        # A refusal must be given whatever happens, so the form is ours where theirs fails.
        logger.exception("render_refusal failed; request_id=%s", request_id)
        return callcov_error(error, request_id)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8")


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _challenge(
    challenge: str | None, message: str, required: Sequence[str], realm: str
) -> Sequence[tuple[str, str]]:
    """Return the ``WWW-Authenticate`` header of RFC 6750 §3, where there is a challenge."""
    if challenge is None:
        return ()
    parts = [f'Bearer realm="{realm}"']
    if challenge:
        parts.append(f'error="{challenge}"')
    if challenge == "invalid_token":
        parts.append(f'error_description="{_NOT_IN_DESCRIPTION.sub("", message)}"')
    if required:
        parts.append(f'scope="{" ".join(required)}"')
    return (("www-authenticate", ", ".join(parts)),)
