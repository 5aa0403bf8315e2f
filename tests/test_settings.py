"""What stops a start, and that it never shows a value."""

import secrets
from pathlib import Path

import pytest

from callcov_auth import AuthSettings
from callcov_auth.settings import SettingsError, derive
from callcov_auth.weak_secrets import weakness
from tests.support.settings import make_settings

STRONG = secrets.token_urlsafe(48)

DEFAULTS = {
    "accept": {"api_key", "token"},
    "pepper": None,
    "signing_keys": (),
    "signing_algorithm": "ES256",
    "signing_key_rotation_days": None,
    "previous_secrets": (),
    "import_peppers": (),
    "import_prefixes": (),
    "trusted_issuers": (),
    "auto_migrate": True,
    "require_https": True,
    "trusted_proxies": (),
    "api_prefix": "/api/v1",
    "realm": "callcov",
    "public_paths": (),
    "optional_paths": (),
    "issuer": "callcov",
    "audience": "callcov",
    "leeway": 0,
    "access_token_ttl": 1800,
    "refresh_token_ttl": 604800,
    "rotate_refresh_tokens": False,
    "refresh_grace": 10,
    "revocable_access_tokens": False,
    "accepted_environments": {"live", "test"},
    "accepted_segments": None,
    "max_active_keys": 10,
    "rotation_days": 90,
    "cache_size": 16384,
    "cache_ttl": 60,
    "negative_ttl": 5,
    "hash_cached_credentials": False,
    "redis_url": None,
    "revocation_interval": 1.0,
    "api_key_header": None,
    "websocket_protocol": False,
    "password_time_cost": 2,
    "password_memory_kib": 19456,
    "password_workers": 1,
    "login_rate": "5/minute",
    "failure_rate": "100/minute",
    "render_refusal": None,
    "audit_days": 90,
    "on_event": None,
    "otel": False,
}


def test_the_defaults() -> None:
    settings = AuthSettings(secret=STRONG)
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.database_url.get_secret_value() == "sqlite:///callcov_auth.db"
    assert set(AuthSettings.model_fields) == {*DEFAULTS, "secret", "database_url"}


def test_a_missing_secret_names_the_setting_and_the_cure() -> None:
    with pytest.raises(SettingsError, match=r"CALLCOV_AUTH_SECRET: it is required.*callcov-auth init"):
        AuthSettings()


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("Rk4-wq8Zp", "shorter than 32 bytes"),
        ("a" * 40, "repeats itself"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "repeats itself"),
        ("0123456789" * 4, "repeats itself"),
        ("Qz7!" * 12, "repeats itself"),
        ("our-very-own-secret-for-all-the-tokens", "placeholder"),
        ("please-change-me-before-you-go-live-ok", "placeholder"),
    ],
)
def test_a_weak_secret_stops_the_start(secret: str, problem: str) -> None:
    for setting in ("secret", "pepper"):
        with pytest.raises(SettingsError, match=f"CALLCOV_AUTH_{setting.upper()}: .*{problem}") as caught:
            make_settings(**{setting: secret})
        assert secret not in str(caught.value)


def test_a_published_secret_is_known_in_any_case_and_with_white_space() -> None:
    published = bytes.fromhex("61737472696e67736563726574").decode()  # a beginning that the lists share
    assert weakness(published) == "it is shorter than 32 bytes"
    phrase = "-".join(["a", "string", "secret", "at", "least", "256", "bits", "long"])
    for variant in (phrase, phrase.upper(), f" {phrase}\n"):
        assert weakness(variant) == "it is published, so anybody can look it up"


@pytest.mark.parametrize("make", [lambda: secrets.token_hex(32), lambda: secrets.token_urlsafe(32)])
def test_a_generated_secret_is_strong(make) -> None:  # type: ignore[no-untyped-def]
    assert [weakness(make()) for _ in range(300)] == [None] * 300


def test_thirty_two_random_hexadecimal_digits_are_enough() -> None:
    assert weakness("f3a9d17c52e80b64c7d2916e38fa05bd") is None


@pytest.mark.parametrize(
    ("setting", "value", "cure"),
    [
        ("leeway", 61, "less than or equal to 60"),
        ("leeway", "soon", "valid number"),
        ("refresh_grace", -0.5, "greater than or equal to 0"),
        ("refresh_grace", 301, "less than or equal to 300"),
        ("database_url", "mysql://root:hunter22@db/x", "names no database known here"),
        ("database_url", "postgres:root:hunter22@db/x", "write postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("redis_url", "http://:hunter22@cache:6379/0", "names no Redis"),
        ("redis_url", "redis://:hunter22@/0", "names no Redis"),
        ("redis_url", "redis://:hunter22@cache:port/0", "names no Redis"),
        ("redis_url", "redis://:hunter22@cache:0/0", "names no Redis"),
        ("redis_url", "redis://:hunter22@cache/sessions", "names no Redis"),
        ("redis_url", "redis://:hunter#22@cache/0", "written %23"),
        ("redis_url", "unix://?password=hunter22", "names no Redis"),
        ("public_paths", ["docs"], "starts with '/'"),
        ("public_paths", ["/docs*"], "only at the end"),
        ("public_paths", "[broken", "not valid JSON"),
        ("api_prefix", "/api/", "does not end with one"),
        ("trusted_proxies", ["10.0.0.0/99"], "is a network such as"),
        ("accepted_environments", [], "at least 1"),
        ("accepted_environments", ["staging"], "'live' or 'test'"),
        ("accepted_segments", ["Prod"], "match pattern"),
        ("api_key_header", "X API Key", "match pattern"),
        ("import_prefixes", ["k"], "such as 'kg_'"),
        ("import_prefixes", ["kg_", "a b"], "such as 'kg_'"),
        ("import_prefixes", ["eyJ"], "the beginning of a token"),
        ("import_prefixes", ["ewo"], "the beginning of a token"),
        ("import_prefixes", ["kg_*"], "or '*'"),
        ("import_prefixes", ["x" * 33], "2 to 32 characters"),
        ("issuer", "a\nb", "match pattern"),
        ("realm", 'a"b', "match pattern"),
        ("render_refusal", "no.such.function", "Invalid python path"),
        ("cache_size", 0, "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_names_the_setting_and_hides_the_value(setting: str, value: object, cure: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(**{setting: value})
    assert str(caught.value).startswith(f"CALLCOV_AUTH_{setting.upper()}: ")
    assert cure in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert caught.value.__context__ is None


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        AuthSettings(secret="short", leeway=99, no_such_thing=1)
    assert {line.split(":")[0] for line in str(caught.value).splitlines()} == {
        "CALLCOV_AUTH_SECRET",
        "CALLCOV_AUTH_LEEWAY",
        "CALLCOV_AUTH_NO_SUCH_THING",
    }


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", STRONG)
    monkeypatch.setenv("CALLCOV_AUTH_ACCEPT", "token")
    monkeypatch.setenv("CALLCOV_AUTH_PUBLIC_PATHS", '["/health", "/docs/*"]')
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_PROXIES", "10.0.0.0/8, unix")
    monkeypatch.setenv("CALLCOV_AUTH_RENDER_REFUSAL", "callcov_auth.errors.problem_details")
    settings = AuthSettings()
    assert settings.accept == {"token"}
    assert settings.public_paths == ("/health", "/docs/*")
    assert [str(proxy) for proxy in settings.trusted_proxies] == ["10.0.0.0/8", "unix"]
    assert settings.render_refusal is not None


def test_what_keys_start_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_settings().key_starts == ("sk_",)
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", STRONG)
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "ak_v1-, kg_")
    assert AuthSettings().key_starts == ("sk_", "ak_v1-", "kg_")
    monkeypatch.setenv("CALLCOV_AUTH_IMPORT_PREFIXES", "*")
    assert AuthSettings().key_starts == ("sk_", "")


@pytest.mark.parametrize("name", ["CALLCOV_AUTH_LEWAY", "CALLCOV_AUTH_LEEWAY__DEEP"])
def test_an_unknown_variable_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    with pytest.raises(SettingsError, match=f"{name}: there is no such setting"):
        AuthSettings(secret=STRONG)


def test_a_slip_in_a_name_is_told_which_setting_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as given:
        AuthSettings(secret=STRONG, require_http=False)
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTP", "false")
    with pytest.raises(SettingsError) as set_:
        AuthSettings(secret=STRONG)

    near = "CALLCOV_AUTH_REQUIRE_HTTP: there is no such setting, but CALLCOV_AUTH_REQUIRE_HTTPS; "
    assert str(given.value) == near + "take it out, or mend its name"
    assert str(set_.value) == near + "unset it, or mend its name"


def test_a_name_that_is_near_none_is_told_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_COLOUR", "red")
    with pytest.raises(SettingsError, match=r"COLOUR: there is no such setting; unset it, or mend its name$"):
        AuthSettings(secret=STRONG)


def test_what_is_neither_on_nor_off_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "nope")
    with pytest.raises(SettingsError, match=r"^CALLCOV_AUTH_REQUIRE_HTTPS: it is neither true nor false$"):
        AuthSettings(secret=STRONG)


def test_settings_come_from_a_dotenv_file_and_others_entries_are_left_alone() -> None:
    Path(".env").write_text(f"CALLCOV_AUTH_SECRET={STRONG}\nCALLCOV_AUTH_LEEWAY=5\nDATABASE_URL=x\n")
    assert AuthSettings().leeway == 5
    Path(".env").write_text(f"CALLCOV_AUTH_SECRET={STRONG}\nCALLCOV_AUTH_LEWAY=5\n")
    with pytest.raises(SettingsError, match="CALLCOV_AUTH_LEWAY: there is no such setting"):
        AuthSettings()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:///a.db",
        "sqlite:///a.db",
        "sqlite://",
        "postgresql://app@db.example:5432/auth",
        "postgres://db.example/auth",
        "postgresql+asyncpg://app@db.example/auth",
        "postgresql+psycopg://app@/auth?host=/run/postgresql",
    ],
)
def test_an_async_driver_in_the_url_is_read_as_its_database(url: str) -> None:
    assert make_settings(database_url=url).database_url.get_secret_value() == url


def test_no_secret_stands_in_the_repr() -> None:
    settings = make_settings(secret=STRONG, pepper=STRONG[::-1])
    shown = f"{settings!r} {settings} {settings.model_dump()}"
    assert STRONG not in shown
    assert STRONG[::-1] not in shown
    assert repr(settings.token_keys[0]) not in shown


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_settings().leeway = 3


def test_replace_validates_again() -> None:
    settings = make_settings(leeway=1)
    assert settings.replace(leeway=2).leeway == 2
    assert settings.replace(leeway=2).secret == settings.secret
    with pytest.raises(SettingsError, match="LEEWAY"):
        settings.replace(leeway=99)


def test_each_purpose_has_a_key_of_its_own() -> None:
    settings = make_settings(secret=STRONG)
    keys = {settings.pepper_key, settings.key_mac_key, settings.token_keys[0]}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
    assert make_settings(secret=STRONG).token_keys[0] == settings.token_keys[0]


def test_a_pepper_stands_in_for_the_secret_for_keys_alone() -> None:
    peppered = make_settings(secret=STRONG, pepper=STRONG[::-1])
    plain = make_settings(secret=STRONG)
    assert peppered.pepper_key != plain.pepper_key
    assert peppered.key_mac_key != plain.key_mac_key
    assert peppered.token_keys[0] == plain.token_keys[0]


def test_keys_derive_by_hkdf_sha256() -> None:
    """RFC 5869, worked out by hand: extract with no salt, then one block of expand."""
    import hmac

    extracted = hmac.digest(bytes(32), b"input", "sha256")
    expected = hmac.digest(extracted, b"callcov-auth label 1" + b"\x01", "sha256")
    assert derive(b"input", "label") == expected


def test_the_tests_own_variable_is_no_typing_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_VECTORS", "some/folder")
    assert AuthSettings(secret=STRONG).leeway == 0
