"""API keys: what they look like, what they may do, and where they are taken."""

import re
from typing import Any

from callcov_auth.demo.answers import accepted, hold, not_stored, refused
from callcov_auth.demo.conversation import ANALYSIS, KEYS, Step, Talk, altered, eventually

PREFIX_LENGTH = 14
HOT_REQUESTS = 20


def a_live_key_is_created(talk: Talk) -> None:
    created = create_key(talk, "live", name="Production Server Key")
    hold_form(created, "sk_live_")


def a_key_reads_analyses(talk: Talk) -> None:
    caller = accepted(talk.get(ANALYSIS, talk.kept["live"]))["asked_by"]
    hold(caller["kind"] == "api_key", "a caller with an API key", caller["kind"])
    hold(caller["environment"] == "live", "environment live", caller["environment"])


def a_hot_key_goes_on_working(talk: Talk) -> None:
    for _ in range(HOT_REQUESTS):
        accepted(talk.get(ANALYSIS, talk.kept["live"]))


def a_key_starts_analyses(talk: Talk) -> None:
    accepted(talk.post(ANALYSIS, talk.kept["live"], json={"call": "call_2042"}), 202)


def listed_keys_never_show_the_secret(talk: Talk) -> None:
    _hold_hidden(talk, KEYS)


def a_single_key_never_shows_it_either(talk: Talk) -> None:
    _hold_hidden(talk, KEYS + talk.kept["live id"])


def last_used_at_appears(talk: Talk) -> None:
    path, token = KEYS + talk.kept["live id"], talk.kept["access"]
    answer = eventually(lambda: talk.get(path, token), lambda got: bool(accepted(got)["last_used_at"]))
    hold(bool(answer.json["last_used_at"]), "a time in last_used_at", "none")


def a_key_cannot_create_keys(talk: Talk) -> None:
    refused(talk.post(KEYS, talk.kept["live"], json={"name": "From a key"}), 403, "insufficient_permissions")


def a_key_without_write_scope_cannot_write(talk: Talk) -> None:
    create_key(talk, "read only", scopes=["analysis:read"])
    answer = talk.post(ANALYSIS, talk.kept["read only"], json={"call": "call_2043"})
    refused(answer, 403, "insufficient_permissions", scope="analysis:write")


def a_key_has_no_scope_that_its_owner_lacks(talk: Talk) -> None:
    answer = talk.post(KEYS, talk.kept["access"], json={"name": "More", "scopes": ["billing:write"]})
    refused(answer, 403, "insufficient_permissions", scope="billing:write")


def a_test_key_works(talk: Talk) -> None:
    hold_form(create_key(talk, "test", environment="test"), "sk_test_")
    _hold_caller(talk, "test", "test", None)


def a_test_key_for_development_works(talk: Talk) -> None:
    hold_form(create_key(talk, "test dev", environment="test", segment="dev"), "sk_test_dev_")
    _hold_caller(talk, "test dev", "test", "dev")


def a_live_key_for_production_works(talk: Talk) -> None:
    hold_form(create_key(talk, "live prod", environment="live", segment="prod"), "sk_live_prod_")
    _hold_caller(talk, "live prod", "live", "prod")


def a_server_for_live_keys_refuses_a_test_key(talk: Talk) -> None:
    refused(talk.get(ANALYSIS, talk.kept["test"], to="live only"), 401, "invalid_token")


def a_server_for_live_keys_takes_a_live_key(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live"], to="live only"))


def a_server_for_prod_refuses_another_segment(talk: Talk) -> None:
    refused(talk.get(ANALYSIS, talk.kept["test dev"], to="prod only"), 401, "invalid_token")


def a_server_for_prod_refuses_a_key_without_one(talk: Talk) -> None:
    refused(talk.get(ANALYSIS, talk.kept["live"], to="prod only"), 401, "invalid_token")


def a_server_for_prod_takes_its_own(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live prod"], to="prod only"))


def a_key_with_one_character_changed_is_refused(talk: Talk) -> None:
    refused(talk.get(ANALYSIS, altered(talk.kept["live"], 20)), 401, "invalid_token")


def create_key(talk: Talk, keep: str, by: str = "access", **fields: Any) -> dict[str, Any]:
    """Create a key with a kept token; keep its text as ``keep`` and its id as ``keep id``."""
    answer = talk.post(KEYS, talk.kept[by], json={"name": keep, **fields})
    created: dict[str, Any] = accepted(answer, 201)
    not_stored(answer)
    talk.kept |= {keep: created["api_key"], f"{keep} id": created["id"]}
    return created


def hold_form(created: dict[str, Any], prefix: str) -> None:
    """Hold that the key has the form of the contract; what came is not shown, for it is a secret."""
    key = created["api_key"]
    fits = re.fullmatch(f"{prefix}[0-9A-Za-z]{{48}}", key) is not None
    hold(fits, f"a key of {prefix} and 48 letters and digits", "a key that is not")
    shown = created["key_prefix"]
    hold(shown == key[:PREFIX_LENGTH], f"key_prefix: the first {PREFIX_LENGTH} characters", shown)


def _hold_caller(talk: Talk, key: str, environment: str, segment: str | None) -> None:
    caller = accepted(talk.get(ANALYSIS, talk.kept[key]))["asked_by"]
    came = (caller["environment"], caller["segment"])
    hold(came == (environment, segment), f"a caller of {environment}, {segment}", came)


def _hold_hidden(talk: Talk, path: str) -> None:
    answer = talk.get(path, talk.kept["access"])
    accepted(answer)
    key = talk.kept["live"]
    hold(key[:PREFIX_LENGTH].encode() in answer.body, "the key's prefix", "an answer without it")
    hold(key[PREFIX_LENGTH:].encode() not in answer.body, "no more of the key than its prefix", "all of it")


STEPS: tuple[Step, ...] = (
    a_live_key_is_created,
    a_key_reads_analyses,
    a_hot_key_goes_on_working,
    a_key_starts_analyses,
    listed_keys_never_show_the_secret,
    a_single_key_never_shows_it_either,
    last_used_at_appears,
    a_key_cannot_create_keys,
    a_key_without_write_scope_cannot_write,
    a_key_has_no_scope_that_its_owner_lacks,
    a_test_key_works,
    a_test_key_for_development_works,
    a_live_key_for_production_works,
    a_server_for_live_keys_refuses_a_test_key,
    a_server_for_live_keys_takes_a_live_key,
    a_server_for_prod_refuses_another_segment,
    a_server_for_prod_refuses_a_key_without_one,
    a_server_for_prod_takes_its_own,
    a_key_with_one_character_changed_is_refused,
)
