"""``callcov-auth serve``: an auth server on its own."""

import logging
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.session import with_auth_from

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from callcov_auth.auth import Auth
    from callcov_auth.settings import AuthSettings

# How long a stop waits for requests that are under way, in seconds.
STOP_GRACE = 10


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for a free one.", min=0, max=65535)] = 8000,
    ssl_certfile: Annotated[Path | None, typer.Option(help="PEM; to serve HTTPS without a proxy.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="PEM; the certificate's key.")] = None,
) -> None:
    """Serve login, refresh, users and keys, until a signal stops it."""
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise Unusable("uvicorn is not installed: pip install 'callcov-auth[server]'") from None
    from callcov_auth.settings import AuthSettings

    _check_certificate(ssl_certfile, ssl_keyfile)
    # Settings or a database that do not fit end it here with one line, not in the server with many.
    settings = with_auth_from(AuthSettings(), _settings)
    _check_address(host, port)
    _warn_if_unreachable(settings, with_tls=ssl_certfile is not None)
    _log_events()
    uvicorn.run(
        auth_server(settings),
        host=host,
        port=port,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        lifespan="on",
        # Whom to believe is CALLCOV_AUTH_TRUSTED_PROXIES' question.
        proxy_headers=False,
        # Events say what happened; a query may hold what should never have been sent in it.
        access_log=False,
        timeout_graceful_shutdown=STOP_GRACE,
    )


def auth_server(settings: "AuthSettings") -> "Starlette":
    """Return an app that has the contract's routes, the two of health, and no others."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from callcov_auth.asgi.endpoints import auth_routes
    from callcov_auth.asgi.forwarded import PathsBelowCheck
    from callcov_auth.asgi.health import HealthPaths
    from callcov_auth.asgi.middleware import AuthMiddleware
    from callcov_auth.auth import Auth

    auth = Auth(settings)
    return Starlette(
        routes=auth_routes(auth),
        middleware=[
            Middleware(HealthPaths, auth=auth),
            Middleware(PathsBelowCheck, api_prefix=settings.api_prefix),
            Middleware(AuthMiddleware, auth=auth),
        ],
        exception_handlers={404: _no_such_path},
    )


async def _settings(auth: "Auth") -> "AuthSettings":
    return auth.settings


async def _no_such_path(_request: "Request", _error: Exception) -> NoReturn:
    """Refuse in CallCov's form; the middleware renders it."""
    from callcov_auth.errors import NotFound

    raise NotFound()


def _check_certificate(certfile: Path | None, keyfile: Path | None) -> None:
    if certfile is None and keyfile is None:
        return
    if certfile is None or keyfile is None:
        raise Unusable("--ssl-certfile and --ssl-keyfile go together: give both, or neither.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certfile, keyfile)
    except OSError as error:
        raise Unusable(
            f"The certificate and its key cannot be used ({type(error).__name__}): name two PEM files, "
            "of a certificate and of its own key."
        ) from None


def _check_address(host: str, port: int) -> None:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        # Without the address, which some of them repeat.
        why = str(error.strerror).partition(" (")[0]
        raise Unusable(
            f"Port {port} of {host} cannot be used ({why}): name another with --port or --host."
        ) from None


def _warn_if_unreachable(settings: "AuthSettings", *, with_tls: bool) -> None:
    if settings.require_https and not settings.trusted_proxies and not with_tls:
        typer.echo(
            "warning: every request will be refused, for it comes over plain HTTP: give --ssl-certfile and "
            "--ssl-keyfile, name the proxy that ends TLS in CALLCOV_AUTH_TRUSTED_PROXIES, or, for local work "
            "alone, set CALLCOV_AUTH_REQUIRE_HTTPS=false",
            err=True,
        )


def _log_events() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("callcov_auth")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
