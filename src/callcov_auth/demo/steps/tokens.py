"""Login, the access token, and refresh."""

from typing import Any

from callcov_auth.demo.answers import Answer, accepted, hold, not_stored, refused
from callcov_auth.demo.conversation import ANALYSIS, LOGIN, ME, REFRESH, Step, Talk, altered
from callcov_auth.demo.settings import EMAIL, PASSWORD, SCOPES

ACCESS_SECONDS = 1800


def login_gives_two_tokens(talk: Talk) -> None:
    answer = log_in(talk, EMAIL)
    tokens = accepted(answer)
    _hold_token_fields(answer, tokens)
    talk.kept |= {"access": tokens["access_token"], "refresh": tokens["refresh_token"]}


def a_wrong_password_is_refused(talk: Talk) -> None:
    answer = log_in(talk, EMAIL, password="not" + PASSWORD)
    talk.kept["wrong password"] = refused(answer, 401, "invalid_credentials")["message"]


def an_unknown_email_gets_the_same_answer(talk: Talk) -> None:
    error = refused(log_in(talk, "nobody@example.com"), 401, "invalid_credentials")
    hold(error["message"] == talk.kept["wrong password"], "the wrong password's message", error["message"])


def users_me_says_who_is_calling(talk: Talk) -> None:
    me = accepted(talk.get(ME, talk.kept["access"]))
    hold(me["email"] == EMAIL, EMAIL, me["email"])
    hold(me["scopes"] == list(SCOPES), f"scopes {SCOPES}", me["scopes"])


def a_token_reads_analyses(talk: Talk) -> None:
    kind = accepted(talk.get(ANALYSIS, talk.kept["access"]))["asked_by"]["kind"]
    hold(kind == "token", "a caller with a token", kind)


def a_path_without_its_slash_is_no_redirect(talk: Talk) -> None:
    accepted(talk.get("/api/v1/api-keys", talk.kept["access"]))


def refresh_gives_a_new_access_token(talk: Talk) -> None:
    before = talk.kept["access"]
    talk.kept["access"] = _refreshed(talk)
    hold(talk.kept["access"] != before, "another access token", "the same one")


def the_same_refresh_token_serves_again(talk: Talk) -> None:
    talk.kept["access"] = _refreshed(talk)
    accepted(talk.get(ME, talk.kept["access"]))


def an_access_token_cannot_refresh(talk: Talk) -> None:
    refused(refresh(talk, talk.kept["access"]), 401, "invalid_token")


def a_refresh_token_opens_nothing(talk: Talk) -> None:
    refused(talk.get(ME, talk.kept["refresh"]), 401, "invalid_token")


def a_tampered_token_is_refused(talk: Talk) -> None:
    header, claims, signature = talk.kept["access"].split(".")
    refused(talk.get(ME, f"{header}.{claims}.{altered(signature, 20)}"), 401, "invalid_token")


def log_in(talk: Talk, email: str, password: str = PASSWORD) -> Answer:
    return talk.post(LOGIN, json={"email": email, "password": password})


def refresh(talk: Talk, refresh_token: str) -> Answer:
    return talk.post(REFRESH, json={"refresh_token": refresh_token})


def _refreshed(talk: Talk) -> str:
    answer = refresh(talk, talk.kept["refresh"])
    tokens = accepted(answer)
    _hold_token_fields(answer, tokens)
    hold(tokens["refresh_token"] == talk.kept["refresh"], "the refresh token that was sent", "another one")
    return str(tokens["access_token"])


def _hold_token_fields(answer: Answer, tokens: dict[str, Any]) -> None:
    names = {"access_token", "refresh_token", "token_type", "expires_in"}
    hold(set(tokens) == names, f"the fields {sorted(names)}", sorted(tokens))
    said = (tokens["token_type"], tokens["expires_in"])
    hold(said == ("bearer", ACCESS_SECONDS), f"bearer, for {ACCESS_SECONDS} seconds", said)
    not_stored(answer)


STEPS: tuple[Step, ...] = (
    login_gives_two_tokens,
    a_wrong_password_is_refused,
    an_unknown_email_gets_the_same_answer,
    users_me_says_who_is_calling,
    a_token_reads_analyses,
    a_path_without_its_slash_is_no_redirect,
    refresh_gives_a_new_access_token,
    the_same_refresh_token_serves_again,
    an_access_token_cannot_refresh,
    a_refresh_token_opens_nothing,
    a_tampered_token_is_refused,
)
