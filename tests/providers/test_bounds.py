"""Slices become each provider's own bounds, to the millisecond; neighbours neither overlap nor leave a gap."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import HOUR, hook

from tieout.core.clock import epoch_ms, from_epoch_ms
from tieout.core.errors import ConfigError
from tieout.core.feed import FeedOptions
from tieout.core.slices import Slice, Window, parse_instant
from tieout.providers import FEEDS, feed_spec
from tieout.providers.hotroad import hour_text
from tieout.providers.jdb import report_date
from tieout.providers.lucko import bet_params, rebate_params
from tieout.providers.vertexplay import instant_text

MS = timedelta(milliseconds=1)
DAY = timedelta(days=1)
TEN_MINUTES = timedelta(minutes=10)
NOTHING = FeedOptions()
JDB_OPTIONS = FeedOptions(currency="RMB", g_types=("0", "7", "18"))


def at(text: str) -> datetime:
    return parse_instant(text)


def asked(provider: str, feed: str, window: Window) -> requests.Request:
    return hook(provider).request(feed_spec(provider, feed), window, 0)


# -- Lucko ------------------------------------------------------------------------------------------------------


def test_lucko_bets_end_is_exclusive() -> None:
    window = Window(Slice(at("2026-03-01T12:00:00Z"), at("2026-03-01T13:00:00Z")))
    assert bet_params(window, 5000) == {
        "start_time": "1772366400000", "end_time": "1772370000000", "start_index": "5000", "page_size": "5000",
    }  # fmt: skip


def test_lucko_rebates_end_is_the_last_millisecond_inside() -> None:
    window = Window(Slice(at("2026-03-01T12:00:00Z"), at("2026-03-01T13:00:00Z")))
    assert rebate_params(window, 0) == {
        "time_start": "1772366400000", "time_end": "1772369999999", "start": "0", "count": "3000",
    }  # fmt: skip


def test_lucko_request_of_either_feed() -> None:
    window = Window(Slice(at("2026-03-01T12:00:00Z"), at("2026-03-01T13:00:00Z")))
    assert asked("lucko", "bets", window).params == bet_params(window, 0)
    assert asked("lucko", "rebates", window).params == rebate_params(window, 0)
    assert asked("lucko", "bets", window).url == "https://provider.example/api/game/transaction/query"
    assert asked("lucko", "rebates", window).url == "https://provider.example/api/promo/rebate/bill"


# -- HotRoad ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        ("2022-07-02T16:00:00Z", "2022-07-03T00+0800"),
        ("2022-07-02T15:00:00Z", "2022-07-02T23+0800"),
        ("2024-02-28T16:00:00Z", "2024-02-29T00+0800"),
        ("2024-02-29T15:00:00Z", "2024-02-29T23+0800"),
        ("2024-02-29T16:00:00Z", "2024-03-01T00+0800"),
        ("2023-02-28T16:00:00Z", "2023-03-01T00+0800"),
        ("2025-12-31T16:00:00Z", "2026-01-01T00+0800"),
        ("2026-04-30T16:00:00Z", "2026-05-01T00+0800"),
        ("2026-03-29T00:00:00Z", "2026-03-29T08+0800"),
    ],
)
def test_hotroad_hours(instant: str, text: str) -> None:
    assert hour_text(at(instant)) == text
    assert len(text) == 18


@pytest.mark.parametrize("instant", ["2026-03-01T12:30:00Z", "2026-03-01T12:00:01Z", "2026-03-01T12:00:00.001Z"])
def test_hotroad_refuses_what_is_no_hour(instant: str) -> None:
    with pytest.raises(ConfigError, match="asked by whole hours"):
        hour_text(at(instant))


def test_hotroad_day_is_read_as_24_hours() -> None:
    day = Slice(at("2024-02-28T16:00:00Z"), at("2024-02-29T16:00:00Z"))
    bodies: list[Any] = [
        asked("hotroad", "summary", w).json for w in feed_spec("hotroad", "summary").windows(day, NOTHING)
    ]
    assert len(bodies) == 24
    assert bodies[0] == {"agentId": "a1", "startTimeHr": "2024-02-29T00+0800", "endTimeHr": "2024-02-29T01+0800"}
    assert bodies[-1] == {"agentId": "a1", "startTimeHr": "2024-02-29T23+0800", "endTimeHr": "2024-03-01T00+0800"}
    assert [body["endTimeHr"] for body in bodies[:-1]] == [body["startTimeHr"] for body in bodies[1:]]


# -- JDB --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2016-01-01T04:00:00Z", date(2016, 1, 1)),
        ("2024-02-29T04:00:00Z", date(2024, 2, 29)),
        ("2025-12-31T04:00:00Z", date(2025, 12, 31)),
        ("2026-01-01T12:00:00+08:00", date(2026, 1, 1)),
    ],
)
def test_jdb_day_begins_at_noon_in_beijing(instant: str, day: date) -> None:
    assert report_date(at(instant)) == day


@pytest.mark.parametrize(
    "instant", ["2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T04:00:00.001Z", "2026-01-01T03:59:59.999Z"]
)
def test_jdb_refuses_what_is_no_beginning_of_a_day(instant: str) -> None:
    with pytest.raises(ConfigError, match="begins at 12:00 in UTC\\+8"):
        report_date(at(instant))


def test_jdb_asks_every_game_type_of_every_day() -> None:
    days = Slice(at("2024-02-28T04:00:00Z"), at("2024-03-01T04:00:00Z"))
    windows = list(feed_spec("jdb", "daily").windows(days, JDB_OPTIONS))
    assert [asked("jdb", "daily", window).params for window in windows] == [
        {"gType": g_type, "date": day} for day in ("28-02-2024", "29-02-2024") for g_type in ("0", "7", "18")
    ]


def test_jdb_refuses_a_part_of_a_day() -> None:
    half = Slice(at("2024-02-28T04:00:00Z"), at("2024-02-28T16:00:00Z"))
    with pytest.raises(ConfigError, match="begins at 12:00"):
        list(feed_spec("jdb", "daily").windows(half, JDB_OPTIONS))


# -- VertexPlay -------------------------------------------------------------------------------------------------


def test_vertexplay_instants_have_three_decimals() -> None:
    assert instant_text(at("2026-01-21T07:20:00Z")) == "2026-01-21T07:20:00.000Z"
    assert instant_text(at("2026-01-21T07:20:00.007Z")) == "2026-01-21T07:20:00.007Z"
    assert instant_text(at("2026-01-21T07:20:00+08:00")) == "2026-01-20T23:20:00.000Z"


def test_vertexplay_hour_is_six_contiguous_windows() -> None:
    hour = Slice(at("2026-01-21T23:00:00Z"), at("2026-01-22T00:00:00Z"))
    bodies = []
    for window in feed_spec("vertexplay", "betlogs").windows(hour, NOTHING):
        data = asked("vertexplay", "betlogs", window).data
        assert isinstance(data, bytes)
        bodies.append(json.loads(data))
    assert len(bodies) == 6
    assert bodies[0]["startDate"] == "2026-01-21T23:00:00.000Z"
    assert bodies[-1]["endDate"] == "2026-01-22T00:00:00.000Z"
    assert [body["endDate"] for body in bodies[:-1]] == [body["startDate"] for body in bodies[1:]]
    assert {body["betSourceId"] for body in bodies} == {"0"}


# -- all of them ------------------------------------------------------------------------------------------------

#: Unit of slice boundaries, so that random slices are ones the feed can have.
UNITS = {"hotroad__summary": HOUR, "jdb__daily": DAY}


@st.composite
def neighbours(draw: st.DrawFn, unit: timedelta, offset: timedelta, widest: timedelta) -> tuple[Slice, Slice]:
    """Two slices, the second beginning where the first ends."""
    most = widest // unit
    start = from_epoch_ms(draw(st.integers(0, 2_000_000_000_000 // (unit // MS))) * (unit // MS)) + offset
    middle = start + draw(st.integers(1, most)) * unit
    return Slice(start, middle), Slice(middle, middle + draw(st.integers(1, most)) * unit)


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
@given(data=st.data())
@settings(max_examples=60)
def test_windows_of_neighbouring_slices_cover_every_instant_once(feed_id: str, data: st.DataObject) -> None:
    spec = FEEDS[feed_id]
    options = FeedOptions(currency="X", g_types=("0", "7"))
    unit = UNITS.get(feed_id, MS)
    first, second = data.draw(neighbours(unit, spec.slice_anchor, 3 * spec.max_window))
    lanes: dict[Any, list[Window]] = {}
    for window in (*spec.windows(first, options), *spec.windows(second, options)):
        lanes.setdefault(tuple(window.params.items()), []).append(window)
    assert len(lanes) == (2 if spec.provider == "jdb" else 1)
    for lane in lanes.values():
        assert lane[0].range.start == first.start
        assert lane[-1].range.end == second.end
        assert all(a.range.end == b.range.start for a, b in itertools.pairwise(lane))
        assert all(timedelta(0) < window.range.width <= spec.max_window for window in lane)


@given(data=st.data())
def test_lucko_bounds_on_the_wire_neither_lose_nor_double_a_millisecond(data: st.DataObject) -> None:
    first, second = data.draw(neighbours(MS, timedelta(0), 2 * DAY))
    bets, rebates = feed_spec("lucko", "bets"), feed_spec("lucko", "rebates")
    covered_bets = [bet_params(w, 0) for s in (first, second) for w in bets.windows(s, NOTHING)]
    covered_rebates = [rebate_params(w, 0) for s in (first, second) for w in rebates.windows(s, NOTHING)]
    # As half-open ranges of milliseconds: bets exclude their end, rebates include it.
    ranges = {
        "bets": [(int(p["start_time"]), int(p["end_time"])) for p in covered_bets],
        "rebates": [(int(p["time_start"]), int(p["time_end"]) + 1) for p in covered_rebates],
    }
    for spans in ranges.values():
        assert spans[0][0] == epoch_ms(first.start)
        assert spans[-1][1] == epoch_ms(second.end)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
        assert all(start < end for start, end in spans)
    assert all(end - start < 86_400_000 for start, end in ranges["bets"])


def test_slice_wider_than_lucko_allows_is_read_in_windows_of_less_than_a_day() -> None:
    day = Slice(at("2026-03-01"), at("2026-03-02"))
    windows = list(feed_spec("lucko", "bets").windows(day, NOTHING))
    assert [window.range.width for window in windows] == [23 * HOUR, HOUR]


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (datetime(2026, 3, 1), datetime(2026, 3, 2, tzinfo=UTC), "has no timezone"),
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), "empty or reversed"),
        (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), "empty or reversed"),
        (datetime(2026, 3, 1, 0, 0, 0, 500, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC), "whole millisecond"),
    ],
)
def test_impossible_slice_is_refused(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Slice(start, end)


@given(st.integers(0, 253_402_300_799_999))
def test_epoch_milliseconds_are_exact(milliseconds: int) -> None:
    assert epoch_ms(from_epoch_ms(milliseconds)) == milliseconds
