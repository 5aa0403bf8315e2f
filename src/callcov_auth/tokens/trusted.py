"""The trusted issuers of the settings, each with its keys and its rules."""

from collections.abc import Callable
from typing import Any

from callcov_auth.events import OnEvent
from callcov_auth.settings import AuthSettings, SettingsError, TrustedIssuer
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.claims import ClaimRules
from callcov_auth.tokens.jwk import BadKey, KeySet, VerifyingKey, load_key_set
from callcov_auth.tokens.jwks import Fetch, RemoteKeys
from callcov_auth.tokens.verifier import Issuer
from callcov_auth.weak_secrets import weakness


class InlineKeys:
    """A key set that stands in the settings."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def find(self, kid: object) -> VerifyingKey | None:
        return self._keys.find(kid)


def load_issuers(
    settings: AuthSettings, timer: Callable[[], float], on_event: OnEvent | None = None
) -> tuple[list[Issuer], list[RemoteKeys]]:
    """Return the issuers, and of their key sets those that are fetched. Raises SettingsError."""
    issuers: list[Issuer] = []
    remote: list[RemoteKeys] = []
    for trusted in settings.trusted_issuers:
        _check_algorithms(trusted)
        keys: InlineKeys | RemoteKeys
        if trusted.jwks is not None:
            keys = _inline(trusted, trusted.jwks.get_secret_value())
        else:
            keys = _remote(trusted, timer, on_event)
            remote.append(keys)
        rules = ClaimRules(trusted.issuer, trusted.audience, settings.leeway, trusted.scope_claim)
        types = frozenset(None if typ == "none" else typ for typ in trusted.token_types)
        issuers.append(Issuer(rules, keys, types))
    return issuers, remote


def _check_algorithms(trusted: TrustedIssuer) -> None:
    unknown = sorted(trusted.algorithms - ALGORITHMS.keys())
    if unknown:
        raise _wrong(
            trusted, f"there is no algorithm {', '.join(unknown)}; known are {', '.join(ALGORITHMS)}"
        )


def _inline(trusted: TrustedIssuer, jwks: dict[str, Any]) -> InlineKeys:
    try:
        keys, refused = load_key_set(jwks, algorithms=trusted.algorithms, inline=True)
        _check_secrets(keys)
    except BadKey as error:
        raise _wrong(trusted, str(error)) from None
    if refused or not keys.keys:
        raise _wrong(trusted, "; ".join(refused) or "its key set is empty")
    return InlineKeys(keys)


def _check_secrets(keys: KeySet) -> None:
    for key in keys.keys:
        problem = weakness(key.key.decode("latin-1")) if isinstance(key.key, bytes) else None
        if problem is not None:
            raise BadKey(f"key {key.kid!r}: {problem}")


def _remote(trusted: TrustedIssuer, timer: Callable[[], float], on_event: OnEvent | None) -> RemoteKeys:
    return RemoteKeys(
        trusted.issuer,
        _fetch(trusted),
        algorithms=trusted.algorithms,
        stale_for=trusted.stale_for,
        timer=timer,
        on_event=on_event,
    )


def _fetch(trusted: TrustedIssuer) -> Fetch:
    # Here, because httpx2 is an extra.
    from callcov_auth.tokens.fetching import jwks_at, jwks_discovered

    if trusted.jwks_url is not None:
        return jwks_at(trusted.jwks_url)
    usual = trusted.issuer.rstrip("/") + "/.well-known/openid-configuration"
    return jwks_discovered(trusted.issuer, trusted.discovery if isinstance(trusted.discovery, str) else usual)


def _wrong(trusted: TrustedIssuer, problem: str) -> SettingsError:
    return SettingsError(f"CALLCOV_AUTH_TRUSTED_ISSUERS: {trusted.issuer}: {problem}")
