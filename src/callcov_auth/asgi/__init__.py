"""The edge: all that knows ASGI's messages."""
