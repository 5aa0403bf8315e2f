"""The authentication of the CallCov API for any ASGI app.

app.add_middleware(AuthMiddleware, settings=AuthSettings())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from callcov_auth._version import __version__

if TYPE_CHECKING:
    from callcov_auth.asgi.endpoints import auth_routes
    from callcov_auth.asgi.guards import current_principal, requires
    from callcov_auth.asgi.middleware import AuthMiddleware
    from callcov_auth.auth import Auth
    from callcov_auth.errors import AuthError
    from callcov_auth.principal import ANONYMOUS, Principal
    from callcov_auth.settings import AuthSettings

__all__ = [
    "ANONYMOUS",
    "Auth",
    "AuthError",
    "AuthMiddleware",
    "AuthSettings",
    "Principal",
    "__version__",
    "auth_routes",
    "current_principal",
    "requires",
]

# Imported when first used, so that a program pays only for what it needs.
_HOMES = {
    "ANONYMOUS": "callcov_auth.principal",
    "Auth": "callcov_auth.auth",
    "AuthError": "callcov_auth.errors",
    "AuthMiddleware": "callcov_auth.asgi.middleware",
    "AuthSettings": "callcov_auth.settings",
    "Principal": "callcov_auth.principal",
    "auth_routes": "callcov_auth.asgi.endpoints",
    "current_principal": "callcov_auth.asgi.guards",
    "requires": "callcov_auth.asgi.guards",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
