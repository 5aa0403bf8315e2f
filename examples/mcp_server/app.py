"""Calls for the models of whoever noted them. In production: ``uvicorn examples.mcp_server.app:app``."""

import os
from collections import defaultdict
from urllib.parse import urlsplit

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from callcov_auth import Auth, AuthMiddleware, AuthSettings, Principal, auth_routes, current_principal
from callcov_auth.errors import NotFound

# Where clients find the server; whoever calls it by another name is refused, as MCP asks for.
PUBLIC_URL = os.environ["PUBLIC_URL"]
ENDPOINT = "/mcp"
METADATA = f"/.well-known/oauth-protected-resource{ENDPOINT}"
SCOPES = ("calls:read", "calls:write")

# The settings are CALLCOV_AUTH_* in the environment; what is open is the app's own affair.
auth = Auth(AuthSettings(public_paths=(METADATA,)))

# It sets up logging for the whole process, by this level.
server = MCPServer("calls", log_level="WARNING")

# By owner; yours are in a database.
calls: defaultdict[str, list[str]] = defaultdict(list)


@server.tool()
async def list_calls() -> list[str]:
    """List the numbers that were noted down."""
    return calls[caller_with("calls:read").subject]


@server.tool()
async def note_call(number: str) -> str:
    """Note a number down."""
    calls[caller_with("calls:write").subject].append(number)
    return f"Noted {number}"


def caller_with(scope: str) -> Principal:
    """Return the caller of the request that called the tool; the model is told of a scope that is lacking."""
    caller = current_principal()
    if not caller.has(scope):
        # MCP shows the text of this error alone; of all others it says no more than that the tool failed.
        raise ToolError(f"the credential lacks the scope {scope}")
    return caller


async def resource_metadata(_request: Request) -> JSONResponse:
    """Tell MCP's clients which issuers of tokens to log in at (RFC 9728).

    Without ``trusted_issuers`` there is none: then people make keys, and give them to their clients.
    """
    issuers = [trusted.issuer for trusted in auth.settings.trusted_issuers]
    if not issuers:
        raise NotFound()
    return JSONResponse(
        {
            "resource": PUBLIC_URL + ENDPOINT,
            "authorization_servers": issuers,
            "scopes_supported": SCOPES,
            "bearer_methods_supported": ["header"],
        }
    )


site = server.streamable_http_app(
    streamable_http_path=ENDPOINT,
    stateless_http=True,
    json_response=True,
    transport_security=TransportSecuritySettings(
        allowed_hosts=[urlsplit(PUBLIC_URL).netloc], allowed_origins=[PUBLIC_URL]
    ),
)
site.routes.extend([*auth_routes(auth), Route(METADATA, resource_metadata)])
app = AuthMiddleware(site, auth=auth)
