"""Tokens made by hand, right but for what a test makes wrong."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

from callcov_auth import Auth


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def as_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Forge:
    """Signs with the key of ``auth``, as an attacker cannot, to reach what is behind the signature.

    ``ABSENT`` takes a header or a claim away.
    """

    ABSENT = object()

    def __init__(self, auth: Auth) -> None:
        self._key = auth.settings.token_keys[0]
        self._now = auth.now
        self.kid = auth.tokens.keyring.signing.kid

    def header(self, **changes: Any) -> dict[str, Any]:
        return self._changed({"alg": "HS256", "kid": self.kid, "typ": "at+jwt"}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self._now)
        right = {
            "iss": "callcov",
            "sub": "usr_1",
            "aud": "callcov",
            "exp": now + 1800,
            "iat": now,
            "nbf": now,
            "jti": "jti-1",
            "scope": "calls:read",
            "sid": "ses_1",
        }
        return self._changed(right, changes)

    def token(
        self, header: dict[str, Any] | bytes | None = None, claims: dict[str, Any] | bytes | None = None
    ) -> str:
        head = self._raw(self.header() if header is None else header)
        body = self._raw(self.claims() if claims is None else claims)
        return self.signed(f"{base64url(head)}.{base64url(body)}")

    def signed(self, signing_input: str) -> str:
        return f"{signing_input}.{base64url(hmac.digest(self._key, signing_input.encode(), 'sha256'))}"

    @staticmethod
    def _raw(part: dict[str, Any] | bytes) -> bytes:
        return part if isinstance(part, bytes) else as_json(part)

    def _changed(self, right: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (right | changes).items() if value is not self.ABSENT}
