"""How rates are written, and what counts as one address."""

import pytest

from callcov_auth import AuthSettings
from callcov_auth.rates import Rate, network_of
from callcov_auth.settings import SettingsError
from tests.support.settings import make_settings


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/minute", Rate(5, 60)),
        ("5 per minute", Rate(5, 60)),
        ("20/5 minutes", Rate(20, 300)),
        ("1/second", Rate(1, 1)),
        ("1000000/day", Rate(1_000_000, 86400)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "5", "minute", "0/minute", "-5/minute", "5/fortnight", "5/minute;9/hour", "1000001/day", "5/2 days"],
)
@pytest.mark.parametrize("setting", ["login_rate", "failure_rate"])
def test_what_is_no_rate_stops_the_start_with_the_cure(setting: str, text: str) -> None:
    cure = f"CALLCOV_AUTH_{setting.upper()}: it is a rate such as '5/minute'.*, or 'none'"
    with pytest.raises(SettingsError, match=cure):
        make_settings(**{setting: text})


def test_rates_are_on_by_default() -> None:
    settings = AuthSettings(_env_file=None, secret="x7Jk" * 12 + "Qw9!pLm2")
    assert (settings.login_rate, settings.failure_rate) == ("5/minute", "100/minute")
    assert (settings.login_limit, settings.failure_limit) == (Rate(5, 60), Rate(100, 60))


def test_a_rate_is_switched_off_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_LOGIN_RATE", "none")
    settings = make_settings(failure_rate=None)
    assert (settings.login_limit, settings.failure_limit) == (None, None)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_address_counts_by_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
