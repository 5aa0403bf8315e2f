"""The table of users of another program's library: which of its columns is what here."""

from collections.abc import Collection

from callcov_auth.importing import Fields, Table, truth


def fastapi_users(*, superuser_scopes: Collection[str] = (), verified_scopes: Collection[str] = ()) -> Table:
    """Return fastapi-users' ``user``. Its two marks give scopes; one who is not active is disabled."""

    def read(fields: Fields, now: float) -> Fields:
        scopes = [
            *(superuser_scopes if truth(fields, "is_superuser") else ()),
            *(verified_scopes if truth(fields, "is_verified") else ()),
        ]
        return {
            "id": fields.get("id"),
            "email": fields.get("email"),
            "password_hash": fields.get("hashed_password"),
            "scopes": scopes,
            "disabled_at": None if truth(fields, "is_active") else now,
        }

    columns = {"id": "id", "email": "email", "password_hash": "hashed_password", "disabled_at": "is_active"}
    return Table(columns, [*columns.values(), "is_superuser", "is_verified"], read)
