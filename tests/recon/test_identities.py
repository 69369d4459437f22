"""Row identities, agreed commission and control totals: found, switched off, healed and found again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import URL

import simulator
from readings import Reading, at
from simulator import connections
from tieout.core.clock import SystemClock, epoch_ms
from tieout.core.errors import ContractBroken
from tieout.core.feed import FeedOptions
from tieout.core.landing import read_manifest
from tieout.core.ledger import record_landed
from tieout.core.load import load_reading
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota
from tieout.core.recon.control import compare_control, pull_control
from tieout.core.recon.integrity import ALL, Commission, IntegritySettings
from tieout.core.recon.mart import MartSettings, refresh_mart
from tieout.core.slices import Slice
from tieout.providers import HOOKS, feed_spec

D = Decimal
HOUR, DAYS = timedelta(hours=1), timedelta(days=1)
DAY = at(2026, 3, 10)
NOON = DAY + 4 * HOUR
SUMMARY = feed_spec("hotroad", "summary")


@dataclass
class Rows:
    """An agent of one provider whose rows are read and checked."""

    reading: type[Reading]
    db: psycopg.Connection
    provider: str
    settings: IntegritySettings = field(default_factory=IntegritySettings)
    agent: str = field(default_factory=lambda: f"acme-{uuid.uuid4().hex[:12]}")
    readings: int = 0

    def read(self, *rows: dict[str, Any]) -> Rows:
        """Read a slice that holds these rows, each reading later than the one before."""
        self.readings += 1
        feed, start, hours, answer = {
            "lucko": ("bets", DAY, 1, {"code": 200, "data": {"transactions": rows, "total": len(rows)}}),
            "hotroad": ("summary", DAY, 1, {"code": "0000", "data": {"list": rows}}),
            "jdb": ("daily", NOON, 24, {"status": "0000", "data": rows}),
            "vertexplay": ("betlogs", DAY, 1, {"code": 0, "data": rows}),
        }[self.provider]
        options: dict[str, Any] = {} if self.provider in ("lucko", "vertexplay") else {"currency": "USD"}
        if self.provider == "jdb":
            options["g_types"] = ("0",)
        self.reading.of(
            self.provider, feed, start, hours=hours, agent=self.agent,
            requested_at=DAY + (5 + self.readings) * DAYS, **options,
        ).answer(answer).load()  # fmt: skip
        return self

    def check(self) -> dict[tuple[str, str], tuple[str, D]]:
        """Check what was loaded and return (state, difference) by (identity, row key)."""
        refresh_mart(
            self.reading.warehouse, provider=self.provider, agent=self.agent,
            settings=MartSettings(integrity=self.settings),
        )  # fmt: skip
        return {(row["identity"], row["row_key"]): (row["state"], row["difference"]) for row in self.breaks()}

    def breaks(self) -> list[dict[str, Any]]:
        with self.db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                """SELECT * FROM recon.integrity_breaks WHERE provider = %s AND agent = %s
                   ORDER BY identity, row_key""",
                (self.provider, self.agent),
            ).fetchall()


@pytest.fixture
def rows_of(reading: type[Reading], db: psycopg.Connection) -> Any:
    return lambda provider, **settings: Rows(reading, db, provider, IntegritySettings(**settings))


def hour(**changes: Any) -> dict[str, Any]:
    return {
        "gameType": "LIVE", "gameCode": "A", "betAmount": 100.5, "realCredit": 90, "freeCredit": 10.5,
        "promotionCredit": 0, "winLoss": -20, "winAmount": 80.5, "validBet": 60, "commission": 0.18, **changes,
    }  # fmt: skip


def bet(**changes: Any) -> dict[str, Any]:
    return {
        "id": "b", "user_id": "u1", "game_id": "101", "bet_time": epoch_ms(DAY), "settle_time": epoch_ms(DAY),
        "bet_amount": "100", "valid_bet_turnover": "100", "currency": "USD", "status": 1,
        "update_time": epoch_ms(DAY), "win_amount": "130", "real_win_amount": "30",
        "bet_detail": {"Banker": 60, "Tie": "40.0"}, **changes,
    }  # fmt: skip


def player(**changes: Any) -> dict[str, Any]:
    return {"uid": "p1", "bet": -10, "win": 4, "netWin": -6, "validBet": -10, **changes}


def betlog(**changes: Any) -> dict[str, Any]:
    return {
        "betTime": DAY.isoformat(), "txTime": DAY.isoformat(), "currency": "THB", "gameCode": "g", "username": "u1",
        "roundId": "r", "transferId": "t", "betStatus": 2, "actualBetAmt": "2", "validBetAmt": "2", "winAmt": "5",
        **changes,
    }  # fmt: skip


HOUR_KEY, JDB_KEY = "2026-03-10T00Z/LIVE/A", "2026-03-10/0/p1"


@pytest.mark.parametrize(
    ("provider", "row", "found"),
    [
        ("hotroad", hour(), {}),
        ("hotroad", hour(betAmount=100.4), {("bet_amount", HOUR_KEY): D("-0.1"), ("win_amount", HOUR_KEY): D("0.1")}),
        ("hotroad", hour(winAmount=80.4999), {("win_amount", HOUR_KEY): D("-0.0001")}),
        # Not enabled is not zero, and not broken.
        ("hotroad", hour(freeCredit=None, realCredit=100.5), {}),
        ("hotroad", hour(realCredit=None, freeCredit=None), {}),
        ("hotroad", hour(validBet=-60), {("turnover_sign", HOUR_KEY): D(-60)}),
        ("jdb", player(), {}),
        ("jdb", player(netWin=-6.01), {("net_win", JDB_KEY): D("-0.01")}),
        ("jdb", player(validBet=10), {("turnover_sign", JDB_KEY): D(10)}),
        ("lucko", bet(), {}),
        ("lucko", bet(real_win_amount="130"), {("real_win", "b"): D(100)}),
        ("lucko", bet(real_win_amount="0", status=0, settle_time=0), {}),
        ("lucko", bet(win_amount=None), {}),
        ("lucko", bet(bet_detail={"Banker": 60.000001, "Tie": 40}), {("bet_detail", "b"): D("-0.000001")}),
        ("lucko", bet(bet_detail={"Banker": 60, "Tie": "much"}), {("bet_detail", "b"): D(40)}),
        ("lucko", bet(bet_detail=[1, 2]), {}),
        ("lucko", bet(bet_detail=None), {}),
        ("lucko", bet(valid_bet_turnover="-1"), {("turnover_sign", "b"): D(-1)}),
        ("vertexplay", betlog(), {}),
        ("vertexplay", betlog(validBetAmt="-0.000001"), {("turnover_sign", "transfer:t"): D("-0.000001")}),
    ],
)
def test_identities(rows_of: Any, provider: str, row: dict[str, Any], found: dict[tuple[str, str], D]) -> None:
    rows = rows_of(provider).read(row)
    assert rows.check() == {key: ("open", difference) for key, difference in found.items()}


def test_a_break_names_row_rule_and_figures(rows_of: Any) -> None:
    rows = rows_of("hotroad").read(hour(winAmount=81))
    rows.check()
    (row,) = rows.breaks()
    assert (
        row["sentence"] == "Hour 2026-03-10T00Z of LIVE/A: winAmount = betAmount + winLoss is broken, 81 against 80.5."
    )
    assert (row["stated"], row["computed"], row["currency"], row["day"]) == (D(81), D("80.5"), "USD", DAY.date())


@pytest.mark.parametrize("kinds", [("LIVE",), ("SLOT", "LIVE"), (ALL,)])
def test_fee_games_are_exempt_where_they_are_named(rows_of: Any, kinds: tuple[str, ...]) -> None:
    exempt = rows_of("hotroad", switched_off={"win_amount": kinds}).read(hour(winAmount=81, validBet=-1))
    assert set(exempt.check()) == {("turnover_sign", HOUR_KEY)}
    others = rows_of("hotroad", switched_off={"win_amount": ("SLOT",), "bet_amount": ("LIVE",)})
    assert set(others.read(hour(winAmount=81)).check()) == {("win_amount", HOUR_KEY)}


@pytest.mark.parametrize(
    ("commission", "stated", "difference"),
    [
        ({"LIVE": Commission(rate=D("0.3"))}, 0.18, None),
        ({"LIVE": Commission(rate=D("0.3"))}, 0.19, D("0.01")),
        ({"LIVE": Commission(rate=D("0.3"), of="bet_amount")}, 0.3015, None),
        ({"default": Commission(rate=D("0.3"))}, None, D("-0.18")),
        ({"default": Commission(rate=D(5)), "LIVE": Commission(rate=D(0))}, None, None),
        ({"LIVE": Commission(rate=D("0.3"), tolerance=D("0.01"))}, 0.19, None),
        ({"LIVE": Commission(rate=D("0.3"), tolerance=D("0.0099"))}, 0.19, D("0.01")),
        ({"SLOT": Commission(rate=D(9))}, 0.18, None),
        # Four decimals are stated: more cannot be asked for.
        ({"LIVE": Commission(rate=D("0.333333"))}, 0.2, None),
    ],
)
def test_commission_against_the_agreed_rate(
    rows_of: Any, commission: dict[str, Commission], stated: float | None, difference: D | None
) -> None:
    found = rows_of("hotroad", commission=commission).read(hour(commission=stated)).check()
    assert found == ({} if difference is None else {("commission", HOUR_KEY): ("open", difference)})


def test_a_break_heals_with_its_row_and_is_found_again(rows_of: Any) -> None:
    rows = rows_of("jdb").read(player(netWin=1))
    assert rows.check() == {("net_win", JDB_KEY): ("open", D(7))}
    opened = rows.breaks()
    assert rows.check() == {("net_win", JDB_KEY): ("open", D(7))}
    assert rows.breaks() == opened, "nothing has changed"
    assert rows.read(player()).check() == {("net_win", JDB_KEY): ("healed", D(7))}
    assert rows.read(player(netWin=2)).check() == {("net_win", JDB_KEY): ("reopened", D(8))}
    # The row vanishes from the report.
    assert rows.read(player(uid="other")).check() == {("net_win", JDB_KEY): ("healed", D(8))}


def test_other_settings_check_every_row_again(rows_of: Any) -> None:
    rows = rows_of("hotroad").read(hour(winAmount=81))
    assert rows.check() == {("win_amount", HOUR_KEY): ("open", D("0.5"))}
    rows.settings = IntegritySettings(switched_off={"win_amount": (ALL,)}, commission={"LIVE": Commission(rate=D(1))})
    assert rows.check() == {
        ("commission", HOUR_KEY): ("open", D("-0.42")),
        ("win_amount", HOUR_KEY): ("healed", D("0.5")),
    }


@pytest.mark.parametrize("bad", [{"rate": D(-1)}, {"rate": D("NaN")}, {"rate": D(1), "of": "turnover"}])
def test_an_impossible_agreement_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Commission(**bad)


# ------------------------------------------------------------------------------------------------- control totals


@pytest.fixture(scope="module")
def sim() -> Iterator[simulator.RunningServer]:
    """A simulator without quotas, whose world runs at wall-clock time."""
    with simulator.serve(simulator.SimConfig(seed=3, quota_scale=0)) as running:
        yield running


@dataclass
class Conn:
    conn_id: str
    host: str
    login: str
    password: str
    extra_dejson: dict[str, Any]
    port: None = None


@pytest.fixture
def puller(sim: simulator.RunningServer, warehouse: URL, tmp_path: Path) -> Iterator[SlicePuller]:
    """Reads HotRoad's simulated agent through the real hook."""
    config = sim.simulator.config
    agent = next(agent for agent in config.agents if agent.provider == "hotroad")
    known = connections(config, url=sim.url)[config.conn_id(agent)]
    conn = Conn("hotroad", known["host"], known["login"], known["password"], known["extra"])
    with PostgresQuota(warehouse, SystemClock()) as quota:
        hook = HOOKS["hotroad"]("hotroad", connection=conn)
        yield SlicePuller(caller=hook, quota=quota, clock=SystemClock(), landing=tmp_path / "landing")


@pytest.fixture
def plan() -> PullPlan:
    """Six whole hours of two days ago: every bet placed in them has settled by now, none will any more."""
    start = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) - 2 * DAYS
    return PullPlan(
        feed=SUMMARY, agent=f"acme-{uuid.uuid4().hex[:12]}", slice=Slice(start, start + 6 * HOUR),
        options=FeedOptions(currency="USD"), interval=timedelta(milliseconds=1), lag=2 * HOUR,
    )  # fmt: skip


def load_hours(warehouse: URL, puller: SlicePuller, plan: PullPlan) -> Path:
    """Read and load the plan's hours."""
    path, manifest = puller.pull(plan)
    with psycopg.connect(**_keywords(warehouse)) as connection:
        record_landed(connection, manifest, path)
    load_reading(warehouse, SUMMARY, Path(path), Path(path).parent)
    return Path(path)


def _keywords(url: URL) -> dict[str, Any]:
    return {"host": url.query["host"], "user": url.username, "dbname": url.database}


def controls(db: psycopg.Connection, agent: str) -> dict[str, Any]:
    with db.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute("SELECT * FROM recon.control_totals WHERE agent = %s", (agent,)).fetchall()
    return row


def test_a_days_hours_add_up_to_the_providers_own_total(
    db: psycopg.Connection, warehouse: URL, puller: SlicePuller, plan: PullPlan, tmp_path: Path
) -> None:
    control = Path(pull_control(puller, plan))
    assert control.is_relative_to(tmp_path / "landing" / "controls" / "hotroad" / "summary" / plan.agent)
    manifest = read_manifest(control)
    assert (manifest.kind, len(manifest.windows)) == ("control", 1)
    before = compare_control(warehouse, SUMMARY, control, timezone="UTC")
    assert (before.state, before.hours_open, before.hours_read_from) == ("incomplete", 6, None)
    assert db.execute("SELECT count(*) FROM ops.readings WHERE agent = %s", (plan.agent,)).fetchone() == (0,)
    load_hours(warehouse, puller, plan)
    found = compare_control(warehouse, SUMMARY, control, timezone="UTC")
    assert (found.state, found.differing, found.hours_open) == ("equal", 0, 0)
    assert found.games > 0
    assert controls(db, plan.agent)["state"] == "equal"


def test_an_hour_that_is_off_breaks_the_control_total_and_heals(
    db: psycopg.Connection, warehouse: URL, puller: SlicePuller, plan: PullPlan
) -> None:
    load_hours(warehouse, puller, plan)
    control = Path(pull_control(puller, plan))
    (game_type, game_code, valid_bet) = db.execute(
        """UPDATE staging.hotroad_summary SET valid_bet = valid_bet + 0.0001
           WHERE (agent, hour_start, game_type, game_code) = (
               SELECT agent, hour_start, game_type, game_code FROM staging.hotroad_summary WHERE agent = %s
               ORDER BY 2, 3, 4 LIMIT 1
           ) RETURNING game_type, game_code, valid_bet""",
        (plan.agent,),
    ).fetchone()  # type: ignore[misc]
    found = compare_control(warehouse, SUMMARY, control, timezone="UTC")
    assert (found.state, found.differing) == ("differs", 1)
    (row,) = db.execute(
        "SELECT identity, game_type, row_key, difference, state FROM recon.integrity_breaks WHERE agent = %s",
        (plan.agent,),
    ).fetchall()
    assert (row[0], row[1], row[3], row[4]) == ("control_total", game_type, D("-0.0001"), "open")
    assert row[2].endswith(f"/{game_type}/{game_code}/valid_bet")
    # A refresh of the mart knows nothing of it and leaves it open.
    refresh_mart(warehouse, provider="hotroad", agent=plan.agent, settings=MartSettings())
    assert compare_control(warehouse, SUMMARY, control, timezone="UTC").state == "differs"
    db.execute(
        """UPDATE staging.hotroad_summary SET valid_bet = valid_bet - 0.0001
           WHERE agent = %s AND game_type = %s AND game_code = %s AND valid_bet = %s""",
        (plan.agent, game_type, game_code, valid_bet),
    )
    assert compare_control(warehouse, SUMMARY, control, timezone="UTC").state == "equal"
    states = db.execute("SELECT state FROM recon.integrity_breaks WHERE agent = %s", (plan.agent,)).fetchall()
    assert states == [("healed",)]


def test_a_game_that_only_one_side_knows_differs(
    db: psycopg.Connection, warehouse: URL, puller: SlicePuller, plan: PullPlan
) -> None:
    load_hours(warehouse, puller, plan)
    control = Path(pull_control(puller, plan))
    (gone,) = db.execute(
        """UPDATE staging.hotroad_summary SET retired_at = now()
           WHERE agent = %s AND game_code = (SELECT min(game_code) FROM staging.hotroad_summary WHERE agent = %s)
           RETURNING game_code""",
        (plan.agent, plan.agent),
    ).fetchall()[0]
    assert compare_control(warehouse, SUMMARY, control, timezone="UTC").state == "differs"
    codes = db.execute(
        "SELECT DISTINCT split_part(row_key, '/', 3), computed FROM recon.integrity_breaks WHERE agent = %s",
        (plan.agent,),
    ).fetchall()
    assert codes == [(gone, D(0))]


def test_a_control_total_that_breaks_the_contract_is_not_compared(
    db: psycopg.Connection, warehouse: URL, reading: type[Reading]
) -> None:
    made = reading.of("hotroad", "summary", DAY, agent="bent", currency="USD")
    path = made.answer({"code": "0000", "data": {"list": [hour(betAmount="a lot")]}}).land()
    with pytest.raises(ContractBroken, match="Nothing was compared"):
        compare_control(warehouse, SUMMARY, path, timezone="UTC")
    assert db.execute("SELECT count(*) FROM recon.control_totals WHERE agent = 'bent'").fetchone() == (0,)
