"""Start it: ``python -m examples.starlette_websockets``."""

from examples.development import Rights, serve

# The user may write, and the key may not.
RIGHTS = Rights(user=("calls:read", "calls:write"), key=("calls:read",))

serve("examples.starlette_websockets.app", RIGHTS, extras="server")
