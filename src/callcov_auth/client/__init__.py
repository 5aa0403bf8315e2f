"""Authentication for programs that call a CallCov API, with httpx2, httpx or requests.

httpx2.Client(base_url="https://api.callcov.com", auth=ApiKeyAuth())
"""

from callcov_auth.client.errors import InsecureOrigin, LoginFailed
from callcov_auth.client.keys import ApiKeyAuth
from callcov_auth.client.requests import RequestsAuth
from callcov_auth.client.tokens import TokenAuth

__all__ = ["ApiKeyAuth", "InsecureOrigin", "LoginFailed", "RequestsAuth", "TokenAuth"]
