"""A running Airflow as its clients see it: health, and the REST API with a login."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

USER = "admin"
READY_TIMEOUT = 120.0


class StackError(RuntimeError):
    """Airflow could not be set up, did not become ready, or refused a call."""


@dataclass
class AirflowApi:
    """Airflow at *url*, logged in as ``admin`` with *password* when the first call needs it."""

    url: str
    password: str
    _token: str = field(default="", init=False, repr=False)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Call the REST API (``/api/v2``) and return the JSON answer. Raises StackError."""
        if not self._token:
            login = requests.post(
                f"{self.url}/auth/token", json={"username": USER, "password": self.password}, timeout=30
            )
            login.raise_for_status()
            self._token = login.json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = requests.request(method, f"{self.url}/api/v2{path}", headers=headers, timeout=60, **kwargs)
        if not answer.ok:
            raise StackError(f"{method} {path} answered HTTP {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def wait_until_healthy(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Return when every component reports healthy; call *meanwhile* until then. Raises StackError."""
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            meanwhile()
            health = self._health()
            if health and all(part.get("status") == "healthy" for part in health.values()):
                return
            if time.monotonic() > deadline:
                raise StackError(f"Airflow is not healthy after {READY_TIMEOUT:.0f} s: {health}")
            time.sleep(0.5)

    def _health(self) -> dict[str, Any]:
        try:
            answer = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5)
            parts: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError):
            return {}
        return parts
