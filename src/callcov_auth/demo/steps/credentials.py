"""How a credential is sent. The tokens in these headers are good: it is place or form that refuses them."""

from callcov_auth.demo.answers import Answer, refused
from callcov_auth.demo.conversation import ANALYSIS, Step, Talk


def another_scheme_is_refused(talk: Talk) -> None:
    refused(_with(talk, f"Token {talk.kept['access']}"), 401, "invalid_token")


def a_malformed_header_is_refused(talk: Talk) -> None:
    refused(_with(talk, f"Bearer {talk.kept['access']} more"), 401, "invalid_token")


def an_empty_header_is_malformed_and_not_missing(talk: Talk) -> None:
    refused(_with(talk, ""), 401, "invalid_token")


def two_authorization_headers_are_refused(talk: Talk) -> None:
    bearer = f"Bearer {talk.kept['access']}"
    refused(_with(talk, bearer, bearer), 401, "invalid_token")


def a_credential_in_the_query_is_not_looked_at(talk: Talk) -> None:
    refused(talk.get(f"{ANALYSIS}?access_token=one"), 401, "missing_token")


def _with(talk: Talk, *values: str) -> Answer:
    return talk.get(ANALYSIS, headers=[("Authorization", value) for value in values])


STEPS: tuple[Step, ...] = (
    another_scheme_is_refused,
    a_malformed_header_is_refused,
    an_empty_header_is_malformed_and_not_missing,
    two_authorization_headers_are_refused,
    a_credential_in_the_query_is_not_looked_at,
)
