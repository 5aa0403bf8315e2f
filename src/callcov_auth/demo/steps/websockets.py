"""WebSockets, which are refused in the handshake, before anything is accepted."""

from callcov_auth.demo.answers import accepted, hold, refused
from callcov_auth.demo.conversation import Step, Talk
from callcov_auth.demo.steps.keys import create_key


def a_key_opens_a_websocket(talk: Talk) -> None:
    _hold_kind(talk, "live", "api_key")


def a_token_opens_a_websocket(talk: Talk) -> None:
    _hold_kind(talk, "access", "token")


def a_websocket_without_a_credential_is_refused(talk: Talk) -> None:
    refused(talk.listen(), 401, "missing_token")


def a_websocket_with_a_bad_credential_is_refused(talk: Talk) -> None:
    refused(talk.listen("one"), 401, "invalid_token")


def a_websocket_without_the_scope_is_refused(talk: Talk) -> None:
    create_key(talk, "write only", scopes=["analysis:write"])
    answer = talk.listen(talk.kept["write only"])
    refused(answer, 403, "insufficient_permissions", scope="analysis:read")


def _hold_kind(talk: Talk, credential: str, kind: str) -> None:
    came = accepted(talk.listen(talk.kept[credential]), 101)["asked_by"]["kind"]
    hold(came == kind, f"a caller with {kind}", came)


STEPS: tuple[Step, ...] = (
    a_key_opens_a_websocket,
    a_token_opens_a_websocket,
    a_websocket_without_a_credential_is_refused,
    a_websocket_with_a_bad_credential_is_refused,
    a_websocket_without_the_scope_is_refused,
)
