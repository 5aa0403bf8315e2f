"""For Django under ASGI: the caller as ``request.user``, and refusals that a view raises."""

from collections.abc import Callable
from typing import Any

from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError
from callcov_auth.frameworks import answer_to

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.http import HttpResponse
except ImportError as error:
    raise ImportError("callcov_auth.django needs Django: pip install 'callcov-auth[django]'") from error


def caller_middleware(auth: Auth) -> Callable[[Any], "CallerMiddleware"]:
    """Return a middleware for Django's ``MIDDLEWARE``; it stands after Django's AuthenticationMiddleware.

    AuthMiddleware stands around Django's ASGI app and authenticates; this one hands its caller on.
    """

    def factory(get_response: Any) -> CallerMiddleware:
        return CallerMiddleware(get_response, auth)

    # Django looks for these on what it calls.
    vars(factory).update(sync_capable=True, async_capable=True)
    return factory


class CallerMiddleware:
    """Sets ``request.user``, and answers an AuthError of a view in CallCov's form."""

    def __init__(self, get_response: Any, auth: Auth) -> None:
        self._get_response = get_response
        self._auth = auth
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        request.user = request.scope["user"]
        return self._get_response(request)

    def process_exception(self, request: Any, error: Exception) -> HttpResponse | None:
        """Answer an AuthError; leave all else to Django."""
        if not isinstance(error, AuthError):
            return None
        answer = answer_to(error, request.scope, self._auth)
        return HttpResponse(answer.body, status=answer.status, headers=answer.headers)
