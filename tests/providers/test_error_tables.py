"""Every documented code has its class; an unknown one is an error; success is never hidden, nor an error in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tieout.core.errors import (
    ContractBroken,
    FatalError,
    NotReady,
    PastReach,
    Throttled,
    TieoutError,
    Unreachable,
)
from tieout.core.feed import Page
from tieout.providers import feed_spec, hotroad, jdb, lucko, vertexplay

LUCKO = {
    408000: ContractBroken, 408003: FatalError, 408004: Throttled, 600100: FatalError, 600101: ContractBroken,
    700101: FatalError, 700401: PastReach,
}  # fmt: skip
JDB: dict[int, type[TieoutError]] = {
    **dict.fromkeys((9009, 9010, 9012, 9013, 9017), Unreachable),
    **dict.fromkeys((9001, 9002, 9003, 9004, 9005, 9006, 9007, 9015, 9016, 9999), FatalError),
    **dict.fromkeys((8000, 8001, 8002, 8003, 8005, 8007, 8008, 8010, 8013, 8014), ContractBroken),
    **dict.fromkeys((7001, 7002, 7003, 7004), FatalError),
    9019: Throttled,
    8006: NotReady,
    8009: PastReach,
}  # fmt: skip
VERTEXPLAY = {10: FatalError, 11: ContractBroken, 77: Throttled, 83: FatalError, 84: FatalError}

Build = Callable[[Any], dict[str, Any]]
READERS: dict[str, tuple[Callable[[bytes], Page], Build]] = {
    "lucko bets": (lucko.read_bets, lambda code: {"code": code, "message": "m"}),
    "lucko rebates": (lucko.read_rebates, lambda code: {"code": code, "message": "m"}),
    "jdb": (jdb.read_daily, lambda code: {"status": code, "err_text": "m"}),
    "vertexplay": (vertexplay.read_betlogs, lambda code: {"code": code, "message": "m", "logUUID": "u"}),
    "hotroad": (hotroad.read_summary, lambda code: {"code": code, "message": "m"}),
}
CASES = [
    *(("lucko bets", code, kind) for code, kind in LUCKO.items()),
    *(("lucko rebates", code, kind) for code, kind in LUCKO.items()),
    *(("jdb", code, kind) for code, kind in JDB.items()),
    *(("vertexplay", code, kind) for code, kind in VERTEXPLAY.items()),
]


def refusal(reader: str, code: object) -> TieoutError:
    read, build = READERS[reader]
    with pytest.raises(TieoutError) as caught:
        read(json.dumps(build(code)).encode())
    return caught.value


@pytest.mark.parametrize(("reader", "code", "kind"), CASES)
@pytest.mark.parametrize("form", [int, str])
def test_documented_code(reader: str, code: int, kind: type[TieoutError], form: type) -> None:
    error = refusal(reader, form(code))
    assert type(error) is kind
    assert f"code {code} (" in str(error)
    assert "'m'" in str(error)
    assert error.retryable == issubclass(kind, (Throttled, Unreachable, NotReady))


def test_tables_hold_nothing_but_the_documented_codes() -> None:
    assert set(lucko.ERRORS.codes) == set(map(str, LUCKO))
    assert set(jdb.ERRORS.codes) == set(map(str, JDB))
    assert set(vertexplay.ERRORS.codes) == set(map(str, VERTEXPLAY))
    assert hotroad.ERRORS.codes == {}


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("code", ["31337", 31337, "", "OK", -1, "<script>" * 100])
def test_unknown_code_is_fatal_and_quoted_shortly(reader: str, code: object) -> None:
    error = refusal(reader, code)
    assert type(error) is FatalError
    assert f"undocumented code {str(code)[:40]!r}" in str(error)
    assert "nothing of this answer was taken as data" in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("code", [None, True, 1.5, [], {}])
def test_code_of_another_type_breaks_the_contract(reader: str, code: object) -> None:
    assert type(refusal(reader, code)) is ContractBroken


@pytest.mark.parametrize("data", ["", {}, [], None])
def test_code_counts_whatever_stands_beside_it(data: object) -> None:
    with pytest.raises(Throttled):
        jdb.read_daily(json.dumps({"status": "9019", "data": data}).encode())
    with pytest.raises(Throttled):
        vertexplay.read_betlogs(json.dumps({"code": 77, "data": data}).encode())
    with pytest.raises(Throttled):
        lucko.read_bets(json.dumps({"code": 408004, "data": data}).encode())


def test_delays() -> None:
    assert getattr(refusal("jdb", "8006"), "delay", None) == timedelta(minutes=30)
    assert getattr(refusal("jdb", "9013"), "delay", None) == timedelta(minutes=5)
    assert getattr(refusal("vertexplay", 77), "delay", "absent") is None


def test_long_message_of_the_provider_is_cut() -> None:
    read, _ = READERS["vertexplay"]
    with pytest.raises(FatalError) as caught:
        read(json.dumps({"code": 83, "message": "x" * 5000}).encode())
    assert "x" * 200 in str(caught.value)
    assert "x" * 201 not in str(caught.value)


SUCCESSES = [
    ("lucko bets", {"code": 200, "data": {"transactions": [{"id": 1}], "total": 7}}, 7),
    ("lucko bets", {"code": "200", "data": {"transactions": [{"id": 1}]}}, None),
    ("lucko rebates", {"code": 200, "data": {"list": [{}], "total": 1, "start": 0, "page_size": 9}}, 1),
    ("jdb", {"status": "0000", "data": [{"uid": "x"}], "err_text": ""}, None),
    ("vertexplay", {"code": 0, "message": "No error.", "data": [{}], "logUUID": "u"}, None),
    ("vertexplay", {"code": "0", "data": [{}]}, None),
    ("hotroad", {"code": "0000", "data": {"list": [{}]}}, None),
]


@pytest.mark.parametrize(("reader", "answer", "total"), SUCCESSES)
def test_success(reader: str, answer: dict[str, Any], total: int | None) -> None:
    page = READERS[reader][0](json.dumps(answer).encode())
    assert (page.total, len(page.rows)) == (total, 1)


@pytest.mark.parametrize(
    ("reader", "answer"),
    [
        ("lucko bets", {"code": 200}),
        ("lucko bets", {"code": 200, "data": None}),
        ("lucko bets", {"code": 200, "data": {}}),
        ("lucko bets", {"code": 200, "data": {"list": []}}),
        ("lucko bets", {"code": 200, "data": {"transactions": None}}),
        ("lucko bets", {"code": 200, "data": {"transactions": [], "total": "5"}}),
        ("lucko rebates", {"code": 200, "data": {"transactions": []}}),
        ("jdb", {"status": "0000"}),
        ("jdb", {"status": "0000", "data": None}),
        ("jdb", {"status": "0000", "data": {}}),
        ("vertexplay", {"code": 0}),
        ("vertexplay", {"code": 0, "data": {"rows": []}}),
        ("hotroad", {"code": "0000"}),
        ("hotroad", {"code": "0000", "data": []}),
        ("hotroad", {"code": "0000", "data": {"list": None}}),
    ],
)
def test_success_without_data_is_no_empty_slice(reader: str, answer: dict[str, Any]) -> None:
    with pytest.raises(ContractBroken):
        READERS[reader][0](json.dumps(answer).encode())


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("body", [b"", b"{", b'{"code": 200, "status": "0000"', b"<html>", b"\xff\xfe\x00"])
def test_incomplete_json_is_retried(reader: str, body: bytes) -> None:
    with pytest.raises(Unreachable, match=f"{len(body)} bytes that are no complete JSON"):
        READERS[reader][0](body)


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"', b"[" * 5000 + b"]" * 5000])
def test_another_form_breaks_the_contract(reader: str, body: bytes) -> None:
    with pytest.raises(ContractBroken, match="undocumented form"):
        READERS[reader][0](body)


@pytest.mark.parametrize("bad", [b"NaN", b"-Infinity", b"Infinity", b'"\\ud800"', b'"a\\udfff b"', b'"\xff"'])
def test_value_that_is_no_json_costs_its_row_only(bad: bytes) -> None:
    spec = feed_spec("jdb", "daily")
    good = b'{"uid":"NaN \\\\ud800 \\ud83d\\ude00","bet":-1.10,"win":0,"netWin":-1.10,"validBet":-1.10}'
    page = spec.read_page(
        b'{"status":"0000","data":[{"uid":%b,"bet":1,"win":1,"netWin":1,"validBet":1},%b]}' % (bad, good)
    )
    assert len(page.rows) == 2
    with pytest.raises(Exception, match=r"bad_value|not_an_object"):
        spec.codec.values(spec.codec.decode(page.rows[0])[0])
    values = spec.codec.values(spec.codec.decode(page.rows[1])[0])
    assert values[:2] == ["NaN \\ud800 \N{GRINNING FACE}", "-1.10"]


def test_raw_control_character_in_a_text_is_kept() -> None:
    page = jdb.read_daily(b'{"status":"0000","data":[{"uid":"a\tb\\"c"}]}')
    assert json.loads(bytes(page.rows[0])) == {"uid": 'a\tb"c'}
