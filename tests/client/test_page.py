"""What docs/client.md shows is run, against our own API in the place of CallCov's."""

import pytest

from tests.client.api import PASSWORD, READ, Api
from tests.support.markdown import python_blocks

BLOCKS = python_blocks("client.md")
ADDRESS = "https://api.callcov.com"


@pytest.fixture(autouse=True)
def on_this_machine(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = str(api.certificate.certfile)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, trusted)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("CALLCOV_API_KEY", api.key)
    monkeypatch.setenv("CALLCOV_PASSWORD", PASSWORD)


def test_there_are_as_many_blocks() -> None:
    assert len(BLOCKS) == 4


@pytest.mark.parametrize(
    ("number", "path", "shown"),
    [(0, READ, "'kind': 'api_key'"), *((number, "/api/v1/users/me", "'email'") for number in (1, 2, 3))],
)
def test_a_block_does_what_it_says(
    api: Api, capsys: pytest.CaptureFixture[str], number: int, path: str, shown: str
) -> None:
    assert ADDRESS in BLOCKS[number]

    exec(compile(BLOCKS[number].replace(ADDRESS, api.url), "client.md", "exec"), {})

    assert shown in capsys.readouterr().out
    assert api.front.paths[path] == 1
