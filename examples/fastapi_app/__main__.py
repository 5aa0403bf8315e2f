"""Start it: ``python -m examples.fastapi_app``."""

from examples.development import Rights, serve

BOTH = ("calls:read", "calls:write")

serve("examples.fastapi_app.app", Rights(user=BOTH, key=BOTH), extras="fastapi,server")
