"""RequestsAuth: the same credentials for a session of requests."""

from typing import TYPE_CHECKING, Any

from callcov_auth.client.keys import ApiKeyAuth
from callcov_auth.client.libraries import NotPickled
from callcov_auth.client.login import Answer, Exchange
from callcov_auth.client.tokens import JSON_HEADERS, TokenAuth

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

# Of a login, in seconds; requests waits for ever by itself.
TIMEOUT = 30.0


class RequestsAuth(NotPickled):
    """Lets a session of requests send what ``auth`` sends. Logins go over ``session`` too.

    session = requests.Session()
    session.auth = RequestsAuth(TokenAuth(API, "user@example.com", password), session)
    """

    __slots__ = ("_auth", "_session")

    def __init__(self, auth: ApiKeyAuth | TokenAuth, session: "Session") -> None:
        self._auth, self._session = auth, session

    def __repr__(self) -> str:
        return f"RequestsAuth({self._auth!r})"

    def __call__(self, request: "PreparedRequest") -> "PreparedRequest":
        if isinstance(self._auth, ApiKeyAuth):
            authorization = self._auth.authorization_for(request.url)
            if authorization is not None:
                request.headers["Authorization"] = authorization
        elif self._auth.belongs(request.url):
            _TokenRequest(self._auth, self._session).send_with(request)
        return request


class _TokenRequest:
    """One request that carries a token: what must be remembered until its response is there."""

    def __init__(self, auth: TokenAuth, session: "Session") -> None:
        self._auth, self._session = auth, session
        self._access = ""

    def send_with(self, request: "PreparedRequest") -> None:
        self._access = self._obtain()
        request.headers["Authorization"] = f"Bearer {self._access}"
        request.register_hook("response", self._see)  # type: ignore[no-untyped-call]

    def _see(self, response: "Response", **options: Any) -> "Response":
        request = response.request
        # After a redirect it may be another origin's, which has no say here.
        if response.status_code != 401 or not self._auth.belongs(response.url):
            return response
        if not self._auth.ended(self._access, response.status_code, response.content):
            return response
        if not isinstance(request.body, bytes | str | None):
            return response
        again = request.copy()
        again.headers["Authorization"] = f"Bearer {self._obtain()}"
        response.close()
        answered: Response = self._session.get_adapter(str(again.url)).send(again, **options)
        answered.history.append(response)
        answered.request = again
        return answered

    def _obtain(self) -> str:
        steps = self._auth.access()
        answer: Answer | None = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Exchange):
                    answer = self._post(step)
                else:
                    self._auth.do(step)
        except StopIteration as done:
            access: str = done.value
            return access
        finally:
            steps.close()

    def _post(self, exchange: Exchange) -> Answer:
        response = self._session.post(
            self._auth.address_of(exchange),
            data=exchange.content,
            headers=JSON_HEADERS,
            # In the place of the session's, which is this one.
            auth=lambda request: request,
            allow_redirects=False,
            timeout=TIMEOUT,
        )
        return self._auth.answer(response, response.content)
