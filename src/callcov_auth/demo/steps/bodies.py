"""Bodies that cannot be read or do not fit."""

from callcov_auth.demo.answers import hold, refused
from callcov_auth.demo.conversation import KEYS, LOGIN, Step, Talk
from callcov_auth.demo.settings import EMAIL

# The most that a body may hold, in bytes.
LIMIT = 64 * 1024


def a_wrong_field_is_named(talk: Talk) -> None:
    error = refused(talk.post(KEYS, talk.kept["access"], json={"name": 20_412_042}), 422, "validation_error")
    fields = list(error["details"]["fields"])
    hold(fields == ["name"], "the field name", fields)


def its_value_is_not_shown(talk: Talk) -> None:
    answer = talk.post(LOGIN, json={"email": EMAIL, "password": ["Tr0ub4dor&3"]})
    refused(answer, 422, "validation_error")
    hold(b"Tr0ub4dor" not in answer.body, "no value of a field", "the password")


def broken_json_is_refused(talk: Talk) -> None:
    refused(talk.post(LOGIN, content=b'{"email": '), 400, "malformed_json")


def a_body_over_64_kib_is_refused(talk: Talk) -> None:
    refused(talk.post(LOGIN, content=b" " * (LIMIT + 1)), 413, "body_too_large")


STEPS: tuple[Step, ...] = (
    a_wrong_field_is_named,
    its_value_is_not_shown,
    broken_json_is_refused,
    a_body_over_64_kib_is_refused,
)
