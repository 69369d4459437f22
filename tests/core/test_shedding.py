"""Old rows are shed as docs/warehouse-growth.md says: verdicts and coverage stay, no stored rebate loses a bet."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from readings import Reading, at
from tieout.core.clock import epoch_ms

PAGE = Path(__file__).parents[2] / "docs" / "warehouse-growth.md"
OLD, NEW = at(2026, 3, 1, 12), at(2026, 4, 1, 12)
CUTOFF = at(2026, 3, 15)


def statements() -> list[str]:
    """The statements of the page, for psycopg."""
    block = PAGE.read_text(encoding="utf-8").split("<!-- shed:begin -->")[1].split("<!-- shed:end -->")[0]
    text = re.sub(r"(?m)^(```.*|--.*)$", "", block)
    text = re.sub(r"(?<!:):(agent|cutoff)\b", r"%(\1)s", text)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def bet(number: int, when: datetime, *, status: int = 1) -> dict[str, Any]:
    moment = epoch_ms(when)
    return {
        "id": f"b{number}", "user_id": "u1", "game_id": "101", "bet_time": moment, "bet_amount": "10",
        "settle_time": moment + 1000 if status else 0, "valid_bet_turnover": "10", "currency": "USD",
        "update_time": moment + 1000, "status": status,
    }  # fmt: skip


def rebate(number: int, when: datetime, *bets: int) -> dict[str, Any]:
    return {
        "id": f"r{number}", "activity_id": "a", "user_id": "u1", "date": epoch_ms(when.replace(hour=0)), "status": 1,
        "currency": "USD", "turnover": "10", "rate": "1", "rebate_amount": "0.10", "create_time": epoch_ms(when) + 5,
        "txn_ids": [f"b{bet}" for bet in bets], "wallet_txn_id": f"w{number}",
    }  # fmt: skip


def filled(reading: type[Reading], agent: str) -> None:
    for start, bets, rebates in (
        (OLD, [bet(n, OLD) for n in range(6)] + [bet(6, OLD, status=0)], [rebate(1, OLD, 0, 1), rebate(2, OLD, 2)]),
        # A rebate of today may name a bet of long ago.
        (NEW, [bet(n, NEW) for n in range(10, 13)], [rebate(3, NEW, 3, 10)]),
    ):
        asked = start + timedelta(hours=3)
        body = {"code": 200, "data": {"transactions": bets, "total": len(bets)}}
        reading.of("lucko", "bets", start, agent=agent, requested_at=asked).answer(body).load()
        body = {"code": 200, "data": {"list": rebates, "total": len(rebates)}}
        reading.of("lucko", "rebates", start, agent=agent, requested_at=asked).answer(body).load()


def ids(db: psycopg.Connection, table: str, agent: str, column: str = "id") -> list[str]:
    return [
        row[0]
        for row in db.execute(f"SELECT {column} FROM staging.{table} WHERE agent = %s ORDER BY 1".encode(), (agent,))
    ]


def test_shedding_leaves_what_is_still_needed(reading: type[Reading], db: psycopg.Connection) -> None:
    for agent in ("acme", "other"):
        filled(reading, agent)
    ledger = db.execute("SELECT * FROM ops.readings ORDER BY 1, 5").fetchall()
    batches = 0
    for statement in statements():
        while db.execute(statement.encode(), {"agent": "acme", "cutoff": CUTOFF}).rowcount:
            batches += 1
    assert batches == len(statements()) == 5
    # Named by a rebate that stays (3), not settled (6), or new.
    assert ids(db, "lucko_bets", "acme") == ids(db, "lucko_bet_versions", "acme") == ["b10", "b11", "b12", "b3", "b6"]
    assert ids(db, "lucko_rebates", "acme") == ids(db, "lucko_rebate_versions", "acme") == ["r3"]
    assert ids(db, "lucko_rebate_bets", "acme", "bet_id") == ["b10", "b3"]
    assert len(ids(db, "lucko_bets", "other")) == 10
    assert db.execute("SELECT * FROM ops.readings ORDER BY 1, 5").fetchall() == ledger


def test_growing_tables_are_vacuumed_before_statistics_are_old(db: psycopg.Connection) -> None:
    rows = db.execute(
        """SELECT c.relname, (SELECT jsonb_object_agg(option_name, option_value) FROM pg_options_to_table(c.reloptions))
           FROM pg_class AS c WHERE c.relnamespace = 'staging'::regnamespace AND c.reloptions IS NOT NULL
             AND c.relkind = 'r'"""
    ).fetchall()
    settings = dict(rows)
    assert set(settings) == {
        "lucko_bets", "lucko_bet_versions", "lucko_rebates", "lucko_rebate_bets", "vertexplay_betlogs",
    }  # fmt: skip
    assert all(float(found["autovacuum_analyze_scale_factor"]) <= 0.01 for found in settings.values())
    assert all(float(found["autovacuum_vacuum_scale_factor"]) <= 0.02 for found in settings.values())


def test_pending_rebates_keep_their_rows(reading: type[Reading], db: psycopg.Connection) -> None:
    filled(reading, "acme")
    columns = db.execute(
        """SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'recon'
           AND table_name = 'rebates' AND is_nullable = 'NO' AND column_default IS NULL"""
    ).fetchall()
    values = {"agent": "acme", "rebate_id": "r1", "verdict": "pending"}
    samples = {"numeric": "0", "bigint": "0", "integer": "0", "text": "x", "date": "2026-03-01", "tstzrange": "empty"}
    row = {name: values.get(name, samples.get(kind, "2026-03-01Z")) for name, kind in columns}
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(f"%({name})s" for name in row)
    # The run that judged it does not matter here.
    db.execute("SET session_replication_role = replica")
    db.execute(f"INSERT INTO recon.rebates ({names}) VALUES ({marks})".encode(), row)
    for statement in statements():
        while db.execute(statement.encode(), {"agent": "acme", "cutoff": CUTOFF}).rowcount:
            pass
    assert ids(db, "lucko_rebates", "acme") == ["r1", "r3"]
    assert ids(db, "lucko_bets", "acme") == ["b0", "b1", "b10", "b11", "b12", "b3", "b6"]
