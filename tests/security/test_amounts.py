"""Amounts are plain decimals, or their row is a reject: nothing that only some parsers would take for a number."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.amounts import MAX_LENGTH
from tieout.core.contract import RowRejected
from tieout.core.feed import FeedSpec
from tieout.providers import FEEDS, feed_spec

TEXTS = feed_spec("vertexplay", "betlogs")
NUMBERS = feed_spec("jdb", "daily")
ROWS: dict[str, dict[str, Any]] = {
    "lucko__bets": {
        "id": "b", "user_id": "u", "game_id": "g", "bet_time": 1, "update_time": 2, "status": 1, "currency": "USD",
        "bet_amount": "1", "valid_bet_turnover": "1", "win_amount": "2", "real_win_amount": "1",
        "real_bet_amount": "1",
    },
    "lucko__rebates": {
        "id": "r", "activity_id": "a", "user_id": "u", "date": 0, "currency": "USD", "turnover": "1", "rate": "1",
        "rebate_amount": "0.01", "status": 1, "create_time": 1, "txn_ids": [],
    },
    "hotroad__summary": {
        "gameType": "t", "gameCode": "c", "betAmount": 1, "winLoss": 1, "winAmount": 2, "validBet": 1,
        "realCredit": 1, "freeCredit": 0, "promotionCredit": 0, "commission": 0,
    },
    "jdb__daily": {
        "uid": "p", "bet": -1, "win": 1, "netWin": 0, "validBet": -1, "jackpot": 0, "jackpotContribute": 0, "tax": 0,
    },
    "vertexplay__betlogs": {
        "betTime": "2026-01-01T00:00:00Z", "txTime": "2026-01-01T00:00:00Z", "currency": "THB", "gameCode": "g",
        "username": "u", "roundId": "1", "transferId": "2", "betStatus": 2, "actualBetAmt": "1", "validBetAmt": "1",
        "winAmt": "0", "jackpotWin": "0", "jackpotContribute": "0",
    },
}  # fmt: skip
AMOUNTS = {
    "lucko__bets": {"bet_amount", "valid_bet_turnover", "win_amount", "real_win_amount", "real_bet_amount"},
    "lucko__rebates": {"turnover", "rate", "rebate_amount"},
    "hotroad__summary": {
        "betAmount", "winLoss", "winAmount", "validBet", "realCredit", "freeCredit", "promotionCredit", "commission",
    },
    "jdb__daily": {"bet", "win", "netWin", "validBet", "jackpot", "jackpotContribute", "tax"},
    "vertexplay__betlogs": {"actualBetAmt", "validBetAmt", "winAmt", "jackpotWin", "jackpotContribute"},
}  # fmt: skip
EVERY_AMOUNT = [(feed_id, name) for feed_id, names in AMOUNTS.items() for name in sorted(names)]


def stored(feed: FeedSpec, amount: str, name: str) -> str | None:
    """Return what is stored of a row whose field *name* is given as JSON text."""
    whole = ROWS[feed.id]
    parts = [f"{json.dumps(key)}:{amount if key == name else json.dumps(value)}" for key, value in whole.items()]
    row, extra = feed.codec.decode(("{" + ",".join(parts) + "}").encode("utf-8", "surrogatepass"))
    assert extra is None
    value: str | None = feed.codec.values(row)[feed.codec.wire_names.index(name)]
    return value


def a_name(feed: FeedSpec) -> str:
    return min(AMOUNTS[feed.id])


def test_all_feeds_and_amounts_are_looked_at() -> None:
    assert set(ROWS) == set(FEEDS)
    for feed in FEEDS.values():
        known = {feed.codec.wire_names[feed.codec.columns.index(name)] for name in feed.codec._amounts}
        assert known == AMOUNTS[feed.id]


REFUSED = [
    '"1_000"', '" 5"', '"5 "', '" 5 "', '"5\\n"', '"\\t5"', '"+5"', '"--5"', '"-"', '"."', '".5"', '"5."', '"5.-1"',
    '"1,000"', '"1,2"', '"1.2.3"', '"1e3"', '"1E-3"', '"NaN"', '"nan"', '"-NaN"', '"sNaN123"', '"Infinity"', '"-inf"',
    '"1e999999"', '"0x1F"', '"1/2"', '"5%"', '"$5"', '"5-"', '"\\u0665"', '"\\uff15"', '"²"', '"−5"', '"1\\u00a0000"',
    '""', '"null"', '"true"', "true", "false", "[]", "[5]", "{}", '{"a":5}', "1e999999", "-1E999", "1e41", "1e-60",
    '"' + "1" * 41 + '"', "1" * 41, '"0.' + "0" * 39 + '"', '"5\\u0000"', '"\\u00005"',
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("feed", [TEXTS, NUMBERS], ids=lambda feed: feed.id)
def test_anything_else_is_a_reject(feed: FeedSpec, text: str) -> None:
    with pytest.raises(RowRejected) as caught:
        stored(feed, text, a_name(feed))
    assert caught.value.reason == "bad_value"
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(("feed_id", "name"), EVERY_AMOUNT)
def test_every_amount_of_every_feed_is_strict(feed_id: str, name: str) -> None:
    feed = FEEDS[feed_id]
    for text in ('"1_000"', '" 5 "', '"NaN"', '"1e3"', "true"):
        with pytest.raises(RowRejected, match=f"bad_value: .*{re.escape(f'$.{name}')}"):
            stored(feed, text, name)
    assert stored(feed, '"-12.50"', name) == "-12.50"
    assert stored(feed, "-12.50", name) == "-12.50"


@pytest.mark.parametrize(("feed_id", "name"), EVERY_AMOUNT)
def test_null_is_an_amount_of_optional_fields_only(feed_id: str, name: str) -> None:
    feed = FEEDS[feed_id]
    if FEEDS[feed_id].table.c[feed.codec.columns[feed.codec.wire_names.index(name)]].nullable:
        assert stored(feed, "null", name) is None
    else:
        with pytest.raises(RowRejected, match="bad_value"):
            stored(feed, "null", name)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0", "0"), ("-0", "-0"), ('"-0.00"', "-0.00"), ('"007"', "007"), ("1e3", "1000"), ("-1.50E+1", "-15.0"),
        ("25e-4", "0.0025"), ("0e5", "0"), ('"' + "9" * 40 + '"', "9" * 40), ("9" * 40, "9" * 40),
        ("1e39", "1" + "0" * 39), ('"0.' + "0" * 38 + '"', "0." + "0" * 38),
    ],
)  # fmt: skip
@pytest.mark.parametrize("feed", [TEXTS, NUMBERS], ids=lambda feed: feed.id)
def test_plain_decimals_and_numbers_are_stored_digit_by_digit(feed: FeedSpec, text: str, digits: str) -> None:
    assert Decimal(stored(feed, text, a_name(feed)) or "") == Decimal(digits)
    if "e" not in text.lower():
        assert stored(feed, text, a_name(feed)) == digits


PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@given(st.text(alphabet="0123456789.,-+eE_ \n\"'", max_size=12), st.sampled_from([TEXTS, NUMBERS]))
def test_a_text_is_an_amount_exactly_when_it_is_plain(text: str, feed: FeedSpec) -> None:
    spelled = json.dumps(text)
    if PLAIN.fullmatch(text) and len(text) <= MAX_LENGTH:
        assert stored(feed, spelled, a_name(feed)) == text
    else:
        with pytest.raises(RowRejected):
            stored(feed, spelled, a_name(feed))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_a_number_keeps_its_value(amount: Decimal) -> None:
    spelled = str(amount).replace("E+", "e")
    try:
        found = stored(NUMBERS, spelled, a_name(NUMBERS))
    except RowRejected:
        assert len(format(amount, "f")) > MAX_LENGTH or abs(amount.adjusted()) >= MAX_LENGTH
    else:
        assert Decimal(found or "") == amount
