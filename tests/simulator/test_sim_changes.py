"""A world that changes after the fact, by order or by fault: deterministic, seen everywhere, history kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sim_clients import AGENT_IDS, DAY, HOUR, LUCKO, MINUTE, NOW, SMALL, TODAY, WINDOWS, Client

import simulator
from simulator import truth
from simulator.clock import WorldClock
from simulator.world import World
from simulator.world.change import CHANGES

FEEDS = tuple(WINDOWS)
BETS = WINDOWS["lucko_bets"]
KEYS = {
    "lucko_bets": ("id",),
    "lucko_rebates": ("id",),
    "hotroad_summary": ("hour", "gameType", "gameCode"),
    "jdb_daily": ("date", "gType", "uid"),
    "vertexplay_betlogs": ("transferId",),
}


def world(**settings: object) -> World:
    config = simulator.SimConfig(**({"seed": 7, "agents": SMALL} | settings))  # type: ignore[arg-type]
    return World(config, WorldClock(frozen_at=NOW))


def change(made: World, feed: str, *kinds: str, share: float = 0.3, seed: int = 1, **more: Any) -> dict[str, int]:
    return dict(made.change(feed, AGENT_IDS[feed], *WINDOWS[feed], share=share, seed=seed, kinds=kinds, **more))


def rows(made: World, feed: str, start: int | None = None, end: int | None = None) -> dict[tuple[str, ...], Any]:
    """Rows by key; the window of the feed, or another."""
    bounds = (WINDOWS[feed][0] if start is None else start, WINDOWS[feed][1] if end is None else end)
    found = made.rows(feed, AGENT_IDS[feed], *bounds)
    keyed = {tuple(row[name] for name in KEYS[feed]): row for row in found}
    assert len(keyed) == len(found)
    return keyed


def split(before: dict[Any, Any], after: dict[Any, Any]) -> tuple[set[Any], set[Any], set[Any]]:
    """Keys of (vanished, appeared, changed) rows."""
    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    return before.keys() - after.keys(), after.keys() - before.keys(), changed


# ---------------------------------------------------------------- orders


@pytest.mark.parametrize("feed", FEEDS)
def test_equal_orders_make_equal_worlds(feed: str) -> None:
    first, second, other = world(), world(), world()
    untouched = rows(first, feed)
    assert change(first, feed) == change(second, feed)
    change(other, feed, seed=2)
    assert rows(first, feed) == rows(second, feed) != untouched
    assert rows(other, feed) != rows(first, feed)
    assert change(first, feed) == change(second, feed)
    assert rows(first, feed) == rows(second, feed)


@pytest.mark.parametrize("feed", FEEDS)
def test_an_order_for_all_kinds_changes_about_its_share(feed: str) -> None:
    made = world()
    start, end = WINDOWS[feed][0] - 3 * DAY, WINDOWS[feed][1]
    before = rows(made, feed, start, end)
    done = made.change(feed, AGENT_IDS[feed], start, end, share=0.2, seed=5)
    assert set(done) == set(CHANGES[feed])
    assert 0.1 * len(before) <= done.total() <= 0.21 * len(before)
    vanished, appeared, changed = split(before, rows(made, feed, start, end))
    assert vanished or appeared
    assert 0.5 * done.total() <= len(vanished | appeared | changed) <= done.total()


def test_what_was_before_stays(still: simulator.SimConfig) -> None:
    made = world()
    old = {feed: _as_of(made, feed, NOW - 1) for feed in FEEDS}
    for feed in FEEDS:
        assert change(made, feed)
    assert {feed: _as_of(made, feed, NOW - 1) for feed in FEEDS} == old
    assert {feed: _as_of(made, feed, NOW) for feed in FEEDS} != old


def _as_of(made: World, feed: str, instant: int) -> Any:
    made.clock.freeze(at=instant)
    try:
        return rows(made, feed)
    finally:
        made.clock.freeze(at=NOW)


def test_changes_come_before_the_end_of_the_activity() -> None:
    until = TODAY - DAY + 20 * HOUR
    made = world(activity_until=until)
    assert change(made, "lucko_bets", "resettled", "late")
    for row in made.rows("lucko_bets", LUCKO.agent_id, until - 1, NOW):
        assert row["update_time"] == until - 1
    assert made.rows("lucko_bets", LUCKO.agent_id, until - 1, until)
    assert made.rows("lucko_bets", LUCKO.agent_id, until, NOW) == []


# ---------------------------------------------------------------- Lucko


@pytest.mark.parametrize("kind", ["resettled", "voided"])
def test_bets_that_change_move_to_a_later_window(kind: str) -> None:
    made = world()
    before = rows(made, "lucko_bets")
    [(done, count)] = change(made, "lucko_bets", kind).items()
    assert done == kind
    vanished, appeared, changed = split(before, rows(made, "lucko_bets"))
    assert (len(vanished), appeared, changed) == (count, set(), set())
    moved = rows(made, "lucko_bets", NOW, NOW + 1)
    assert moved.keys() >= vanished
    for key in vanished:
        old, new = before[key], moved[key]
        assert new["update_time"] == NOW
        assert {old[name] == new[name] for name in ("id", "user_id", "bet_time", "bet_amount", "settle_time")} == {True}
        assert new["status"] == (1 if kind == "resettled" else 4)
        if kind == "resettled":
            assert (old["valid_bet_turnover"], old["win_amount"]) != (new["valid_bet_turnover"], new["win_amount"])
            assert sum(map(Decimal, new["win_detail"].values())) == Decimal(new["win_amount"])
            assert Decimal(new["valid_bet_turnover"]) <= Decimal(new["bet_amount"])


def test_quiet_settlements_change_a_bet_in_its_place() -> None:
    made = world()
    before = rows(made, "lucko_bets")
    count = change(made, "lucko_bets", "resettled_quietly")["resettled_quietly"]
    after = rows(made, "lucko_bets")
    vanished, appeared, changed = split(before, after)
    assert (vanished, appeared, len(changed)) == (set(), set(), count)
    assert all(before[key]["update_time"] == after[key]["update_time"] for key in changed)


def test_late_bets() -> None:
    made = world()
    before = rows(made, "lucko_bets")
    count = change(made, "lucko_bets", "late_in_range")["late_in_range"]
    vanished, appeared, changed = split(before, rows(made, "lucko_bets"))
    assert (vanished, len(appeared), changed) == (set(), count, set())
    quiet = rows(made, "lucko_bets")
    count = change(made, "lucko_bets", "late")["late"]
    assert rows(made, "lucko_bets") == quiet
    late = [row for row in rows(made, "lucko_bets", NOW, NOW + 1).values() if BETS[0] <= row["bet_time"] < BETS[1]]
    assert len(late) == count
    for row in late:
        assert (row["status"], row["update_time"]) == (1, NOW)
        assert row["bet_time"] < row["settle_time"] <= NOW


def test_rebates_come_late_and_recover() -> None:
    made = world(agents=(replace(LUCKO, users=60, bets_per_hour=8),))
    start, end = TODAY - 9 * DAY, TODAY + HOUR
    before = rows(made, "lucko_rebates", start, end)
    failed = {key for key, row in before.items() if row["status"] == 0}
    done = made.change("lucko_rebates", LUCKO.agent_id, start, end, share=0.1, seed=1)
    vanished, appeared, changed = split(before, after := rows(made, "lucko_rebates", start, end))
    assert vanished == set()
    assert changed == failed
    assert {"late": len(appeared), "recovered": len(changed)} == dict(done)
    assert all(after[key]["status"] == 1 and after[key]["wallet_txn_id"] for key in changed)
    assert all(row["activity_id"] != after[key]["activity_id"] for key in appeared for row in before.values())


def test_late_rebates_are_right_and_changed_bets_break_right_ones() -> None:
    made = world()
    lucko, span = made.lucko[LUCKO.agent_id], (TODAY - DAY, TODAY + DAY)
    before = {row["rebate_id"] for row in truth.breaks(lucko, *span)}
    # Bets of planted rebates may have changed since, so that a late rebate is right as of its own instant only.
    assert change(made, "lucko_rebates", "late")["late"] > 5
    made.clock.freeze(at=span[1])
    assert {row["rebate_id"] for row in truth.breaks(lucko, *span)} == before
    assert made.change("lucko_bets", LUCKO.agent_id, TODAY - DAY, TODAY, share=0.1, seed=1, kinds=("voided",), at=NOW)
    found = truth.breaks(lucko, *span)
    new = [row for row in found if row["rebate_id"] not in before]
    assert new
    assert {row["kind"] for row in new} == {"changed"}
    assert all("voided_bet" in row["reasons"] for row in new)


# ---------------------------------------------------------------- the other feeds


@pytest.mark.parametrize("feed", ["hotroad_summary", "jdb_daily"])
def test_totals_change_vanish_and_appear(feed: str) -> None:
    span = (WINDOWS[feed][0] - 2 * DAY, WINDOWS[feed][1])
    for kind, place in (("vanished", 0), ("appeared", 1), ("restated", 2)):
        made = world()
        before = rows(made, feed, *span)
        done = made.change(feed, AGENT_IDS[feed], *span, share=0.05, seed=3, kinds=(kind,))
        parts = split(before, after := rows(made, feed, *span))
        assert [len(part) for part in parts] == [done[kind] if n == place else 0 for n in range(3)], kind
        for key in parts[place] & after.keys():
            row = after[key]
            if feed == "hotroad_summary":
                assert row["betAmount"] == row["realCredit"] + row["freeCredit"] + row["promotionCredit"]
                assert row["winAmount"] == row["betAmount"] + row["winLoss"]
            else:
                assert row["netWin"] == row["bet"] + row["win"]


def test_bet_logs_change_and_come_late() -> None:
    feed, span = "vertexplay_betlogs", (TODAY - DAY + HOUR, TODAY - DAY + 3 * HOUR)
    for kind in ("resettled", "resettled_quietly", "voided"):
        made = world()
        before = rows(made, feed, *span)
        done = made.change(feed, AGENT_IDS[feed], *span, share=0.1, seed=1, kinds=(kind,))
        vanished, appeared, changed = split(before, after := rows(made, feed, *span))
        assert (vanished, appeared, len(changed)) == (set(), set(), done[kind])
        for key in changed:
            old, new = before[key], after[key]
            assert new["betStatus"] == (3 if kind == "voided" else 2)
            assert (new["txTime"] == old["txTime"]) == (kind == "resettled_quietly")
            assert (new["winAmt"], new["validBetAmt"]) != (old["winAmt"], old["validBetAmt"]) or kind == "voided"
    made = world()
    before = rows(made, feed)
    count = change(made, feed, "late")["late"]
    vanished, appeared, changed = split(before, rows(made, feed))
    assert (vanished, len(appeared), changed) == (set(), count, set())


# ---------------------------------------------------------------- over HTTP


@pytest.mark.parametrize("feed", FEEDS)
def test_a_change_is_served_and_is_the_truth(fast: Client, feed: str) -> None:
    whole, was = fast.rows(feed), fast.truth(feed)
    answer = fast.change(feed, share=0.4, seed=3)
    assert answer["at"] == NOW
    assert answer["changed"] == sum(answer["kinds"].values()) > 0
    assert fast.truth(feed) != was
    served = [row for row in fast.truth(feed) if row.get("gType", "0") == "0"]
    of_the_truth = {"hour", "gType"} | ({"date"} if feed == "jdb_daily" else set())
    assert fast.rows(feed) == [{key: row[key] for key in row if key not in of_the_truth} for row in served]
    assert feed == "jdb_daily" or fast.rows(feed) != whole


@pytest.mark.parametrize(
    ("bend", "status"),
    [
        ({"feed": "nothing"}, 400),
        ({"feed": ["lucko_bets"]}, 400),
        ({"agent": "nobody"}, 404),
        ({"agent": ["nobody"]}, 400),
        ({"kinds": [["late"]]}, 400),
        ({"from": NOW, "to": NOW}, 400),
        ({"share": 0}, 400),
        ({"share": "all"}, 400),
        ({"seed": "one"}, 400),
        ({"kinds": ["vanished"]}, 400),
        ({"kinds": "late"}, 400),
        ({"at": "soon"}, 400),
        ({"often": 1}, 400),
        ({"at": NOW - HOUR, "kinds": ["late"], "seed": 4, "share": 0.01}, 200),
    ],
)
def test_wrong_orders_are_refused(fast: Client, bend: dict[str, object], status: int) -> None:
    body = {"feed": "lucko_bets", "agent": LUCKO.agent_id, "from": BETS[0], "to": BETS[1]} | bend
    response = fast.post("/_sim/world/change", json=body)
    assert response.status_code == status
    assert ("error" in response.json()) == (status != 200)


# ---------------------------------------------------------------- as a fault


@pytest.fixture
def watched(fast: Client) -> Iterator[Client]:
    """A caller whose untouched feeds are compared with what they were."""
    others = ("lucko_rebates",)
    before = {feed: fast.truth(feed) for feed in others}
    yield fast
    assert {feed: fast.truth(feed) for feed in others} == before


@pytest.mark.parametrize("feed", [feed for feed in FEEDS if feed != "lucko_rebates"])
def test_resettled_changes_what_the_next_reader_finds(watched: Client, feed: str) -> None:
    for variant in ("bumped", "quiet", "vanished", "appeared"):
        whole, was = watched.rows(feed), watched.truth(feed)
        number = watched.fault(name="resettled", variant=variant, share=0.2, endpoint=feed.partition("_")[2])
        assert watched.rows(feed) == whole  # this answer still shows the old state
        assert watched.fired(number) == 1
        assert watched.truth(feed) != was
        again = watched.rows(feed)
        assert again != whole
        assert watched.rows(feed) == again


def test_resettled_bets_are_bumped_or_quiet(fast: Client) -> None:
    old = {row["id"]: row for row in fast.rows("lucko_bets")}
    fast.fault(name="resettled", variant="quiet", share=0.1)
    fast.rows("lucko_bets")
    new = {row["id"]: row for row in fast.rows("lucko_bets")}
    assert old.keys() == new.keys()
    changed = [key for key in old if old[key] != new[key]]
    assert len(changed) == pytest.approx(0.1 * len(old), rel=0.3)
    assert all(old[key]["update_time"] == new[key]["update_time"] for key in changed)
    fast.fault(name="resettled", share=0.1)
    fast.rows("lucko_bets")
    gone = new.keys() - {row["id"] for row in fast.rows("lucko_bets")}
    assert gone == {row["id"] for row in fast.truth("lucko_bets", NOW, NOW + 1)} & old.keys()
    assert gone


def test_a_jdb_fault_stays_in_its_game_type(fast: Client) -> None:
    was = {row["gType"]: row for row in fast.truth("jdb_daily") if row["gType"] != "0"}
    assert was
    fast.fault(name="resettled", provider="jdb", share=1)
    fast.rows("jdb_daily")
    assert {row["gType"]: row for row in fast.truth("jdb_daily") if row["gType"] != "0"} == was


def test_moved_and_resettled_rows_meet_while_paging(fast: Client) -> None:
    """A window paged while it changes: totals move, and what is served stays consistent with the truth afterwards."""
    fast.fault(name=["moved_rows", "resettled"], probability=0.5, share=0.05)
    seen, totals = [], []
    while True:
        data = fast.bets(BETS[0], BETS[1], start_index=len(seen), page_size=10)["data"]
        totals.append(data["total"])
        seen += data["transactions"]
        if not data["transactions"]:
            break
    assert totals[0] > totals[-1]
    assert len({row["id"] for row in seen}) == len(seen) <= totals[0]
    fast.session.delete(f"{fast.url}/_sim/faults", timeout=5)
    assert fast.rows("lucko_bets") == fast.truth("lucko_bets")
    assert fast.bets(NOW - 10 * MINUTE, NOW)["code"] == 200
