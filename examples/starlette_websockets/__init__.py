"""Starlette with WebSockets: a credential in the header or as a subprotocol, refusal before accept."""
