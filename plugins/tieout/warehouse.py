"""The warehouse as Airflow knows it: the connection ``tieout_warehouse``."""

from __future__ import annotations

from airflow.providers.postgres.hooks.postgres import PostgresHook
from sqlalchemy import URL

from tieout.settings import WAREHOUSE_CONN_ID


def warehouse_url(conn_id: str = WAREHOUSE_CONN_ID) -> URL:
    """Return the URL of a postgres connection, its extra (sslmode, options, …) as libpq parameters."""
    hook = PostgresHook(postgres_conn_id=conn_id)
    extra = {
        key: str(value)
        for key, value in hook.connection.extra_dejson.items()
        if key not in hook.ignored_extra_options and not isinstance(value, (dict, list))
    }
    return hook.sqlalchemy_url.update_query_dict(extra)
