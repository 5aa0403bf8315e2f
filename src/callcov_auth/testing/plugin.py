"""The pytest plugin: fixtures for the tests of a guarded app. One of your own goes before one of these."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from callcov_auth import Auth, Principal
    from callcov_auth.testing.clock import Clock

# So that a promise that is broken shows its values.
pytest.register_assert_rewrite("callcov_auth.testing.store_contract")

Caller = Callable[..., "Principal"]


@pytest.fixture
def auth_clock() -> "Clock":
    """The clock of the fixture ``auth``, which stands still until the test moves it."""
    from callcov_auth.testing.clock import Clock

    return Clock()


@pytest.fixture
def auth(auth_clock: "Clock") -> "Auth":
    """An Auth over a database in memory, on a clock that the test moves. It is not open yet."""
    from callcov_auth.auth import Auth
    from callcov_auth.testing.minting import shared_settings

    return Auth(shared_settings(), clock=auth_clock)


@pytest.fixture
def as_user(_auth_fakes: ExitStack) -> Caller:
    """``as_user(app, "calls:read")``: until the test ends, a user with these scopes makes all requests."""
    from callcov_auth.testing.faking import fake_auth, token_principal

    def become(app: Any, *scopes: str, **fields: Any) -> "Principal":
        principal = token_principal(*scopes, **fields)
        _auth_fakes.enter_context(fake_auth(app, principal))
        return principal

    return become


@pytest.fixture
def as_key(_auth_fakes: ExitStack) -> Caller:
    """``as_key(app, "calls:read")``: until the test ends, an API key with these scopes makes all requests."""
    from callcov_auth.testing.faking import fake_auth, key_principal

    def become(app: Any, *scopes: str, **fields: Any) -> "Principal":
        principal = key_principal(*scopes, **fields)
        _auth_fakes.enter_context(fake_auth(app, principal))
        return principal

    return become


@pytest.fixture
def api_client(_auth_fakes: ExitStack) -> Callable[..., "TestClient"]:
    """``api_client(app)``: Starlette's TestClient over HTTPS, in its lifespan, closed when the test ends."""
    from starlette.testclient import TestClient

    def connect(app: Any, **options: Any) -> "TestClient":
        client = TestClient(app, **{"base_url": "https://testserver", **options})
        return _auth_fakes.enter_context(client)

    return connect


@pytest.fixture
def _auth_fakes() -> Iterator[ExitStack]:
    """What ends with the test, the newest first."""
    with ExitStack() as stack:
        yield stack
