"""Ids are opaque: whatever a provider puts into them passes from its answer to the verdict as it came."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kit import hook
from rogue import RogueServer, head
from sqlalchemy import URL
from world import World

from readings import Reading
from tieout.core.clock import SystemClock, epoch_ms
from tieout.core.errors import ConfigError, FatalError, SuspectReading
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.landing import read_manifest
from tieout.core.load import load_reading
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota
from tieout.core.slices import Slice
from tieout.feeds import parse_agents
from tieout.providers import FEEDS, feed_spec

HOSTILE = {
    "sql": "a'; drop table staging.lucko_bets; --",
    "sql of psycopg": "%s %(id)s %% {} {0} :id $1 $$x$$",
    "html": "<script>alert('x')</script>&amp;",
    "paths": "../../../etc/passwd",
    "windows paths": "..\\..\\C:\\x",
    "newlines": "a\nERROR forged\r\n2026-01-01 INFO also forged",
    "escapes": "\x1b[2J\x1b]0;title\x07\x7f",
    "tabs and copy's end": "a\tb\\.\n\\.\n\\N",
    "null words": "NULL",
    "jinja": "{{ conn.x.password }}{% for a in b %}{# c #}",
    "quotes": "\"'`\"\"''",
    "backslashes": "\\\\ \\n \\u0041",
    "arrays": "{a,b}",
    "json": '{"id": [1, "x"]}',
    "separators": "a|b,c;d:e",
    "chinese": "用户一号",
    "arabic and bidi": "مستخدم\u202egnp.exe",
    "emoji": "👨‍👩‍👧‍👦" * 20,
    "combining": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "spaces": "  a  ",
    "long": "x" * 200,
    "longest": "\N{GRINNING FACE}" * 255,
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "zero width": "\u200b\u200d\ufeff",
}
IDS = list(HOSTILE.values())
REJECTED = ["a\0b", "\0", "\ud800", "x\udfff", "", "y" * 256]
FAST = timedelta(milliseconds=1)
NUMBERS = itertools.count(1)


def slice_of(feed: FeedSpec) -> Slice:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=4) + feed.slice_anchor
    width = min(feed.slice_width, feed.max_window)
    return Slice(start, start + width)


def bet(ident: str, start: datetime) -> dict[str, Any]:
    return {
        "id": ident, "user_id": ident, "game_id": ident, "currency": ident, "inst_id": ident, "status": 1,
        "bet_time": epoch_ms(start), "update_time": epoch_ms(start), "bet_amount": "1", "valid_bet_turnover": "1",
        "bet_detail": {ident: ident}, ident + "new": ident,
    }  # fmt: skip


def rebate(ident: str, start: datetime) -> dict[str, Any]:
    return {
        "id": ident, "activity_id": ident, "user_id": ident, "wallet_txn_id": ident, "currency": ident, "status": 1,
        "txn_ids": [ident, ident[:254] + "2"], "date": epoch_ms(start), "create_time": epoch_ms(start), "turnover": "1",
        "rate": "1", "rebate_amount": "0.01",
    }  # fmt: skip


def total(ident: str, start: datetime) -> dict[str, Any]:
    return {"gameType": ident, "gameCode": ident, "betAmount": 1, "winLoss": 0, "winAmount": 1, "validBet": 1}


def player(ident: str, start: datetime) -> dict[str, Any]:
    return {"uid": ident, "bet": -1, "win": 1, "netWin": 0, "validBet": -1}


def betlog(ident: str, start: datetime) -> dict[str, Any]:
    instant = f"{start:%Y-%m-%dT%H:%M:%S}Z"
    return {
        "betTime": instant, "txTime": instant, "currency": ident, "gameCode": ident, "username": ident,
        "roundId": ident, "transferId": ident, "betId": ident, "brand": ident, "betStatus": 2, "actualBetAmt": "1",
        "validBetAmt": "1", "winAmt": "0",
    }  # fmt: skip


Row = Callable[[str, datetime], dict[str, Any]]
MADE: dict[str, tuple[Row, str, str]] = {
    "lucko__bets": (bet, "transactions", "id user_id game_id currency inst_id"),
    "lucko__rebates": (rebate, "list", "id activity_id user_id wallet_txn_id currency"),
    "hotroad__summary": (total, "list", "game_type game_code"),
    "jdb__daily": (player, "", "uid"),
    "vertexplay__betlogs": (betlog, "", "username bet_id transfer_id round_id game_code brand currency"),
}
OPTIONS = {"hotroad": FeedOptions(currency="USD"), "jdb": FeedOptions(currency="RMB", g_types=("0",))}


def answer(rogue: RogueServer, feed: FeedSpec, rows: list[dict[str, Any]]) -> None:
    """Have the server answer *rows* in the feed's envelope, and a token where one is asked for."""
    _, key, _ = MADE[feed.id]
    held: Any = {key: rows, "total": len(rows)} if key else rows
    code = {"lucko": {"code": 200}, "hotroad": {"code": "0000"}, "jdb": {"status": "0000"}, "vertexplay": {"code": 0}}
    # Surrogates as escapes: bytes that are no UTF-8 would be another matter.
    body = json.dumps({**code[feed.provider], "data": held}, ensure_ascii=True).encode()
    token = b'{"code":0,"data":{"accessToken":"opaque-token","expiresIn":3600}}'

    def pieces() -> list[bytes]:
        told = token if b"/v2/auth " in rogue.requests[-1] else body
        return [head(f"Content-Length: {len(told)}", "Connection: close"), told]

    rogue.answer = pieces


def pull(rogue: RogueServer, feed: FeedSpec, warehouse: URL, base: Path, login: str = "merchant") -> tuple[Path, str]:
    """Pull a slice of the feed for an agent of its own into landing; returns the manifest's path and the agent."""
    agent = f"acme-{next(NUMBERS)}"
    extra = {"agent_id": login} if feed.provider == "hotroad" else {}
    caller = hook(feed.provider, host=rogue.url, login=login, clock=SystemClock(), extra=extra)
    plan = PullPlan(
        feed=feed, agent=agent, slice=slice_of(feed), options=OPTIONS.get(feed.provider, FeedOptions()),
        interval=FAST, lag=feed.lag,
    )  # fmt: skip
    with PostgresQuota(warehouse, SystemClock()) as quota:
        result = SlicePuller(caller=caller, quota=quota, clock=SystemClock(), landing=base).pull(plan)
    assert isinstance(result, tuple)
    return Path(result[0]), agent


@pytest.fixture
def one_line_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when anything that was logged could forge a line or move a terminal's cursor."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        assert record.getMessage().isprintable(), repr(record.getMessage())


@pytest.mark.usefixtures("one_line_logs")
@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_ids_pass_unharmed_into_staging(
    feed_id: str, rogue: RogueServer, warehouse: URL, db: psycopg.Connection, tmp_path: Path
) -> None:
    feed = FEEDS[feed_id]
    made, _, columns = MADE[feed_id]
    answer(rogue, feed, [made(ident, slice_of(feed).start) for ident in IDS])
    path, agent = pull(rogue, feed, warehouse, tmp_path)
    certificate = load_reading(warehouse, feed, path, path.parent)
    assert (certificate.state, certificate.inserted, certificate.rejected) == ("certified", len(IDS), 0)
    wanted = columns.split()
    found = db.execute(
        f"SELECT {', '.join(wanted)} FROM staging.{feed.table.name} WHERE agent = %s", (agent,)
    ).fetchall()  # fmt: skip
    assert sorted(found) == sorted((ident,) * len(wanted) for ident in IDS)
    if feed_id == "lucko__bets":
        kept = db.execute("SELECT id, bet_detail, extra FROM staging.lucko_bets WHERE agent = %s", (agent,)).fetchall()
        assert all(detail == {ident: ident} for ident, detail, _ in kept)
        # Of names, spaces around them do not count.
        assert all(extra == {f"{ident}new".strip(): ident} for ident, _, extra in kept)
    if feed_id == "lucko__rebates":
        links = db.execute("SELECT rebate_id, bet_id FROM staging.lucko_rebate_bets WHERE agent = %s", (agent,))
        assert sorted(links.fetchall()) == sorted(
            (ident, bet_id) for ident in IDS for bet_id in (ident, ident[:254] + "2")
        )


@pytest.mark.usefixtures("one_line_logs")
@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_ids_that_cannot_be_stored_are_rejects_beside_good_rows(
    feed_id: str, rogue: RogueServer, warehouse: URL, db: psycopg.Connection, tmp_path: Path
) -> None:
    feed = FEEDS[feed_id]
    made, _, columns = MADE[feed_id]
    answer(rogue, feed, [made(ident, slice_of(feed).start) for ident in ("good", *REJECTED, "also good")])
    path, agent = pull(rogue, feed, warehouse, tmp_path)
    with pytest.raises(SuspectReading, match=f"{len(REJECTED)} row"):
        load_reading(warehouse, feed, path, path.parent)
    first = columns.split()[0]
    found = db.execute(f"SELECT {first} FROM staging.{feed.table.name} WHERE agent = %s", (agent,)).fetchall()
    assert sorted(found) == [("also good",), ("good",)]
    reasons = db.execute("SELECT reason, detail, raw FROM ops.rejects WHERE agent = %s", (agent,)).fetchall()
    assert len(reasons) == len(REJECTED)
    assert {reason for reason, _, _ in reasons} == {"bad_value"}
    assert all(detail.isprintable() for _, detail, _ in reasons)


@pytest.mark.usefixtures("one_line_logs")
@pytest.mark.parametrize(
    ("provider", "login"),
    [
        (provider, value)
        for provider in ("lucko", "vertexplay")
        for value in IDS
        # VertexPlay's stands in a header.
        if value.isprintable() and value == value.strip() and (value.isascii() or provider == "lucko")
    ],
)
def test_a_merchants_id_is_data_too(
    provider: str, login: str, rogue: RogueServer, warehouse: URL, db: psycopg.Connection, tmp_path: Path
) -> None:
    feed = next(feed for feed in FEEDS.values() if feed.provider == provider)
    answer(rogue, feed, [])
    path, agent = pull(rogue, feed, warehouse, tmp_path, login)
    assert path.is_relative_to(tmp_path / provider / feed.name / agent)
    assert sorted(tmp_path.iterdir()) == [tmp_path / provider]
    assert read_manifest(path).merchant_id == login
    assert load_reading(warehouse, feed, path, path.parent).state == "certified"
    metered = db.execute("SELECT merchant_id FROM ops.quota WHERE provider = %s", (provider,)).fetchall()
    assert (login,) in metered


@pytest.mark.usefixtures("one_line_logs")
def test_verdicts_name_hostile_ids_as_they_are(reading: type[Reading], db: psycopg.Connection) -> None:
    world = World(reading, db, agent=f"acme-{next(NUMBERS)}")
    for ident in IDS:
        own = ident[:240]
        world.bet(f"bet {own}", user=ident)
        world.rebate(f"good {own}", [f"bet {own}"], user=ident, activity=f"one {own}")
        world.rebate(f"bad {own}", [f"gone {own}"], user=ident, activity=f"two {own}")
    world.settle().judge()
    verdicts = world.verdicts()
    assert len(verdicts) == 2 * len(IDS)
    sentences = {row["rebate_id"]: row["sentence"] for row in world.rows("recon.breaks", "break_id")}
    for ident in IDS:
        own = ident[:240]
        assert verdicts[f"good {own}"].outcome == "matched"
        assert verdicts[f"good {own}"].row["user_id"] == ident
        assert verdicts[f"bad {own}"].row["missing_ids"] == [f"gone {own}"]
        assert f"bad {own}" in sentences
    tables = db.execute("SELECT to_regclass('staging.lucko_bets'), to_regclass('ops.readings')").fetchone()
    assert tables is not None
    assert None not in tables


@pytest.mark.parametrize("said", [*IDS, "\0", "\ud800"])
def test_what_a_provider_says_is_quoted_in_one_line(said: str) -> None:
    body = json.dumps({"code": said or "x", "message": said}).encode()
    with pytest.raises(FatalError) as caught:
        feed_spec("lucko", "bets").read_page(body)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", [*(ident for ident in IDS if ident), "Acme", "a b", "a.b", "-a", "x" * 64, "a/b", ""])
def test_an_agents_name_is_never_hostile(name: str) -> None:
    entry = json.dumps({"provider": "lucko", "agent": name, "conn_id": "c", "start": "2026-01-01"}, ensure_ascii=True)
    with pytest.raises(ConfigError) as caught:
        parse_agents(f"agents: [{entry}]")
    assert str(caught.value).isprintable()
