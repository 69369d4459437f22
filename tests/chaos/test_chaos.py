"""The short run of chaos: faults, kills, a crash and restatements, and then every row as the provider has it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.plan import AGENTS, Plan
from chaos.run import Chaos
from chaos.truth import Differences, compare
from tieout.core.warehouse import connect

SEED = 20260301


class Vandal(Chaos):
    """Compares once more after staging was tampered with: the comparison must notice all of it."""

    noticed: Differences

    def _judge(self) -> None:
        super()._judge()
        self.noticed = Differences()
        with connect(self.url, autocommit=True) as db:
            db.execute(
                """DELETE FROM staging.lucko_bets WHERE (agent, id) =
                       (SELECT agent, id FROM staging.lucko_bets WHERE agent = %s ORDER BY id LIMIT 1)""",
                (AGENTS[0],),
            )
            db.execute(
                """UPDATE staging.lucko_bets SET bet_amount = bet_amount + 0.000001 WHERE (agent, id) =
                       (SELECT agent, id FROM staging.lucko_bets WHERE agent = %s ORDER BY id DESC LIMIT 1)""",
                (AGENTS[0],),
            )
            db.execute(
                """INSERT INTO staging.lucko_bets SELECT (jsonb_populate_record(b, '{"id": "of nobody"}')).*
                   FROM staging.lucko_bets AS b WHERE agent = %s LIMIT 1""",
                (AGENTS[0],),
            )
            compare(
                db, self.simulator, feed="lucko_bets", agent=AGENTS[0], start=self.plan.begin("bets"),
                end=self.plan.stop("bets"), into=self.noticed,
            )  # fmt: skip


@pytest.mark.airflow
def test_nothing_is_lost_doubled_or_wrong(tmp_path: Path) -> None:
    plan = Plan.short(SEED, datetime.now(UTC))
    said: list[str] = []
    chaos = Vandal(plan=plan, folder=tmp_path, say=said.append)
    report = chaos.run()
    story = "\n".join([*said, *report.differences.examples, *report.bugs, str(report)])
    assert report.ok, story
    assert (report.slices, report.worker_kills, report.restarts) == (plan.slice_count, plan.kills, plan.restarts), story
    assert report.differences.rows > 1000, story
    assert report.faults >= 0.2 * report.faulty_calls > 0, story
    noticed = chaos.noticed
    assert (noticed.lost, noticed.wrong, noticed.duplicated) == (1, 1, 1), noticed.examples


def test_a_full_run_is_as_large_as_it_says() -> None:
    plan = Plan.full(SEED, datetime.now(UTC))
    assert plan.slice_count >= 300
    assert len(AGENTS) == 2
    assert plan.kills > 0
    assert plan.restarts > 0
    assert plan.fault_share > 0.2
