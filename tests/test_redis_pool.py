"""Connections to Redis: every wait has a bound that the URL cannot lengthen."""

import pytest
import redis

from callcov_auth.redis_pool import redis_pool
from callcov_auth.settings import SettingsError
from tests.support.redis_server import RedisServer


def test_it_connects_by_tcp_and_by_a_socket_file(own_redis: RedisServer) -> None:
    for url in (own_redis.url, own_redis.socket_url):
        pool = redis_pool(url, timeout=1.0, connections=1, tries=1)
        assert redis.Redis(connection_pool=pool).ping()
        pool.disconnect()


def test_a_url_lengthens_no_wait() -> None:
    url = "redis://cache:6379/0?socket_timeout=99&socket_connect_timeout=99&retry_on_timeout=yes&protocol=3"
    options = redis_pool(url, timeout=0.5, connections=1, tries=1).connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.5, 0.5)
    assert (options["retry_on_timeout"], options["protocol"]) == (False, 2)


@pytest.mark.parametrize("query", ["no_such_option=hunter22", "db=hunter22"])
def test_an_option_that_redis_does_not_know_stops_the_start(query: str) -> None:
    with pytest.raises(
        SettingsError, match="CALLCOV_AUTH_REDIS_URL: redis-py knows no such option"
    ) as caught:
        redis_pool(f"redis://cache/?{query}", timeout=1.0, connections=1, tries=1)
    assert "hunter22" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_connection_that_the_server_closed_is_made_again(redis_server: RedisServer) -> None:
    pool = redis_pool(redis_server.url, timeout=1.0, connections=1, tries=2)
    idle = redis.Redis(connection_pool=pool)
    assert idle.ping()
    with redis_server.client() as client:
        assert client.client_kill_filter(_type="normal", skipme=True) > 0
    assert idle.ping()
    pool.disconnect()
