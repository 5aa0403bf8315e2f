"""Ask the example as a model's program does: ``python -m examples.mcp_server.ask [TOOL [NAME=VALUE …]]``.

It lists the tools, or calls one. The address and the key are those that the example printed, ``API`` and
``CALLCOV_API_KEY``.
"""

import argparse
import os

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from callcov_auth.client import ApiKeyAuth


async def ask(tool: str | None, arguments: dict[str, str]) -> bool:
    """Print the tools, or what one of them answers; return whether it went well."""
    # For local work alone: where the server is elsewhere, a key goes over HTTPS or not at all.
    auth = ApiKeyAuth(base_url=os.environ["API"], allow_loopback_http=True)
    async with (
        httpx2.AsyncClient(auth=auth) as http_client,
        Client(streamable_http_client(f"{os.environ['API']}/mcp", http_client=http_client)) as client,
    ):
        if tool is None:
            for offered in (await client.list_tools()).tools:
                print(f"{offered.name}: {offered.description}")
            return True
        answer = await client.call_tool(tool, arguments)
        for part in answer.content:
            print(part.text if part.type == "text" else part)
        return not answer.is_error


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tool", nargs="?")
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE")
    given = parser.parse_args()
    named = dict(argument.split("=", 1) for argument in given.arguments)
    raise SystemExit(0 if anyio.run(ask, given.tool, named) else 1)
