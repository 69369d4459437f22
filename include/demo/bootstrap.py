"""``python -m demo.bootstrap``: migrate Airflow's metadata, write a pool and connections, all in one process.

Reads JSON from standard input: ``{"pool": {name, slots, description}, "connections": {conn_id: {field: value}}}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.models import Connection
from airflow.models.pool import Pool
from airflow.utils import db
from airflow.utils.session import create_session


def main() -> None:
    """Do it; doing it twice changes nothing."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    db.upgradedb()
    pool = wanted["pool"]
    Pool.create_or_update_pool(pool["name"], pool["slots"], pool["description"], include_deferred=False)
    with create_session() as session:
        for conn_id, fields in wanted["connections"].items():
            session.query(Connection).filter(Connection.conn_id == conn_id).delete()
            extra = fields.get("extra")
            session.add(
                Connection(
                    conn_id=conn_id,
                    **{key: value for key, value in fields.items() if key != "extra"},
                    extra=json.dumps(extra) if isinstance(extra, dict) else extra,
                )
            )


if __name__ == "__main__":
    main()
