"""Who may come in: HTTPS, then the credential, then what the path allows."""

from starlette.types import Scope

from callcov_auth.asgi.credentials import Places, find_authorization
from callcov_auth.asgi.forms import is_form
from callcov_auth.asgi.https import SECURE_SCHEMES, is_secure
from callcov_auth.asgi.paths import optional_patterns, path_in_app, public_patterns
from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError, HttpsRequired, MissingToken
from callcov_auth.principal import ANONYMOUS, Principal
from callcov_auth.settings import AuthSettings

_ANY_SCHEME = SECURE_SCHEMES | {"http", "ws"}


class Gate:
    """Decides on each connection scope. Built once, from the settings of its Auth."""

    def __init__(self, auth: Auth) -> None:
        settings = auth.settings
        header = settings.api_key_header
        self._auth = auth
        self._schemes = _schemes(settings)
        self._proxies = settings.trusted_proxies
        self._public = public_patterns(settings)
        self._optional = optional_patterns(settings)
        self._login_paths = {settings.api_prefix + "/auth/login" + end for end in ("", "/")}
        self._places = Places(
            api_key_header=header.lower().encode("ascii") if header else None,
            websocket_protocol=settings.websocket_protocol,
        )
        is_plain = self._places.only_authorization and not settings.hash_cached_credentials
        self.plain_schemes = self._schemes if is_plain else frozenset()
        """Where nothing but the bytes of ``Authorization`` bears on a request of one of these schemes."""

    async def admit(self, scope: Scope) -> Principal:
        """Return the caller, ANONYMOUS where a path is open and no credential was sent.

        Raises the AuthError that refuses the request; what cannot be decided is AuthUnavailable.
        """
        try:
            credential = self._credential_of(scope)
            return ANONYMOUS if credential is None else await self._auth.authenticate(credential)
        except AuthError as error:
            if not self._excuses(error, scope):
                raise
            return ANONYMOUS

    def _credential_of(self, scope: Scope) -> bytes | None:
        """Return the credential as the value of an ``Authorization`` header; None where none is needed.

        Raises HttpsRequired, MissingToken, or InvalidToken for more than one.
        """
        if scope.get("scheme") not in self._schemes and not is_secure(scope, self._proxies):
            raise HttpsRequired()
        found = find_authorization(scope, self._places)
        if found is not None and self._names_a_client(found, scope):
            return None
        if found is None and not self._public.match(path_in_app(scope)):
            raise MissingToken()
        return found

    def _names_a_client(self, found: bytes, scope: Scope) -> bool:
        """Whether this is how OAuth 2.0 clients name themselves as they log in (RFC 6749 §2.3.1).

        Swagger UI does, beside the form of the password flow; there are no clients here, so it says nothing.
        """
        is_basic = found[:6].lower() == b"basic "
        return is_basic and path_in_app(scope) in self._login_paths and is_form(scope)

    def _excuses(self, refusal: AuthError, scope: Scope) -> bool:
        """Whether a credential that was refused counts as none on this path."""
        if self._optional.is_empty or refusal.status != 401:
            return False
        return self._optional.match(path_in_app(scope))


def _schemes(settings: AuthSettings) -> frozenset[str]:
    """Return the schemes that are good by themselves; behind a proxy none is, since it has the say."""
    if not settings.require_https:
        return _ANY_SCHEME
    return frozenset() if settings.trusted_proxies else SECURE_SCHEMES
