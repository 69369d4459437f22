"""Whether the quotas suffice in time, and coverage at a glance."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from book import DAY, Book, declared
from sqlalchemy import URL

from tieout.__main__ import main
from tieout.core.coverage import coverage_table, feed_coverage, forecast, forecast_table
from tieout.core.quota import SPACING
from tieout.core.slices import stamp


def started(db: psycopg.Connection, provider: str, feed: str, *, hours: int, **keys: str) -> Book:
    """A feed that began so many hours before the top."""
    start = f"{Book(db, declared(provider, feed)).hour(hours).start:%Y-%m-%dT%H:%M:%SZ}"
    return Book(db, declared(provider, feed, start=start, **keys)).declare()


def test_feed_without_open_slices_has_no_forecast(db: psycopg.Connection) -> None:
    book = started(db, "lucko", "bets", hours=3)
    book.read(*(book.hour(n) for n in range(4)))
    assert forecast(db, [book.feed]) == []


def test_calls_and_spacing_are_those_of_the_open_slices(db: psycopg.Connection) -> None:
    book = started(db, "vertexplay", "betlogs", hours=10)
    book.read(book.hour(10), book.hour(9))
    (found,) = forecast(db, [book.feed])
    open_slices = sum(status == "missing" for _, _, status, _ in book.statuses())
    assert open_slices in (8, 9)
    assert (found.slices, found.calls) == (open_slices, open_slices * 6)
    # Live slices take six calls an hour for themselves.
    live = 6 * 3 * SPACING / 3600
    assert found.spacing.total_seconds() == pytest.approx(3 * SPACING / (1 - live), rel=1e-6)
    assert found.deadline == book.hour(8).start + 40 * DAY
    assert (found.suffices, found.lost, found.lost_from) == (True, 0, None)
    took = (found.done_at - book.now()).total_seconds()
    assert took == pytest.approx(found.calls * found.spacing.total_seconds(), abs=5)


def test_pages_of_past_readings_are_expected_again(db: psycopg.Connection) -> None:
    book = started(db, "lucko", "bets", hours=10)
    book.read(book.hour(10), pages=7)
    (found,) = forecast(db, [book.feed])
    assert found.calls == found.slices * 7


def test_widened_spacing_counts(db: psycopg.Connection) -> None:
    book = started(db, "lucko", "bets", hours=10)
    (narrow,) = forecast(db, [book.feed])
    db.execute("UPDATE ops.agents SET merchant_id = 'm1'")
    db.execute(
        """INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at, min_interval)
           VALUES ('lucko', %s, 'm1', now(), interval '30 seconds'),
                  ('lucko', %s, 'another', now(), interval '1 hour')""",
        (book.feed.spec.endpoint, book.feed.spec.endpoint),
    )
    (wide,) = forecast(db, [book.feed])
    assert narrow.spacing.total_seconds() == pytest.approx(5 * SPACING, rel=0.01)
    assert wide.spacing.total_seconds() == pytest.approx(30 * SPACING, rel=0.02)


def test_quota_that_does_not_suffice_is_told_with_what_will_be_lost(db: psycopg.Connection) -> None:
    # 30 minutes a call, an hour a slice beside nothing else: two days' slices cannot be read in the last day.
    keys = {
        "feeds": "{summary: {interval: 30min}}",
        "stop": f"{Book(db, declared('lucko', 'bets')).hour(38 * 24).start:%Y-%m-%dT%H:%M:%SZ}",
    }
    book = started(db, "hotroad", "summary", hours=40 * 24 - 5, **keys)
    open_deadlines = [deadline for _, _, status, deadline in book.statuses() if status == "missing"]
    assert len(open_deadlines) > 24
    (found,) = forecast(db, [book.feed])
    assert found.suffices
    slower = started(db, "hotroad", "summary", hours=40 * 24 - 5, **{**keys, "feeds": "{summary: {interval: 90min}}"})
    (found,) = forecast(db, [slower.feed])
    # Read at 1.53 h each while one an hour is forgotten.
    now, each, lost, read = slower.now(), timedelta(minutes=90) * SPACING, 0, 0
    for deadline in open_deadlines:
        assert deadline is not None
        lost, read = (lost + 1, read) if now + each * read > deadline else (lost, read + 1)
    assert found.lost == lost > 0
    assert found.lost_from in open_deadlines
    text = forecast_table([found])
    assert f"no: {lost} slice(s) will be lost from {stamp(found.lost_from)} on" in text  # type: ignore[arg-type]


def test_forecast_goes_through_xcom(db: psycopg.Connection) -> None:
    (found,) = forecast(db, [started(db, "lucko", "rebates", hours=5).feed])
    data = found.as_json()
    assert (data["provider"], data["feed"], data["agent"]) == ("lucko", "rebates", "acme")
    assert (data["deadline"], data["suffices"]) == (None, True)
    assert data["spacing"] == found.spacing.total_seconds()


def test_coverage_counts_each_status_and_names_the_nearest_deadline(db: psycopg.Connection) -> None:
    book = started(db, "vertexplay", "betlogs", hours=10)
    book.read(book.hour(10), book.hour(9))
    book.read(book.hour(8), state="suspect")
    book.read(book.hour(7), state="landed")
    other = Book(db, declared("hotroad", "summary", agent="other")).declare(known_for=DAY)
    with db.transaction():
        hotroad, vertexplay = feed_coverage(db)
        assert feed_coverage(db, provider="hotroad") == [hotroad]
        assert feed_coverage(db, agent="acme") == [vertexplay]
    statuses = [status for _, _, status, _ in book.statuses()]
    assert {status: getattr(vertexplay, status) for status in set(statuses)} == {
        status: statuses.count(status) for status in set(statuses)
    }
    assert (vertexplay.certified, vertexplay.suspect, vertexplay.landed) == (2, 1, 1)
    assert vertexplay.open == len(statuses) - vertexplay.certified - vertexplay.due
    assert (vertexplay.oldest_open, vertexplay.deadline) == (book.hour(8).start, book.hour(8).start + 40 * DAY)
    # Of the years since its start, only what was still to be had when it became known.
    assert 0 < hotroad.lost <= 24 < sum(status == "lost" for _, _, status, _ in other.statuses())
    header, first, second = coverage_table([hotroad, vertexplay]).splitlines()
    assert header.split()[:4] == ["feed", "agent", "certified", "due"]
    assert first.startswith("hotroad summary     other")
    assert f"{stamp(book.hour(8).start)}" in second
    assert "(in 39 d" in second


def test_coverage_is_printed(db: psycopg.Connection, warehouse: URL, capsys: pytest.CaptureFixture[str]) -> None:
    for agent in ("acme", "other"):
        Book(db, declared("vertexplay", "betlogs", agent=agent)).declare(known_for=DAY)
    arguments = ["--warehouse", warehouse.render_as_string(hide_password=False), "coverage"]
    assert main(arguments) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["acme", "other"]
    assert main([*arguments, "--agent", "other"]) == 0
    _header, line = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == ["vertexplay", "betlogs", "other"]


def test_table_of_nothing_is_a_header() -> None:
    assert coverage_table([]).count("\n") == 0
