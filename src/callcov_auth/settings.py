"""What can be set, and what stops a start.

Settings come from keywords, from ``CALLCOV_AUTH_*`` in the environment, or from a ``.env`` file, in that
order of precedence. Whatever is unknown, missing or weak raises SettingsError, whose text names the
setting and the cure and never shows the value.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ImportString, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from callcov_auth.weak_secrets import MIN_BYTES, weakness

ENV_PREFIX = "CALLCOV_AUTH_"

Environment = Literal["live", "test"]
CredentialKind = Literal["api_key", "token"]
Network = IPv4Network | IPv6Network

_GENERATE = "generate one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
_NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"


class SettingsError(ValueError):
    """The settings cannot be used. The text names each wrong one and its cure, never a value."""


def _strong(secret: SecretStr) -> SecretStr:
    problem = weakness(secret.get_secret_value())
    if problem is not None:
        raise ValueError(f"{problem}; {_GENERATE}")
    return secret


def _listed(value: Any) -> Any:
    """Split what an environment variable holds at commas; JSON lists are read as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        import json

        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(
                "it is not valid JSON; write a JSON list, or names with commas between"
            ) from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _path_pattern(pattern: str) -> str:
    if not pattern.startswith("/"):
        raise ValueError("a path starts with '/'")
    if "*" in pattern.removesuffix("/*"):
        raise ValueError("'*' stands only at the end, after '/': '/docs/*'")
    return pattern


def _prefix(prefix: str) -> str:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError("it starts with '/' and does not end with one, as in '/api/v1'")
    return prefix


def _database_url(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    # 'sqlite://FILE', with two slashes, would name a host.
    if scheme.partition("+")[0] != "sqlite" or not separator or (rest and not rest.startswith(("/", "?"))):
        raise ValueError("it names no database known here; write sqlite:///FILE, or sqlite:// for memory")
    return url


def _network(value: Any) -> Any:
    if value == "unix" or isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(
            "each is a network such as 10.0.0.0/8, an address, or 'unix' for a socket file"
        ) from None


Strong = Annotated[SecretStr, AfterValidator(_strong)]
PathPattern = Annotated[str, AfterValidator(_path_pattern)]
Proxy = Annotated[Network | Literal["unix"], BeforeValidator(_network)]
Segment = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")]


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

    secret: Strong = Field(description="the pepper of the keys and the token signing key derive from it")
    pepper: Strong | None = Field(default=None, description="in the secret's place, for the keys alone")
    accept: Annotated[frozenset[CredentialKind], NoDecode, BeforeValidator(_listed)] = Field(
        default=frozenset({"api_key", "token"}), min_length=1
    )

    # A SecretStr, because a URL may hold a password.
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr("sqlite:///callcov_auth.db")
    auto_migrate: bool = True

    require_https: bool = True
    trusted_proxies: Annotated[tuple[Proxy, ...], NoDecode, BeforeValidator(_listed)] = ()

    api_prefix: Annotated[str, AfterValidator(_prefix)] = "/api/v1"
    realm: str = Field(default="callcov", pattern=r"^[\x20-\x21\x23-\x5b\x5d-\x7e]+$")
    public_paths: Annotated[tuple[PathPattern, ...], NoDecode, BeforeValidator(_listed)] = ()
    optional_paths: Annotated[tuple[PathPattern, ...], NoDecode, BeforeValidator(_listed)] = ()

    issuer: str = Field(default="callcov", pattern=_NO_CONTROLS)
    audience: str = Field(default="callcov", pattern=_NO_CONTROLS)
    leeway: float = Field(default=0, ge=0, le=60)
    access_token_ttl: int = Field(default=1800, ge=1, le=86400)
    refresh_token_ttl: int = Field(default=604800, ge=1, le=366 * 86400)
    revocable_access_tokens: bool = False

    accepted_environments: Annotated[frozenset[Environment], NoDecode, BeforeValidator(_listed)] = Field(
        default=frozenset({"live", "test"}), min_length=1
    )
    accepted_segments: Annotated[frozenset[Segment] | None, NoDecode, BeforeValidator(_listed)] = None
    max_active_keys: int = Field(default=10, ge=1, le=10_000)
    rotation_days: int = Field(default=90, ge=1)

    cache_size: int = Field(default=16384, ge=1, le=10_000_000)
    cache_ttl: float = Field(default=60, gt=0, le=3600)
    revocation_interval: float = Field(default=1.0, gt=0, le=60)

    api_key_header: HeaderName | None = None
    websocket_protocol: bool = False

    password_time_cost: int = Field(default=2, ge=1, le=100)
    password_memory_kib: int = Field(default=19456, ge=8, le=4 * 1024 * 1024)
    password_workers: int = Field(default=1, ge=1, le=64)

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

    @cached_property
    def pepper_key(self) -> bytes:
        """The key of the keys' digests (HMAC-SHA256)."""
        return derive((self.pepper or self.secret).get_secret_value().encode(), "pepper")

    @cached_property
    def key_mac_key(self) -> bytes:
        """The key of the MAC inside every API key (keyed BLAKE2b)."""
        return derive(self.pepper_key, "key mac")

    @cached_property
    def token_key(self) -> bytes:
        """The HS256 signing key."""
        return derive(self.secret.get_secret_value().encode(), "HS256")

    def replace(self, **changes: Any) -> Self:
        """Return these settings with ``changes``, validated again."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(_env_file=None, **(kept | changes))


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
        if name.upper().startswith(ENV_PREFIX) and field not in fields:
            raise SettingsError(
                f"{ENV_PREFIX}{field.upper()}: there is no such setting; unset it, or mend its name"
            )


def _line(kind: str, location: tuple[int | str, ...], message: str) -> str:
    name = ENV_PREFIX + str(location[0]).upper() if location else "settings"
    if kind == "missing" and location == ("secret",):
        return f"{name}: it is required, at least {MIN_BYTES} bytes; run 'callcov-auth init', or {_GENERATE}"
    if kind == "missing":
        return f"{name}: it is required"
    if kind == "extra_forbidden":
        return f"{name}: there is no such setting; take it out, or mend its name"
    return f"{name}: {message.removeprefix('Value error, ')}"
