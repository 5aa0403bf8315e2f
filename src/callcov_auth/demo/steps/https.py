"""Servers with ``require_https``: over plain HTTP, over TLS, and behind a proxy."""

from callcov_auth.demo.answers import Answer, accepted, hold, refused
from callcov_auth.demo.conversation import ANALYSIS, Step, Talk

FORWARDED_HTTPS = [("X-Forwarded-Proto", "https")]
FORWARDED_HTTP = [("X-Forwarded-Proto", "http")]


def plain_http_is_refused(talk: Talk) -> None:
    _hold_refused(talk.get(ANALYSIS, talk.kept["live"], to="https only"))


def plain_http_is_refused_on_public_paths_too(talk: Talk) -> None:
    _hold_refused(talk.get("/health", to="https only"))


def a_plain_websocket_is_refused(talk: Talk) -> None:
    _hold_refused(talk.listen(talk.kept["live"], to="https only"))


def tls_is_accepted(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live"], to="tls"))


def a_websocket_over_tls_is_accepted(talk: Talk) -> None:
    accepted(talk.listen(talk.kept["live"], to="tls"), 101)


def a_trusted_proxy_may_say_https(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live"], to="behind a proxy", headers=FORWARDED_HTTPS))


def a_trusted_proxy_may_say_http(talk: Talk) -> None:
    _hold_refused(talk.get(ANALYSIS, talk.kept["live"], to="behind a proxy", headers=FORWARDED_HTTP))


def anybody_else_who_says_https_is_refused(talk: Talk) -> None:
    _hold_refused(talk.get(ANALYSIS, talk.kept["live"], to="https only", headers=FORWARDED_HTTPS))


def _hold_refused(answer: Answer) -> None:
    refused(answer, 403, "https_required")
    hold("location" not in answer.headers, "no redirect", "a location header")


STEPS: tuple[Step, ...] = (
    plain_http_is_refused,
    plain_http_is_refused_on_public_paths_too,
    a_plain_websocket_is_refused,
    tls_is_accepted,
    a_websocket_over_tls_is_accepted,
    a_trusted_proxy_may_say_https,
    a_trusted_proxy_may_say_http,
    anybody_else_who_says_https_is_refused,
)
