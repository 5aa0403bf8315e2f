"""Mistakes that mypy and pyright tell a user of; each line says which, as mypy calls it."""

from callcov_auth import Auth, AuthMiddleware, AuthSettings, current_principal, requires
from callcov_auth.client import ApiKeyAuth, TokenAuth
from callcov_auth.testing import fake_auth, mint_token

auth = Auth("secret")  # arg-type
print(auth.nothing)  # attr-defined
current_principal().subject = "root"  # misc
requires(1)  # arg-type
AuthMiddleware(auth=Auth(AuthSettings()))  # call-arg
ApiKeyAuth(5)  # arg-type
TokenAuth("https://api.example.com")  # call-arg
fake_auth(None, "somebody")  # arg-type
mint_token(scopes=5)  # arg-type
