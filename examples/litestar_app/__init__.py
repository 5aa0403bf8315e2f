"""Litestar: a controller with scopes, the login routes beside it, refusals in one form."""
