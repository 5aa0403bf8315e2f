"""What one setting may be: its type, and the check that names the cure and never shows the value."""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from inspect import iscoroutinefunction
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ImportString, SecretStr

from callcov_auth.rates import Rate
from callcov_auth.weak_secrets import weakness

# libpq knows both.
POSTGRES_SCHEMES = ("postgresql", "postgres")

Environment = Literal["live", "test"]
CredentialKind = Literal["api_key", "token"]
SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Network = IPv4Network | IPv6Network

GENERATE = "generate one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
ASYMMETRIC: frozenset[str] = frozenset(get_args(SigningAlgorithm))
NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"
# In the place of a prefix, for keys that have none in common.
ANY_KEY = "*"
# Of the characters of RFC 6750 §2.1's b64token, but not a lone one, which would take in half of all texts.
_IMPORT_PREFIX = re.compile(r"[A-Za-z0-9._~+/-]{2,32}")


def _strong(secret: SecretStr) -> SecretStr:
    problem = weakness(secret.get_secret_value())
    if problem is not None:
        raise ValueError(f"{problem}; {GENERATE}")
    return secret


def listed(value: Any) -> Any:
    """Split what an environment variable holds at commas; JSON lists are read as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(
                "it is not valid JSON; write a JSON list, or names with commas between"
            ) from None
    return [part.strip() for part in value.split(",") if part.strip()]


def json_list(value: Any) -> Any:
    """Read the JSON list that an environment variable holds."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        # 'from None', for the reader's error holds the whole text.
        raise ValueError("it is not valid JSON; write a JSON list") from None


def key_texts(value: Any) -> Any:
    """Take JSON objects where texts of them are wanted, as a list in JSON has them."""
    value = json_list(value)
    if not isinstance(value, list | tuple):
        return value
    return [json.dumps(item) if isinstance(item, dict) else item for item in value]


def _pepper(secret: SecretStr) -> SecretStr:
    if not pepper_bytes(secret.get_secret_value()):
        raise ValueError("each is a text, or bytes written 'hex:…' or 'base64:…', and not empty")
    return secret


def pepper_bytes(text: str) -> bytes | None:
    """Return the bytes of another program's pepper: those of the text in UTF-8, or as ``hex:`` and
    ``base64:`` name them. None for what is not written so."""
    try:
        if text.startswith("hex:"):
            return bytes.fromhex(text.removeprefix("hex:"))
        if text.startswith("base64:"):
            return b64decode(text.removeprefix("base64:"), validate=True)
        return text.encode()
    except ValueError:
        return None


def _import_prefix(prefix: str) -> str:
    # A JSON object in base64url starts so, and every token with it.
    is_prefix = _IMPORT_PREFIX.fullmatch(prefix) and not prefix.startswith(("ey", "ew"))
    if not is_prefix and prefix != ANY_KEY:
        raise ValueError(
            "each is what another program's keys start with, such as 'kg_': 2 to 32 characters of a "
            "Bearer credential, and not the beginning of a token; or '*', where they have no such beginning"
        )
    return prefix


def https_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.port == 0 or "@" in parts.netloc or "#" in url:
        raise ValueError("it is an address that starts with 'https://', without a user or a fragment")
    return url


def _token_type(value: str) -> str:
    folded = value.lower().removeprefix("application/")
    if folded == "rt+jwt":
        raise ValueError("'rt+jwt' is a refresh token's, which is never taken as an access token")
    if not folded:
        raise ValueError("a type is not empty; 'none' stands for a header without one")
    return folded


def _path_pattern(pattern: str) -> str:
    if not pattern.startswith("/"):
        raise ValueError("a path starts with '/'")
    if "*" in pattern.removesuffix("/*"):
        raise ValueError("'*' stands only at the end, after '/': '/docs/*'")
    return pattern


def _api_prefix(prefix: str) -> str:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError("it starts with '/' and does not end with one, as in '/api/v1'")
    return prefix


def _database_url(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    database = scheme.partition("+")[0] if separator else None
    # 'sqlite://FILE', with two slashes, would name a host.
    is_sqlite = database == "sqlite" and (not rest or rest.startswith(("/", "?")))
    if not is_sqlite and database not in POSTGRES_SCHEMES:
        raise ValueError(
            "it names no database known here; write postgresql://USER:PASSWORD@HOST/DATABASE, "
            "sqlite:///FILE, or sqlite:// for memory"
        )
    return url


def _redis_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    try:
        port_is_real = parts.port != 0
    except ValueError:
        port_is_real = False
    if parts.scheme == "unix":
        names_a_server = parts.path.startswith("/")
    else:
        names_a_server = parts.scheme in ("redis", "rediss") and bool(parts.hostname)
        names_a_server = names_a_server and bool(re.fullmatch(r"(/\d{0,9})?", parts.path))
    if not (names_a_server and port_is_real) or parts.fragment:
        raise ValueError(
            "it names no Redis; write redis://HOST:6379/0, rediss:// for TLS, or unix:///FILE; "
            "in a password, '#', '/', '?', '@' and '%' are written %23, %2F, %3F, %40 and %25"
        )
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


def _rate_or_none(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _rate(text: str) -> str:
    Rate.parse(text)
    return text


def _plain(function: Callable[[Any], object]) -> Callable[[Any], object]:
    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        raise ValueError("it is never awaited; give a function that is not async, and that returns at once")
    return function


Strong = Annotated[SecretStr, AfterValidator(_strong)]
Pepper = Annotated[SecretStr, AfterValidator(_pepper)]
ImportPrefix = Annotated[str, AfterValidator(_import_prefix)]
PathPattern = Annotated[str, AfterValidator(_path_pattern)]
Proxy = Annotated[Network | Literal["unix"], BeforeValidator(_network)]
Segment = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")]
HttpsUrl = Annotated[str, AfterValidator(https_url)]
TokenType = Annotated[str, AfterValidator(_token_type)]
RateText = Annotated[str, AfterValidator(_rate)]
RateOrNone = Annotated[RateText | None, BeforeValidator(_rate_or_none)]
ApiPrefix = Annotated[str, AfterValidator(_api_prefix)]
# A SecretStr, because a URL may hold a password.
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
OnEvent = Annotated[ImportString[Callable[[Any], object]], AfterValidator(_plain)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")]
