"""What can be set, and what stops a start.

Settings come from keywords, from ``CALLCOV_AUTH_*`` in the environment, or from a ``.env`` file, in that
order of precedence. Whatever is unknown, missing or weak raises SettingsError, whose text names the
setting and the cure and never shows the value.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ImportString,
    Secret,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from callcov_auth.rates import Rate
from callcov_auth.setting_types import (
    ANY_KEY,
    ASYMMETRIC,
    GENERATE,
    NO_CONTROLS,
    ApiPrefix,
    CredentialKind,
    DatabaseUrl,
    Environment,
    HeaderName,
    HttpsUrl,
    ImportPrefix,
    OnEvent,
    PathPattern,
    Pepper,
    Proxy,
    RateOrNone,
    RedisUrl,
    Segment,
    SigningAlgorithm,
    Strong,
    TokenType,
    https_url,
    json_list,
    key_texts,
    listed,
    pepper_bytes,
)
from callcov_auth.weak_secrets import MIN_BYTES

ENV_PREFIX = "CALLCOV_AUTH_"
# In the place of pydantic's words, by the kind of its error.
_SAID = {"bool_parsing": "it is neither true nor false"}
# Where the package's own tests find published vectors: no setting, and no typing error either.
NO_SETTINGS = frozenset({"vectors"})

SECRET_MISSING = (
    f"{ENV_PREFIX}SECRET: it is required, at least {MIN_BYTES} bytes; run 'callcov-auth init' where there is "
    f"none yet, or go to the folder whose .env has it, or {GENERATE}"
)


class SettingsError(ValueError):
    """The settings cannot be used. The text names each wrong one and its cure, never a value."""


class TrustedIssuer(BaseModel):
    """An issuer of tokens that are taken beside our own, by its own keys alone.

    The keys come from exactly one of ``jwks`` (the set itself), ``jwks_url``, and ``discovery`` (OpenID
    Connect Discovery 1.0 §4; its address, or true for the usual one below ``issuer``).
    ``token_types`` are the header's ``typ``, with ``none`` for a header that has none. ``stale_for``: for so
    many seconds after it should have been fetched again, the last good set stays in use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: Annotated[str, Field(min_length=1, max_length=255, pattern=NO_CONTROLS)]
    audience: Annotated[str, Field(min_length=1, pattern=NO_CONTROLS)]
    jwks_url: HttpsUrl | None = None
    # A Secret, because its keys may be secret ones.
    jwks: Secret[dict[str, Any]] | None = None
    discovery: Literal[True] | HttpsUrl | None = None
    algorithms: Annotated[frozenset[str], Field(min_length=1)] = ASYMMETRIC
    scope_claim: Annotated[str, Field(min_length=1)] = "scope"
    token_types: Annotated[frozenset[TokenType], Field(min_length=1)] = frozenset({"at+jwt", "jwt", "none"})
    stale_for: Annotated[float, Field(ge=0, le=7 * 86400)] = 86400

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(source is not None for source in (self.jwks, self.jwks_url, self.discovery)) != 1:
            raise ValueError("an issuer has exactly one of jwks, jwks_url and discovery")
        if self.discovery is True:
            try:
                https_url(self.issuer)
            except ValueError:
                raise ValueError(
                    "discovery: true is for an issuer that starts with 'https://'; give the address instead"
                ) from None
        return self


class AuthSettings(BaseSettings):
    """Every setting of the package. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        env_nested_delimiter="__",
        extra="forbid",
        dotenv_filtering="match_prefix",
        frozen=True,
        hide_input_in_errors=True,
    )

    secret: Strong | None = Field(
        default=None, description="the pepper of the keys and the token signing key derive from it"
    )
    pepper: Strong | None = Field(default=None, description="in the secret's place, for the keys alone")
    signing_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(key_texts)] = Field(
        default=(), description="in the secret's place, for tokens: private JWKs, of which the first signs"
    )
    signing_algorithm: SigningAlgorithm = Field(
        default="ES256", description="of the signing keys that are made"
    )
    signing_key_rotation_days: int | None = Field(
        default=None, ge=1, le=3650, description="the next signing key is made after so long; None for never"
    )
    previous_secrets: Annotated[tuple[Strong, ...], NoDecode, BeforeValidator(json_list)] = Field(
        default=(), description="what was made under them still verifies; newest first"
    )
    import_peppers: Annotated[tuple[Pepper, ...], NoDecode, BeforeValidator(json_list)] = Field(
        default=(), description="other programs' peppers, until each key that needs one was used here once"
    )
    import_prefixes: Annotated[tuple[ImportPrefix, ...], NoDecode, BeforeValidator(listed)] = Field(
        default=(), description="what other programs' keys start with, which are then taken for API keys"
    )
    accept: Annotated[frozenset[CredentialKind], NoDecode, BeforeValidator(listed)] = Field(
        default=frozenset({"api_key", "token"}), min_length=1
    )

    database_url: DatabaseUrl = SecretStr("sqlite:///callcov_auth.db")
    auto_migrate: bool = True
    redis_url: RedisUrl | None = Field(
        default=None, description="pushes revocations to all processes; they are polled for all the same"
    )

    require_https: bool = True
    trusted_proxies: Annotated[tuple[Proxy, ...], NoDecode, BeforeValidator(listed)] = ()

    api_prefix: ApiPrefix = "/api/v1"
    realm: str = Field(default="callcov", pattern=r"^[\x20-\x21\x23-\x5b\x5d-\x7e]+$")
    public_paths: Annotated[tuple[PathPattern, ...], NoDecode, BeforeValidator(listed)] = ()
    optional_paths: Annotated[tuple[PathPattern, ...], NoDecode, BeforeValidator(listed)] = ()

    issuer: str = Field(default="callcov", pattern=NO_CONTROLS)
    audience: str = Field(default="callcov", pattern=NO_CONTROLS)
    trusted_issuers: Annotated[tuple[TrustedIssuer, ...], NoDecode, BeforeValidator(json_list)] = ()
    leeway: float = Field(default=0, ge=0, le=60)
    access_token_ttl: int = Field(default=1800, ge=1, le=86400)
    refresh_token_ttl: int = Field(default=604800, ge=1, le=366 * 86400)
    rotate_refresh_tokens: bool = Field(
        default=False, description="each refresh gives a new refresh token, and supersedes the one before"
    )
    refresh_grace: float = Field(
        default=10, ge=0, le=300, description="how long a superseded refresh token is answered as the newest"
    )
    revocable_access_tokens: bool = False

    accepted_environments: Annotated[frozenset[Environment], NoDecode, BeforeValidator(listed)] = Field(
        default=frozenset({"live", "test"}), min_length=1
    )
    accepted_segments: Annotated[frozenset[Segment] | None, NoDecode, BeforeValidator(listed)] = None
    max_active_keys: int = Field(default=10, ge=1, le=10_000)
    rotation_days: int = Field(default=90, ge=1)

    cache_size: int = Field(default=16384, ge=1, le=10_000_000)
    cache_ttl: float = Field(default=60, gt=0, le=3600)
    negative_ttl: float = Field(default=5, ge=0, le=3600)
    hash_cached_credentials: bool = False
    revocation_interval: float = Field(default=1.0, gt=0, le=60)

    api_key_header: HeaderName | None = None
    websocket_protocol: bool = False

    password_time_cost: int = Field(default=2, ge=1, le=100)
    password_memory_kib: int = Field(default=19456, ge=8, le=4 * 1024 * 1024)
    password_workers: int = Field(default=1, ge=1, le=64)

    login_rate: RateOrNone = Field(
        default="5/minute", description="failed logins, for each account and address; None for no bound"
    )
    failure_rate: RateOrNone = Field(
        default="100/minute", description="refused credentials, for each address; None for no bound"
    )

    audit_days: int = Field(
        default=90, ge=0, le=3650, description="how long the audit log is kept; 0 switches it off"
    )

    on_event: OnEvent | None = Field(default=None, description="called with each event, and never awaited")
    otel: bool = Field(default=False, description="spans and metrics, by the providers of OpenTelemetry")
    render_refusal: ImportString[Callable[..., tuple[str, Mapping[str, Any]]]] | None = None

    def __init__(self, **values: Any) -> None:
        _refuse_unknown_variables(type(self).model_fields)
        try:
            super().__init__(**values)
            return
        except ValidationError as error:
            problem = "\n".join(dict.fromkeys(_line(e["type"], e["loc"], e["msg"]) for e in error.errors()))
        except (OSError, UnicodeDecodeError) as error:
            # By its kind alone: a decoding error holds the whole file.
            problem = (
                f".env: it cannot be read ({type(error).__name__}); "
                "write it in UTF-8, and let the user who runs this read it"
            )
        # Outside the handlers, so that the error which holds the values is not kept as its context.
        raise SettingsError(problem)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.secret is None and not self.is_resource_server and not (self.pepper and self.signing_keys):
            raise ValueError(SECRET_MISSING)
        issuers = [self.issuer, *(trusted.issuer for trusted in self.trusted_issuers)]
        if len(issuers) != len(set(issuers)):
            raise ValueError(f"{ENV_PREFIX}TRUSTED_ISSUERS: two issuers have one name, or one has ours")
        return self

    @property
    def is_resource_server(self) -> bool:
        """Whether only others' tokens are taken, so that no secret and no database is needed."""
        makes_tokens = self.secret is not None or bool(self.signing_keys)
        return self.accept == {"token"} and bool(self.trusted_issuers) and not makes_tokens

    @cached_property
    def pepper_key(self) -> bytes:
        """The key of the keys' digests (HMAC-SHA256)."""
        return self.pepper_keys[0]

    @cached_property
    def key_mac_key(self) -> bytes:
        """The key of the MAC inside every API key (keyed BLAKE2b)."""
        return self.key_mac_keys[0]

    @cached_property
    def pepper_keys(self) -> tuple[bytes, ...]:
        """The pepper in force, then those of ``previous_secrets``."""
        return tuple(
            derive(secret, "pepper") for secret in _texts(self.pepper or self.secret, *self.previous_secrets)
        )

    @cached_property
    def key_mac_keys(self) -> tuple[bytes, ...]:
        """The MAC's key in force, then those of ``previous_secrets``."""
        return tuple(derive(pepper, "key mac") for pepper in self.pepper_keys)

    @cached_property
    def import_pepper_keys(self) -> tuple[bytes, ...]:
        """The bytes of ``import_peppers``."""
        return tuple(pepper_bytes(pepper.get_secret_value()) or b"" for pepper in self.import_peppers)

    @cached_property
    def key_starts(self) -> tuple[str, ...]:
        """What an API key starts with, ours and others'; an empty text where it may be anything."""
        return ("sk_", *("" if prefix == ANY_KEY else prefix for prefix in self.import_prefixes))

    @cached_property
    def token_keys(self) -> tuple[bytes, ...]:
        """The HS256 keys that secrets give: the one that signs, unless ``signing_keys`` do, then older."""
        newest = None if self.signing_keys else self.secret
        return tuple(derive(secret, "HS256") for secret in _texts(newest, *self.previous_secrets))

    @cached_property
    def seal_keys(self) -> tuple[bytes, ...]:
        """The keys that seal the stored signing keys: the one in force, then those that only open."""
        secrets = _texts(self.secret, self.pepper, *self.previous_secrets)
        return tuple(derive(secret, "signing key seal") for secret in secrets)

    @cached_property
    def revocation_channels(self) -> tuple[str, ...]:
        """The Redis channels of this deployment: the one to tell revocations on, then older secrets'."""
        keys = (
            derive(secret, "feed") for secret in _texts(self.pepper or self.secret, *self.previous_secrets)
        )
        # A digest of the key, for a channel's name is no secret: whoever may look at Redis sees it.
        return tuple(f"callcov-auth:revocations:{blake2b(key, digest_size=16).hexdigest()}" for key in keys)

    @cached_property
    def login_limit(self) -> Rate | None:
        """``login_rate`` as a Rate."""
        return None if self.login_rate is None else Rate.parse(self.login_rate)

    @cached_property
    def failure_limit(self) -> Rate | None:
        """``failure_rate`` as a Rate."""
        return None if self.failure_rate is None else Rate.parse(self.failure_rate)

    def replace(self, **changes: Any) -> Self:
        """Return these settings with ``changes``, validated again."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(_env_file=None, **(kept | changes))


def _texts(*secrets: SecretStr | None) -> list[bytes]:
    return [secret.get_secret_value().encode() for secret in secrets if secret is not None]


def derive(secret: bytes, label: str) -> bytes:
    """Return 32 bytes for one purpose from ``secret``: HKDF-SHA256, RFC 5869, no salt."""
    # Here, because importing the package loads no cryptography.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"callcov-auth {label} 1".encode()).derive(
        secret
    )


def _refuse_unknown_variables(fields: Mapping[str, Any]) -> None:
    """pydantic-settings passes over a variable that names no field; a typing error must not go unseen."""
    for name in os.environ:
        field = name.upper().removeprefix(ENV_PREFIX).lower()
        if name.upper().startswith(ENV_PREFIX) and field not in {*fields, *NO_SETTINGS}:
            raise SettingsError(f"{_no_setting(ENV_PREFIX + field.upper())}; unset it, or mend its name")


def _no_setting(name: str) -> str:
    """Say that a setting is not there, and which one's name is near."""
    # Here, because hardly a start has a slip in it.
    from difflib import get_close_matches

    near = get_close_matches(name.removeprefix(ENV_PREFIX).lower(), AuthSettings.model_fields, 1, cutoff=0.8)
    meant = "".join(f", but {ENV_PREFIX}{field.upper()}" for field in near)
    return f"{name}: there is no such setting{meant}"


def _line(kind: str, location: tuple[int | str, ...], message: str) -> str:
    name = ENV_PREFIX + str(location[0]).upper() if location else "settings"
    message = message.removeprefix("Value error, ")
    if not location and message.startswith(ENV_PREFIX):
        return message
    if len(location) > 2:
        # Inside a setting that is made of others; what pydantic adds for a union is no name.
        names = (str(part) for part in location[1:] if isinstance(part, int) or part.isidentifier())
        name += ": " + ".".join(names)
    if kind == "extra_forbidden":
        return f"{_no_setting(name)}; take it out, or mend its name"
    return f"{name}: {_SAID.get(kind, message)}"
