"""One API and one other origin for all of these tests."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.client.api import Api, Front, serve_api, serve_tls
from tests.client.libraries import LIBRARIES, Ask
from tests.support.clock import Clock
from tests.support.tls import Certificate, make_certificate

HOUR = 3600


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Api]:
    with serve_api(tmp_path_factory.mktemp("api"), certificate, Clock()) as api:
        yield api


@pytest.fixture
def api(served: Api) -> Api:
    """The one API, an hour later than the test before had it."""
    served.front.reset()
    served.clock.advance(HOUR)
    return served


@pytest.fixture(scope="session")
def elsewhere_url(certificate: Certificate) -> Iterator[tuple[str, Front]]:
    front = Front()
    with serve_tls(front, certificate, lifespan="off") as url:
        yield url, front


@pytest.fixture
def elsewhere(elsewhere_url: tuple[str, Front]) -> Front:
    """Another origin, that hears what it should not."""
    elsewhere_url[1].reset()
    return elsewhere_url[1]


@pytest.fixture(params=list(LIBRARIES))
def ask(request: pytest.FixtureRequest, certificate: Certificate) -> Ask:
    return partial(LIBRARIES[request.param], certificate)
