"""What went wrong, as lines with the next thing to do, and the exit code that goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callcov_auth.errors import AuthError
    from callcov_auth.settings import SettingsError

# It was done, and nothing was found.
DONE = 0
# It can be done, and the answer is no; or what was looked for is there.
REFUSED = 1
# What was typed or set cannot be used.
UNUSABLE = 2
# Ctrl-C, as a shell tells it; typer sees to that.
INTERRUPTED = 130

# By the reason of the refusal.
_NEXT = {
    "user_not_found": "'callcov-auth users list' shows them all",
    "owner_not_found": "'callcov-auth users list' shows who there is, and who is disabled",
    "email_taken": "change the user with 'callcov-auth users set-password' or 'users set-scopes'",
    "key_not_found": "'callcov-auth keys list --all' shows them all",
    "key_malformed": "'callcov-auth keys list --all' shows ours; another service's is revoked there",
    "key_mac_wrong": (
        "'callcov-auth keys who' again with the whole of it; one that was made with an older secret is told "
        "where CALLCOV_AUTH_PREVIOUS_SECRETS has that"
    ),
    "key_unknown": "'callcov-auth doctor' tells whether CALLCOV_AUTH_DATABASE_URL is the one that you mean",
    "key_ended": "make a new one with 'callcov-auth keys create'",
    "key_limit_reached": "'callcov-auth keys revoke KEY_ID' ends one",
    "signing_key_not_found": (
        "'callcov-auth signing-keys list' shows them all; one of the settings is taken out of "
        "CALLCOV_AUTH_SIGNING_KEYS or CALLCOV_AUTH_PREVIOUS_SECRETS"
    ),
    "signing_key_needed": "make one first, with 'callcov-auth signing-keys add --signs-in 0'",
    "signing_key_limit_reached": "'callcov-auth signing-keys retire KID' ends one",
}
_ELSE = "'callcov-auth doctor' tells what may be wrong"


@dataclass(frozen=True, slots=True)
class Explained:
    lines: Sequence[str]
    exit_code: int


class Unusable(Exception):
    """The command cannot be run like this; the text says what to do."""


def explained(error: Exception) -> Explained | None:
    """Return what to tell of ``error``; None for one that nobody foresaw."""
    from callcov_auth.errors import AuthError, ValidationFailed
    from callcov_auth.settings import SettingsError
    from callcov_auth.store.protocol import SchemaError

    if isinstance(error, SettingsError):
        return Explained([f"{problem}; {cure}" for problem, cure in settings_problems(error)], UNUSABLE)
    if isinstance(error, SchemaError | Unusable):
        return Explained([str(error)], UNUSABLE)
    if isinstance(error, ValidationFailed):
        fields = error.details["fields"]
        return Explained(
            [f"{name}: {problem}; give another one" for name, problem in fields.items()], UNUSABLE
        )
    return Explained([_refusal(error)], REFUSED) if isinstance(error, AuthError) else None


def settings_problems(error: "SettingsError") -> list[tuple[str, str]]:
    """Return each wrong setting, and its cure."""
    parted = [line.partition("; ") for line in str(error).splitlines()]
    return [(problem, cure or "set it right in .env or the environment") for problem, _, cure in parted]


def _refusal(error: "AuthError") -> str:
    if error.reason.startswith("store_"):
        return (
            f"The database cannot be used ({error.reason}): check CALLCOV_AUTH_DATABASE_URL, "
            "and that its server is up, or its file and folder can be written"
        )
    for note in getattr(error, "__notes__", ()):
        # From a command that knows more than the error (PEP 678).
        return str(note)
    step = _NEXT.get(error.reason)
    return f"{error.message}: {step}" if step else f"{error.message} ({error.reason}): {_ELSE}"
