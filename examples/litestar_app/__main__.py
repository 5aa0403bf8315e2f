"""Start it: ``python -m examples.litestar_app``."""

from examples.development import Rights, serve

BOTH = ("calls:read", "calls:write")

serve("examples.litestar_app.app", Rights(user=BOTH, key=BOTH), extras="frameworks,server")
