"""The middleware for Django, where its chain is not asynchronous."""

import json
from types import SimpleNamespace

import pytest

from callcov_auth import Auth
from callcov_auth.django import caller_middleware
from callcov_auth.errors import InsufficientPermissions
from callcov_auth.testing import token_principal
from tests.support.asgi import scope_of
from tests.support.settings import make_settings


@pytest.fixture
def request_of_a_user() -> SimpleNamespace:
    return SimpleNamespace(scope=scope_of("http", "/hello", user=token_principal("calls:read")))


def test_the_user_is_the_caller(request_of_a_user: SimpleNamespace) -> None:
    middleware = caller_middleware(Auth(make_settings()))(lambda request: request.user.subject)

    assert middleware(request_of_a_user) == "usr_test"


def test_a_refusal_is_answered_and_no_other_error_is(request_of_a_user: SimpleNamespace) -> None:
    middleware = caller_middleware(Auth(make_settings(realm="calls")))(lambda request: None)

    answer = middleware.process_exception(request_of_a_user, InsufficientPermissions("calls:write"))
    assert answer is not None
    assert answer.status_code == 403
    assert json.loads(answer.content)["error"]["code"] == "insufficient_permissions"
    assert 'realm="calls"' in answer.headers["www-authenticate"]
    assert middleware.process_exception(request_of_a_user, ValueError()) is None
