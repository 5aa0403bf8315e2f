"""How keys, tokens and sessions end."""

from callcov_auth.age import DAY
from callcov_auth.demo.answers import Answer, accepted, hold, refused
from callcov_auth.demo.conversation import ANALYSIS, KEYS, LOGOUT, ME, Step, Talk, eventually
from callcov_auth.demo.servers import OTHER_EMAIL
from callcov_auth.demo.steps.keys import create_key, hold_form
from callcov_auth.demo.steps.tokens import ACCESS_SECONDS, log_in, refresh

GRACE_SECONDS = 60
REFRESH_SECONDS = 604_800
MAX_KEYS = 10


def a_key_is_revoked(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live"], to="live only"))
    done = accepted(_revoke(talk, "live id"))
    hold(done.get("success") is True, "success true", done.get("success"))


def a_revoked_key_is_refused_at_once(talk: Talk) -> None:
    refused(talk.get(ANALYSIS, talk.kept["live"]), 401, "token_revoked")


def other_servers_hear_of_it(talk: Talk) -> None:
    answer = eventually(
        lambda: talk.get(ANALYSIS, talk.kept["live"], to="live only"), lambda got: got.status != 200
    )
    refused(answer, 401, "token_revoked")


def revoking_again_changes_nothing(talk: Talk) -> None:
    accepted(_revoke(talk, "live id"))


def somebody_elses_key_is_not_found(talk: Talk) -> None:
    talk.kept["other access"] = accepted(log_in(talk, OTHER_EMAIL))["access_token"]
    refused(_revoke(talk, "read only id", "other access"), 404, "not_found")


def and_it_goes_on_working(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["read only"]))


def ten_active_keys_are_the_limit(talk: Talk) -> None:
    for number in range(MAX_KEYS):
        create_key(talk, f"other {number}", "other access")


def the_eleventh_key_is_refused(talk: Talk) -> None:
    answer = talk.post(KEYS, talk.kept["other access"], json={"name": "The eleventh"})
    refused(answer, 409, "key_limit_reached")


def rotation_gives_a_new_key(talk: Talk) -> None:
    path = f"{KEYS}{talk.kept['live prod id']}/rotate"
    created = accepted(talk.post(path, talk.kept["access"], json={"grace_seconds": GRACE_SECONDS}), 201)
    hold_form(created, "sk_live_prod_")
    talk.kept["rotated"] = created["api_key"]


def the_new_key_works(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["rotated"]))


def the_old_key_works_during_its_grace(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["live prod"]))


def the_old_key_ends_with_its_grace(talk: Talk) -> None:
    talk.clock.advance(GRACE_SECONDS + 1)
    refused(talk.get(ANALYSIS, talk.kept["live prod"]), 401, "token_expired")


def the_new_key_works_after_it(talk: Talk) -> None:
    accepted(talk.get(ANALYSIS, talk.kept["rotated"]))


def an_expired_token_is_told_apart(talk: Talk) -> None:
    talk.clock.advance(ACCESS_SECONDS + 1)
    refused(talk.get(ME, talk.kept["access"]), 401, "token_expired")


def the_first_refresh_token_still_serves(talk: Talk) -> None:
    talk.kept["access"] = accepted(refresh(talk, talk.kept["refresh"]))["access_token"]
    accepted(talk.get(ME, talk.kept["access"]))


def a_key_ends_on_its_day(talk: Talk) -> None:
    create_key(talk, "one day", expires_in_days=1)
    accepted(talk.get(ANALYSIS, talk.kept["one day"]))
    talk.clock.advance(DAY + 1)
    refused(talk.get(ANALYSIS, talk.kept["one day"]), 401, "token_expired")


def logout_ends_the_session(talk: Talk) -> None:
    talk.kept["access"] = accepted(refresh(talk, talk.kept["refresh"]))["access_token"]
    body = {"refresh_token": talk.kept["refresh"]}
    accepted(talk.post(LOGOUT, talk.kept["access"], json=body))


def the_access_token_lives_on_until_it_expires(talk: Talk) -> None:
    accepted(talk.get(ME, talk.kept["access"]))


def refresh_after_logout_is_refused(talk: Talk) -> None:
    refused(refresh(talk, talk.kept["refresh"]), 401, "token_revoked")


def a_refresh_token_ends_after_seven_days(talk: Talk) -> None:
    token = accepted(log_in(talk, OTHER_EMAIL))["refresh_token"]
    talk.clock.advance(REFRESH_SECONDS - 60)
    accepted(refresh(talk, token))
    talk.clock.advance(61)
    refused(refresh(talk, token), 401, "token_expired")


def _revoke(talk: Talk, key_id: str, by: str = "access") -> Answer:
    return talk.send("DELETE", KEYS + talk.kept[key_id], talk.kept[by])


STEPS: tuple[Step, ...] = (
    a_key_is_revoked,
    a_revoked_key_is_refused_at_once,
    other_servers_hear_of_it,
    revoking_again_changes_nothing,
    somebody_elses_key_is_not_found,
    and_it_goes_on_working,
    ten_active_keys_are_the_limit,
    the_eleventh_key_is_refused,
    rotation_gives_a_new_key,
    the_new_key_works,
    the_old_key_works_during_its_grace,
    the_old_key_ends_with_its_grace,
    the_new_key_works_after_it,
    an_expired_token_is_told_apart,
    the_first_refresh_token_still_serves,
    a_key_ends_on_its_day,
    logout_ends_the_session,
    the_access_token_lives_on_until_it_expires,
    refresh_after_logout_is_refused,
    a_refresh_token_ends_after_seven_days,
)
