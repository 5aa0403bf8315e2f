"""Who may come in: HTTPS, then the credential, then what the path allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from starlette.types import Scope

from callcov_auth.acting import Acting, who_acts
from callcov_auth.asgi.credentials import Places, find_authorization
from callcov_auth.asgi.forms import is_form
from callcov_auth.asgi.forwarded import CHECK_PATH, path_asked_about
from callcov_auth.asgi.https import SECURE_SCHEMES, client_address, is_secure, source_of
from callcov_auth.asgi.paths import optional_patterns, path_in_app, public_patterns
from callcov_auth.asgi.refusals import MAX_PATH, sent_request_id
from callcov_auth.audit import actor_of
from callcov_auth.auth import Auth
from callcov_auth.credential import Credential
from callcov_auth.errors import AuthError, HttpsRequired, MissingToken
from callcov_auth.events import logger
from callcov_auth.principal import ANONYMOUS, Principal
from callcov_auth.settings import AuthSettings

_ANY_SCHEME = SECURE_SCHEMES | {"http", "ws"}
PLAIN_HTTP = (
    "A request over plain HTTP was refused, of which the next ones are not told. For local work set "
    "CALLCOV_AUTH_REQUIRE_HTTPS=false; behind a proxy that ends TLS, name it in CALLCOV_AUTH_TRUSTED_PROXIES"
)


class Gate:
    """Decides on each connection scope. Built once, from the settings of its Auth."""

    def __init__(self, auth: Auth) -> None:
        settings = auth.settings
        header = settings.api_key_header
        self._auth = auth
        self._has_told_of_http = False
        self._schemes = _schemes(settings)
        self._proxies = settings.trusted_proxies
        self._failures = auth.failures
        self._public = public_patterns(settings)
        self._optional = optional_patterns(settings)
        self._login_paths = {settings.api_prefix + "/auth/login" + end for end in ("", "/")}
        self._check_paths = {settings.api_prefix + CHECK_PATH + end for end in ("", "/")}
        self._places = Places(
            api_key_header=header.lower().encode("ascii") if header else None,
            websocket_protocol=settings.websocket_protocol,
            key_starts=settings.key_starts,
        )
        is_plain = self._places.only_authorization and not settings.hash_cached_credentials
        schemes = self._schemes if is_plain else frozenset()
        self.plain_schemes = (
            "https" if "https" in schemes else None,
            "http" if "http" in schemes else None,
        )
        """Where nothing but the bytes of ``Authorization`` bears on a request of one of these schemes."""

    async def admit(self, scope: Scope) -> Principal:
        """Return the caller, ANONYMOUS where a path is open and no credential was sent.

        Raises the AuthError that refuses the request; what cannot be decided is AuthUnavailable.
        """
        try:
            credential = self._credential_of(scope)
            if credential is None:
                return ANONYMOUS
            # Who was verified a moment ago comes in from wherever; nobody else is looked at in quiet times.
            is_flooded = self._failures is not None and not self._failures.are_quiet
            if is_flooded and not self._auth.has_met(credential):
                self._refuse_floods(scope)
            if not self._auth.is_tended:
                await self._auth.tend()
            seen = self._auth.at_sight(credential)
            if not isinstance(seen, Credential):
                return seen
            # Only now, for it would be felt where every forged key comes through.
            with self.acting(scope, ANONYMOUS):
                return await self._auth.look_up(seen)
        except AuthError as error:
            if error.status == 401:
                self._note(error, scope)
            if not self._excuses(error, scope):
                raise
            return ANONYMOUS

    @contextmanager
    def acting(self, scope: Scope, caller: Principal) -> Iterator[None]:
        """Let whatever is told meanwhile be told of this request, and of ``caller`` where one is known."""
        token = who_acts.set(partial(self._acting, scope, caller))
        try:
            yield
        finally:
            who_acts.reset(token)

    @contextmanager
    def judging(self, scope: Scope) -> Iterator[None]:
        """Count a refusal of the credential that is judged within, and refuse whoever had too many."""
        self._refuse_floods(scope)
        try:
            yield
        except AuthError as error:
            if error.status == 401:
                self._note(error, scope)
            raise

    def _refuse_floods(self, scope: Scope) -> None:
        source = source_of(scope, self._proxies)
        if self._failures is not None and source is not None:
            self._failures.refuse(source)

    def _note(self, refusal: AuthError, scope: Scope) -> None:
        """Count ``refusal`` by the client's address; that no credential was sent is no try of one."""
        if self._failures is None or type(refusal) is MissingToken:
            return
        source = source_of(scope, self._proxies)
        if source is not None:
            self._failures.note(source)

    def _acting(self, scope: Scope, caller: Principal) -> Acting:
        return Acting(
            actor=actor_of(caller, self._auth.settings.issuer),
            client=client_address(scope, self._proxies),
            request_id=sent_request_id(scope),
            method=scope.get("method", "WEBSOCKET"),
            path=self._path(scope)[:MAX_PATH],
        )

    def _credential_of(self, scope: Scope) -> bytes | None:
        """Return the credential as the value of an ``Authorization`` header; None where none is needed.

        Raises HttpsRequired, MissingToken, or InvalidToken for more than one.
        """
        if scope.get("scheme") not in self._schemes and not is_secure(scope, self._proxies):
            self._tell_of_http()
            raise HttpsRequired()
        found = find_authorization(scope, self._places)
        if found is not None and self._names_a_client(found, scope):
            return None
        if found is None and not self._public.match(self._path(scope)):
            raise MissingToken()
        return found

    def _tell_of_http(self) -> None:
        """Say once, to whoever starts it, what is to be set; the client is not told of settings."""
        if not self._has_told_of_http:
            self._has_told_of_http = True
            logger.warning(PLAIN_HTTP)

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
        return self._optional.match(self._path(scope))

    def _path(self, scope: Scope) -> str:
        """Return the path whose rules apply: where a proxy asks about a request, that request's."""
        path = path_in_app(scope)
        if path not in self._check_paths:
            return path
        return path_asked_about(scope, self._proxies) or path


def _schemes(settings: AuthSettings) -> frozenset[str]:
    """Return the schemes that are good by themselves; behind a proxy none is, since it has the say."""
    if not settings.require_https:
        return _ANY_SCHEME
    return frozenset() if settings.trusted_proxies else SECURE_SCHEMES
