"""For the tests of a program that is guarded by callcov_auth, and of a store of your own.

    with fake_auth(app, token_principal("calls:read")):
        assert TestClient(app).get("/calls").status_code == 200

The fixtures ``auth``, ``auth_clock``, ``as_user``, ``as_key`` and ``api_client`` come with pytest by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callcov_auth.testing import store_contract
    from callcov_auth.testing.clock import Clock
    from callcov_auth.testing.faking import fake_auth, key_principal, token_principal
    from callcov_auth.testing.minting import auth_settings, mint_key, mint_token

__all__ = [
    "Clock",
    "auth_settings",
    "fake_auth",
    "key_principal",
    "mint_key",
    "mint_token",
    "store_contract",
    "token_principal",
]

# Imported when first used, for pytest loads the fixtures in every run.
_HOMES = {
    "Clock": "clock",
    "auth_settings": "minting",
    "fake_auth": "faking",
    "key_principal": "faking",
    "mint_key": "minting",
    "mint_token": "minting",
    "token_principal": "faking",
}


def __getattr__(name: str) -> Any:
    if name == "store_contract":
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
