"""What is sent in binary is what the text would have become; answers read at once are those read row by row."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from tieout.core import copying
from tieout.core.rows import RowReader, Rows, _Unusual
from tieout.core.warehouse import connect
from tieout.providers import feed_spec

BETS = RowReader(feed_spec("lucko", "bets"))
PLAIN = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,15})?", fullmatch=True)


def sent(db: psycopg.Connection, type_: str, pieces: copying.Pieces) -> list[Any]:
    """The values as text, after a binary COPY."""
    with db.transaction(force_rollback=True):
        db.execute(f"CREATE TEMP TABLE sent (n bigint, v {type_}) ON COMMIT DROP".encode())
        numbers = copying.bigints(range(len(pieces)))
        statement = psycopg.sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(psycopg.sql.Identifier("sent"))
        copying.send(db, statement, [numbers, pieces], fields=2)
        return [value for (value,) in db.execute("SELECT v::text FROM sent ORDER BY n")]


def test_amounts_keep_their_digits(warehouse: URL) -> None:
    with connect(warehouse) as db:

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(texts=st.lists(PLAIN, min_size=1, max_size=60))
        def property(texts: list[str]) -> None:
            expected = [row[0] for row in db.execute("SELECT t::numeric::text FROM unnest(%s::text[]) AS t", (texts,))]
            assert sent(db, "numeric", copying.numerics([*texts, None])) == [*expected, None]

        property()


@pytest.mark.parametrize(
    "text", ["", "-", ".5", "5.", "1e3", "+1", "1_0", " 1", "1,2", "NaN", "²", "١", "--1", "1.2.3", "9" * 41]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        copying.numerics([text])


def test_every_type_arrives(warehouse: URL) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    with connect(warehouse) as db:
        assert sent(db, "timestamptz", copying.instants([moment, None])) == ["2026-03-01 12:00:00.123456+00", None]
        assert sent(db, "timestamptz", copying.epochs([0, 253_402_300_799_999, None])) == [
            "1970-01-01 00:00:00+00", "9999-12-31 23:59:59.999+00", None,
        ]  # fmt: skip
        assert sent(db, "date", copying.dates([date(1999, 12, 31), None])) == ["1999-12-31", None]
        assert sent(db, "boolean", copying.flags([True, False, None])) == ["true", "false", None]
        assert sent(db, "integer", copying.integers([-(2**31), 7, None])) == [str(-(2**31)), "7", None]
        assert sent(db, "bigint", copying.bigints([-(2**63), 7, None])) == [str(-(2**63)), "7", None]
        assert sent(db, "text", copying.texts(["é\t\\\n", "", None])) == ["é\t\\\n", "", None]
        assert sent(db, "jsonb", copying.json_bytes([b'{"a":1.50}', b"", b"null", b"[]"])) == [
            '{"a": 1.50}', None, None, "[]",
        ]  # fmt: skip
        assert sent(db, "jsonb", copying.json_bytes([b'"%b"' % (b"x" * 5000)])) == ['"' + "x" * 5000 + '"']
        with pytest.raises(struct.error):
            copying.integers([2**31])


def raw_bet(number: int, **changes: Any) -> msgspec.Raw:
    row = {
        "id": f"b{number}", "user_id": "u", "game_id": "1", "bet_time": number, "bet_amount": "1.50",
        "valid_bet_turnover": "0", "currency": "USD", "update_time": 5, "status": 1, "settle_time": 0,
        "bet_detail": {"x": 1, "12e": "e"}, "open_cards": None,
    }  # fmt: skip
    return msgspec.Raw(msgspec.json.encode(row | changes))


ORDINARY = [raw_bet(1), raw_bet(2, game_result=[1, {"é": 2}], no_comm=True), raw_bet(3, bet_detail={"n": "1e400"})]
UNUSUAL = {
    "nothing": [],
    "unknown field": [raw_bet(1, new=1)],
    "an amount that is none": [raw_bet(1, bet_amount="1e3")],
    "an amount as number": [raw_bet(1, bet_amount=1)],
    "an escape": [msgspec.Raw(bytes(raw_bet(1)).replace(b'"USD"', rb'"\u0055SD"'))],
    "NUL": [msgspec.Raw(bytes(raw_bet(1)).replace(b'"USD"', rb'"\u0000"'))],
    "no UTF-8": [msgspec.Raw(bytes(raw_bet(1)).replace(b'"e"', b'"\xff"'))],
    "a huge exponent": [msgspec.Raw(bytes(raw_bet(1)).replace(b'"x":1', b'"x":1e2000'))],
    "nested too deep": [msgspec.Raw(bytes(raw_bet(1)).replace(b'"x":1', b'"x":' + b"[" * 300 + b"]" * 300))],
}


def plain(rows: Rows) -> tuple[Any, ...]:
    return list(rows.numbers), list(rows.keys), [list(column) for column in rows.columns]


def test_answers_read_at_once_are_those_read_singly() -> None:
    assert plain(BETS._at_once(ORDINARY, [])) == plain(BETS._one_by_one(ORDINARY, []))


@pytest.mark.parametrize("raws", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_answers_are_read_singly(raws: list[msgspec.Raw]) -> None:
    with pytest.raises(_Unusual):
        BETS._at_once([*ORDINARY, *raws] if raws else [], [])
    assert plain(BETS.read(raws)) == plain(BETS._one_by_one(raws, []))
