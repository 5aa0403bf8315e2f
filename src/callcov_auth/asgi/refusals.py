"""AuthError → the messages that refuse a request, over HTTP and over WebSocket."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Scope, Send

from callcov_auth.asgi.headers import header_values
from callcov_auth.asgi.https import client_address
from callcov_auth.errors import AuthError, InsufficientPermissions, InternalError, callcov_error
from callcov_auth.events import Refused, emit, logger
from callcov_auth.settings import AuthSettings

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# What may stand in error_description, RFC 6750 §3: no quote and no backslash.
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_RESPONSE_EXTENSION = "websocket.http.response"
_POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it goes on the wire."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def request_id_of(scope: Scope) -> str:
    """Return the request's own ``X-Request-ID`` where it is fit to be echoed, else a new one."""
    sent = header_values(scope, b"x-request-id")
    if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]):
        return sent[0].decode("ascii")
    return secrets.token_hex(16)


def render(error: AuthError, request_id: str, settings: AuthSettings) -> Refusal:
    """Return ``error`` in the form that the settings ask for."""
    media_type, content = _content(error, request_id, settings)
    body = json.dumps(content, ensure_ascii=False).encode("utf-8")
    headers = [
        ("content-type", media_type),
        ("content-length", str(len(body))),
        ("x-request-id", request_id),
        *error.headers(),
    ]
    if error.challenge is not None:
        headers.append(("www-authenticate", _challenge(error, settings.realm)))
    return Refusal(
        error.status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers], body
    )


def refusal_of(error: Exception, scope: Scope, settings: AuthSettings) -> Refusal:
    """Report ``error`` and render it; whatever is no AuthError is a bug, logged and shown to nobody."""
    request_id = request_id_of(scope)
    if not isinstance(error, AuthError):
        logger.error("internal_error request_id=%s", request_id, exc_info=error)
        error = InternalError(reason=type(error).__name__)
    event = Refused(
        code=error.code,
        reason=error.reason,
        request_id=request_id,
        client=client_address(scope, settings.trusted_proxies),
        method=scope.get("method", "WEBSOCKET"),
        path=scope["path"][:256],
    )
    emit(event)
    return render(error, request_id, settings)


def response_of(refusal: Refusal) -> Response:
    """Return ``refusal`` as Starlette's own kind of answer."""
    response = Response(refusal.body, refusal.status)
    response.raw_headers = refusal.headers
    return response


async def refuse(error: Exception, scope: Scope, send: Send, settings: AuthSettings) -> None:
    """Answer a request or a WebSocket handshake with ``error``."""
    refusal = refusal_of(error, scope, settings)
    if scope["type"] == "http":
        body = b"" if scope["method"] == "HEAD" else refusal.body
        await _respond("http.response", refusal, body, send)
    elif _RESPONSE_EXTENSION in (scope.get("extensions") or {}):
        await _respond(_RESPONSE_EXTENSION, refusal, refusal.body, send)
    else:
        await close(error, send)


async def close(error: Exception, send: Send) -> None:
    """Close a WebSocket; before it is accepted, servers turn this into a bare 403."""
    code = error.code if isinstance(error, AuthError) else InternalError.code
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": code})


async def _respond(prefix: str, refusal: Refusal, body: bytes, send: Send) -> None:
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": refusal.headers})
    await send({"type": f"{prefix}.body", "body": body, "more_body": False})


def _content(error: AuthError, request_id: str, settings: AuthSettings) -> tuple[str, Mapping[str, Any]]:
    if settings.render_refusal is None:
        return callcov_error(error, request_id)
    try:
        return settings.render_refusal(error, request_id)
    except Exception:
        # A refusal must be given whatever happens, so the form is ours where theirs fails.
        logger.exception("render_refusal failed; request_id=%s", request_id)
        return callcov_error(error, request_id)


def _challenge(error: AuthError, realm: str) -> str:
    """Return the ``WWW-Authenticate`` value of RFC 6750 §3."""
    parts = [f'Bearer realm="{realm}"']
    if error.challenge:
        parts.append(f'error="{error.challenge}"')
    if error.challenge == "invalid_token":
        parts.append(f'error_description="{_NOT_IN_DESCRIPTION.sub("", error.message)}"')
    if isinstance(error, InsufficientPermissions) and error.required:
        parts.append(f'scope="{" ".join(error.required)}"')
    return ", ".join(parts)
