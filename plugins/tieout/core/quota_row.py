"""One row of ``ops.quota``: the statements that queue for it, take its next slot and push it back."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from tieout.core.steady import SteadyConnection

#: Slots lie this factor apart: what differs between the ways of two calls, and clocks, must fit into the rest.
SPACING = 1.02
#: A caller of a class below the highest is overtaken for at most this many slots per class, and never for longer than
#: ``LONGEST_PATIENCE`` per class: nobody starves, not even below the time a caller waits at most.
PATIENCE_SLOTS = 10
LONGEST_PATIENCE = timedelta(seconds=100)
#: A widened spacing ends when no throttle answer has come for this long.
WIDENED_FOR = timedelta(hours=24)
#: For how many hours, the present one included, the use of a row is kept by the hour.
USED_HOURS = 25
#: A caller in the queue shows that it lives at least this often; one that does not is passed over.
LONGEST_NAP = timedelta(seconds=30)
#: How long after its time a caller in the queue is waited for: half a slot, at most this long.
LONGEST_GRACE = timedelta(seconds=2)

#: One statement and no lock held while anybody sleeps. The row is locked first and the clock is read behind the lock:
#: whoever waited for it would otherwise reckon with an instant long past.
_TAKE_TURN = """
WITH locked AS MATERIALIZED (
    SELECT * FROM ops.quota
    WHERE provider = %(provider)s AND endpoint = %(endpoint)s AND merchant_id = %(merchant_id)s
    FOR UPDATE
),
timed AS MATERIALIZED (
    SELECT locked.*, coalesce(%(at)s, clock_timestamp()) AS now FROM locked
),
held AS (
    SELECT
        timed.*,
        coalesce(greatest(widened_at, throttled_at) + %(widened_for)s <= now, false) AND widened_at IS NOT NULL
            AS narrowed,
        -- A slot its caller woke too late for goes back, unless somebody reckons with it already.
        CASE WHEN next_free_at = %(held_until)s THEN %(held)s ELSE next_free_at END AS free_at
    FROM timed
),
spaced AS (
    SELECT
        held.*,
        greatest(%(spacing)s, coalesce(CASE WHEN NOT narrowed THEN min_interval END, '0') * %(factor)s) AS spacing
    FROM held
),
ranked AS (
    SELECT
        spaced.*,
        coalesce(%(turn)s, now + %(class)s * least(spacing * %(patience)s, %(longest_patience)s)) AS turn
    FROM spaced
),
queued AS (
    SELECT ranked.*, queue.ahead, queue.others
    FROM ranked
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE ((w.entry ->> 'turn')::timestamptz, w.caller) < (turn, %(caller)s)) AS ahead,
            coalesce(jsonb_object_agg(w.caller, w.entry), '{}') AS others
        FROM jsonb_each(waiting) AS w (caller, entry)
        WHERE w.caller <> %(caller)s AND (w.entry ->> 'until')::timestamptz > now
    ) AS queue
),
decided AS MATERIALIZED (
    SELECT
        queued.*,
        ahead = 0 AND free_at <= now + %(lead)s AS granted,
        greatest(free_at, now + %(margin)s) + ahead * spacing AS slot,
        floor(extract(EPOCH FROM now) / 3600)::bigint::text AS hour
    FROM queued
)
UPDATE ops.quota AS q SET
    next_free_at = CASE WHEN d.granted THEN d.slot + d.spacing ELSE d.free_at END,
    min_interval = CASE WHEN NOT d.narrowed THEN d.min_interval END,
    widened_at = CASE WHEN NOT d.narrowed THEN d.widened_at END,
    waiting = CASE
        WHEN d.granted THEN d.others
        ELSE d.others || jsonb_build_object(%(caller)s, jsonb_build_object(
            'class', %(class)s, 'turn', d.turn,
            'until', least(d.slot, d.now + %(longest_nap)s) + least(d.spacing / 2, %(longest_grace)s)
        ))
    END,
    reserved = d.reserved + d.granted::integer,
    given_up = d.given_up + (%(held)s IS NOT NULL)::integer,
    used = CASE
        WHEN NOT d.granted AND %(held)s IS NULL THEN d.used
        ELSE (
            SELECT coalesce(jsonb_object_agg(u.hour, u.amount), '{}')
            FROM jsonb_each(d.used) AS u (hour, amount)
            WHERE u.hour::bigint > d.hour::bigint - %(used_hours)s
        ) || jsonb_build_object(d.hour, jsonb_build_object(
            -- A slot that was given up takes its call back, and its time where nobody reckoned with it yet.
            'calls', coalesce((d.used -> d.hour ->> 'calls')::bigint, 0)
            + d.granted::integer - (%(held)s IS NOT NULL)::integer,
            'seconds', coalesce((d.used -> d.hour ->> 'seconds')::numeric, 0)
            + CASE WHEN d.granted THEN extract(EPOCH FROM d.spacing) ELSE 0 END
            - coalesce(CASE WHEN d.next_free_at = %(held_until)s
                THEN extract(EPOCH FROM %(held_until)s::timestamptz - %(held)s::timestamptz) END, 0)
        ))
    END,
    updated_at = d.now
FROM decided AS d
WHERE q.provider = %(provider)s AND q.endpoint = %(endpoint)s AND q.merchant_id = %(merchant_id)s
RETURNING d.granted, d.slot, q.next_free_at, d.now, d.turn, d.ahead, d.narrowed
"""

_CREATE = """
INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at)
VALUES (%(provider)s, %(endpoint)s, %(merchant_id)s, 'epoch')
ON CONFLICT DO NOTHING
RETURNING 1
"""

_PUSH_BACK = """
INSERT INTO ops.quota AS q
    (provider, endpoint, merchant_id, next_free_at, min_interval, widened_at, widened, throttled, throttled_at)
SELECT
    %(provider)s, %(endpoint)s, %(merchant_id)s, t.now + %(delay)s, %(widen_to)s::interval,
    CASE WHEN %(widen_to)s::interval IS NOT NULL THEN t.now END, (%(widen_to)s::interval IS NOT NULL)::integer, 1, t.now
FROM (SELECT coalesce(%(at)s, clock_timestamp()) AS now) AS t
ON CONFLICT (provider, endpoint, merchant_id) DO UPDATE SET
    -- Moved in any case: a slot that was taken before is not given back into a ban.
    next_free_at = greatest(q.next_free_at + interval '1 microsecond', excluded.next_free_at),
    min_interval = greatest(q.min_interval, excluded.min_interval),
    widened_at = CASE
        WHEN excluded.min_interval > coalesce(q.min_interval, '0') THEN excluded.widened_at ELSE q.widened_at
    END,
    widened = q.widened + coalesce(excluded.min_interval > coalesce(q.min_interval, '0'), false)::integer,
    throttled = q.throttled + 1,
    throttled_at = excluded.throttled_at,
    updated_at = excluded.throttled_at
RETURNING q.min_interval, q.widened_at = q.throttled_at
"""

_PUT_OFF = """
WITH locked AS MATERIALIZED (
    SELECT next_free_at FROM ops.quota
    WHERE provider = %(provider)s AND endpoint = %(endpoint)s AND merchant_id = %(merchant_id)s
    FOR UPDATE
)
UPDATE ops.quota AS q SET
    -- Moved in any case: whoever took the next slot already, and misses it, must not get it back near the late call.
    next_free_at = greatest(locked.next_free_at + interval '1 microsecond', %(free_from)s + %(late)s),
    updated_at = coalesce(%(at)s, clock_timestamp())
FROM locked
WHERE q.provider = %(provider)s AND q.endpoint = %(endpoint)s AND q.merchant_id = %(merchant_id)s
RETURNING locked.next_free_at = %(free_from)s
"""

_NOW = "SELECT coalesce(%(at)s, clock_timestamp())"


class Priority(IntEnum):
    """Who goes first when several wait for one row: the lower number."""

    LIVE = 0
    BACKFILL = 1
    REVISIT = 2
    REPAIR = 3

    @classmethod
    def of_kind(cls, kind: str) -> Priority:
        """Return the class of a reading's kind (``first``, ``backfill``, ``revisit``, ``control``, ``repair``)."""
        kinds = {"backfill": cls.BACKFILL, "revisit": cls.REVISIT, "control": cls.REVISIT, "repair": cls.REPAIR}
        return kinds.get(kind, cls.LIVE)


@dataclass(frozen=True, kw_only=True)
class QuotaKey:
    """What a provider counts calls by."""

    provider: str
    endpoint: str
    merchant_id: str

    def __str__(self) -> str:
        return f"{self.provider} {self.endpoint} of merchant {self.merchant_id}"


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A caller's place in the queue of a row. ``turn``: the instant it queues by, given with its first statement.

    ``held``, ``held_until``: the slot it had and was too late for, and the end of that slot; ``missed``: how often.
    """

    key: QuotaKey
    interval: timedelta
    priority: Priority
    caller: str
    turn: datetime | None = None
    held: datetime | None = None
    held_until: datetime | None = None
    missed: int = 0

    @classmethod
    def of(cls, key: QuotaKey, interval: timedelta, priority: Priority) -> Ticket:
        """Return a new ticket under a name that says who waits and that nobody else has."""
        caller = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        return cls(key=key, interval=interval, priority=priority, caller=caller)

    def after(self, step: Step, *, missed: bool = False) -> Ticket:
        """Return the ticket for the next statement."""
        return replace(
            self,
            turn=step.turn,
            held=step.slot if missed else None,
            held_until=step.free_from if missed else None,
            missed=self.missed + missed,
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """The row's answer. ``granted``: ``slot`` is this caller's, and the next one is free from ``free_from``.

    Otherwise ``slot`` is when its turn will probably come, with ``ahead`` callers before it. ``now``: the database's
    clock. ``narrowed``: a widened spacing has just ended.
    """

    granted: bool
    slot: datetime
    free_from: datetime
    now: datetime
    turn: datetime
    ahead: int
    narrowed: bool


@dataclass(frozen=True, kw_only=True)
class PushedBack:
    """The row after a throttle answer: the spacing all calls keep at least (None: as declared), and if it is new."""

    min_interval: timedelta | None
    widened: bool


class QuotaRows:
    """The rows of ``ops.quota`` through one connection. ``clock``: an instant to take for now, None: the database's."""

    def __init__(self, connection: SteadyConnection, clock: Callable[[], datetime | None] = lambda: None) -> None:
        self._connection = connection
        self._clock = clock

    def take_turn(self, ticket: Ticket, *, lead: timedelta, margin: timedelta) -> Step:
        """Queue for the next slot, or take it when it begins within *lead* and nobody is before this caller.

        A slot begins *margin* after now at the earliest, so that the answer can arrive before it does.
        """
        parameters = {
            **_key(ticket.key),
            "at": self._clock(),
            "spacing": ticket.interval * SPACING,
            "factor": SPACING,
            "class": int(ticket.priority),
            "caller": ticket.caller,
            "turn": ticket.turn,
            "held": ticket.held,
            "held_until": ticket.held_until,
            "lead": lead,
            "margin": margin,
            "patience": PATIENCE_SLOTS,
            "longest_patience": LONGEST_PATIENCE,
            "widened_for": WIDENED_FOR,
            "used_hours": USED_HOURS,
            "longest_nap": LONGEST_NAP,
            "longest_grace": LONGEST_GRACE,
        }
        row = self._connection.row(_TAKE_TURN, parameters)
        if row is None:
            self._connection.row(_CREATE, _key(ticket.key))
            row = self._connection.row(_TAKE_TURN, parameters)
        assert row is not None
        granted, slot, free_from, now, turn, ahead, narrowed = row
        return Step(granted=granted, slot=slot, free_from=free_from, now=now, turn=turn, ahead=ahead, narrowed=narrowed)

    def push_back(self, key: QuotaKey, delay: timedelta, widen_to: timedelta | None) -> PushedBack:
        """Free no slot before *delay* has passed; space later calls at least *widen_to* apart."""
        parameters = {**_key(key), "at": self._clock(), "delay": delay, "widen_to": widen_to}
        row = self._connection.row(_PUSH_BACK, parameters)
        assert row is not None
        return PushedBack(min_interval=row[0], widened=bool(row[1]))

    def put_off(self, key: QuotaKey, free_from: datetime, late: timedelta, *, patience: float) -> bool:
        """Free no slot before *free_from* (the end of a slot) + *late*; return whether the next one was still free.

        One that was taken is not to be held up, and those behind it are far enough away, unless the call was later than
        a whole spacing. Done twice, this does the same. A lost database is waited for *patience* seconds.
        """
        parameters = {**_key(key), "at": self._clock(), "free_from": free_from, "late": late}
        row = self._connection.row(_PUT_OFF, parameters, patience=patience)
        return row is not None and bool(row[0])

    def now(self) -> datetime:
        """Return the database's clock."""
        row = self._connection.row(_NOW, {"at": self._clock()})
        assert row is not None
        now: datetime = row[0]
        return now


def _key(key: QuotaKey) -> dict[str, str]:
    return {"provider": key.provider, "endpoint": key.endpoint, "merchant_id": key.merchant_id}
