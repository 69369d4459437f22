"""Merges bets into PostgreSQL with dlt; runs in an environment of its own.

``python load_dlt.py URL FILE FOLDER`` takes rows from a file of JSON lines, decodes them, and merges them by ``id``
into ``dlt_bench.lucko_bets``; dlt keeps its state in FOLDER. Prints the seconds of the merge alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

AMOUNTS = ("bet_amount", "real_bet_amount", "valid_bet_turnover", "win_amount", "real_win_amount")
NESTED = ("bet_detail", "win_detail", "game_result", "open_cards")


def main(url: str, path: str, folder: str) -> float:
    """Merge and return the seconds it took."""
    os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")
    import dlt  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    # Exact amounts, and nested values in one column each, as staging has them; without, dlt makes child tables.
    columns: dict[str, Any] = {name: {"data_type": "decimal"} for name in AMOUNTS}
    columns |= {name: {"data_type": "json"} for name in NESTED}
    resource = dlt.resource(
        rows, name="lucko_bets", write_disposition="merge", primary_key="id", columns=columns, max_table_nesting=0
    )
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.postgres(url), dataset_name="dlt_bench", pipelines_dir=folder
    )
    started = time.monotonic()
    pipeline.run(resource).raise_on_failed_jobs()
    return time.monotonic() - started


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
