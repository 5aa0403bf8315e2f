"""Tokens: compact JWS, verified strictly, issued at login."""
