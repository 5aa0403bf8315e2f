"""The endpoints as a FastAPI router, with the models that its OpenAPI shows."""

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from callcov_auth.asgi.endpoints import (
    ENDPOINTS,
    KEY_SET_PATH,
    Endpoint,
    both_paths,
    check_handler,
    handler_of,
    key_set_handler,
    other_methods,
)
from callcov_auth.asgi.forms import FORM
from callcov_auth.asgi.forwarded import CHECK_PATH
from callcov_auth.auth import Auth
from callcov_auth.fastapi.callers import belongs_to
from callcov_auth.fastapi.documented import CHECK_REFUSALS, OPEN_REFUSALS, refusals_of
from callcov_auth.fastapi.schemes import BEARER, PASSWORD, password_form, show_login_at
from callcov_auth.tokens.issuer import LoginRequest
from callcov_auth.validation import SCOPE_PATTERN

# Neither answer is a model: the one is empty, and the other is RFC 7517's.
_CHECK: dict[str, Any] = {
    "name": "check",
    "summary": "Check a credential for a proxy",
    "response_class": Response,
    "responses": CHECK_REFUSALS,
    "dependencies": [Depends(BEARER), Depends(PASSWORD)],
    "openapi_extra": {
        "parameters": [
            {
                "name": "scope",
                "in": "query",
                "description": "What the credential must be good for.",
                "schema": {"type": "array", "items": {"type": "string", "pattern": SCOPE_PATTERN}},
            }
        ]
    },
}
_KEY_SET: dict[str, Any] = {
    "name": "key_set",
    "summary": "Show the public signing keys",
    "response_class": Response,
    "responses": {
        200: {"content": {"application/jwk-set+json": {"schema": {"type": "object"}}}},
        304: {"description": "The set is the one whose ETag was sent"},
        **OPEN_REFUSALS,
    },
}


def router(auth: Auth) -> APIRouter:
    """Return the routes of ``auth_routes(auth)`` for ``app.include_router``: the same answers, documented.

    The dependencies of an app that includes it authenticate by ``auth``.
    """
    made = APIRouter(tags=["auth"])
    show_login_at(auth.settings.api_prefix)
    for endpoint in ENDPOINTS:
        handler = handler_of(endpoint, auth)
        belongs_to(handler, auth)
        written, other = both_paths(auth.settings.api_prefix + endpoint.path)
        made.add_api_route(written, handler, **_described(endpoint))
        made.add_api_route(other, handler, methods=[endpoint.method], include_in_schema=False)
    check, (written, other) = check_handler(auth), both_paths(auth.settings.api_prefix + CHECK_PATH)
    made.add_api_route(written, check, **_CHECK)
    made.add_api_route(other, check, include_in_schema=False)
    key_set = key_set_handler(auth)
    made.add_api_route(KEY_SET_PATH, key_set, **_KEY_SET)
    made.add_api_route(KEY_SET_PATH + "/", key_set, include_in_schema=False)
    for path, handler in other_methods(made.routes):
        made.add_route(path, handler, methods=[], include_in_schema=False)
    return made


def _described(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "methods": [endpoint.method],
        "name": endpoint.run.__name__,
        "summary": endpoint.summary,
        "status_code": endpoint.status,
        "response_model": endpoint.answer,
        "responses": refusals_of(endpoint),
        # Shown alone: the handler asks for the caller itself.
        "dependencies": [Depends(BEARER), Depends(PASSWORD)] if endpoint.needs_token else [],
        "openapi_extra": _inputs(endpoint),
    }


def _inputs(endpoint: Endpoint) -> dict[str, Any]:
    """Describe what the handler reads by itself, for FastAPI sees only that it takes a request."""
    described: dict[str, Any] = {"parameters": []}
    if "{key_id}" in endpoint.path:
        described["parameters"].append(
            {"name": "key_id", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    if endpoint.takes is None:
        return described
    schema = endpoint.takes.model_json_schema()
    if endpoint.method == "GET":
        described["parameters"] += [
            {"name": name, "in": "query", "schema": field} for name, field in schema["properties"].items()
        ]
    else:
        required = bool(schema.get("required"))
        content: dict[str, Any] = {"application/json": {"schema": schema}}
        if endpoint.takes is LoginRequest:
            content[FORM.decode()] = {"schema": password_form(schema)}
        described["requestBody"] = {"required": required, "content": content}
    return described
