"""Opening and closing the Auth with the server, whatever the app makes of lifespan."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError
from callcov_auth.events import logger


async def run_lifespan(app: ASGIApp, auth: Auth, scope: Scope, receive: Receive, send: Send) -> None:
    """Open ``auth`` before the app starts, and close it after the app has shut down.

    An app that knows no lifespan is passed over: it says so by ending before it asks for a message.
    """
    startup = await receive()
    try:
        await auth.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": _why(error)})
        return
    conversation = _Conversation(startup, receive, send)
    try:
        await _run(app, scope, conversation)
    finally:
        await auth.__aexit__(None, None, None)
        # Last, because a server may end the process as soon as it hears this.
        if conversation.farewell is not None:
            await send(conversation.farewell)


def _why(error: Exception) -> str:
    return f"{error.message} ({error.reason})" if isinstance(error, AuthError) else str(error)


async def _run(app: ASGIApp, scope: Scope, conversation: "_Conversation") -> None:
    try:
        await app(scope, conversation.receive, conversation.send)
    except Exception as error:
        if conversation.asked:
            raise
        logger.debug("the app knows no lifespan: %s", type(error).__name__)
    if not conversation.asked:
        await conversation.stand_in()


class _Conversation:
    """What the app hears and says. Its last word is kept back until the Auth is closed."""

    def __init__(self, startup: Message, receive: Receive, send: Send) -> None:
        self._startup = startup
        self._receive = receive
        self._send = send
        self.asked = False
        self.farewell: Message | None = None

    async def receive(self) -> Message:
        if not self.asked:
            self.asked = True
            return self._startup
        return await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown.") or message["type"] == "lifespan.startup.failed":
            self.farewell = message
        else:
            await self._send(message)

    async def stand_in(self) -> None:
        """Speak for an app that knows no lifespan."""
        await self._send({"type": "lifespan.startup.complete"})
        await self._receive()
        self.farewell = {"type": "lifespan.shutdown.complete"}
