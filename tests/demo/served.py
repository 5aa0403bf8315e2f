"""The demo in a process of its own, without the bounds that thousands of requests from one caller come to.

Prints its address and a token, and ends with its input. Given: a folder for its database.
"""

import sys
from pathlib import Path

import anyio

from callcov_auth import Auth
from callcov_auth.demo.app import demo_app
from callcov_auth.demo.settings import EMAIL, PASSWORD, DemoSettings, add_users, demo_settings
from tests.support.servers import serve
from tests.support.settings import CHEAP_PASSWORDS


async def token_of(settings: DemoSettings) -> str:
    await add_users(Auth(settings), EMAIL)
    async with Auth(settings) as auth:
        return (await auth.tokens.login(EMAIL, PASSWORD)).access_token.get_secret_value()


def main() -> None:
    bounds = {"max_active_keys": 10_000, "failure_rate": None, "login_rate": None}
    settings = demo_settings(Path(sys.argv[1])).replace(**bounds, **CHEAP_PASSWORDS)
    token = anyio.run(token_of, settings)
    with serve(demo_app(Auth(settings)), log_level="critical") as url:
        print(url, token, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
