"""Random small worlds, judged by SQL and by a plain reading of the rules in Python: both must agree on everything."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import DAY, HOUR, LAG, MINUTE, NEXT, World, tolerance

from readings import Reading
from tieout.core.recon.settings import Rounding

D = Decimal
ZERO = D(0)
MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
FIRST, LAST = DAY - 14 * HOUR, NEXT + 8 * HOUR
HOURS = int((LAST - FIRST) / HOUR)


def hour(number: int) -> datetime:
    return FIRST + number * HOUR


@dataclass(frozen=True)
class Bet:
    id: str
    user: str
    currency: str
    turnover: D
    status: int
    updated: int  # number of an hour
    settled: datetime
    malformed: bool


@dataclass(frozen=True)
class Rebate:
    id: str
    user: str
    currency: str
    activity: str
    turnover: D
    rate: D
    amount: D
    status: int
    created: datetime
    bets: tuple[str, ...]
    wallet: str


@dataclass(frozen=True)
class ReadBets:
    start: int
    end: int
    pulled: datetime
    suspect: bool


@dataclass(frozen=True)
class Scene:
    bets: tuple[Bet, ...]
    rebates: tuple[Rebate, ...]
    readings: tuple[ReadBets, ...]
    start: datetime
    stop: datetime | None
    reach: timedelta | None
    timezone: str
    lookback: timedelta
    turnover_tolerance: D
    amount_tolerance: D
    rounding: dict[str, Rounding]
    unsettled_hours: int


# ------------------------------------------------------------------------------------------------- random worlds

CENTS = st.integers(-200, 20_000).map(lambda cents: D(cents).scaleb(-2))
BET_IDS = ("b0", "b1", "b2", "b3", "b4")


@st.composite
def bets(draw: st.DrawFn, number: int) -> Bet:
    return Bet(
        id=f"b{number}",
        user=draw(st.sampled_from(("u1", "u1", "u2"))),
        currency=draw(st.sampled_from(("USD", "USD", "VND2"))),
        turnover=draw(CENTS),
        status=draw(st.sampled_from((*[1] * 12, 0, 2, 4, 9))),
        updated=draw(st.integers(0, HOURS - 1)),
        settled=hour(draw(st.integers(0, HOURS - 1)))
        + draw(st.sampled_from((0, 1))) * timedelta(milliseconds=3599_999),
        malformed=draw(st.integers(0, 39)) == 0,
    )


@st.composite
def rebates(draw: st.DrawFn, number: int, known: tuple[Bet, ...], rounding: dict[str, Rounding]) -> Rebate:
    """Most are right as far as their bets go, then bent a little."""
    linked = draw(st.lists(st.sampled_from(BET_IDS), max_size=4))
    if draw(st.integers(0, 3)) == 0:
        linked.append(f"phantom{draw(st.integers(0, 1))}")
    currency = draw(st.sampled_from(("USD", "USD", "VND2")))
    turnover = sum((bet.turnover for bet in known if bet.id in linked and bet.currency == currency), ZERO)
    turnover += draw(st.sampled_from((0, 0, 0, 1, -2, D("0.01"))))
    rate = draw(st.sampled_from((D(1), D("0.5"), D("1.25"))))
    amount = rounded(turnover * rate / 100, currency, rounding)
    return Rebate(
        id=f"r{number}",
        user=draw(st.sampled_from(("u1", "u1", "u2"))),
        currency=currency,
        activity=draw(st.sampled_from(("act", "act", "other"))),
        turnover=turnover,
        rate=rate,
        amount=amount + draw(st.sampled_from((0, 0, 0, 0, D("0.01"), -1))),
        status=draw(st.sampled_from((1, 1, 1, 1, 1, 0))),
        created=NEXT + draw(st.sampled_from((0, 30, 60, 130))) * MINUTE,
        bets=tuple(linked),
        wallet=draw(st.sampled_from((f"w{number}",) * 8 + ("shared", ""))),
    )


@st.composite
def readings_of(draw: st.DrawFn) -> tuple[ReadBets, ...]:
    """Usually everything is read; holes, repetitions and suspect readings are drawn beside."""
    # What is read together with the last needed hour asks for the hours up to that reading: cut behind it.
    cuts = sorted(draw(st.sets(st.integers(1, HOURS - 4), max_size=2)) | {HOURS - 3})
    pieces = list(zip([0, *cuts], [*cuts, HOURS], strict=True))
    late = st.sampled_from((0,) * 12 + (60, 200))
    found = [
        ReadBets(start, end, hour(end) + LAG + draw(late) * MINUTE, suspect=draw(st.integers(0, 19)) == 0)
        for start, end in pieces
        if draw(st.integers(0, 11))
    ]
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, HOURS - 2))
        end = draw(st.integers(start + 1, min(start + 12, HOURS)))
        found.append(ReadBets(start, end, hour(HOURS + 1), suspect=draw(st.booleans())))
    return tuple(found)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    known = tuple(draw(bets(number)) for number in range(len(BET_IDS)))
    rounding = {
        "default": Rounding(mode=draw(st.sampled_from(sorted(MODES)))),
        "VND2": Rounding(places=draw(st.sampled_from((0, 2)))),
    }
    return Scene(
        bets=known,
        rebates=tuple(draw(rebates(number, known, rounding)) for number in range(draw(st.integers(1, 5)))),
        readings=draw(readings_of()),
        start=draw(st.sampled_from((FIRST, FIRST, DAY, DAY + 90 * MINUTE))),
        stop=draw(st.sampled_from((None, None, None, NEXT + HOUR, NEXT + 150 * MINUTE))),
        reach=draw(st.sampled_from((None, None, timedelta(hours=20), timedelta(hours=30)))),
        timezone=draw(st.sampled_from(("UTC", "UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"))),
        lookback=draw(st.sampled_from((timedelta(0), timedelta(hours=2), timedelta(hours=5)))),
        turnover_tolerance=draw(st.sampled_from((ZERO, ZERO, D(1)))),
        amount_tolerance=draw(st.sampled_from((ZERO, ZERO, D("0.01")))),
        rounding=rounding,
        unsettled_hours=draw(st.sampled_from((0, 3, 12, 14 * 24))),
    )


# ------------------------------------------------------------------------------------------------- the rules, plainly


def rounded(amount: D, currency: str, rounding: dict[str, Rounding]) -> D:
    rule = rounding.get(currency, rounding["default"])
    return amount.quantize(D(1).scaleb(-rule.places), MODES[rule.mode])


def payment(rebate: Rebate) -> tuple[Any, ...]:
    """What two payments of one day have in common when the second is one too many."""
    return rebate.activity, rebate.user, rebate.currency, frozenset(rebate.bets)


@dataclass
class Oracle:
    """Judges a scene hour by hour and bet by bet."""

    scene: Scene
    certified: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    first_read: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for reading in self.scene.readings:
            numbers = range(reading.start, reading.end)
            if self.is_suspect(reading):
                self.held |= set(numbers)
                continue
            self.certified |= set(numbers)
            for number in numbers:
                self.first_read[number] = min(self.first_read.get(number, reading.pulled), reading.pulled)

    def is_suspect(self, reading: ReadBets) -> bool:
        inside = (bet for bet in self.scene.bets if reading.start <= bet.updated < reading.end)
        return reading.suspect or any(bet.malformed for bet in inside)

    def was_read(self, bet: Bet) -> bool:
        return any(reading.start <= bet.updated < reading.end for reading in self.scene.readings)

    @property
    def stored(self) -> dict[str, Bet]:
        return {bet.id: bet for bet in self.scene.bets if self.was_read(bet) and not bet.malformed}

    @property
    def rejected(self) -> set[str]:
        return {bet.id for bet in self.scene.bets if self.was_read(bet) and bet.malformed}

    def ours(self, number: int) -> bool:
        scene = self.scene
        return scene.start <= hour(number) and (scene.stop is None or hour(number) < scene.stop)

    def lost(self, number: int) -> bool:
        newest = max([LAST + LAG, *(reading.pulled for reading in self.scene.readings)])
        out = self.scene.reach is not None and hour(number) < newest - self.scene.reach
        return out and number not in self.held

    def could_hold(self, rebate: Rebate) -> list[int]:
        opens = DAY.replace(tzinfo=ZoneInfo(self.scene.timezone)) - self.scene.lookback
        closes = rebate.created + HOUR
        return [n for n in range(-30, HOURS + 30) if hour(n) <= closes and hour(n + 1) > opens]

    def needed(self, rebate: Rebate) -> list[int]:
        base = self.could_hold(rebate)
        read = max((self.first_read[n] for n in base if n in self.first_read), default=hour(base[-1]))
        return base + [n for n in range(base[-1] + 1, HOURS + 30) if hour(n) < read]

    def judge(self, rebate: Rebate) -> dict[str, Any]:
        scene, stored = self.scene, self.stored
        linked = set(rebate.bets)
        known = [stored[bet_id] for bet_id in linked if bet_id in stored]
        gaps = [n for n in self.needed(rebate) if self.ours(n) and n not in self.certified]
        lost = [n for n in gaps if self.lost(n)]
        open_ = [n for n in gaps if not self.lost(n)]
        missing = linked - stored.keys() - self.rejected
        unread = bool(linked and open_)
        rejected, unsettled = linked & self.rejected, [bet for bet in known if bet.status == 0]
        own = [bet for bet in unsettled if bet.currency == rebate.currency]
        untold = [bet for bet in own if self.unread_until_due(bet) and not self.readable_until_due(bet)]
        undecided = bool(unread or rejected or len(own) > len(untold))
        awaited = {n for bet in own for n in self.readable_until_due(bet)} | self.rejecting(rejected)
        never = bool(missing and (lost or not all(map(self.ours, self.could_hold(rebate)))))
        never |= any(bet.updated < number + 1 for bet in known for number in lost[-1:])

        sums = sum((b.turnover for b in known if b.status == 1 and b.currency == rebate.currency), ZERO)
        difference = rebate.turnover - sums
        expected = rounded(rebate.turnover * rebate.rate / 100, rebate.currency, scene.rounding)
        before = self.before(rebate)
        foreign = {bet.id for bet in known if (bet.user, bet.currency) != (rebate.user, rebate.currency)}
        voided = {bet.id for bet in known if bet.status not in (0, 1)}
        reused = {bet_id for bet_id in linked if rebate.bets.count(bet_id) > 1}
        reused |= linked & {bet_id for other in before if other.activity == rebate.activity for bet_id in other.bets}
        overdue = {
            bet.id
            for bet in unsettled
            if set(range(bet.updated, bet.updated + scene.unsettled_hours)) <= self.certified
        }
        certain = {
            reason
            for reason, holds in {
                "missing_bet": missing and not (unread or never),
                "amount": abs(rebate.amount - expected) > scene.amount_tolerance,
                "voided_bet": voided,
                "foreign_bet": foreign,
                "reused_bet": reused,
                "unsettled_bet": overdue,
                "wallet_txn_missing": not rebate.wallet,
                "wallet_txn_reused": rebate.wallet and any(other.wallet == rebate.wallet for other in before),
                "paid_twice": any(payment(other) == payment(rebate) for other in before),
            }.items()
            if holds
        }
        dependent = {"missing_bet"} if missing and (unread or never) else set()
        dependent |= {"turnover"} if abs(difference) > scene.turnover_tolerance else set()

        if rebate.status == 0:
            verdict, reasons = "failed", set()
        elif certain:
            verdict, reasons = "break", certain if undecided or never or untold else certain | dependent
        elif undecided:
            verdict, reasons = "pending", set()
        elif never or untold:
            verdict, reasons = "unprovable", set()
        else:
            verdict, reasons = ("break", dependent) if dependent else ("matched", set())
        waits = undecided and rebate.status != 0
        why = "rejected" if rejected else "not_fetched" if unread else "unsettled"
        entitled = rounded(self.entitled_turnover(rebate, known) * rebate.rate / 100, rebate.currency, scene.rounding)
        return {
            "verdict": verdict,
            "reasons": reasons,
            "provisional_reasons": dependent if waits else set(),
            "pending_reason": why if waits else None,
            "waits_for": {hour(n) for n in awaited.union(open_ if linked else ())} if waits else set(),
            "linked_bets": len(linked),
            "difference": difference,
            "expected_amount": expected,
            "entitled": entitled,
            "overpaid": rebate.amount - entitled,
            **{
                name: sorted(ids) if rebate.status else []
                for name, ids in {
                    "missing_ids": missing, "voided_ids": voided, "foreign_ids": foreign, "reused_ids": reused,
                    "unsettled_ids": overdue,
                }.items()
            },
        }  # fmt: skip

    def unread_until_due(self, bet: Bet) -> list[int]:
        """The hours in which an unsettled bet may have settled in time and of which nothing is certified."""
        return [n for n in range(bet.updated, bet.updated + self.scene.unsettled_hours) if n not in self.certified]

    def readable_until_due(self, bet: Bet) -> list[int]:
        """Of these the hours that can still be read."""
        return [n for n in self.unread_until_due(bet) if self.ours(n) and not self.lost(n)]

    def rejecting(self, bet_ids: set[str]) -> set[int]:
        """The hours of the readings in which rows of these bets were set aside."""
        moments = {bet.updated for bet in self.scene.bets if bet.id in bet_ids}
        return {
            n
            for reading in self.scene.readings
            if any(reading.start <= moment < reading.end for moment in moments)
            for n in range(reading.start, reading.end)
        }

    def before(self, rebate: Rebate) -> list[Rebate]:
        """The successful rebates made before this one."""
        return [
            other
            for other in self.scene.rebates
            if other.status == 1 and (other.created, other.id) < (rebate.created, rebate.id)
        ]

    def entitled_turnover(self, rebate: Rebate, known: list[Bet]) -> D:
        earlier = {
            bet_id for other in self.before(rebate) if other.activity == rebate.activity for bet_id in other.bets
        }
        return sum(
            (
                bet.turnover
                for bet in known
                if bet.status == 1 and (bet.currency, bet.user) == (rebate.currency, rebate.user)
                and bet.id not in earlier
            ),
            ZERO,
        )  # fmt: skip

    def daily(self) -> dict[str, dict[str, Any]]:
        zone = ZoneInfo(self.scene.timezone)
        claimed = {bet_id for rebate in self.scene.rebates if rebate.status for bet_id in rebate.bets}
        settled = [
            bet for bet in self.stored.values() if bet.status == 1 and bet.settled.astimezone(zone).date() == DAY.date()
        ]
        days = {}
        for currency in {bet.currency for bet in settled} | {rebate.currency for rebate in self.scene.rebates}:
            inside = [bet for bet in settled if bet.currency == currency]
            free = [bet for bet in inside if bet.id not in claimed]
            all_ = [(rebate, self.judge(rebate)) for rebate in self.scene.rebates if rebate.currency == currency]
            paid = [(rebate, found) for rebate, found in all_ if rebate.status]
            verdicts = [found["verdict"] for _, found in paid]
            row = {
                "bets": len(inside),
                "bet_turnover": sum((bet.turnover for bet in inside), ZERO),
                "unclaimed_bets": len(free),
                "unclaimed_turnover": sum((bet.turnover for bet in free), ZERO),
                "rebates": len(paid),
                "rebates_failed": len(all_) - len(paid),
                "rebated_turnover": sum((rebate.turnover for rebate, _ in paid), ZERO),
                "paid": sum((rebate.amount for rebate, _ in paid), ZERO),
                "expected": sum((found["expected_amount"] for _, found in paid), ZERO),
                "entitled": sum((found["entitled"] for _, found in paid), ZERO),
                "overpaid": sum((max(found["overpaid"], ZERO) for _, found in paid), ZERO),
                "underpaid": sum((max(-found["overpaid"], ZERO) for _, found in paid), ZERO),
                "matched": verdicts.count("matched"),
                "pending": verdicts.count("pending"),
                "broken": verdicts.count("break"),
                "unprovable": verdicts.count("unprovable"),
            }
            days[currency] = row | {"difference": row["paid"] - row["expected"]}
        return days


# ------------------------------------------------------------------------------------------------- both must agree


def enact(scene: Scene, world: World) -> None:
    """Write the scene down and read it."""
    world.declare(scene.start, scene.stop, reach=scene.reach)
    for bet in scene.bets:
        raw = {"valid_bet_turnover": "?"} if bet.malformed else {}
        world.bet(
            bet.id, str(bet.turnover), user=bet.user, currency=bet.currency, status=bet.status,
            updated=hour(bet.updated), settled=bet.settled, **raw,
        )  # fmt: skip
    for rebate in scene.rebates:
        world.rebate(
            rebate.id, rebate.bets, str(rebate.turnover), str(rebate.amount), rate=str(rebate.rate), user=rebate.user,
            currency=rebate.currency, status=rebate.status, created=rebate.created, activity=rebate.activity,
            wallet=rebate.wallet,
        )  # fmt: skip
    world.read_rebates(FIRST, LAST)
    for reading in scene.readings:
        problem = "the control total moved" if reading.suspect else None
        world.read_bets(hour(reading.start), hour(reading.end), pulled=reading.pulled, problem=problem)


def hours_of(ranges: list[tuple[datetime, datetime]] | None) -> set[datetime]:
    return {start + n * HOUR for start, end in ranges or () for n in range(int((end - start) / HOUR))}


@settings(
    max_examples=50, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(scene=scenes())
def test_the_judge_agrees_with_the_rules(scene: Scene, reading: type[Reading], db: psycopg.Connection) -> None:
    world = World(reading, db, agent=f"oracle-{uuid.uuid4().hex[:12]}")
    enact(scene, world)
    world.judge(
        timezone=scene.timezone,
        bet_lookback=scene.lookback,
        tolerances=tolerance(turnover=scene.turnover_tolerance, amount=scene.amount_tolerance),
        rounding=scene.rounding,
        unsettled_after=scene.unsettled_hours * HOUR,
    )
    oracle = Oracle(scene)
    expected = {rebate.id: oracle.judge(rebate) for rebate in scene.rebates}
    verdicts = world.verdicts()
    found = {
        rebate_id: {
            name: set(verdict.row[name]) if name.endswith("reasons") else verdict.row[name] for name in expected["r0"]
        } | {"waits_for": hours_of(verdict.waits_for)}
        for rebate_id, verdict in verdicts.items()
    }  # fmt: skip
    assert found == expected
    daily = {currency: row for (day, currency), row in world.daily().items() if day == DAY.date()}
    assert {
        currency: {name: daily[currency][name] for name in row} for currency, row in oracle.daily().items()
    } == oracle.daily()
    assert daily.keys() == oracle.daily().keys()
    assert {key for key in world.breaks()} == {
        (rebate_id, reason) for rebate_id, row in expected.items() for reason in row["reasons"]
    }
