"""The Redis that tests run against does what its faults are named for."""

import pytest
import redis

from tests.support.redis_server import RedisServer


def test_the_shared_server_is_empty_for_each_test(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("left", "behind")
    redis_server.flush()
    with redis_server.client() as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("address", ["url", "socket_url"])
def test_a_server_answers_at_both_its_addresses(own_redis: RedisServer, address: str) -> None:
    with redis.Redis.from_url(getattr(own_redis, address)) as client:
        assert client.ping()


def test_a_killed_server_comes_back_empty_on_the_same_port(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("left", "behind")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_redis.start()
        assert client.dbsize() == 0


def test_a_paused_server_takes_connections_and_answers_when_it_goes_on(own_redis: RedisServer) -> None:
    own_redis.pause()
    with (
        redis.Redis(host="127.0.0.1", port=own_redis.port, socket_timeout=0.05, retry=None) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    own_redis.resume()
    with own_redis.client() as client:
        assert client.ping()
