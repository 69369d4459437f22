"""The monitor's alerts, executed as a worker executes them: real notifiers, some of which fail."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from airflow.sdk import BaseNotifier
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from sqlalchemy import URL

from tieout.__main__ import main
from tieout.core.alerts import KINDS, Alert
from tieout.core.errors import ConfigError, RetryLater
from tieout.operators import RaiseAlertsOperator
from tieout.operators.alerts import _link

HOUR = timedelta(hours=1)


class Told(BaseNotifier):
    """Keeps what it is told, its templates rendered."""

    template_fields = ("text", "title")
    messages: ClassVar[list[tuple[str, str, str]]] = []
    fails: ClassVar[set[str]] = set()

    def __init__(self, name: str, text: str = "{{ tieout.text }}", title: str = "{{ tieout.title }}") -> None:
        super().__init__()
        self.name = name
        self.text = text
        self.title = title

    def notify(self, context: Any) -> None:
        if self.name in self.fails:
            raise ConnectionError("https://hooks.example.com/secret-token")
        self.messages.append((self.name, self.title, self.text))


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch, warehouse: URL, tmp_path: Path) -> Path:
    connection = {
        "conn_type": "postgres", "login": "postgres", "host": warehouse.query["host"], "schema": warehouse.database,
    }  # fmt: skip
    path = tmp_path / "feeds.yaml"
    monkeypatch.setenv("AIRFLOW_CONN_TIEOUT_WAREHOUSE", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    monkeypatch.setenv("TIEOUT_FEEDS", str(path))
    declare(path, "mail", "chat")
    Told.messages.clear()
    Told.fails.clear()
    return path


def declare(path: Path, *names: str, notifier: str = f"{__name__}.Told") -> None:
    entries = [{"name": name, "class": notifier, "arguments": {"name": name}} for name in names]
    path.write_text(json.dumps({"agents": [], "alerts": {"notifiers": entries}}))


def lose(db: psycopg.Connection, number: int) -> None:
    db.execute(
        """INSERT INTO ops.lost (provider, feed, agent, gap_start, gap_end, slices)
           VALUES ('lucko', 'bets', 'acme', timestamptz '2026-01-01Z' + %s * interval '1 day',
                   timestamptz '2026-01-01T01:00Z' + %s * interval '1 day', 1)""",
        (number, number),
    )


def run() -> dict[str, int]:
    return RaiseAlertsOperator(task_id="raise_alerts").execute({})


def test_every_notifier_is_told_once(feeds: Path, db: psycopg.Connection) -> None:
    lose(db, 1)
    assert run() == {"lost": 1}
    assert [(name, title) for name, title, _ in Told.messages] == [
        ("mail", "tieout: 1 lost"),
        ("chat", "tieout: 1 lost"),
    ]
    text = Told.messages[0][2]
    assert "lucko bets agent=acme: [2026-01-02T00:00:00Z, 2026-01-02T01:00:00Z), 1 slice(s)" in text
    base = "https://airflow.example.com/plugin/tieout-coverage/tieout"
    assert f"{base}/slices?provider=lucko&feed=bets&agent=acme&day=2026-01-02" in text
    assert f"{base}/runbook?kind=lost" in text
    assert run() == {"lost": 1}
    assert len(Told.messages) == 2
    lose(db, 3)
    run()
    assert [title for _, title, _ in Told.messages[2:]] == ["tieout: 1 lost"] * 2
    assert "2026-01-04" in Told.messages[2][2]
    assert "2026-01-02" not in Told.messages[2][2]


def test_without_airflows_address_a_message_says_in_words_where_to_look(
    feeds: Path, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(feeds, "mail")
    lose(db, 1)
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    assert main(["check"]) == 0
    assert "AIRFLOW__API__BASE_URL" in capsys.readouterr().out
    run()
    assert capsys.readouterr().out.count("AIRFLOW__API__BASE_URL") == 1
    ((_, _, text),) = Told.messages
    assert "(in Airflow, below its address: /plugin/tieout-coverage/tieout/runbook?kind=lost)" in text
    assert "://" not in text
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    main(["check"])
    assert "their links lead to https://airflow.example.com" in capsys.readouterr().out


# -- metrics ------------------------------------------------------------------------------------------------------


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Airflow's own StatsD logger, as a task has it, sending to a socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        for name, value in (("ON", "True"), ("HOST", "127.0.0.1"), ("PORT", str(server.getsockname()[1]))):
            monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
        yield server
        stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


def received(server: socket.socket) -> list[str]:
    """What has arrived, the monitor's last gauge being that of the slices of the last feed and name."""
    found = list[str]()
    while not found or not found[-1].startswith("airflow.tieout.slices.uncertified"):
        found.append(server.recv(2000).decode())
    return [line.removeprefix("airflow.tieout.") for line in found]


def test_gauges_carry_their_kind_in_the_name_where_tags_are_dropped(
    feeds: Path, db: psycopg.Connection, statsd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(feeds)
    db.execute(
        """INSERT INTO ops.agents (provider, agent, feed, start_at, slice_width, slice_anchor, lag, reach)
           SELECT 'lucko', agent, 'bets', date_trunc('hour', now()) - interval '13 hours', interval '1 hour',
               interval '0', interval '0', interval '90 days' FROM unnest(ARRAY['acme', 'borealis']) AS agent"""
    )
    db.execute(
        """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
               rows, landing_uri, sha256, pulled_at, finished_at, loaded_at)
           SELECT 'r' || n, 'lucko', 'bets', 'acme', a.start_at + n * interval '1 hour',
               a.start_at + (n + 1) * interval '1 hour', 'first', CASE WHEN n = 3 THEN 'suspect' ELSE 'certified' END,
               1, 0, '', '', now(), now(), now()
           FROM ops.agents AS a, generate_series(0, 9) AS n WHERE a.agent = 'acme'"""
    )
    lose(db, 1)
    lose(db, 3)
    run()
    lines = received(statsd)
    # borealis has read nothing for 13 hours and what has passed of this one.
    (behind,) = [line for line in lines if line.startswith("slices.seconds_behind")]
    assert 46_800 <= int(re.split(r"[:|]", behind)[1]) < 50_400
    assert lines == [
        "alerts.open.losing:0|g", "alerts.open.lost:2|g", *[f"alerts.open.{kind}:0|g" for kind in list(KINDS)[2:]],
        "breaks.accepted:0|g", "breaks.open:0|g", "breaks.reopened:0|g",
        "slices.lost.lucko.bets:2|g", behind, "slices.suspect.lucko.bets:1|g", 
        # Of acme the suspect one and those of the last three hours.
        "slices.uncertified.lucko.bets:17|g",
    ]  # fmt: skip
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
    stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
    run()
    lines = received(statsd)
    assert {"alerts.open.lost:2|g", "alerts.open,kind=lost:2|g"} <= set(lines)
    assert "slices.lost,provider=lucko,feed=bets:2|g" in lines


COVERAGE = "plugin/tieout-coverage/tieout/coverage"
SLICES = "plugin/tieout-coverage/tieout/slices"
RECONCILED = "plugin/tieout-reconciliation/tieout"


@pytest.mark.parametrize(("kind", "columns", "page"), [
    ("losing", {}, f"{SLICES}?provider=lucko&feed=bets&agent=acme&day=2026-03-10"),
    ("lost", {}, f"{SLICES}?provider=lucko&feed=bets&agent=acme&day=2026-03-10"),
    ("suspect", {},
     f"{SLICES}?provider=lucko&feed=bets&agent=acme&day=2026-03-10&slice=2026-03-10T05%3A00%3A00Z"),
    ("stale", {}, f"{COVERAGE}?provider=lucko&feed=bets&agent=acme"),
    ("stale", {"since": None}, f"{COVERAGE}?provider=lucko&feed=bets&agent=acme"),
    ("throttled", {"feed": "/v1/bets", "agent": "m 1"}, f"{COVERAGE}?provider=lucko&merchant=m+1"),
    ("unjudged", {"detail": "2026-03-09"},
     f"{RECONCILED}/reconciliation?agent=acme&first=2026-03-09&last=2026-03-09"),
    ("late", {"feed": "mart"}, "dags/lucko__mart__acme"),
    ("overpaid", {"cause": "acme/r/1 2"}, f"{RECONCILED}/breaks?agent=acme&rebate_id=r%2F1+2&state=all"),
])  # fmt: skip
def test_an_alert_leads_to_the_page_that_shows_its_cause(
    feeds: Path, kind: str, columns: dict[str, Any], page: str
) -> None:
    now = datetime(2026, 3, 10, 5, tzinfo=UTC)
    known = {"provider": "lucko", "feed": "bets", "agent": "acme", "since": now, "detail": "", "cause": "c", **columns}
    alert = Alert(alert_id=1, kind=kind, until=None, opened_at=now, **known)
    assert _link(alert) == f"https://airflow.example.com/{page}"
    assert set(KINDS) == {"losing", "lost", "suspect", "stale", "throttled", "unjudged", "late", "overpaid"}


def test_one_that_fails_is_told_again_and_the_other_is_not(feeds: Path, db: psycopg.Connection) -> None:
    lose(db, 1)
    Told.fails.add("mail")
    with pytest.raises(RetryLater, match="could not be sent through mail") as caught:
        run()
    assert "secret-token" not in str(caught.value)
    assert [name for name, _, _ in Told.messages] == ["chat"]
    Told.fails.clear()
    run()
    assert [name for name, _, _ in Told.messages] == ["chat", "mail"]


def test_without_notifiers_alerts_are_kept_for_those_that_come(feeds: Path, db: psycopg.Connection) -> None:
    declare(feeds)
    lose(db, 1)
    assert run() == {"lost": 1}
    declare(feeds, "mail")
    run()
    assert [name for name, _, _ in Told.messages] == ["mail"]


def test_what_is_gone_is_not_told(feeds: Path, db: psycopg.Connection) -> None:
    lose(db, 1)
    declare(feeds)
    run()
    db.execute("DELETE FROM ops.lost")
    declare(feeds, "mail")
    assert run() == {}
    assert Told.messages == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("airflow.providers.nobody.Notifier", "No module named"),
        ("json.Notifier", "has no attribute"),
        ("json.JSONDecoder", "unexpected keyword argument"),
        ("types.SimpleNamespace", "is no Airflow notifier"),
    ],
)
def test_a_notifier_that_cannot_be_made_is_named(feeds: Path, db: psycopg.Connection, path: str, said: str) -> None:
    lose(db, 1)
    declare(feeds, "mail", notifier=path)
    with pytest.raises(ConfigError, match="'mail'") as caught:
        run()
    assert said in str(caught.value)
