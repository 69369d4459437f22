"""The life of a break: opened, changed, healed, reopened, accepted; every step is an event, nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from world import DAY, DAYS, HOUR, NEEDED, NEXT, World, tolerance

from tieout.core.errors import ConfigError
from tieout.core.recon import BreakKey, accept_break, verdicts_as_of

D = Decimal
LATER = NEEDED[1]


def change_bet(world: World, turnover: str, *, hours: int = 0, status: int = 1) -> None:
    """Let the provider change bet ``b`` some hours later and read that hour."""
    moment = LATER + hours * HOUR
    world.bet("b", turnover, updated=moment, settled=DAY + HOUR, status=status)
    world.read_bets(moment, moment + HOUR)


def history(world: World) -> list[tuple[str, str, Decimal]]:
    return [(reason, state, amount) for _, reason, state, amount in world.events()]


def causes(db: psycopg.Connection, world: World) -> list[str]:
    rows = db.execute(
        """SELECT e.cause FROM recon.break_events e JOIN recon.breaks b USING (break_id)
           WHERE b.agent = %s ORDER BY event_id""",
        (world.agent,),
    ).fetchall()
    return [row[0].split(";")[0] for row in rows]


def origins(db: psycopg.Connection, world: World) -> list[tuple[str | None, str | None, tuple[Any, ...]]]:
    """Return of each event the bet, the end of its cause, and the slices of the reading that brought it about."""
    return db.execute(
        """SELECT e.bet_id, split_part(e.cause, '; ', 2),
                  ARRAY(SELECT r.slice_start FROM ops.readings r WHERE r.reading_id = e.reading_id)
           FROM recon.break_events e JOIN recon.breaks b USING (break_id)
           WHERE b.agent = %s ORDER BY event_id""",
        (world.agent,),
    ).fetchall()


@pytest.fixture
def broken(world: World) -> World:
    """A rebate of 100 over bet ``b`` of 90, judged once."""
    world.rebate("r", [world.bet("b", "90")], "100", "1.00")
    world.settle().judge()
    assert history(world) == [("turnover", "open", D(10))]
    return world


def test_an_open_break(broken: World) -> None:
    (found,) = broken.breaks().values()
    assert (found["state"], found["amount"], found["overpaid"]) == ("open", D(10), D("0.10"))
    assert (found["day"], found["user_id"], found["currency"], found["bet_ids"]) == (DAY.date(), "u1", "USD", [])
    assert found["sentence"] == (
        "Rebate r of user u1 states a turnover of 100 USD; its settled bets add up to 90. "
        "The difference of 10 is: unexplained 10."
    )
    assert found["opened_at"] == found["changed_at"] == broken.verdict("r").judged_at


def test_every_reason_says_what_it_is_about(world: World) -> None:
    bets = [world.bet("good"), world.bet("void 1", "5", status=2), world.bet("void 2", "5", status=4), "phantom"]
    world.rebate("r", bets, "350", "7.00")
    world.settle().judge()
    found = world.breaks()
    assert {reason: (row["amount"], row["bet_ids"]) for (_, reason), row in found.items()} == {
        "amount": (D("3.50"), []),
        "voided_bet": (D(10), ["void 1", "void 2"]),
        "missing_bet": (D(240), ["phantom"]),
        "turnover": (D(250), ["phantom", "void 1", "void 2"]),
    }
    assert found["r", "amount"]["sentence"] == "Rebate r of user u1 paid 7.00 USD; 1% of 350 is 3.50."
    assert found["r", "voided_bet"]["sentence"] == (
        "Rebate r of user u1 names 2 bets that were cancelled or voided, once worth a turnover of 10 USD."
    )
    assert found["r", "missing_bet"]["sentence"] == (
        "Rebate r of user u1 names 1 bet that the provider does not report, presumably for a turnover of 240 USD."
    )
    assert found["r", "turnover"]["sentence"].endswith("The difference of 250 is: missing 240, voided 10.")


def test_open_healed_reopened(broken: World, db: psycopg.Connection) -> None:
    opened = broken.breaks()["r", "turnover"]
    change_bet(broken, "100")
    broken.judge()
    healed = broken.breaks()["r", "turnover"]
    assert (healed["state"], healed["break_id"], healed["opened_at"]) == (
        "healed", opened["break_id"], opened["opened_at"],
    )  # fmt: skip
    assert healed["changed_at"] > opened["changed_at"]
    broken.judge()
    change_bet(broken, "75", hours=1)
    broken.judge()
    reopened = broken.breaks()["r", "turnover"]
    assert (reopened["state"], reopened["amount"], reopened["break_id"]) == ("reopened", D(25), opened["break_id"])
    assert history(broken) == [
        ("turnover", "open", D(10)),
        ("turnover", "healed", D(10)),
        ("turnover", "reopened", D(25)),
    ]
    assert causes(db, broken) == ["found", "turnover is 100 and the settled bets add up to 100 now", "found again"]
    change_bet(broken, "100", hours=2)
    broken.judge()
    assert history(broken)[-1] == ("turnover", "healed", D(25))


def test_a_break_reopens_with_the_very_same_amount(broken: World) -> None:
    change_bet(broken, "100")
    broken.judge()
    change_bet(broken, "90", hours=1)
    broken.judge()
    assert [state for _, state, _ in history(broken)] == ["open", "healed", "reopened"]


def test_another_amount_changes_the_fingerprint_and_nothing_else(broken: World, db: psycopg.Connection) -> None:
    before = broken.breaks()["r", "turnover"]
    change_bet(broken, "95")
    broken.judge()
    after = broken.breaks()["r", "turnover"]
    assert after["fingerprint"] != before["fingerprint"]
    assert (after["state"], after["amount"], after["opened_at"]) == ("open", D(5), before["opened_at"])
    assert history(broken) == [("turnover", "open", D(10)), ("turnover", "open", D(5))]
    assert causes(db, broken)[-1] == "amount or evidence changed"


def test_other_bets_are_other_evidence_for_the_same_amount(world: World) -> None:
    world.rebate("r", ["phantom 1"], "0")
    world.settle().judge()
    before = world.breaks()["r", "missing_bet"]
    world.rebate("r", ["phantom 2"], "0")
    world.read_rebates()
    world.judge()
    after = world.breaks()["r", "missing_bet"]
    assert (before["bet_ids"], after["bet_ids"]) == (["phantom 1"], ["phantom 2"])
    assert after["fingerprint"] != before["fingerprint"]


def test_the_same_amount_written_otherwise_is_no_change(broken: World) -> None:
    before = broken.breaks()["r", "turnover"]
    change_bet(broken, "90.000")
    broken.rebate("r", ["b"], "100.00", "1.00")
    broken.read_rebates()
    broken.judge()
    (stored,) = broken.db.execute(
        "SELECT valid_bet_turnover::text FROM staging.lucko_bets WHERE agent = %s", (broken.agent,)
    ).fetchone() or (None,)
    assert stored == "90.000"
    assert broken.breaks()["r", "turnover"]["fingerprint"] == before["fingerprint"]
    assert len(history(broken)) == 1


def test_money_that_changes_beside_the_reason_is_an_event(broken: World) -> None:
    """An earlier rebate turns up that has claimed the bet: the difference stays, the overpayment grows."""
    broken.rebate("early", ["b"], "90", "0.90", day=DAY - DAYS, created=DAY)
    broken.read_rebates()
    broken.judge()
    assert broken.breaks()["r", "turnover"]["overpaid"] == D("1.00")
    assert sorted(history(broken)[1:]) == [("reused_bet", "open", D(90)), ("turnover", "open", D(10))]


def test_reasons_live_apart(world: World) -> None:
    world.rebate("r", [world.bet("b", "90")], "100", "2.00")
    world.rebate("other", [world.bet("c", "90")], "100", "1.00")
    world.settle().judge()
    change_bet(world, "100")
    world.judge()
    assert {key: row["state"] for key, row in world.breaks().items()} == {
        ("r", "amount"): "open",
        ("r", "turnover"): "healed",
        ("other", "turnover"): "open",
    }


def test_pending_is_not_healed(broken: World) -> None:
    broken.rebate("r", ["b", broken.bet("open", "10", status=0, updated=LATER)], "100", "1.00")
    broken.read_rebates()
    broken.read_bets(LATER, LATER + HOUR)
    broken.judge()
    assert broken.verdict("r").outcome == "pending"
    assert broken.breaks()["r", "turnover"]["state"] == "open"
    broken.bet("open", "10", updated=LATER + HOUR)
    broken.read_bets(LATER + HOUR, LATER + 2 * HOUR)
    broken.judge()
    assert broken.verdict("r").outcome == "matched"
    assert [state for _, state, _ in history(broken)] == ["open", "healed"]


def test_what_is_undecided_beside_a_certain_reason_is_not_healed(broken: World) -> None:
    broken.rebate("r", ["b", broken.bet("open", "10", status=0, updated=LATER)], "100", "5.00")
    broken.read_rebates()
    broken.read_bets(LATER, LATER + HOUR)
    broken.judge()
    assert broken.verdict("r").outcome == "break: amount"
    assert {reason: row["state"] for (_, reason), row in broken.breaks().items()} == {
        "turnover": "open", "amount": "open",
    }  # fmt: skip


def test_unprovable_is_not_healed(world: World) -> None:
    world.declare(start=DAY)
    world.rebate("r", [world.bet("b", "90")], "100", "1.00")
    world.settle().judge()
    world.rebate("r", ["b", "older"], "100", "1.00")
    world.read_rebates()
    world.judge()
    assert world.verdict("r").outcome == "unprovable"
    assert world.breaks()["r", "turnover"]["state"] == "open"


def test_an_amount_needs_no_bets_to_heal(world: World, db: psycopg.Connection) -> None:
    world.declare()
    world.rebate("r", ["absent"], "100", "2.00")
    world.read_rebates()
    world.judge()
    world.rebate("r", ["absent"], "100", "1.00")
    world.read_rebates()
    world.judge()
    assert world.verdict("r").outcome == "pending"
    assert history(world) == [("amount", "open", D(1)), ("amount", "healed", D(1))]
    assert causes(db, world)[-1] == "1.00 was paid and 1.00 is expected now"


def test_a_rebate_that_turns_out_failed_heals(broken: World, db: psycopg.Connection) -> None:
    broken.rebate("r", ["b"], "100", "1.00", status=0)
    broken.read_rebates()
    broken.judge()
    assert broken.breaks()["r", "turnover"]["state"] == "healed"
    assert causes(db, broken)[-1] == "the rebate is reported as failed now"


def test_a_bet_that_turns_up_or_revives_heals(world: World, db: psycopg.Connection) -> None:
    world.rebate("r", ["late", world.bet("b", "90", status=3)], "0")
    world.settle().judge()
    assert set(world.breaks()) == {("r", "missing_bet"), ("r", "voided_bet")}
    world.bet("late", "10", updated=LATER)
    change_bet(world, "-10")
    world.judge()
    assert world.verdict("r").outcome == "matched"
    assert sorted(causes(db, world)[2:]) == [
        "no bet named is cancelled or voided now",
        "the provider reports every bet named now",
    ]


def accept(db: psycopg.Connection, world: World, *, until: timedelta | None = None) -> None:
    """Let a person accept the break; an end that has passed is set afterwards, as time would."""
    soon = datetime.now(UTC) + abs(until) if until else None
    accept_break(db, BreakKey(agent=world.agent, rebate_id="r", reason="turnover"), by="ann", reason="known",
                 expires_at=soon)  # fmt: skip
    if until and until < timedelta(0):
        db.execute("UPDATE recon.breaks SET accepted_until = now() WHERE agent = %s", (world.agent,))


def test_an_accepted_break_stays_accepted_while_nothing_changes(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken, until=DAYS)
    broken.judge()
    found = broken.breaks()["r", "turnover"]
    assert (found["state"], found["accepted_by"]) == ("accepted", "ann")
    assert history(broken)[1:] == [("turnover", "accepted", D(10))]


def test_an_accepted_break_reopens_when_the_amount_changes(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken)
    change_bet(broken, "89.99")
    broken.judge()
    assert broken.breaks()["r", "turnover"]["state"] == "reopened"
    assert history(broken)[2:] == [("turnover", "reopened", D("10.01"))]
    assert causes(db, broken)[-1] == "amount or evidence changed"


def test_an_accepted_break_reopens_when_the_acceptance_expires(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken, until=-DAYS)
    broken.judge()
    assert broken.breaks()["r", "turnover"]["state"] == "reopened"
    assert causes(db, broken)[-1] == "acceptance expired"
    broken.judge()
    assert len(history(broken)) == 3


def test_an_accepted_break_heals_like_any_other(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken, until=DAYS)
    change_bet(broken, "100")
    broken.judge()
    assert history(broken)[-1] == ("turnover", "healed", D(10))


def test_another_tolerance_heals_and_reopens(broken: World) -> None:
    broken.judge(tolerances=tolerance(turnover=D(10)))
    broken.judge()
    assert [state for _, state, _ in history(broken)] == ["open", "healed", "reopened"]


def test_days_that_are_not_judged_keep_their_breaks(broken: World) -> None:
    change_bet(broken, "100")
    broken.judge(NEXT.date() + timedelta(days=0))
    assert broken.breaks()["r", "turnover"]["state"] == "open"


# ------------------------------------------------------------------------------------------ causes, acceptance, history


def test_a_healed_break_names_the_bet_and_the_slice_that_healed_it(broken: World, db: psycopg.Connection) -> None:
    change_bet(broken, "100", hours=2)
    broken.judge()
    (opened, healed) = origins(db, broken)
    assert opened == (None, "", [])
    assert (healed[0], healed[2]) == ("b", [LATER + 2 * HOUR])
    assert healed[1].startswith("bet b changed, read in load ")
    assert healed[1].endswith("of slice [2026-03-11 05:00:00+00, 2026-03-11 06:00:00+00)")


def test_a_break_healed_by_the_rebate_or_by_settings_says_so(broken: World, db: psycopg.Connection) -> None:
    broken.judge(tolerances=tolerance(turnover=D(10)))
    broken.judge()
    broken.rebate("r", ["b"], "90", "0.90")
    broken.read_rebates()
    broken.judge()
    ends = [(bet, end.split(",")[0]) for bet, end, _ in origins(db, broken)]
    assert ends == [
        (None, ""), (None, "the settings are others"), (None, "the settings are others"), (None, "the rebate changed"),
    ]  # fmt: skip


def test_a_run_between_does_not_hide_the_cause(broken: World, db: psycopg.Connection) -> None:
    """What an incremental run consumed before the break was written is no news; what came later is."""
    broken.rejudge()
    change_bet(broken, "100")
    broken.rejudge()
    assert [bet for bet, _, _ in origins(db, broken)] == [None, "b"]


def test_a_state_that_is_read_late_is_named_when_it_becomes_evidence(world: World, db: psycopg.Connection) -> None:
    world.rebate("r", [world.bet("b", "90", updated=LATER, settled=DAY + HOUR)], "100", "1.00")
    world.settle()
    world.read_bets(LATER, LATER + HOUR)
    world.rejudge()
    assert world.breaks()["r", "turnover"]["sentence"].endswith("unexplained 10.")
    # What the first reading of its slice had not shown.
    world.bet("b", "100", updated=DAY + 2 * HOUR, settled=DAY + HOUR)
    world.read_bets(DAY + 2 * HOUR, DAY + 3 * HOUR, pulled=DAY + 4 * HOUR)
    world.rejudge()
    assert world.breaks()["r", "turnover"]["sentence"].endswith("restated 10.")
    bet, end, slices = origins(db, world)[-1]
    assert end.startswith("an earlier state of bet b became known, read in load ")
    assert (bet, slices) == ("b", [DAY + 2 * HOUR])


@pytest.mark.parametrize(
    ("key", "how", "message"),
    [
        ({"rebate_id": "nobody"}, {}, "there is no break turnover of rebate nobody"),
        ({"reason": "amount"}, {}, "there is no break amount of rebate r"),
        ({}, {"by": " "}, "without saying who"),
        ({}, {"reason": ""}, "without saying who"),
        ({}, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "that instant has passed"),
        ({}, {"expires_at": datetime(2999, 1, 1)}, "has no timezone"),
        ({}, {"fingerprint": "of another amount"}, "has changed since it was shown"),
    ],
)
def test_what_cannot_be_accepted_is_refused(
    broken: World, db: psycopg.Connection, key: dict[str, Any], how: dict[str, Any], message: str
) -> None:
    chosen = BreakKey(**{"agent": broken.agent, "rebate_id": "r", "reason": "turnover", **key})
    with pytest.raises(ConfigError, match=message):
        accept_break(db, chosen, **{"by": "ann", "reason": "known", **how})
    assert broken.breaks()["r", "turnover"]["state"] == "open"
    assert len(history(broken)) == 1


def test_a_healed_break_cannot_be_accepted(broken: World, db: psycopg.Connection) -> None:
    change_bet(broken, "100")
    broken.judge()
    with pytest.raises(ConfigError, match="has healed"):
        accept(db, broken)


def test_an_acceptance_is_an_event_with_who_why_and_until(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken, until=DAYS)
    found = broken.breaks()["r", "turnover"]
    event = db.execute(
        """SELECT e.state, e.cause, e.actor, e.expires_at, e.run_id, e.fingerprint FROM recon.break_events e
           JOIN recon.breaks b USING (break_id) WHERE b.agent = %s ORDER BY event_id DESC LIMIT 1""",
        (broken.agent,),
    ).fetchone()
    assert event == ("accepted", "known", "ann", found["accepted_until"], None, found["accepted_fingerprint"])


def test_an_expired_acceptance_is_found_by_an_incremental_run(broken: World, db: psycopg.Connection) -> None:
    broken.rejudge()
    accept(db, broken, until=-DAYS)
    assert broken.rejudge().judged == 1
    assert broken.breaks()["r", "turnover"]["state"] == "reopened"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE recon.break_events SET cause = 'no'", "DELETE FROM recon.break_events",
        "TRUNCATE recon.break_events", "TRUNCATE recon.rebate_history", "DELETE FROM recon.runs",
        "TRUNCATE recon.runs CASCADE",
    ],
)  # fmt: skip
def test_the_history_cannot_be_rewritten(broken: World, db: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        db.execute(statement.encode())


def test_a_verdict_can_be_asked_as_of_every_run(broken: World, db: psycopg.Connection) -> None:
    def asked(run_id: int) -> tuple[Any, ...] | None:
        found = verdicts_as_of(db, agent=broken.agent, run_id=run_id).get("r")
        return found and (found["verdict"], found["difference"], [one["amount"] for one in found["components"]])

    first = broken.verdict("r").run_id
    change_bet(broken, "95")
    second = broken.judge().run_id
    change_bet(broken, "100", hours=1)
    third = broken.judge().run_id
    fourth = broken.judge().run_id
    assert asked(first - 1) is None
    assert asked(first) == ("break", D(10), ["10", "10"])
    assert asked(second)[:2] == ("break", D(5))  # type: ignore[index]
    assert asked(third) == asked(fourth) == ("matched", D(0), [])
    assert broken.verdict("r").run_id == third


# ---------------------------------------------------------------------------------- what an acceptance is bound to


def accept_reason(db: psycopg.Connection, world: World, reason: str) -> None:
    accept_break(db, BreakKey(agent=world.agent, rebate_id="r", reason=reason), by="ann", reason="known")


def test_an_accepted_break_reopens_when_more_money_is_at_stake(world: World, db: psycopg.Connection) -> None:
    """Another rate: the turnover of the foreign bet is the same, but ten times as much was paid for it."""
    world.rebate("r", [world.bet("b", "70"), world.bet("other", "30", user="u2")], "100", "1.00")
    world.settle().judge()
    accept_reason(db, world, "foreign_bet")
    # As breaks were bound before this form, with the same money: an upgrade alone reopens nothing.
    old = "md5(concat_ws('|', reason, trim_scale(amount), bet_ids::text))"
    db.execute(
        f"UPDATE recon.breaks SET fingerprint = {old}, accepted_fingerprint = {old} WHERE agent = %s".encode(),
        (world.agent,),
    )
    world.judge()
    found = world.breaks()["r", "foreign_bet"]
    assert (found["state"], found["overpaid"], len(history(world))) == ("accepted", D("0.30"), 2)
    assert found["fingerprint"] == found["accepted_fingerprint"]
    assert found["fingerprint"].startswith("v2:")
    world.rebate("r", ["b", "other"], "100", "10.00", rate="10")
    world.read_rebates()
    world.judge()
    found = world.breaks()["r", "foreign_bet"]
    assert (found["state"], found["overpaid"]) == ("reopened", D("3.00"))
    assert causes(db, world)[-1] == "overpaid is 3 now and was 0.3"


def test_an_accepted_break_reopens_when_its_evidence_changes(world: World, db: psycopg.Connection) -> None:
    """A bet that was presumed to have been void already is known to have been voided afterwards."""
    world.bet("b", "10", updated=LATER, status=4)
    world.rebate("r", ["b"], "10", "0.10")
    world.settle().read_bets(LATER, LATER + HOUR)
    world.judge()
    accept_reason(db, world, "voided_bet")
    (before,) = [row["evidence"] for row in world.rows("recon.break_components", "of") if row["of"] == "difference"]
    world.bet("b", "10", updated=DAY + 12 * HOUR)
    world.read_bets(DAY + 12 * HOUR, DAY + 13 * HOUR, pulled=DAY + 14 * HOUR)
    world.judge()
    (after,) = [row["evidence"] for row in world.rows("recon.break_components", "of") if row["of"] == "difference"]
    assert (before, after) == ("presumed", "observed")
    assert world.breaks()["r", "voided_bet"]["state"] == "reopened"


def test_an_undecided_break_goes_with_its_rebate_and_its_acceptance_ends(broken: World, db: psycopg.Connection) -> None:
    accept(db, broken, until=DAYS)
    broken.bet("open", "10", status=0, updated=LATER)
    broken.rebate("r", ["b", "open"], "100", "2.00", rate="2", day=NEXT)
    broken.read_bets(LATER, LATER + HOUR)
    broken.read_rebates(pulled=NEXT + 5 * DAYS)
    broken.rejudge()
    assert broken.verdict("r").outcome == "pending"
    found = broken.breaks()["r", "turnover"]
    assert (found["state"], found["day"], found["overpaid"]) == ("accepted", NEXT.date(), D("0.20"))
    assert len(history(broken)) == 2, "that is no event"
    db.execute("UPDATE recon.breaks SET accepted_until = now() WHERE agent = %s", (broken.agent,))
    broken.rejudge()
    assert broken.breaks()["r", "turnover"]["state"] == "reopened"
    assert causes(db, broken)[-1] == "acceptance expired"
    assert broken.rejudge().judged == 0


# ---------------------------------------------------------------------- what a change is said to come from


def ends(db: psycopg.Connection, world: World) -> dict[tuple[str, str], str]:
    """Return by (reason, state) what the last event says it comes from, without the load and its slice."""
    rows = db.execute(
        """SELECT b.reason, e.state, split_part(split_part(e.cause, '; ', 2), ',', 1) FROM recon.break_events e
           JOIN recon.breaks b USING (break_id) WHERE b.agent = %s ORDER BY event_id""",
        (world.agent,),
    ).fetchall()
    return {(reason, state): end for reason, state, end in rows}


def test_what_a_reason_is_not_about_is_no_cause(world: World, db: psycopg.Connection) -> None:
    world.rebate("first", [world.bet("a", "50")], "50", "0.50", wallet="w", created=NEXT)
    world.rebate("twin", ["a"], "50", "0.50", created=NEXT)
    world.rebate("r", [world.bet("b", "90")], "90", "0.90", wallet="")
    world.rebate("again", [world.bet("c", "90")], "90", "0.90", wallet="w")
    world.settle().rejudge()
    assert set(world.breaks()) == {
        ("r", "wallet_txn_missing"), ("again", "wallet_txn_reused"), ("twin", "paid_twice"), ("twin", "reused_bet"),
    }  # fmt: skip
    world.rebate("r", ["b"], "90", "0.90")
    world.rebate("first", ["a"], "50", "0.50", status=0, created=NEXT)
    world.read_rebates(pulled=NEXT + 5 * DAYS)
    for moment, bet in enumerate("abc"):
        # A newer state that counts the same: no reason is about that.
        world.bet(bet, "50" if bet == "a" else "90", updated=LATER + moment * HOUR, settled=DAY + HOUR)
        world.read_bets(LATER + moment * HOUR, LATER + (moment + 1) * HOUR, pulled=NEXT + 6 * DAYS)
    world.rejudge()
    assert {key: end for key, end in ends(db, world).items() if key[1] == "healed"} == {
        ("wallet_txn_missing", "healed"): "the rebate changed",
        ("wallet_txn_reused", "healed"): "rebate first changed",
        ("paid_twice", "healed"): "rebate first changed",
        ("reused_bet", "healed"): "rebate first changed",
    }


def test_turnover_comes_from_the_bets_that_count_another(broken: World, db: psycopg.Connection) -> None:
    broken.rejudge()
    broken.rebate("r", ["b", "late"], "100", "1.00")
    broken.read_rebates(pulled=NEXT + 5 * DAYS)
    broken.rejudge()
    assert ends(db, broken)["missing_bet", "open"] == ""
    broken.bet("late", "10", updated=LATER)
    broken.read_bets(LATER, LATER + HOUR)
    broken.bet("b", "90", updated=LATER + HOUR, settled=DAY + HOUR)
    broken.read_bets(LATER + HOUR, LATER + 2 * HOUR)
    broken.rejudge()
    found = ends(db, broken)
    assert found["missing_bet", "healed"] == found["turnover", "healed"] == "bet late changed"
