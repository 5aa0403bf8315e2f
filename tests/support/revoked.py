"""Whether a revocation is obeyed."""

from callcov_auth import Auth, AuthError


async def is_refused(auth: Auth, header: str) -> bool:
    """Whether it is refused as revoked and in no other way; until then it is let in."""
    try:
        await auth.authenticate(header)
    except AuthError as refusal:
        assert refusal.code == "token_revoked"
        return True
    return False
