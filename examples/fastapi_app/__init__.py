"""FastAPI: login, API keys, scopes on routes, OpenAPI."""
