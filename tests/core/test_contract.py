"""Rows decode exactly, or are rejected with a reason; unknown fields are kept."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from readings import Reading, at
from tieout.core.contract import MAX_EPOCH_MS, MAX_NESTING, RowRejected
from tieout.core.errors import SuspectReading
from tieout.core.feed import FeedSpec
from tieout.providers import feed_spec

BETS = feed_spec("lucko", "bets")
REBATES = feed_spec("lucko", "rebates")
DAILY = feed_spec("jdb", "daily")
BETLOGS = feed_spec("vertexplay", "betlogs")

BET: dict[str, Any] = {
    "id": "b1", "user_id": "u1", "game_id": "101", "bet_time": 1_772_366_400_000, "settle_time": 1_772_366_401_000,
    "bet_amount": "100", "valid_bet_turnover": "100", "currency": "USD", "update_time": 1_772_366_402_000, "status": 1,
}  # fmt: skip
PLAYER: dict[str, Any] = {"uid": "p1", "bet": -1, "win": 1, "netWin": 0, "validBet": -1}


def row_text(row: dict[str, Any], **raw: str) -> bytes:
    """Return the row as JSON, some values given as raw JSON text (which json.dumps would not write)."""
    parts = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in row.items() if key not in raw]
    parts += [f"{json.dumps(key)}:{text}" for key, text in raw.items()]
    return ("{" + ",".join(parts) + "}").encode("utf-8", "surrogatepass")


def decoded(spec: FeedSpec, body: bytes) -> tuple[dict[str, Any], str | None]:
    row, extra = spec.codec.decode(body)
    return dict(zip(spec.codec.columns, spec.codec.values(row), strict=True)), extra


def rejected(spec: FeedSpec, body: bytes) -> RowRejected:
    with pytest.raises(RowRejected) as caught:
        decoded(spec, body)
    return caught.value


# -- money ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("100", "100"),
        ('"100"', "100"),
        ('"100.00"', "100.00"),
        ("100.00", "100.00"),
        ("0.1", "0.1"),
        ("-0.0025", "-0.0025"),
        ('"0.000000"', "0.000000"),
        ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ('"9007199254740993.01"', "9007199254740993.01"),
        ("1e3", "1000"),
        ("1.5E+2", "150"),
        ("12E-4", "0.0012"),
        ("2.50e1", "25.0"),
        ("1e-5", "0.00001"),
        ("0E-8", "0.00000000"),
    ],
)
def test_money_keeps_its_digits(text: str, stored: str) -> None:
    values, _ = decoded(BETS, row_text(BET, bet_amount=text))
    assert values["bet_amount"] == stored


@pytest.mark.parametrize(
    "text",
    ["NaN", '"NaN"', '"sNaN"', "Infinity", '"Infinity"', '"-Infinity"', "1e400", '"1E+200000"', "1e-100", '"0E+99"',
     '"12E-4"', '"0x10"', '"' + "9" * 41 + '"', "1" * 41, '"0.' + "0" * 40 + '1"', '""', '"1,000.00"', '"$5"', "true",
     "null", "[]", "{}", '"1\\u00002"'],
)  # fmt: skip
def test_what_is_no_amount_is_rejected(text: str) -> None:
    assert rejected(BETS, row_text(BET, bet_amount=text)).reason in ("bad_value", "not_an_object")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6))
def test_money_is_exact_as_text_and_as_number(amount: Decimal) -> None:
    for text in (f'"{amount:f}"', f"{amount:f}"):
        values, _ = decoded(BETS, row_text(BET, bet_amount=text))
        assert Decimal(values["bet_amount"]) == amount
        assert "E" not in values["bet_amount"]


# -- instants ---------------------------------------------------------------------------------------------------


def test_epoch_zero_of_an_unsettled_bet_is_null() -> None:
    assert decoded(BETS, row_text(BET, settle_time="0"))[0]["settle_time"] is None
    assert decoded(BETS, row_text(BET, settle_time="null"))[0]["settle_time"] is None
    absent = {key: value for key, value in BET.items() if key != "settle_time"}
    assert decoded(BETS, row_text(absent))[0]["settle_time"] is None


@pytest.mark.parametrize("text", ["-1", str(MAX_EPOCH_MS + 1), "1e999", '"1772366400000"', "1772366400000.5", "true"])
@pytest.mark.parametrize("field", ["bet_time", "settle_time", "update_time"])
def test_epoch_out_of_range_is_rejected(field: str, text: str) -> None:
    assert rejected(BETS, row_text(BET, **{field: text})).reason == "bad_value"


def test_last_epoch_is_kept() -> None:
    assert decoded(BETS, row_text(BET, update_time=str(MAX_EPOCH_MS)))[0]["update_time"] == MAX_EPOCH_MS


BETLOG = {
    "betTime": "2025-12-09T09:05:10.151Z", "txTime": "2025-12-09T09:05:10.151Z", "currency": "THB", "gameCode": "g",
    "username": "u", "roundId": "1", "transferId": "7652711103511700000", "betStatus": 2, "actualBetAmt": "0.5",
    "validBetAmt": "0.5", "winAmt": "0",
}  # fmt: skip


@pytest.mark.parametrize("text", ["2025-12-09T09:05:10.151", "2025-13-09T09:05:10Z", "yesterday", "", "1765271110151"])
def test_instant_without_zone_or_sense_is_rejected(text: str) -> None:
    assert rejected(BETLOGS, row_text({**BETLOG, "betTime": text})).reason == "bad_value"


def test_id_as_a_number_is_rejected_rather_than_rounded() -> None:
    assert rejected(BETLOGS, row_text(BETLOG, transferId="7652711103511700001")).reason == "bad_value"


# -- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ident", ["i" * 200, "用户一号", "пользователь", "\N{GRINNING FACE}" * 50, "a'b\"c\\d", " ", "../.."]
)
def test_ids_are_opaque(ident: str) -> None:
    assert decoded(BETS, row_text({**BET, "id": ident, "user_id": ident}))[0]["user_id"] == ident


@pytest.mark.parametrize(
    "text", ['""', '"' + "i" * 256 + '"', "7", "null", '"a\\u0000b"', '"\\ud800"', '"\\udc00x"', "[]"]
)
def test_bad_id_is_rejected(text: str) -> None:
    assert rejected(BETS, row_text(BET, user_id=text)).reason in ("bad_value", "not_an_object")


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ('{"Banker": 100, "x": 0.10}', '{"Banker": 100, "x": 0.10}'),
        ('["Banker","\\u4e2d"]', '["Banker","\\u4e2d"]'),
        ('{"emoji": "\\ud83d\\ude00"}', '{"emoji": "\\ud83d\\ude00"}'),
        ('{"not nul": "\\\\u0000"}', '{"not nul": "\\\\u0000"}'),
        ("1e400", "1e400"),
        ("null", None),
    ],
)
def test_nested_json_is_kept_as_it_came(raw: str, stored: str | None) -> None:
    assert decoded(BETS, row_text(BET, bet_detail=raw))[0]["bet_detail"] == stored


def test_wide_json_and_brackets_in_text_are_not_deep() -> None:
    raw = '{"text": "' + "[" * 300 + '", "wide": [' + ",".join(["[]"] * 300) + "]}"
    assert decoded(BETS, row_text(BET, bet_detail=raw))[0]["bet_detail"] == raw


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": "\\u0000"}',
        '{"\\u0000": 1}',
        '["\\ud800"]',
        '{"a": 1e9999}',
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
        "NaN",
    ],
)
def test_nested_json_that_cannot_be_stored_is_rejected(raw: str) -> None:
    assert rejected(BETS, row_text(BET, bet_detail=raw)).reason in ("bad_value", "not_an_object")


def test_nested_bytes_that_are_no_utf8_are_rejected() -> None:
    body = row_text(BET, bet_detail='{"a": "?"}').replace(b"?", b"\xff")
    assert rejected(BETS, body).reason == "bad_value"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


@given(JSON)
def test_any_nested_json_without_nul_is_kept(value: Any) -> None:
    body = row_text(BET, bet_detail=json.dumps(value))
    if _has_nul(value):
        assert rejected(BETS, body).reason == "bad_value"
    else:
        stored = decoded(BETS, body)[0]["bet_detail"]
        assert (None if stored is None else json.loads(stored)) == value


# -- shape ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "user_id", "game_id", "bet_time", "bet_amount", "currency", "status"])
def test_missing_field_is_rejected_by_name(field: str) -> None:
    error = rejected(BETS, row_text({key: value for key, value in BET.items() if key != field}))
    assert error.reason == "bad_value"
    assert f"missing required field `{field}`" in error.detail


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"x"', b"", b"{", b"\xff"])
def test_what_is_no_object_is_rejected(body: bytes) -> None:
    assert rejected(BETS, body).reason == "not_an_object"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("status", '"1"'),
        ("status", "1.5"),
        ("status", "9" * 12),
        ("no_comm", '"true"'),
        ("no_comm", "1"),
        ("shoe_id", '"x"'),
    ],
)
def test_wrong_type_is_rejected(field: str, text: str) -> None:
    error = rejected(BETS, row_text(BET, **{field: text}))
    assert error.reason == "bad_value"
    assert f"$.{field}" in error.detail


def test_rebate_links_must_be_texts() -> None:
    rebate = {
        "id": "r", "activity_id": "a", "user_id": "u", "date": 0, "currency": "USD", "turnover": "1", "rate": "1",
        "rebate_amount": "0.01", "status": 1, "create_time": 1, "txn_ids": ["x", "x"],
    }  # fmt: skip
    assert decoded(REBATES, row_text(rebate))[0]["txn_ids"] == '["x","x"]'
    for bad in (None, [1], ["\0"], [""], "x"):
        assert rejected(REBATES, row_text({**rebate, "txn_ids": bad})).reason == "bad_value"


def test_unknown_fields_are_kept_as_exact_text() -> None:
    values, extra = decoded(
        BETS, row_text(BET, new="0.10", other='{"deep": [1.50, "x"]}', big="12345678901234567890123")
    )
    assert extra == '{"new":0.10,"other":{"deep": [1.50, "x"]},"big":12345678901234567890123}'
    assert values["id"] == "b1"


def test_unknown_field_that_cannot_be_stored_is_rejected() -> None:
    assert rejected(BETS, row_text(BET, new='"\\u0000"')).reason == "bad_value"
    assert rejected(BETS, row_text(BET, new='"\\ud800"')).reason in ("bad_value", "not_an_object")


def test_deep_unknown_field_is_rejected() -> None:
    for depth in (MAX_NESTING, 50_000):
        assert rejected(BETS, row_text(BET, new="[" * depth + "]" * depth)).reason == "bad_value"


def test_tax_may_be_spelled_with_a_space() -> None:
    assert decoded(DAILY, row_text({**PLAYER, "tax ": -1.5}))[0]["tax"] == "-1.5"
    assert decoded(DAILY, row_text({**PLAYER, "tax": -1.5}))[0]["tax"] == "-1.5"
    values, extra = decoded(DAILY, row_text({**PLAYER, "tax ": -1.5, "tax": -1.5}))
    assert (values["tax"], extra) == ("-1.5", None)


def test_tax_spelled_twice_with_different_values_is_rejected() -> None:
    error = rejected(DAILY, row_text({**PLAYER, "tax ": -1.5, "tax": -1.6}))
    assert (error.reason, error.detail) == ("key_spelled_twice", "field 'tax' comes twice with different values")


# -- a bad row in a reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason", "raw_shows"),
    [
        ({"bet_amount": "NaN"}, "bad_value", '"NaN"'),
        ({"bet_amount": "1E+200000"}, "bad_value", "1E+200000"),
        ({"user_id": "a\0b"}, "bad_value", "a\\u0000b"),
        ({"user_id": "\ud800"}, "bad_value", "ud800"),
        ({"bet_detail": {"x": "\0"}}, "bad_value", "\\u0000"),
        ({"bet_time": -5}, "bad_value", "-5"),
        ({"currency": None}, "bad_value", "null"),
    ],
)
def test_bad_row_is_kept_apart_and_the_others_load(
    reading: type[Reading], db: psycopg.Connection, change: dict[str, Any], reason: str, raw_shows: str
) -> None:
    rows = [{**BET, "id": "good1"}, {**BET, "id": "bad", **change}, {**BET, "id": "good2"}]
    answer = {"code": 200, "data": {"transactions": rows, "total": 3}}
    made = reading.of("lucko", "bets", at(2026, 3, 1, 12)).answer(answer)
    with pytest.raises(SuspectReading, match=r"1 row\(s\) broke the contract, see ops.rejects"):
        made.load()
    assert [row[0] for row in db.execute("SELECT id FROM staging.lucko_bets ORDER BY id")] == ["good1", "good2"]
    found = db.execute(
        "SELECT provider, feed, agent, page, row_number, natural_key, reason, raw FROM ops.rejects"
    ).fetchall()
    assert len(found) == 1
    assert found[0][:7] == ("lucko", "bets", "acme", "page-00001.json.gz", 2, "bad", reason)
    assert raw_shows in found[0][7]
    certificate = db.execute("SELECT state, rows, distinct_keys, inserted, rejected FROM ops.readings").fetchone()
    assert certificate == ("suspect", 3, 2, 2, 1)


def test_reloading_a_reading_does_not_repeat_its_rejects(reading: type[Reading], db: psycopg.Connection) -> None:
    made = reading.of("lucko", "bets", at(2026, 3, 1, 12)).answer(
        {"code": 200, "data": {"transactions": [{**BET, "status": "x"}, 7], "total": 2}}
    )
    for _ in range(2):
        with pytest.raises(SuspectReading):
            made.load()
    found = db.execute("SELECT row_number, natural_key, reason, raw FROM ops.rejects ORDER BY row_number").fetchall()
    assert [row[:3] for row in found] == [(1, "b1", "bad_value"), (2, None, "not_an_object")]
    assert found[1][3] == "7"


def test_long_and_foreign_ids_reach_the_table(reading: type[Reading], db: psycopg.Connection) -> None:
    idents = sorted(["i" * 200, "用户一号", "o'x; drop table", "\N{GRINNING FACE}"], key=lambda ident: ident.encode())
    rows = [{**BET, "id": ident, "user_id": ident} for ident in idents]
    reading.of("lucko", "bets", at(2026, 3, 1, 12)).answer(
        {"code": 200, "data": {"transactions": rows, "total": 4}}
    ).load()
    found = db.execute("SELECT id, user_id FROM staging.lucko_bets ORDER BY id").fetchall()
    assert found == [(ident, ident) for ident in idents]
