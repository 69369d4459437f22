"""Airflow's simple auth manager with permissions per DAG: ``partial`` sees borealis only and may not edit it."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class PerDagAuthManager(SimpleAuthManager):
    """What the role allows, and for ``partial`` only DAGs of the agent borealis."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        allowed = super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
        if user.username != "partial" or details is None or details.id is None:
            return allowed
        return allowed and method == "GET" and details.id.endswith("__borealis")
