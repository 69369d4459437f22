"""A break's page: plain words, every amount with its currency, nothing cut without saying so."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from test_pages import Rows

from tieout.web import plainly
from tieout.web.breaks import REASONS
from tieout.web.charts import STEPS, Step, waterfall

README = Path(__file__).parents[2] / "README.md"


def break_of(db: psycopg.Connection, reason: str) -> int:
    row = db.execute("SELECT break_id FROM recon.breaks WHERE reason = %s ORDER BY amount DESC", (reason,)).fetchone()
    assert row is not None
    return int(row[0])


def test_reasons_are_explained_as_the_readme_does() -> None:
    readme = README.read_text(encoding="utf-8")
    assert set(plainly.REASONS) == set(REASONS)
    for reason, words in plainly.REASONS.items():
        assert f"`{reason}`" in readme
        assert reason.startswith("wallet_txn") or words in readme


def test_a_break_in_plain_words(owners_pages: TestClient, db: psycopg.Connection) -> None:
    break_id = break_of(db, "turnover")
    # Components need not add up here: the warehouse would not have it.
    db.execute("SET session_replication_role = replica")
    db.execute(
        """UPDATE recon.rebates SET waits_for = '{[2026-03-09 00:00+00,2026-03-09 06:00+00)}',
               lost_slices = '{[2026-03-08 00:00+00,2026-03-08 06:00+00)}'"""
    )
    db.execute(
        """INSERT INTO ops.config (provider, agent, reconciliation)
           VALUES ('lucko', 'acme', '{"timezone": "Asia/Shanghai"}')
           ON CONFLICT (provider, agent) DO UPDATE SET reconciliation = excluded.reconciliation"""
    )
    page = owners_pages.get(f"/tieout/break?id={break_id}").text
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert plainly.REASONS["turnover"] in text
    assert "difference of turnover +100.25 usd" in text.lower()
    assert len(re.findall(r"<dd>[^/]*?[\d,]+\.\d\d(?:</span>)? USD</dd>", page)) == 8, "every figure has its currency"
    assert "Waits for 2026-03-09 00:00 to 2026-03-09 06:00 UTC: not certified yet" in text
    assert "Lost 2026-03-08 00:00 to 2026-03-08 06:00 UTC" in text
    assert "Its bets can lie in slices from" in text
    assert "Open for" in text
    heads = [cell for row in Rows(page).rows for cell in row]
    assert {"Placed, Asia/Shanghai", "Settled, Asia/Shanghai", "Amount, USD"} <= set(heads)
    for state, said in (("healed", "there is nothing to explain any more"), ("accepted", "Found")):
        db.execute(
            """UPDATE recon.breaks SET state = %s, accepted_by = CASE WHEN %s = 'accepted' THEN 'Olga' END,
                   accepted_reason = 'agreed', accepted_at = now(), accepted_fingerprint = fingerprint""",
            (state, state),
        )
        db.execute("DELETE FROM recon.break_components")
        shown = owners_pages.get(f"/tieout/break?id={break_id}").text
        assert said in shown
        assert "Open for" not in shown
        assert "the break is about something else" not in shown or state != "healed"


def test_what_is_cut_says_so_and_sums_exactly(owners_pages: TestClient, db: psycopg.Connection) -> None:
    break_id = break_of(db, "turnover")
    # Components need not add up here: the warehouse would not have it.
    db.execute("SET session_replication_role = replica")
    db.execute(
        """INSERT INTO recon.break_components (agent, rebate_id, of, kind, bet_id, amount, evidence, is_fact)
           SELECT agent, rebate_id, 'difference', 'restated', 'r' || n, n / 100.0, 'observed', TRUE
           FROM recon.breaks, generate_series(1, 3000) AS n WHERE break_id = %s""",
        (break_id,),
    )
    db.execute(
        """INSERT INTO recon.break_events (break_id, state, amount, cause, fingerprint, happened_at)
           SELECT break_id, state, amount, 'again', fingerprint, now() FROM recon.breaks, generate_series(1, 300)
           WHERE break_id = %s""",
        (break_id,),
    )
    page = owners_pages.get(f"/tieout/break?id={break_id}").text
    assert len(page) < 200_000
    rest = 3001 - plainly.SHOWN
    # The largest are 100.25 (unexplained) and 30.00 down to 29.62: the others are n / 100 from 1 to 2,961.
    (line,) = [row for row in Rows(page).rows if row and f"{rest:,} smaller ones together" in row[0]]
    assert line[-1] == f"+{Decimal(2961 * 2962 // 2) / 100:,.2f}"
    assert "The newest 200 of 301 events" in page
    everything = owners_pages.get(f"/tieout/break?id={break_id}&components=all").text
    assert f"{rest:,} smaller ones together (" not in everything
    assert everything.count("settled anew after the rebate</td>") == 3000


@pytest.mark.parametrize("count", [STEPS, STEPS + 1, 3000])
def test_a_waterfall_of_many_steps_shows_the_largest(count: int) -> None:
    amounts = [Decimal(n) for n in range(1, count)]
    steps = [
        Step("first", Decimal(5), "total"),
        *(Step(f"s{n}", amount, "restated") for n, amount in enumerate(amounts)),
        Step("odd", Decimal("0.01"), "unexplained"),
        Step("last", sum(amounts, Decimal("5.01")), "total"),
    ]
    chart = waterfall(title="t", steps=steps)
    assert chart.count("<rect") == min(count, STEPS) + 2
    assert "+0.01" in chart
    if count > STEPS:
        rest = sum(amounts[: count - STEPS + 1], Decimal(0))
        assert f"{count - STEPS + 1:,} smaller ones together: {rest:,.2f}" in chart
    assert len(chart) < 30_000
