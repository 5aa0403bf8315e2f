"""Say something to the example: ``python -m examples.starlette_websockets.say PATH TEXT``.

The address and the key are those that it printed, ``API`` and ``CALLCOV_API_KEY``. The key is sent in a
header, or, with ``--subprotocol``, as a browser sends it.
"""

import argparse
import os
from typing import Any

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", help="/listen or /dictate")
    parser.add_argument("text")
    parser.add_argument("--subprotocol", action="store_true", help="as a browser does")
    given = parser.parse_args()
    # From the environment, for other users of a machine see what stands on a command line.
    key = os.environ["CALLCOV_API_KEY"]
    try:
        say(given.path, given.text, _by_subprotocol(key) if given.subprotocol else _by_header(key))
    except InvalidStatus as refused:
        raise SystemExit(f"{refused.response.status_code} {refused.response.body.decode()}") from None


def say(path: str, text: str, credential: dict[str, Any]) -> None:
    address = os.environ["API"].replace("http", "ws", 1) + path
    with connect(address, proxy=None, **credential) as websocket:
        print(websocket.recv())
        websocket.send(text)
        print(websocket.recv())


def _by_header(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def _by_subprotocol(key: str) -> dict[str, Any]:
    return {"subprotocols": [Subprotocol("bearer"), Subprotocol(key)]}


if __name__ == "__main__":
    main()
