"""What loads start: rebates judged again, the mart and the statements brought up to date, control totals compared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
import requests

from demo.airflow_stack import AirflowStack
from demo.scenario import Scenario
from end_to_end.driving import eventually, trigger
from simulator import DEFAULT_AGENTS

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(420)]


def runs_of(stack: AirflowStack, dag_id: str, state: str = "success") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.api("GET", f"/dags/{dag_id}/dagRuns?state={state}&limit=100")["dag_runs"]
    return found


def test_loads_have_filled_the_mart_of_every_provider(stack: AirflowStack, ledger: psycopg.Connection) -> None:
    def filled() -> bool:
        found = ledger.execute("SELECT DISTINCT provider FROM mart.turnover_daily WHERE agent = 'demo'").fetchall()
        return sorted(provider for (provider,) in found) == ["hotroad", "jdb", "lucko", "vertexplay"]

    eventually(filled, seconds=120, what="the mart has rows of all four providers")
    for dag_id in ("lucko__mart__demo", "jdb__mart__demo"):
        runs = eventually(lambda dag_id=dag_id: runs_of(stack, dag_id), seconds=60, what=f"{dag_id} has succeeded")
        assert {run["run_type"] for run in runs} == {"asset_triggered"}
        # Many loads, few runs: a run waits for further loads.
        assert len(runs) < 8


def test_a_statement_is_written_for_every_day(stack: AirflowStack, scenario: Scenario) -> None:
    (day,) = scenario.settlement_days
    folder = stack.landing / "statements"

    def written() -> bool:
        return all((folder / provider / "demo" / f"{day}.html").exists() for provider in ("lucko", "hotroad"))

    eventually(written, seconds=60, what="statements of the settlement day")
    text = (folder / "lucko" / "demo" / f"{day}.html").read_text()
    assert "demo" in text
    assert "<script" not in text
    assert (folder / "lucko" / "demo" / f"{day}.csv").read_text().startswith("kind,provider,agent,day,subject,reason")


def test_what_a_revisit_finds_is_judged_again_at_once(
    stack: AirflowStack, ledger: psycopg.Connection, scenario: Scenario
) -> None:
    """Nobody triggers the judge: the revisit says what it has loaded, and the rest follows."""
    stated = ledger.execute("SELECT coalesce(max(event_id), 0) FROM recon.break_events").fetchone()
    (agent,) = (agent.agent_id for agent in DEFAULT_AGENTS if agent.provider == "lucko")
    answer = requests.post(
        f"{stack.providers.url}/_sim/world/change",  # type: ignore[attr-defined]
        json={
            "feed": "lucko_bets", "agent": agent, "kinds": ["resettled"], "share": 0.05,
            "from": scenario.start.isoformat(), "to": (scenario.start + timedelta(hours=24)).isoformat(),
        },
        timeout=60,
    )  # fmt: skip
    answer.raise_for_status()
    assert answer.json()["changed"] > 0
    # A restated bet moves to the slice of its update: that slice is read again, too.
    ledger.execute(
        "UPDATE ops.readings SET pulled_at = slice_end, finished_at = slice_end "
        "WHERE agent = 'demo' AND provider = 'lucko' AND feed = 'bets'"
    )
    trigger(stack, "lucko__revisit__demo")

    def opened() -> list[Any]:
        return ledger.execute(
            """SELECT b.rebate_id, e.load_id FROM recon.break_events e JOIN recon.breaks b USING (break_id)
               WHERE e.event_id > %s AND b.reason = 'turnover' AND e.state = 'open'""",
            stated,
        ).fetchall()

    eventually(opened, seconds=120, what="breaks of rebates whose bets were restated")
    assert {run["run_type"] for run in runs_of(stack, "lucko__rejudge__demo")} == {"asset_triggered"}


def test_the_days_total_is_the_sum_of_its_hours(stack: AirflowStack, ledger: psycopg.Connection) -> None:
    def compared() -> list[Any]:
        return ledger.execute("SELECT state, games FROM recon.control_totals WHERE agent = 'demo'").fetchall()

    found = eventually(compared, seconds=120, what="a control total of HotRoad")
    assert all(state == "equal" and games > 0 for state, games in found), found

    def stated() -> bool:
        return any(
            "Control totals" in page.read_text(encoding="utf-8")
            for page in (stack.landing / "statements" / "hotroad" / "demo").glob("*.html")
        )

    eventually(stated, seconds=60, what="the statement of a day that was compared")
