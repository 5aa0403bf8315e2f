"""A client as CallCov's documentation tells its users to write one, on a clock that a test can move.

It keeps its first refresh token for ever, refreshes five minutes before expiry, and looks at no status.
"""

from collections.abc import Callable
from typing import Any

import requests

EARLY = 5 * 60
TIMEOUT = 20


class DocumentedClient:
    def __init__(self, base_url: str, email: str, password: str, *, now: Callable[[], float]) -> None:
        self._base_url = base_url
        self._now = now
        self.refreshes = 0
        tokens = self._post("/api/v1/auth/login", {"email": email, "password": password})
        self.access_token = tokens["access_token"]
        self.refresh_token = tokens["refresh_token"]
        self._expires = now() + tokens["expires_in"]

    def refresh(self) -> None:
        tokens = self._post("/api/v1/auth/refresh", {"refresh_token": self.refresh_token})
        self.access_token = tokens["access_token"]
        self._expires = self._now() + tokens["expires_in"]
        self.refreshes += 1

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        if self._now() >= self._expires - EARLY:
            self.refresh()
        headers = {"Authorization": f"Bearer {self.access_token}"}
        return requests.request(method, self._base_url + path, headers=headers, timeout=TIMEOUT, **options)

    def _post(self, path: str, content: dict[str, str]) -> Any:
        return requests.post(self._base_url + path, json=content, timeout=TIMEOUT).json()
