"""Two services: one issues tokens, the other trusts it by its settings and has no secret."""
