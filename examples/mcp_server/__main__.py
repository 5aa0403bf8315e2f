"""Start it: ``python -m examples.mcp_server``."""

from examples.development import Rights, serve

# The user may write, and the key may not.
RIGHTS = Rights(user=("calls:read", "calls:write"), key=("calls:read",))

serve("examples.mcp_server.app", RIGHTS, extras="frameworks,server")
