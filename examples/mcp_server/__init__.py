"""An MCP server: tools for callers with an API key or a token."""
