"""The package's own routes, thin: read, call a service, answer."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from callcov_auth.asgi.answers import Answer, CreatedKey, Done, ListedKey, ListedKeys, Me, Tokens
from callcov_auth.asgi.forms import is_form, login_from
from callcov_auth.asgi.forwarded import CHECK_PATH, identity_headers
from callcov_auth.asgi.gate import Gate
from callcov_auth.asgi.guards import check as refuse_lacking
from callcov_auth.asgi.https import source_of
from callcov_auth.asgi.refusals import refusal_of, response_of
from callcov_auth.auth import Auth
from callcov_auth.errors import (
    BodyTooLarge,
    InsufficientPermissions,
    MalformedJson,
    MissingToken,
    ValidationFailed,
)
from callcov_auth.keys.service import KeyRequest, ListRequest, RotateRequest
from callcov_auth.principal import ANONYMOUS, Principal
from callcov_auth.strict_json import NotStrictJson, read_object
from callcov_auth.tokens.issuer import LoginRequest, LogoutRequest, RefreshRequest
from callcov_auth.tokens.keyring import KEY_SET_MAX_AGE
from callcov_auth.validation import is_scope_token, validated

MAX_BODY_BYTES = 64 * 1024
KEY_SET_PATH = "/.well-known/jwks.json"

# JSON's own form (RFC 8259 §6), for int() takes other scripts' digits, spaces and underscores too.
_INTEGER = re.compile(r"0|[1-9][0-9]{0,8}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as an endpoint sees it. ``given`` is the body, or the query, as the model it names."""

    auth: Auth
    caller: Principal
    given: Any
    key_id: str = ""
    address: str | None = None
    """What the client is counted by."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route. ``needs_token`` is false for the routes that are open.

    ``judges`` is for those whose body is a credential: their refusals count by the client's address.
    """

    method: str
    path: str
    summary: str
    answer: type[Answer]
    run: Callable[[Call], Awaitable[Answer]]
    takes: type[BaseModel] | None = None
    status: int = 200
    needs_token: bool = True
    judges: bool = False


async def login(call: Call) -> Tokens:
    given = call.given
    return Tokens.of(await call.auth.tokens.login(given.email, given.password, address=call.address))


async def refresh(call: Call) -> Tokens:
    return Tokens.of(await call.auth.tokens.refresh(call.given.refresh_token))


async def logout(call: Call) -> Done:
    await call.auth.tokens.logout(call.given.refresh_token, session_id=call.caller.session_id)
    return Done(message="Logged out")


async def create_key(call: Call) -> CreatedKey:
    fields = dict(call.given)
    key = await call.auth.keys.create(call.caller.subject, limit=call.caller.scopes, **fields)
    return CreatedKey.of(key)


async def list_keys(call: Call) -> ListedKeys:
    page = await call.auth.keys.list(call.caller.subject, **dict(call.given))
    return ListedKeys.of(page, now=call.auth.now, rotation_days=call.auth.settings.rotation_days)


async def get_key(call: Call) -> ListedKey:
    key = await call.auth.keys.get(call.key_id, owner=call.caller.subject)
    return ListedKey.of(key, now=call.auth.now, rotation_days=call.auth.settings.rotation_days)


async def revoke_key(call: Call) -> Done:
    await call.auth.keys.revoke(call.key_id, owner=call.caller.subject)
    return Done(message="The API key was revoked")


async def rotate_key(call: Call) -> CreatedKey:
    grace = call.given.grace_seconds
    return CreatedKey.of(
        await call.auth.keys.rotate(call.key_id, owner=call.caller.subject, grace_seconds=grace)
    )


async def me(call: Call) -> Me:
    user = await call.auth.users.get(call.caller.subject)
    return Me.of(user, user.scopes)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/auth/login", "Log in", Tokens, login, LoginRequest, needs_token=False),
    Endpoint(
        "POST",
        "/auth/refresh",
        "Get a new access token",
        Tokens,
        refresh,
        RefreshRequest,
        needs_token=False,
        judges=True,
    ),
    Endpoint("POST", "/auth/logout", "End the session", Done, logout, LogoutRequest),
    Endpoint("POST", "/api-keys/", "Create an API key", CreatedKey, create_key, KeyRequest, status=201),
    Endpoint("GET", "/api-keys/", "List your API keys", ListedKeys, list_keys, ListRequest),
    Endpoint("GET", "/api-keys/{key_id}", "Show an API key", ListedKey, get_key),
    Endpoint("DELETE", "/api-keys/{key_id}", "Revoke an API key", Done, revoke_key),
    Endpoint(
        "POST",
        "/api-keys/{key_id}/rotate",
        "Rotate an API key",
        CreatedKey,
        rotate_key,
        RotateRequest,
        status=201,
    ),
    Endpoint("GET", "/users/me", "Show who you are", Me, me),
)


def auth_routes(auth: Auth) -> list[Route]:
    """Return the routes for a Starlette app; a trailing slash is optional on each.

    They guard themselves where AuthMiddleware is not mounted around them.
    """
    routes = []
    for endpoint in ENDPOINTS:
        handler = handler_of(endpoint, auth)
        for path in both_paths(auth.settings.api_prefix + endpoint.path):
            routes.append(Route(path, handler, methods=[endpoint.method], name=endpoint.run.__name__))
    key_set, check = key_set_handler(auth), check_handler(auth)
    routes += [Route(path, check, name="check") for path in both_paths(auth.settings.api_prefix + CHECK_PATH)]
    routes += [Route(path, key_set, name="key_set") for path in both_paths(KEY_SET_PATH)]
    return routes + [Route(path, handler, methods=[]) for path, handler in other_methods(routes)]


def other_methods(routes: Iterable[BaseRoute]) -> list[tuple[str, Callable[[Request], Awaitable[Response]]]]:
    """Return the paths that several of ``routes`` share, with what answers the methods of none.

    Starlette alone would name the methods of the first route in ``Allow`` (RFC 9110 §15.5.6). To be routed
    last and for no method in particular, which stands for all.
    """
    allowed: dict[str, list[Collection[str]]] = {}
    for route in (each for each in routes if isinstance(each, Route)):
        allowed.setdefault(route.path, []).append(route.methods or ())
    return [(path, _not_allowed(set().union(*each))) for path, each in allowed.items() if len(each) > 1]


def _not_allowed(methods: Collection[str]) -> Callable[[Request], Awaitable[Response]]:
    allow = ", ".join(sorted(methods))

    async def not_allowed(_request: Request) -> Response:
        # As Starlette's own, so that the app answers it as every other.
        raise HTTPException(405, headers={"allow": allow})

    return not_allowed


def key_set_handler(auth: Auth) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint of the public signing keys: RFC 7517 §5, and RFC 9110 §8.8.3."""
    gate = Gate(auth)

    async def key_set(request: Request) -> Response:
        await _caller(gate, request)
        await auth.ensure_open()
        body = json.dumps(auth.tokens.public_keys()).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"cache-control": f"public, max-age={KEY_SET_MAX_AGE}", "etag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/jwk-set+json")

    return _refusing(key_set, auth)


def check_handler(auth: Auth) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint of forward auth, for callers of any kind.

    The query may ask for scopes, ``?scope=calls:read``, repeated or with spaces between. On paths that the
    settings open, nobody in particular is answered ``X-Auth-Kind: anonymous``.
    """
    gate = Gate(auth)

    async def check(request: Request) -> Response:
        caller = await _caller(gate, request)
        scopes = _scopes_asked_for(request)
        if scopes:
            refuse_lacking(caller, *scopes)
        return Response(headers={"cache-control": "no-store", **identity_headers(caller)})

    return _refusing(check, auth)


def _scopes_asked_for(request: Request) -> list[str]:
    asked = request.query_params.getlist("scope")
    scopes = [scope for text in asked for scope in text.split(" ")]
    # An empty one too: a variable that a proxy left empty must not be read as 'no scopes'.
    if not all(is_scope_token(scope) for scope in scopes):
        raise ValidationFailed({"scope": "is not a list of scopes"})
    return scopes


def both_paths(path: str) -> tuple[str, str]:
    """Return ``path`` as it is written, and with its trailing slash the other way; neither redirects."""
    return (path, path.rstrip("/")) if path.endswith("/") else (path, path + "/")


def handler_of(endpoint: Endpoint, auth: Auth) -> Callable[[Request], Awaitable[Response]]:
    """Return the Starlette endpoint; it answers every refusal itself, in the same form as the middleware."""
    gate = Gate(auth)

    async def handle(request: Request) -> Response:
        answer = await _answer(endpoint, auth, gate, request)
        headers = {"cache-control": "no-store"} if answer.is_secret else None
        return Response(answer.model_dump_json(), endpoint.status, headers, "application/json")

    return _refusing(handle, auth)


def _refusing(
    handler: Callable[[Request], Awaitable[Response]], auth: Auth
) -> Callable[[Request], Awaitable[Response]]:
    async def refusing(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            raise
        except Exception as error:
            return response_of(refusal_of(error, request.scope, auth))

    return refusing


async def _answer(endpoint: Endpoint, auth: Auth, gate: Gate, request: Request) -> Answer:
    caller = await _caller(gate, request)
    if endpoint.needs_token:
        _refuse_all_but_tokens(caller, auth.settings.issuer)
    await auth.ensure_open()
    given = await _given(endpoint, request)
    address = source_of(request.scope, auth.settings.trusted_proxies)
    call = Call(auth, caller, given, request.path_params.get("key_id", ""), address)
    acting = gate.acting(request.scope, caller if endpoint.needs_token else ANONYMOUS)
    with acting, gate.judging(request.scope) if endpoint.judges else nullcontext():
        return await endpoint.run(call)


async def _caller(gate: Gate, request: Request) -> Principal:
    principal = request.scope.get("state", {}).get("principal")
    return principal if isinstance(principal, Principal) else await gate.admit(request.scope)


def _refuse_all_but_tokens(caller: Principal, issuer: str) -> None:
    if not caller.is_authenticated:
        raise MissingToken()
    if caller.kind != "token":
        raise InsufficientPermissions(
            message="An API key cannot do this; log in", reason="key_in_tokens_place"
        )
    # Another issuer's subject may have the same name as a user of ours.
    if caller.issuer != issuer:
        raise InsufficientPermissions(
            message="Another issuer's token cannot do this", reason="foreign_issuer"
        )


async def _given(endpoint: Endpoint, request: Request) -> BaseModel | None:
    if endpoint.takes is None:
        return None
    if endpoint.method == "GET":
        return validated(endpoint.takes, _query(endpoint.takes, request))
    raw = await _body(request)
    if endpoint.takes is LoginRequest and is_form(request.scope):
        return validated(LoginRequest, login_from(raw))
    if not raw and not any(field.is_required() for field in endpoint.takes.model_fields.values()):
        return endpoint.takes()
    try:
        return validated(endpoint.takes, read_object(raw))
    except NotStrictJson as error:
        if str(error) == "not_a_json_object":
            raise ValidationFailed({"body": "is not a JSON object"}) from None
        raise MalformedJson(reason=str(error)) from None


def _query(model: type[BaseModel], request: Request) -> dict[str, Any]:
    sent: dict[str, Any] = {
        name: text for name, text in request.query_params.items() if name in model.model_fields
    }
    if "limit" in sent and _INTEGER.fullmatch(sent["limit"]):
        sent["limit"] = int(sent["limit"])
    if "include_expired" in sent:
        sent["include_expired"] = _FLAGS.get(sent["include_expired"].lower(), sent["include_expired"])
    return sent


async def _body(request: Request) -> bytes:
    """Read at most 64 KiB; what is longer is refused before it is held."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:16]) > MAX_BODY_BYTES:
        raise BodyTooLarge()
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLarge()
    return bytes(body)
