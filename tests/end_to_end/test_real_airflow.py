"""A real Airflow (scheduler, api-server, dag-processor, triggerer) reads all five feeds and reconciles a day."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from demo.airflow_stack import AirflowStack, StackError
from demo.progress import judged_days
from demo.report import found_breaks, planted_breaks
from demo.scenario import Scenario
from end_to_end.driving import HOUR, PATCHY, eventually, returned, trigger
from simulator import DEFAULT_AGENTS
from tieout.core.landing import read_manifest
from tieout.core.slices import Slice
from tieout.feeds import parse_agents

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(420)]


def rows_of(ledger: psycopg.Connection, agent: str) -> list[Any]:
    """What the provider said of an agent's hours; of two readings at nearly the same time, either may have said it."""
    return ledger.execute(
        """SELECT to_jsonb(t) - '{load_id,reading_id,first_seen_at,last_changed_at}'::text[]
           FROM staging.hotroad_summary AS t WHERE agent = %s ORDER BY hour_start, game_type, game_code""",
        (agent,),
    ).fetchall()


def test_a_backfill_of_the_newest_slice_while_catch_up_is_under_way(
    stack: AirflowStack, patchy_slices: list[Slice]
) -> None:
    """Prepares the hole; what becomes of it is looked at when everything else is done."""

    def known() -> bool:
        return bool(stack.api("GET", "/dags?dag_id_pattern=hotroad__summary__patchy")["dags"])

    eventually(known, seconds=120, what="the DAG of patchy is there")
    stack.api("PATCH", "/dags/hotroad__summary__patchy", json={"is_paused": True})
    newest = patchy_slices[-1].start.isoformat()
    stack.api(
        "POST",
        "/backfills",
        json={
            "dag_id": "hotroad__summary__patchy",
            "from_date": newest,
            "to_date": newest,
            "run_backwards": False,
            "reprocess_behavior": "none",
            "max_active_runs": 1,
        },
    )


def test_catch_up_certifies_every_slice_and_the_day_is_reconciled(
    stack: AirflowStack, ledger: psycopg.Connection, scenario: Scenario
) -> None:
    def all_done() -> bool:
        stack.processes.check()
        row = ledger.execute(
            "SELECT count(*) FILTER (WHERE status <> 'certified') FROM ops.slice_status WHERE agent = 'demo'"
        ).fetchone()
        return row == (0,) and judged_days(ledger, scenario.settlement_days) == 1

    eventually(all_done, seconds=300, what="all slices certified and the day judged")
    counts = ledger.execute(
        "SELECT provider, feed, count(*) FROM ops.slice_status WHERE agent = 'demo' GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    assert counts == [
        ("hotroad", "summary", 5),
        ("jdb", "daily", 1),
        ("lucko", "bets", 5),
        ("lucko", "rebates", 5),
        ("vertexplay", "betlogs", 5),
    ]
    planted = planted_breaks(stack.providers.planted())  # type: ignore[attr-defined]
    assert planted
    assert found_breaks(ledger) == planted


def test_rows_are_the_providers_rows(stack: AirflowStack, ledger: psycopg.Connection, scenario: Scenario) -> None:
    agents = {agent.provider: agent.agent_id for agent in DEFAULT_AGENTS}
    bounds = {key: int(value.timestamp() * 1000) for key, value in (("from", scenario.start), ("to", scenario.end))}
    for provider, feed, table in (
        ("lucko", "lucko_bets", "lucko_bets"),
        ("lucko", "lucko_rebates", "lucko_rebates"),
        ("hotroad", "hotroad_summary", "hotroad_summary"),
        ("vertexplay", "vertexplay_betlogs", "vertexplay_betlogs"),
    ):
        truth = requests.get(
            f"{stack.providers.url}/_sim/truth/rows",  # type: ignore[attr-defined]
            params={"feed": feed, "agent": agents[provider], **bounds},
            timeout=60,
        ).json()
        row = ledger.execute(f"SELECT count(*) FROM staging.{table} WHERE agent = 'demo'").fetchone()
        assert row == (len(truth),), feed


def test_calls_were_spaced_across_all_processes(stack: AirflowStack, scenario: Scenario) -> None:
    """By the database's clock; what a busy machine adds on the way is not ours at a hundredth of the real intervals."""
    feeds = [feed for agent in parse_agents(scenario.feeds_yaml()) for feed in agent.feeds]
    for feed in feeds:
        manifests = (stack.landing / feed.spec.provider / feed.spec.name).rglob("manifest.json")
        instants = sorted(page.requested_at for path in manifests for _, page in read_manifest(path).pages())
        assert len(instants) > 1
        closest = min(later - earlier for earlier, later in itertools.pairwise(instants))
        # A caller may wake this much after its slot.
        assert closest >= feed.interval - timedelta(milliseconds=10), feed.dag_id


def test_catch_up_never_begins_beyond_the_horizon(
    stack: AirflowStack, ledger: psycopg.Connection, horizon: datetime
) -> None:
    def runs() -> list[datetime]:
        answer = stack.api("GET", "/dags/hotroad__summary__veteran/dagRuns?limit=100")
        return sorted(datetime.fromisoformat(run["logical_date"]) for run in answer["dag_runs"])

    found = eventually(lambda: (dates := runs()) and dates, seconds=60, what="catch-up runs of the veteran")
    # An hour may have turned since the horizon was computed.
    assert found[0] in (horizon, horizon + HOUR)
    assert found[-1] < horizon + 2 * HOUR


def test_a_backfill_from_the_ui_is_never_cut(stack: AirflowStack, horizon: datetime) -> None:
    begin = horizon - timedelta(days=20)
    answer = stack.api(
        "POST",
        "/backfills/dry_run",
        json={
            "dag_id": "hotroad__summary__veteran",
            "from_date": begin.isoformat(),
            "to_date": (begin + 9 * HOUR).isoformat(),
            "run_backwards": False,
            "reprocess_behavior": "none",
        },
    )
    dates = [datetime.fromisoformat(entry["logical_date"]) for entry in answer["backfills"]]
    assert dates == [begin + HOUR * number for number in range(10)]


def test_a_backfill_beyond_reach_fails_at_once_and_says_the_oldest_date(stack: AirflowStack, horizon: datetime) -> None:
    begin = horizon - timedelta(days=20)
    stack.api(
        "POST",
        "/backfills",
        json={
            "dag_id": "hotroad__summary__veteran",
            "from_date": begin.isoformat(),
            "to_date": begin.isoformat(),
            "run_backwards": False,
            "reprocess_behavior": "none",
            "max_active_runs": 1,
        },
    )

    def failed() -> dict[str, Any] | None:
        answer = stack.api("GET", "/dags/hotroad__summary__veteran/dagRuns?run_type=backfill&state=failed")
        return answer["dag_runs"][0] if answer["dag_runs"] else None

    run = eventually(failed, seconds=120, what="the backfill run beyond reach has failed")
    task = stack.api("GET", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/pull_slice")
    assert task["try_number"] == 1
    log = stack.api("GET", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/pull_slice/logs/1")
    assert "The oldest date to be had is" in str(log["content"])


# -- what was left behind -----------------------------------------------------------------------------------------


def test_a_hole_that_a_backfill_left_is_repaired(
    stack: AirflowStack, ledger: psycopg.Connection, patchy_slices: list[Slice]
) -> None:
    def passed_by() -> bool:
        # Airflow goes on after the newest run; there is none after the last slice.
        return stack.api("GET", "/dags/hotroad__summary__patchy")["next_dagrun_logical_date"] is None

    eventually(passed_by, seconds=90, what="Airflow has forgotten the slices before the backfill")
    stack.api("PATCH", "/dags/hotroad__summary__patchy", json={"is_paused": False})

    def runs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = stack.api("GET", "/dags/hotroad__summary__patchy/dagRuns?limit=100")["dag_runs"]
        return found if all(run["state"] == "success" for run in found) else []

    ran = {datetime.fromisoformat(run["logical_date"]) for run in eventually(runs, seconds=240, what="all runs done")}
    hole = {slice_.start for slice_ in patchy_slices} - ran
    assert patchy_slices[-1].start in ran
    assert hole
    trigger(stack, "tieout__repair", {"provider": "hotroad", "agent": "patchy"})
    kinds = dict(
        ledger.execute("SELECT slice_start, kind FROM ops.readings WHERE agent = 'patchy' AND state = 'certified'")
    )
    # The hourly run may have come before, and read a slice whose own run was still on its way.
    assert {start.astimezone(UTC) for start, kind in kinds.items() if kind == "repair"} >= hole
    assert len(kinds) == PATCHY
    assert kinds[patchy_slices[-1].start] == "backfill"
    assert rows_of(ledger, "patchy")


def test_a_repair_that_finds_nothing_succeeds_and_a_wrong_param_is_refused_by_name(stack: AirflowStack) -> None:
    run_id = trigger(stack, "tieout__repair", {"provider": "hotroad", "agent": "patchy", "everything": True})
    assert returned(stack, "tieout__repair", run_id, "plan_repair") == []
    with pytest.raises(StackError, match="param provider"):
        stack.api("POST", "/dags/tieout__repair/dagRuns", json={"logical_date": None, "conf": {"provider": "luckoo"}})
    with pytest.raises(StackError, match="param agent"):
        stack.api("POST", "/dags/tieout__replay/dagRuns", json={"logical_date": None, "conf": {"provider": "lucko"}})


def test_rows_that_were_lost_come_back_from_landing(
    stack: AirflowStack, ledger: psycopg.Connection, patchy_slices: list[Slice]
) -> None:
    before = rows_of(ledger, "patchy")
    ledger.execute("DELETE FROM staging.hotroad_summary WHERE agent = 'patchy'")
    violations = stack.providers.violations()  # type: ignore[attr-defined]
    params = {
        "provider": "hotroad", "agent": "patchy",
        "from": patchy_slices[0].start.isoformat(), "to": patchy_slices[-1].end.isoformat(),
    }  # fmt: skip
    run_id = trigger(stack, "tieout__replay", params)
    batches = returned(stack, "tieout__replay", run_id, "plan_replay")
    counts = [
        returned(stack, "tieout__replay", run_id, "replay_batch", map_index=number) for number in range(len(batches))
    ]
    landed = list((stack.landing / "hotroad" / "summary" / "patchy").rglob("manifest.json"))
    assert sum(count["readings"] for count in counts) == len(landed) >= PATCHY
    assert sum(count["inserted"] for count in counts) == len(before) > 0
    assert rows_of(ledger, "patchy") == before
    assert stack.providers.violations() == violations  # type: ignore[attr-defined]


def revisit_patchy(stack: AirflowStack, ledger: psycopg.Connection) -> dict[str, int]:
    """Make every slice due, as if it had been read when it ended, and let the revisits run."""
    ledger.execute("UPDATE ops.readings SET pulled_at = slice_end, finished_at = slice_end WHERE agent = 'patchy'")
    run_id = trigger(stack, "hotroad__revisit__patchy")
    counts: dict[str, int] = returned(stack, "hotroad__revisit__patchy", run_id, "revisit_summary")
    assert (counts["due"], counts["ranges"], counts["left"]) == (PATCHY, 1, 0)
    return counts


def test_a_revisit_that_finds_nothing_new_writes_no_row(stack: AirflowStack, ledger: psycopg.Connection) -> None:
    versions = (
        "SELECT ctid::text, xmin::text, xmax::text FROM staging.hotroad_summary WHERE agent = 'patchy' ORDER BY 1"
    )
    before = ledger.execute(versions).fetchall()
    counts = revisit_patchy(stack, ledger)
    assert (counts["inserted"], counts["updated"]) == (0, 0)
    assert ledger.execute(versions).fetchall() == before
    certified = ledger.execute(
        "SELECT count(*), count(DISTINCT reading_id) FROM ops.readings WHERE agent = 'patchy' AND kind = 'revisit'"
    ).fetchone()
    assert certified == (PATCHY, 1)


def test_a_revisit_finds_what_the_provider_has_restated(
    stack: AirflowStack, ledger: psycopg.Connection, patchy_slices: list[Slice]
) -> None:
    (merchant,) = (agent.agent_id for agent in DEFAULT_AGENTS if agent.provider == "hotroad")
    answer = requests.post(
        f"{stack.providers.url}/_sim/world/change",  # type: ignore[attr-defined]
        json={
            "feed": "hotroad_summary", "agent": merchant, "kinds": ["restated"], "share": 0.1,
            "from": patchy_slices[0].start.isoformat(), "to": patchy_slices[-1].end.isoformat(),
        },
        timeout=60,
    )  # fmt: skip
    answer.raise_for_status()
    before = ledger.execute("SELECT count(*) FROM staging.hotroad_summary WHERE agent = 'patchy'").fetchone()
    counts = revisit_patchy(stack, ledger)
    assert 0 < counts["updated"] <= answer.json()["changed"]
    assert counts["inserted"] == 0
    assert ledger.execute("SELECT count(*) FROM staging.hotroad_summary WHERE agent = 'patchy'").fetchone() == before


def test_the_monitor_succeeds_while_nothing_savable_is_lost(stack: AirflowStack) -> None:
    run_id = trigger(stack, "tieout__monitor")
    assert set(returned(stack, "tieout__monitor", run_id, "record_lost")) == {"gaps", "new", "grown", "healed"}


def test_dags_test_works_with_a_connection_and_a_feeds_file(
    stack: AirflowStack, ledger: psycopg.Connection, scenario: Scenario, tmp_path: Path
) -> None:
    feeds = tmp_path / "feeds.yaml"
    start = scenario.start.isoformat()
    agent = f'provider: lucko, agent: byhand, conn_id: by_hand, start: "{start}", feeds: {{bets: {{slice: 6h}}}}'
    feeds.write_text(f"agents: [{{{agent}}}]")
    connection = {"conn_type": "lucko", **stack.connections["lucko_demo"]}
    told = {
        "TIEOUT_FEEDS": str(feeds), "AIRFLOW_CONN_BY_HAND": json.dumps(connection),
        # The scheduler beside it would run the DAG, too.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    }  # fmt: skip
    env = {**stack.env, **told}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), "dags", "test", "lucko__bets__byhand", start],
        env=env, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    row = ledger.execute(
        """SELECT r.state, r.inserted = (SELECT count(*) FROM staging.lucko_bets b WHERE b.agent = 'byhand'), r.rows > 0
           FROM ops.readings r WHERE feed = 'bets' AND agent = 'byhand' AND slice_start = %s AND slice_end = %s""",
        (scenario.start, scenario.start + 6 * HOUR),
    ).fetchone()
    assert row == ("certified", True, True)
