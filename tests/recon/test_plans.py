"""No statement of the judge takes long because the planner expects few rows where there are many."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import URL

from bench import recon_data
from bench.recon_data import Bulk
from tieout.core.recon import ReconSettings, judge_days, rejudge
from tieout.core.warehouse import connect

#: Each of all statements takes a fraction of a second; those that were planned for few rows took a minute.
PATIENCE = "20s"
BULK = Bulk(rebates_per_day=2_000, days=1)


@pytest.fixture
def claimed_twice(warehouse: URL, db: psycopg.Connection) -> URL:
    """Rebates each of which also names the first bet of the rebate before it; every statement has its time limit."""
    with connect(warehouse, autocommit=True) as connection:
        recon_data.declare(connection, BULK)
        recon_data.write(connection, BULK, range(BULK.days))
    db.execute(
        """INSERT INTO staging.lucko_rebate_bets (agent, rebate_id, bet_id, times, load_id)
           SELECT agent, lead(rebate_id) OVER (ORDER BY rebate_id), bet_id, 1, load_id
           FROM (SELECT DISTINCT ON (rebate_id) * FROM staging.lucko_rebate_bets ORDER BY rebate_id, bet_id) AS l
           ORDER BY rebate_id LIMIT %s
           ON CONFLICT DO NOTHING""",
        (BULK.rebates - 1,),
    )
    db.execute("ANALYZE staging.lucko_rebate_bets")
    return warehouse.update_query_dict({"options": f"-c statement_timeout={PATIENCE}"})


def test_many_bets_that_several_rebates_name(claimed_twice: URL) -> None:
    settings = ReconSettings()
    first = rejudge(claimed_twice, agent=BULK.agent, settings=settings)
    assert (first.judged, first.matched) == (BULK.rebates, 1)
    again = judge_days(claimed_twice, agent=BULK.agent, days=[recon_data.FIRST_DAY.date()], settings=settings)
    assert (again.judged, again.changed) == (BULK.rebates, 0)
    with connect(claimed_twice, autocommit=True) as connection:
        recon_data.restate(connection, BULK, bets=1_000, days=range(BULK.days), seed=1)
    assert rejudge(claimed_twice, agent=BULK.agent, settings=settings).changed > 500
