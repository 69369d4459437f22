"""Tables that grow are kept small and known to the planner."""

from __future__ import annotations

import psycopg


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
