"""Who may come in: HTTPS, then the credential, then what the path allows."""

from starlette.types import Scope

from callcov_auth.asgi.credentials import Places, find_authorization
from callcov_auth.asgi.https import is_secure
from callcov_auth.asgi.paths import optional_patterns, path_in_app, public_patterns
from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError, HttpsRequired, MissingToken
from callcov_auth.principal import ANONYMOUS, Principal


class Gate:
    """Decides on each connection scope. Built once, from the settings of its Auth."""

    def __init__(self, auth: Auth) -> None:
        settings = auth.settings
        header = settings.api_key_header
        self._auth = auth
        self._require_https = settings.require_https
        self._proxies = settings.trusted_proxies
        self._public = public_patterns(settings)
        self._optional = optional_patterns(settings)
        self._places = Places(
            api_key_header=header.lower().encode("ascii") if header else None,
            websocket_protocol=settings.websocket_protocol,
        )

    async def admit(self, scope: Scope) -> Principal:
        """Return the caller, ANONYMOUS where a path is open and no credential was sent.

        Raises the AuthError that refuses the request; what cannot be decided is AuthUnavailable.
        """
        if self._require_https and not is_secure(scope, self._proxies):
            raise HttpsRequired()
        try:
            authorization = find_authorization(scope, self._places)
            if authorization is not None:
                return self._auth.recall(authorization) or await self._auth.authenticate(authorization)
        except AuthError as error:
            if error.status != 401 or not self._optional.match(path_in_app(scope)):
                raise
            return ANONYMOUS
        if self._public.match(path_in_app(scope)):
            return ANONYMOUS
        raise MissingToken()
