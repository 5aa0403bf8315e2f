"""Forward auth: a proxy asks at ``/auth/check`` about a request that it holds back meanwhile."""

from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from callcov_auth.asgi.headers import header_values
from callcov_auth.asgi.https import Proxies, speaks_for_client
from callcov_auth.principal import Principal

CHECK_PATH = "/auth/check"
# nginx's by convention, and Traefik's.
_ASKED_ABOUT = (b"x-original-uri", b"x-forwarded-uri")
# Visible ASCII without the percent sign, which is what escapes the rest.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def path_asked_about(scope: Scope, proxies: Proxies) -> str | None:
    """Return the path of the request that a proxy asks about, decoded as an app's router has it.

    None where the proxy is not trusted, where none or more than one is named, and in every doubt: what
    stands behind the proxy may read the path by other rules than ours.
    """
    if not speaks_for_client(scope, proxies):
        return None
    named = {value for header in _ASKED_ABOUT for value in header_values(scope, header)}
    if len(named) != 1:
        return None
    path = named.pop().partition(b"?")[0].partition(b"#")[0]
    # Some servers take what follows a ';' for a parameter of the segment, and resolve '..;' as '..'.
    if not path.startswith(b"/") or b";" in path:
        return None
    try:
        return unquote(path.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        return None


def identity_headers(caller: Principal) -> dict[str, str]:
    """Return who the caller is, for what stands behind the proxy.

    Each header is there, if empty: a proxy then replaces what the client sent under its name. All but
    visible ASCII is percent-encoded as UTF-8 (RFC 3986 §2.1), and the percent sign with it.
    """
    values = {
        "x-auth-subject": caller.subject,
        "x-auth-issuer": caller.issuer,
        "x-auth-kind": caller.kind,
        "x-auth-key-id": caller.key_id or "",
    }
    headers = {name: quote(value, safe=_PLAIN, errors="surrogatepass") for name, value in values.items()}
    # Scope-tokens are visible ASCII, RFC 6749 §3.3.
    return headers | {"x-auth-scopes": " ".join(sorted(caller.scopes))}


class PathsBelowCheck:
    """Takes Envoy's way of asking, the path appended to ``/auth/check`` and any method, as nginx's.

    Stands around AuthMiddleware. The query is the request's own, so nothing of it is ours.
    """

    def __init__(self, app: ASGIApp, *, api_prefix: str) -> None:
        self._app = app
        self._check = api_prefix + CHECK_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._check + "/"):
            scope = self._as_nginx_asks(scope)
        await self._app(scope, receive, send)

    def _as_nginx_asks(self, scope: Scope) -> Scope:
        others = [line for line in scope["headers"] if line[0] not in _ASKED_ABOUT]
        asked = quote(scope["path"].removeprefix(self._check)).encode("ascii")
        if asked == b"/" and len(others) < len(scope["headers"]):
            # Our own path, written with the slash that is optional.
            return scope
        return {
            **scope,
            "method": "GET",
            "path": self._check,
            "raw_path": self._check.encode(),
            "query_string": b"",
            "headers": [*others, (_ASKED_ABOUT[0], asked)],
        }
