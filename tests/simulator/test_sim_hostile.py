"""Agents with hostile ids: every text arrives to the letter, stays unique, and stands in the truth as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sim_clients import DAY, HOTROAD, JDB, LUCKO, NOW, TODAY, VERTEXPLAY, WINDOWS, Client

import simulator
from simulator import truth
from simulator.world.hotroad import HOSTILE_GAMES
from simulator.world.texts import HOSTILE, marked, name

AGENTS = (
    replace(LUCKO, hostile_ids=True, bets_per_hour=40),
    replace(HOTROAD, hostile_ids=True, bets_per_hour=200),
    replace(JDB, hostile_ids=True, users=90),
    replace(VERTEXPLAY, hostile_ids=True, bet_ids=True, users=90),
)


@pytest.fixture(scope="module")
def hostile(still: simulator.SimConfig) -> Iterator[simulator.RunningServer]:
    with simulator.serve(replace(still, agents=AGENTS)) as running:
        yield running


@pytest.fixture
def caller(hostile: simulator.RunningServer) -> Client:
    return Client(hostile.url)


@pytest.mark.parametrize("feed", WINDOWS)
def test_hostile_texts_are_served_as_they_are(caller: Client, feed: str) -> None:
    served = caller.rows(feed)
    bare = {"hour", "gType"} | ({"date"} if feed == "jdb_daily" else set())
    rows = [row for row in caller.truth(feed) if row.get("gType", "0") == "0"]
    assert served == [{key: row[key] for key in row if key not in bare} for row in rows]
    texts = {value for row in served for value in row.values() if isinstance(value, str)}
    assert any("drop tabl" in text or "<script>" in text or "玩家一号" in text for text in texts)


def test_all_texts_come_to_be_used(caller: Client) -> None:
    start = TODAY - 2 * DAY
    bets = caller.truth("lucko_bets", start, start + DAY)
    assert {row["user_id"] for row in bets} >= set(HOSTILE)
    assert {row["game_id"] for row in bets} >= set(HOSTILE) - {"0", "-1"}
    assert len({row["id"] for row in bets}) == len(bets)
    odd = [row["id"] for row in bets if len(row["id"]) > 24]
    assert len(odd) / len(bets) == pytest.approx(1 / 8, rel=0.5)
    assert {bet_id[:-24] for bet_id in odd} == set(HOSTILE)
    logs = caller.truth("vertexplay_betlogs", start, start + DAY)
    assert {row["username"] for row in logs} >= set(HOSTILE)
    assert {row["gameCode"] for row in logs} >= set(HOSTILE)
    for field in ("transferId", "betId"):
        ids = [row[field] for row in logs]
        assert len(set(ids)) == len(ids)
        assert {text[:-19] for text in ids} >= set(HOSTILE)
        assert max(map(len, ids)) <= 255
    hours = caller.truth("hotroad_summary", start, start + DAY)
    assert {(row["gameType"], row["gameCode"]) for row in hours} >= set(HOSTILE_GAMES)
    players = {row["uid"] for row in caller.truth("jdb_daily", start, start + DAY)}
    assert {text[:50] for text in HOSTILE} <= players
    rebates = caller.truth("lucko_rebates", start + DAY, start + 2 * DAY)
    assert any(len(row["id"]) > 24 for row in rebates)
    assert {bet_id for row in rebates for bet_id in row["txn_ids"]} & set(odd)


def test_bets_are_found_by_hostile_ids(hostile: simulator.RunningServer) -> None:
    world = hostile.world.lucko[LUCKO.agent_id]
    rows = [row for row in world.bets(TODAY - DAY, TODAY, as_of=NOW) if len(row["id"]) > 24]
    assert rows
    assert all(world.bet(row["id"], as_of=NOW) == row for row in rows)
    found = truth.breaks(world, TODAY, TODAY + DAY)
    assert found
    assert all(row["kind"] for row in found)


def test_users_can_be_asked_for(caller: Client) -> None:
    rows = [row for row in caller.rebates(TODAY, NOW)["data"]["list"] if row["user_id"] in HOSTILE]
    assert rows
    for row in rows[:12]:
        found = caller.rebates(TODAY, NOW, user_id=row["user_id"])["data"]["list"]
        assert row in found
        assert {one["user_id"] for one in found} == {row["user_id"]}


def test_hostile_worlds_change_too(still: simulator.SimConfig) -> None:
    with simulator.serve(replace(still, agents=AGENTS)) as running:
        client = Client(running.url)
        for feed in WINDOWS:
            was = client.truth(feed)
            assert client.change(feed, share=0.5)["changed"] > 0
            assert client.truth(feed) != was
        assert client.rows("lucko_bets") == client.truth("lucko_bets")


def test_texts_fit_and_differ() -> None:
    for most in (10, 20, 50, 255):
        names = [name(n, f"usual{n}", most=most) for n in range(200)]
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= most
    assert len(set(HOSTILE)) == len(HOSTILE)
    assert not any("\0" in text for text in HOSTILE)
    assert all(text.encode() for text in HOSTILE)
    assert marked("0" * 24) == HOSTILE[0] + "0" * 24
    assert marked("f" * 24) == "f" * 24
