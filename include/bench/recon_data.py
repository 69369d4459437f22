"""Rebates, links and bets of one Lucko agent in bulk: seeded, written by COPY past the loader, as a load leaves them.

Every rebate names its user's bets of one day. One rebate in a hundred is broken: it states too much, was paid too
much, names a bet nobody reports, or names a bet of the rebate before it. All slices are certified.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
from psycopg import sql

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CENT = Decimal("0.01")
BROKEN = ("turnover", "amount", "missing_bet", "reused_bet")
READING = "bench"

_BETS = (
    "agent id user_id game_id bet_time settle_time bet_amount valid_bet_turnover currency update_time status "
    "reading_id load_id first_seen_at last_changed_at"
)
_VERSIONS = (
    "agent id user_id game_id bet_time settle_time bet_amount valid_bet_turnover currency update_time status "
    "reading_id load_id pulled_at"
)
_REBATES = (
    "agent id activity_id user_id date currency turnover rate rebate_amount wallet_txn_id status create_time txn_ids "
    "reading_id load_id first_seen_at last_changed_at"
)
_REBATE_VERSIONS = (
    "agent id activity_id user_id date currency turnover rate rebate_amount wallet_txn_id status create_time txn_ids "
    "reading_id load_id pulled_at"
)
_LINKS = "agent rebate_id bet_id times load_id"


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """How much of it: ``rebates`` over ``days``, each naming ``bets_per_rebate`` bets of its own."""

    agent: str = "bulk"
    rebates: int = 200_000
    bets_per_rebate: int = 10
    days: int = 20
    seed: int = 1

    @property
    def users(self) -> int:
        """How many users there are: each has one rebate a day."""
        return self.rebates // self.days

    @property
    def end(self) -> datetime:
        """The end of the last settlement day."""
        return FIRST_DAY + self.days * DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bet:
    id: str
    placed: datetime
    settled: datetime
    turnover: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rebate:
    id: str
    user: str
    day: datetime
    created: datetime
    turnover: Decimal
    amount: Decimal
    named: tuple[str, ...]
    bets: tuple[_Bet, ...]


def write(connection: psycopg.Connection, bulk: Bulk) -> int:
    """Write the agent, its certificates and its rows in one transaction; returns the load_id they carry."""
    with connection.transaction():
        load_id = _declare(connection, bulk)
        _copy_bets(connection, bulk, load_id)
        _copy_rebates(connection, bulk, load_id)
    for name in ("lucko_bets", "lucko_bet_versions", "lucko_rebates", "lucko_rebate_versions", "lucko_rebate_bets"):
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier("staging", name)))
    return load_id


def restate(connection: psycopg.Connection, bulk: Bulk, *, bets: int, seed: int) -> int:
    """Halve the turnover of *bets* bets of the last day as one load does; returns its load_id."""
    chance = random.Random(f"restate {seed}")
    first = bulk.rebates * (bulk.days - 1) // bulk.days
    numbers = chance.sample(range(first * bulk.bets_per_rebate, bulk.rebates * bulk.bets_per_rebate), bets)
    ids = [_bet_id(number // bulk.bets_per_rebate, number % bulk.bets_per_rebate) for number in numbers]
    moment = bulk.end + timedelta(hours=5)
    with connection.transaction():
        load_id = _new_load(connection, bulk, "bets", moment, moment + timedelta(hours=1))
        parameters = {"agent": bulk.agent, "ids": ids, "load_id": load_id, "moment": moment}
        connection.execute(
            """UPDATE staging.lucko_bets SET valid_bet_turnover = round(valid_bet_turnover / 2, 2),
                   update_time = %(moment)s, load_id = %(load_id)s, last_changed_at = %(moment)s
               WHERE agent = %(agent)s AND id = ANY(%(ids)s)""",
            parameters,
        )
        connection.execute(
            """INSERT INTO staging.lucko_bet_versions (agent, id, user_id, game_id, bet_time, settle_time, bet_amount,
                   valid_bet_turnover, currency, update_time, status, pulled_at, reading_id, load_id)
               SELECT agent, id, user_id, game_id, bet_time, settle_time, bet_amount, valid_bet_turnover, currency,
                   update_time, status, %(moment)s, reading_id, load_id
               FROM staging.lucko_bets WHERE agent = %(agent)s AND id = ANY(%(ids)s)""",
            parameters,
        )
    return load_id


def _declare(connection: psycopg.Connection, bulk: Bulk) -> int:
    start, end = FIRST_DAY - 3 * DAY, bulk.end + DAY
    connection.execute(
        """INSERT INTO ops.agents (provider, agent, feed, start_at, slice_width, slice_anchor, lag)
           VALUES ('lucko', %s, 'bets', %s, '1 hour', '0', '2 minutes')""",
        (bulk.agent, start),
    )
    load_id = _new_load(connection, bulk, "bets", start, end)
    connection.execute(
        """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
               rows, landing_uri, sha256, pulled_at, finished_at)
           SELECT %(reading)s || s::text, 'lucko', 'bets', %(agent)s, s, s + interval '1 hour', 'first', 'certified',
               1, 0, 'bench', 'bench', s + interval '62 minutes', s + interval '62 minutes'
           FROM generate_series(%(start)s::timestamptz, %(end)s - interval '1 hour', interval '1 hour') AS s""",
        {"reading": READING, "agent": bulk.agent, "start": start, "end": end},
    )
    return load_id


def _new_load(connection: psycopg.Connection, bulk: Bulk, feed: str, start: datetime, end: datetime) -> int:
    row = connection.execute(
        """INSERT INTO ops.loads (reading_id, provider, feed, agent) VALUES (%s, 'lucko', %s, %s) RETURNING load_id""",
        (f"{READING} {start:%Y-%m-%dT%H}-{end:%Y-%m-%dT%H}", feed, bulk.agent),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _bet_id(rebate: int, number: int) -> str:
    # Spread over the key space like the provider's own ids: neighbours in time are no neighbours in the index.
    return f"{(rebate * 2_654_435_761) % 2**32:08x}{rebate:08x}{number:08x}"


def _rebate(bulk: Bulk, number: int) -> _Rebate:
    chance = random.Random(f"{bulk.seed} {number}")
    day = FIRST_DAY + (number * bulk.days // bulk.rebates) * DAY
    bets = tuple(_bet(chance, day, number, n) for n in range(bulk.bets_per_rebate))
    turnover = sum((bet.turnover for bet in bets), Decimal(0))
    named = tuple(bet.id for bet in bets)
    amount = (turnover * CENT).quantize(CENT, ROUND_HALF_UP)
    kind = BROKEN[number // 100 % len(BROKEN)] if number % 100 == 99 else ""
    if kind == "turnover":
        turnover, amount = turnover + 100, ((turnover + 100) * CENT).quantize(CENT, ROUND_HALF_UP)
    elif kind == "amount":
        amount += CENT
    elif kind == "missing_bet":
        named = (*named, f"ffffffff{number:016x}")
    elif kind == "reused_bet":
        named = (*named, _bet_id(number - 1, 0))
    return _Rebate(
        id=f"{number:024x}",
        user=f"user{number % bulk.users:06d}",
        day=day,
        created=day + DAY + timedelta(seconds=chance.randrange(60, 3000)),
        turnover=turnover,
        amount=amount,
        named=named,
        bets=bets,
    )


def _bet(chance: random.Random, day: datetime, rebate: int, number: int) -> _Bet:
    placed = day + timedelta(seconds=chance.randrange(86_000))
    return _Bet(
        id=_bet_id(rebate, number),
        placed=placed,
        settled=placed + timedelta(seconds=30),
        turnover=Decimal(chance.randrange(100, 100_000)).scaleb(-2),
    )


def _rebates(bulk: Bulk) -> Iterator[_Rebate]:
    return (_rebate(bulk, number) for number in range(bulk.rebates))


def _copy_bets(connection: psycopg.Connection, bulk: Bulk, load_id: int) -> None:
    def rows(*, versions: bool) -> Iterator[tuple[Any, ...]]:
        for rebate in _rebates(bulk):
            for bet in rebate.bets:
                pulled = bet.settled + timedelta(hours=1)
                head = (
                    bulk.agent, bet.id, rebate.user, "101", bet.placed, bet.settled, bet.turnover, bet.turnover, "USD",
                    bet.settled, 1, READING, load_id, pulled,
                )  # fmt: skip
                yield head if versions else (*head, pulled)

    _copy(connection, "lucko_bets", _BETS, rows(versions=False))
    _copy(connection, "lucko_bet_versions", _VERSIONS, rows(versions=True))


def _copy_rebates(connection: psycopg.Connection, bulk: Bulk, load_id: int) -> None:
    def rows(*, versions: bool) -> Iterator[tuple[Any, ...]]:
        for rebate in _rebates(bulk):
            ids = "[" + ",".join(f'"{bet_id}"' for bet_id in rebate.named) + "]"
            head = (
                bulk.agent, rebate.id, "activity", rebate.user, rebate.day, "USD", rebate.turnover, 1, rebate.amount,
                f"w{rebate.id}", 1, rebate.created, ids, READING, load_id, rebate.created,
            )  # fmt: skip
            yield head if versions else (*head, rebate.created)

    _copy(connection, "lucko_rebates", _REBATES, rows(versions=False))
    _copy(connection, "lucko_rebate_versions", _REBATE_VERSIONS, rows(versions=True))
    links = (
        (bulk.agent, rebate.id, bet_id, 1, load_id) for rebate in _rebates(bulk) for bet_id in sorted(rebate.named)
    )
    _copy(connection, "lucko_rebate_bets", _LINKS, links)


def _copy(connection: psycopg.Connection, table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("staging", table), sql.SQL(", ").join(map(sql.Identifier, columns.split()))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
