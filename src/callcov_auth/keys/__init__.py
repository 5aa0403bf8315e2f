"""API keys: their form, their validation, their life."""
