"""Accuracy of reconciliation: worlds with planted breaks, alone and combined, judged and compared with their truth.

A world's breaks are told by the simulator's own judge, which knows neither the SQL nor what was planted. Bets are
staged as two readings show them, so that differences have parts that were observed and parts that are presumed.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from sqlalchemy import URL

from bench.framework import Benchmark, Figure, Outcome
from demo.postgres import EmbeddedPostgres
from simulator import LuckoAgent, SimConfig, truth
from simulator.clock import WorldClock
from simulator.wire.base import json_answer
from simulator.world import World
from simulator.world.lucko import LuckoWorld
from simulator.world.plants import KINDS as BENT_BEFORE
from simulator.world.row_plants import KINDS as BENT_AFTER
from simulator.world.row_plants import Rows, bend
from tieout.core.clock import epoch_ms
from tieout.core.recon import ReconSettings, judge_days
from tieout.core.warehouse import connect
from tieout.migrations import upgrade

FIRST_DAY = datetime(2026, 3, 10, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: How long after the last settlement day the world is looked at: corrections of its rebates are over by then.
AFTER = 3 * HOUR
#: Bets that were never settled were placed this long before the first day.
BEFORE = 16 * DAY

_BETS = """
INSERT INTO staging.lucko_bets (agent, id, user_id, game_id, bet_time, settle_time, bet_amount, valid_bet_turnover,
    currency, update_time, status, reading_id, load_id, first_seen_at, last_changed_at)
SELECT %(agent)s, id, user_id, game_id, 'epoch'::timestamptz + bet_time * interval '1 ms',
    'epoch'::timestamptz + nullif(settle_time, 0) * interval '1 ms', bet_amount, valid_bet_turnover, currency,
    'epoch'::timestamptz + update_time * interval '1 ms', status, 'bench', %(load_id)s, first_seen_at, last_changed_at
FROM jsonb_to_recordset(%(rows)s) AS r (id text, user_id text, game_id text, bet_time bigint, settle_time bigint,
    bet_amount numeric, valid_bet_turnover numeric, currency text, update_time bigint, status int,
    first_seen_at timestamptz, last_changed_at timestamptz)"""
_VERSIONS = (
    _BETS.replace("staging.lucko_bets", "staging.lucko_bet_versions")
    .replace("first_seen_at, last_changed_at)\nSELECT", "pulled_at)\nSELECT")
    .replace("first_seen_at, last_changed_at\nFROM", "last_changed_at\nFROM")
)
_REBATES = """
INSERT INTO staging.lucko_rebates (agent, id, activity_id, user_id, date, currency, turnover, rate, rebate_amount,
    wallet_txn_id, status, create_time, txn_ids, reading_id, load_id, first_seen_at, last_changed_at)
SELECT %(agent)s, id, activity_id, user_id, 'epoch'::timestamptz + date * interval '1 ms', currency, turnover, rate,
    rebate_amount, wallet_txn_id, status, 'epoch'::timestamptz + create_time * interval '1 ms', txn_ids, 'bench',
    %(load_id)s, %(now)s, %(now)s
FROM jsonb_to_recordset(%(rows)s) AS r (id text, activity_id text, user_id text, date bigint, currency text,
    turnover numeric, rate numeric, rebate_amount numeric, wallet_txn_id text, status int, create_time bigint,
    txn_ids jsonb)"""
_LINKS = """
INSERT INTO staging.lucko_rebate_bets (agent, rebate_id, bet_id, times, load_id)
SELECT r.agent, r.id, named.bet_id, count(*), r.load_id
FROM staging.lucko_rebates AS r CROSS JOIN LATERAL jsonb_array_elements_text(r.txn_ids) AS named (bet_id)
WHERE r.agent = %(agent)s GROUP BY r.agent, r.id, named.bet_id, r.load_id"""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many ``seeds``, and how large the world of each is; ``share`` of its rebates are bent as they are served."""

    seeds: int = 10
    users: int = 640
    bets_per_hour: int = 420
    days: int = 4
    share: float = 0.35

    @property
    def end(self) -> datetime:
        """When a world is looked at."""
        return FIRST_DAY + self.days * DAY + AFTER


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One world: what is true and what was found (reasons by broken rebate), amounts that differ, what was planted."""

    rebates: int
    true: Mapping[str, frozenset[str]]
    found: Mapping[str, frozenset[str]]
    wrong_amounts: int
    sum_error: Decimal
    unexpected_verdicts: int
    kinds: frozenset[str]
    combined: int


def run(seed: int) -> Outcome:
    """Judge one world of 2,000 rebates and more."""
    return measure(Sizes(seeds=1), seed)


def full(seed: int) -> Outcome:
    """Judge ten of them."""
    return measure(Sizes(), seed)


def measure(sizes: Sizes, seed: int) -> Outcome:
    """Judge any number of worlds of any size."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as postgres:
        postgres.create_database("accuracy")
        url = postgres.url("accuracy")
        upgrade(url)
        worlds = [_one(url, sizes, number) for number in range(seed, seed + sizes.seeds)]
    verdicts = _precision_and_recall((world.true.keys(), world.found.keys()) for world in worlds)
    reasons = _precision_and_recall((_pairs(world.true), _pairs(world.found)) for world in worlds)
    return Outcome(
        figures=(
            Figure(name="rebates of the smallest world", value=min(world.rebates for world in worlds)),
            Figure(name="kinds of planted break", value=len(frozenset[str]().union(*(w.kinds for w in worlds)))),
            Figure(name="rebates with several kinds", value=sum(world.combined for world in worlds)),
            Figure(name="broken rebates", value=sum(len(world.true) for world in worlds)),
            Figure(name="verdicts: precision", value=verdicts[0], at_least=1),
            Figure(name="verdicts: recall", value=verdicts[1], at_least=1),
            Figure(name="reasons: precision", value=reasons[0], at_least=1),
            Figure(name="reasons: recall", value=reasons[1], at_least=1),
            Figure(name="verdicts that decide nothing", value=sum(w.unexpected_verdicts for w in worlds), at_most=0),
            Figure(name="overpaid amounts that differ", value=sum(w.wrong_amounts for w in worlds), at_most=0),
            Figure(name="components: largest error of a sum", value=float(max(w.sum_error for w in worlds)), at_most=0),
        ),
        sizes={"seeds": sizes.seeds, "rebates": sum(world.rebates for world in worlds), "days": sizes.days},
    )


BENCHMARK = Benchmark(
    name="recon_accuracy",
    measures="breaks found in simulated worlds of 2,000 rebates, against their truth",
    run=run,
    full=full,
)


def _precision_and_recall(pairs: Iterable[tuple[Iterable[Any], Iterable[Any]]]) -> tuple[float, float]:
    counts: Counter[str] = Counter()
    for true, found in pairs:
        both = set(true) & set(found)
        counts.update(both=len(both), true=len(set(true)), found=len(set(found)))
    return counts["both"] / max(1, counts["found"]), counts["both"] / max(1, counts["true"])


def _pairs(reasons: Mapping[str, frozenset[str]]) -> set[tuple[str, str]]:
    return {(rebate, reason) for rebate, names in reasons.items() for reason in names}


def _one(url: URL, sizes: Sizes, seed: int) -> Compared:
    agent = f"seed{seed}"
    world = _world(agent, sizes, seed)
    end = epoch_ms(sizes.end)
    rows = Rows(rebates=_rebates(world, end), bets=_bets(world, end), as_of=end, random=Random(seed))
    bend(rows, share=sizes.share)
    with connect(url, autocommit=True) as connection, connection.transaction():
        _declare(connection, agent, sizes)
        _stage(connection, agent, rows, _bets(world, epoch_ms(sizes.end - 12 * HOUR)))
    days = [(FIRST_DAY + number * DAY).date() for number in range(sizes.days)]
    # No bet lies before the first of all: without a lookback the first day is provable too.
    judge_days(url, agent=agent, days=days, settings=ReconSettings(bet_lookback=timedelta(0)))
    return _compare(url, agent, rows, world)


def _world(agent: str, sizes: Sizes, seed: int) -> LuckoWorld:
    config = SimConfig(
        seed=seed,
        agents=(LuckoAgent(agent_id=agent, sign_key="key", users=sizes.users, bets_per_hour=sizes.bets_per_hour),),
        break_share=0.2,
        now=epoch_ms(sizes.end),
        activity_from=epoch_ms(FIRST_DAY),
        activity_until=epoch_ms(FIRST_DAY + sizes.days * DAY),
    )
    return World(config, WorldClock(frozen_at=epoch_ms(sizes.end))).lucko[agent]


def _rebates(world: LuckoWorld, as_of: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(json_answer(world.rebates(epoch_ms(FIRST_DAY), as_of, as_of=as_of)).body)
    return rows


def _bets(world: LuckoWorld, as_of: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(json_answer(world.bets(epoch_ms(FIRST_DAY), as_of + 1, as_of=as_of)).body)
    return rows


def _declare(connection: psycopg.Connection, agent: str, sizes: Sizes) -> None:
    start = FIRST_DAY - BEFORE
    connection.execute(
        """INSERT INTO ops.agents (provider, agent, feed, start_at, stop_at, slice_width, slice_anchor, lag)
           VALUES ('lucko', %s, 'bets', %s, %s, '1 hour', '0', '2 minutes')""",
        (agent, start, sizes.end),
    )
    connection.execute(
        """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
               rows, landing_uri, sha256, pulled_at, finished_at)
           VALUES (%(agent)s, 'lucko', 'bets', %(agent)s, %(start)s, %(end)s, 'first', 'certified', 1, 0, 'bench',
               'bench', %(end)s, %(end)s)""",
        {"agent": agent, "start": start, "end": sizes.end},
    )


def _stage(connection: psycopg.Connection, agent: str, rows: Rows, earlier: list[dict[str, Any]]) -> None:
    """Write what two readings show: *earlier* states half a day before the end, the rest at the end."""
    row = connection.execute(
        "INSERT INTO ops.loads (reading_id, provider, feed, agent) VALUES (%s, 'lucko', 'bets', %s) RETURNING load_id",
        (agent, agent),
    ).fetchone()
    assert row is not None
    now = datetime.fromtimestamp(rows.as_of / 1000, tz=UTC)
    before = now - 12 * HOUR
    parameters = {"agent": agent, "load_id": row[0], "now": now}
    known = {bet["id"]: bet for bet in earlier}
    shown = []
    for bet in rows.bets:
        is_known, is_same = bet["id"] in known, known.get(bet["id"]) == bet
        times = {"first_seen_at": before if is_known else now, "last_changed_at": before if is_same else now}
        shown.append(bet | {name: moment.isoformat() for name, moment in times.items()})
    changed = [
        known[bet["id"]] | {"last_changed_at": before.isoformat()}
        for bet in rows.bets
        if bet["id"] in known and known[bet["id"]] != bet
    ]
    for statement, content in ((_BETS, shown), (_VERSIONS, shown + changed), (_REBATES, rows.rebates)):
        connection.execute(statement.encode(), {**parameters, "rows": json.dumps(content)})
    connection.execute(_LINKS.encode(), parameters)


def _compare(url: URL, agent: str, rows: Rows, world: LuckoWorld) -> Compared:
    lookup = {bet["id"]: bet for bet in rows.bets}
    truths = {one.rebate["id"]: one for one in truth.judge(rows.rebates, lookup.get, as_of=rows.as_of)}
    planted = {row["rebate_id"]: row["kind"] for row in truth.breaks(world, epoch_ms(FIRST_DAY), rows.as_of)}
    with connect(url) as connection:
        verdicts = connection.execute(
            "SELECT rebate_id, verdict, reasons, overpaid FROM recon.rebates WHERE agent = %s", (agent,)
        ).fetchall()
        ((error,),) = connection.execute(
            """SELECT coalesce(max(greatest(
                   abs(v.difference - c.difference), abs(v.turnover - v.entitled_turnover - c.entitlement))), 0)
               FROM recon.rebates AS v
               CROSS JOIN LATERAL (
                   SELECT coalesce(sum(amount) FILTER (WHERE of = 'difference'), 0) AS difference,
                       coalesce(sum(amount) FILTER (WHERE of = 'entitlement'), 0) AS entitlement
                   FROM recon.break_components AS c WHERE c.agent = v.agent AND c.rebate_id = v.rebate_id) AS c
               WHERE v.agent = %s AND v.verdict = 'break'""",
            (agent,),
        ).fetchall()
    kinds = {rebate: names | ({planted[rebate]} if rebate in planted else set()) for rebate, names in _kinds(rows)}
    return Compared(
        rebates=len(rows.rebates),
        true={rebate: one.reasons for rebate, one in truths.items()},
        found={rebate: frozenset(reasons) for rebate, verdict, reasons, _ in verdicts if verdict == "break"},
        wrong_amounts=sum(
            truths[rebate].overpaid != overpaid for rebate, _, _, overpaid in verdicts if rebate in truths
        ),
        sum_error=error,
        unexpected_verdicts=sum(verdict not in ("matched", "break", "failed") for _, verdict, _, _ in verdicts),
        kinds=frozenset(planted.values()).union(*rows.planted.values()) & {*BENT_BEFORE, *BENT_AFTER},
        combined=sum(len(names) > 1 for names in kinds.values()),
    )


def _kinds(rows: Rows) -> Iterable[tuple[str, set[str]]]:
    return ((rebate, set(kinds)) for rebate, kinds in rows.planted.items())
