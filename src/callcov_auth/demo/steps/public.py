"""What is open, and a request that brings no credential."""

from callcov_auth.demo.answers import accepted, hold, refused
from callcov_auth.demo.conversation import ANALYSIS, Step, Talk


def health_is_public(talk: Talk) -> None:
    accepted(talk.get("/health"))


def the_api_documentation_is_public(talk: Talk) -> None:
    paths = accepted(talk.get("/openapi.json"))["paths"]
    hold("/api/v1/auth/login" in paths, "the path of login in OpenAPI", f"{len(paths)} paths without it")


def no_credential_is_missing_token(talk: Talk) -> None:
    refused(talk.get(ANALYSIS), 401, "missing_token")


def a_request_id_is_echoed(talk: Talk) -> None:
    error = refused(talk.get(ANALYSIS, headers=[("X-Request-ID", "demo-42")]), 401, "missing_token")
    hold(error["request_id"] == "demo-42", "request id demo-42", error["request_id"])


def an_unfit_request_id_is_replaced(talk: Talk) -> None:
    error = refused(talk.get(ANALYSIS, headers=[("X-Request-ID", "demo 42")]), 401, "missing_token")
    hold(error["request_id"] != "demo 42", "another request id than demo 42", error["request_id"])


STEPS: tuple[Step, ...] = (
    health_is_public,
    the_api_documentation_is_public,
    no_credential_is_missing_token,
    a_request_id_is_echoed,
    an_unfit_request_id_is_replaced,
)
