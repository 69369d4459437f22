"""What the pages show: filtered, sorted and paged on the server, exact, escaped, and kind when there is nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL
from web_people import FORMULA, HOSTILE, INJECTION, Person, declare, read

from readings import at
from tieout.web import warehouse as web_warehouse
from tieout.web.breaks import plain_cell
from tieout.web.charts import Day, Step, tie_out_chart, waterfall
from tieout.web.render import number, text

Browser = Callable[[Person | None], TestClient]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEED = "provider=lucko&feed=bets&agent=acme"
PAGES = (
    "coverage?until=2026-03-12", "incomplete", "dag?dag_id=lucko__bets__acme", f"slices?{FEED}&day=2026-03-10",
    f"rejects?{FEED}", "reconciliation?first=2026-03-01&last=2026-03-31", "breaks?state=all",
    "bridge?agent=acme&day=2026-03-10&currency=USD", f"action?kind=repair&{FEED}&from=2026-03-10&to=2026-03-11",
)  # fmt: skip


class Rows(HTMLParser):
    """The text of every row of a page's tables, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def shown_breaks(client: TestClient, query: str) -> list[str]:
    """The rebates of the breaks on a page, in order."""
    page = client.get(f"/tieout/breaks?{query}")
    assert page.status_code == 200, page.text
    return [row[2] for row in Rows(page.text).rows[1:]]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_to_its_policy(owners_pages: TestClient, path: str) -> None:
    answer = owners_pages.get(f"/tieout/{path}")
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    tags = Rows(answer.text).tags
    assert [attributes for tag, attributes in tags if tag == "script" and "src" not in attributes] == []
    assert [name for _, attributes in tags for name in attributes if name.startswith("on") or name == "style"] == []
    links = [attributes.get("href") or attributes.get("src") or "" for _, attributes in tags]
    # Relative, so that it works below any prefix and in Airflow's frame.
    assert [link for link in links if link.startswith(("/", "http"))] == []


@pytest.mark.parametrize("hostile", [HOSTILE, INJECTION, FORMULA])
def test_hostile_ids_are_text_everywhere(owners_pages: TestClient, db: psycopg.Connection, hostile: str) -> None:
    ids = [row[0] for row in db.execute("SELECT break_id FROM recon.breaks").fetchall()]
    paths = ["breaks?state=all", *(f"break?id={break_id}" for break_id in ids)]
    parsed = [Rows(owners_pages.get(f"/tieout/{path}").text) for path in paths]
    assert all(sum(tag == "script" for tag, _ in page.tags) == 1 for page in parsed)
    assert any(hostile in cell for page in parsed for row in page.rows for cell in row)
    found = owners_pages.get("/tieout/breaks", params={"state": "all", "user_id": hostile})
    assert found.status_code == 200
    assert owners_pages.get("/tieout/breaks", params={"agent": hostile, "rebate_id": hostile}).status_code == 200
    assert db.execute("SELECT count(*) FROM recon.breaks").fetchone() == (len(ids),)


@pytest.mark.parametrize("agent", [HOSTILE, INJECTION, "a%2F..", "a&b=c", "ä\u202e"])
def test_hostile_agents_are_text_and_their_links_lead_to_them(
    pages: Browser, db: psycopg.Connection, agent: str
) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    declare(db, "hotroad", "summary", agent, start, merchant_id=agent)
    quota = "INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at) VALUES ('hotroad', %s, %s, now())"
    db.execute(quota.encode(), (HOSTILE, agent))
    with pages(Person("Olga", reads={f"hotroad__summary__{agent}", "tieout__repair"})) as client:
        page = Rows(client.get("/tieout/coverage?days=14").text)
        assert sum(tag == "script" for tag, _ in page.tags) == 1
        cells = [attributes["href"] for tag, attributes in page.tags if "cell" in (attributes.get("class") or "")]
        assert cells
        slices = Rows(client.get(f"/tieout/{cells[0]}").text)
        actions = [link["href"] for tag, link in slices.tags if (link.get("href") or "").startswith("action")]
        answer = client.get(f"/tieout/{actions[0]}")
    assert answer.status_code == 200
    assert any(agent in cell for row in Rows(answer.text).rows for cell in row) or "\u202e" in agent


def test_breaks_are_filtered(owners_pages: TestClient, db: psycopg.Connection) -> None:
    everything = shown_breaks(owners_pages, "state=all")
    assert len(everything) == db.execute("SELECT count(*) FROM recon.breaks").fetchone()[0]  # type: ignore[index]
    assert shown_breaks(owners_pages, "reason=amount") == ["amount"]
    assert shown_breaks(owners_pages, "least=100.25") == [INJECTION]
    assert shown_breaks(owners_pages, "least=100.26") == []
    assert shown_breaks(owners_pages, "currency=EUR") == []
    assert shown_breaks(owners_pages, "first=2026-03-11") == []
    assert len(shown_breaks(owners_pages, "first=2026-03-10&last=2026-03-10")) == len(everything)
    assert shown_breaks(owners_pages, "state=healed") == []
    assert shown_breaks(owners_pages, "older=1") == []
    assert len(shown_breaks(owners_pages, "younger=1")) == len(everything)
    db.execute("UPDATE recon.breaks SET opened_at = now() - interval '3 days' WHERE reason = 'amount'")
    assert shown_breaks(owners_pages, "older=2") == ["amount"]


def test_breaks_are_sorted_and_paged_on_the_server(owners_pages: TestClient) -> None:
    largest = shown_breaks(owners_pages, "state=all&sort=-amount&size=500")
    assert largest[0] == INJECTION
    assert shown_breaks(owners_pages, "state=all&sort=amount&size=500") == largest[::-1]
    paged = [shown_breaks(owners_pages, f"state=all&sort=-amount&size=2&page={page}") for page in (1, 2, 3, 4)]
    assert [rebate for page in paged for rebate in page] == largest
    page = owners_pages.get("/tieout/breaks?state=all&size=2&page=2").text
    assert "3–4 of" in page
    assert "page=3" in page
    assert "There is no such page" in owners_pages.get("/tieout/breaks?state=all&page=99").text


@pytest.mark.parametrize("query", [
    "breaks?sort=1;drop", "breaks?page=0", "breaks?page=x", "breaks?size=100000", "breaks?least=1e", "breaks?least=NaN",
    "breaks?first=31.12.2026", "breaks?state=x", "breaks?older=-1", f"breaks?agent={'a' * 400}", "breaks?agent=a%00b",
    "coverage?days=15", "coverage?until=x", "coverage?size=101", "reconciliation?first=2026-02-01&last=2026-01-01",
    "slices?provider=lucko", "action?kind=delete", "break?id=-1", "break?id=99999999999999999999999", "dag",
    f"slices?{FEED}&day=2026-3-1", f"slices?{FEED}", f"action?{FEED}&from=x&to=y", "breaks?least=1e999999999",
    "breaks?least=12,50", "breaks?reason=x", "breaks?severity=x", "breaks?first=2026-02-01&last=2026-01-01",
    "breaks?older=3&younger=2", "coverage?until=0001-01-01", "coverage?until=9999-12-31", "breaks?first=1999-12-31",
    "reconciliation?last=0001-01-05", f"action?{FEED}&from=0001-01-01T00:00:00%2B14:00&to=2026-01-01",
    f"slices?{FEED}&day=9999-12-31", "integrity?last=0001-01-05", "reconciliation.csv?last=9999-12-31",
])  # fmt: skip
def test_a_wrong_address_is_told_what_is_wrong(owners_pages: TestClient, query: str) -> None:
    answer = owners_pages.get(f"/tieout/{query}")
    assert answer.status_code == 400, answer.text
    assert "<h1>" in answer.text


def test_the_csv_holds_what_is_filtered_and_no_formula(owners_pages: TestClient) -> None:
    answer = owners_pages.get("/tieout/breaks.csv?state=all&sort=amount")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    assert [row["rebate_id"].removeprefix("'") for row in rows] == shown_breaks(owners_pages, "state=all&sort=amount")
    assert all(cell[:1] not in ("=", "+", "@", "-") for row in rows for cell in row.values())
    assert {row["user_id"] for row in rows} >= {f"'{FORMULA}", HOSTILE, INJECTION}
    assert answer.text.count("\r\n") == len(rows) + 1
    filtered = owners_pages.get("/tieout/breaks.csv?reason=amount").text
    assert len(list(csv.reader(io.StringIO(filtered)))) == 2


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", " =1", "＝1", "|x", "%x", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_quoted(cell: str) -> None:
    assert plain_cell(cell) == f"'{cell}"
    assert plain_cell("user=1") == "user=1"


def test_a_break_shows_all_that_is_behind_it(owners_pages: TestClient, db: psycopg.Connection) -> None:
    (break_id,) = db.execute("SELECT break_id FROM recon.breaks WHERE reason = 'voided_bet'").fetchone() or (0,)
    page = owners_pages.get(f"/tieout/break?id={break_id}").text
    rows = [" | ".join(cell.strip() for cell in row) for row in Rows(page).rows]
    assert "waterfall" in page
    assert any("void by now" in row and "seen" in row and "+100.00" in row for row in rows)
    assert any("cancelled by the user" in row for row in rows), "its newest state"
    assert any("settled" in row and "100.00" in row for row in rows), "and the one before"
    assert sum("manifest.json" in row for row in rows) >= 2
    assert re.search(r'href="slices\?provider=lucko&amp;feed=bets&amp;agent=acme&amp;day=2026-03-', page)


def test_the_tie_out_and_its_bridge(owners_pages: TestClient) -> None:
    page = owners_pages.get("/tieout/reconciliation?first=2026-03-01&last=2026-03-31&sort=-overpaid").text
    row = next(row for row in Rows(page).rows if row and row[0] == "2026-03-10")
    assert [cell.strip() for cell in row[1:6]] == ["acme", "USD", "162.50", "360.25", "12.50"]
    assert "<svg" in page
    bridge = owners_pages.get("/tieout/bridge?agent=acme&day=2026-03-10&currency=USD").text
    assert "162.50" in bridge
    assert owners_pages.get("/tieout/bridge?agent=acme&day=2020-03-10&currency=USD").status_code == 404


def test_nothing_is_said_kindly(pages: Browser) -> None:
    with pages(Person("New", reads={"lucko__bets__acme"})) as client:
        assert "no feed that you may see" in client.get("/tieout/coverage").text
        assert "No feed matches" in client.get("/tieout/coverage?agent=x").text
        assert "No break is waiting" in client.get("/tieout/breaks").text
        assert "No break matches" in client.get("/tieout/breaks?reason=amount").text
        assert "No day was judged" in client.get("/tieout/reconciliation").text
        assert "Every feed you may see is complete" in client.get("/tieout/incomplete").text
        assert client.get("/tieout/nothing").status_code == 404


def test_a_warehouse_that_does_not_answer_is_told_and_names_nothing(
    owners_pages: TestClient, warehouse: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = warehouse.update_query_dict({"host": "/nowhere/at-all"})
    monkeypatch.setattr(web_warehouse, "warehouse_url", lambda conn_id: gone)
    web_warehouse.forget_connections()
    for path in ("coverage", "breaks.csv", "incomplete"):
        answer = owners_pages.get(f"/tieout/{path}")
        assert answer.status_code == 503
        assert "did not answer" in answer.text
        assert "nowhere" not in answer.text


def test_slices_are_counted_as_the_view_says(pages: Browser, db: psycopg.Connection) -> None:
    """The map works out what ops.slice_status says, for part of the time."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = now - 30 * DAY
    declare(db, "hotroad", "summary", "acme", start, reach=10 * DAY)
    declare(db, "jdb", "daily", "acme", start, slice_width=DAY, slice_anchor=4 * HOUR)
    for hour in range(0, 700):
        if hour % 7:
            state = ("certified", "certified", "suspect", "landed")[hour % 4]
            begin = start + hour * HOUR
            read(db, "hotroad", "summary", "acme", begin, begin + HOUR, state=state, rows=hour % 3)
    with pages(Person("Olga", reads={"hotroad__summary__acme", "jdb__daily__acme"})) as client:
        cells = [tag["aria-label"] for name, tag in Rows(client.get("/tieout/coverage?days=40").text).tags
                 if "cell" in (tag.get("class") or "")]  # fmt: skip
    counted: dict[str, int] = {}
    for cell in cells:
        for count, state in re.findall(r"(\d+) (lost|missing|suspect|landed|due|certified|no activity)", cell or ""):
            name = "certified" if state == "no activity" else state
            counted[name] = counted.get(name, 0) + int(count)
    known = dict(db.execute("SELECT status, count(*) FROM ops.slice_status GROUP BY 1").fetchall())
    assert counted == known


def test_what_was_forgotten_before_the_feed_was_declared_is_not_lost(pages: Browser, db: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    declare(db, "hotroad", "summary", "acme", now - 30 * DAY, reach=10 * DAY, first_known_at=now)
    with pages(Person("Olga", reads={"hotroad__summary__acme"})) as client:
        assert " lost" not in client.get("/tieout/coverage?days=40").text
        assert "Before its time" in client.get(
            f"/tieout/slices?provider=hotroad&feed=summary&agent=acme&day={(now - 20 * DAY).date()}"
        ).text  # fmt: skip


def test_a_slice_tells_its_readings_in_both_zones(pages: Browser, db: psycopg.Connection) -> None:
    declare(db, "hotroad", "summary", "acme", at(2026, 3, 1))
    read(db, "hotroad", "summary", "acme", at(2026, 3, 10, 5), at(2026, 3, 10, 6), rows=0)
    with pages(Person("Olga", reads={"hotroad__summary__acme"})) as client:
        page = client.get("/tieout/slices?provider=hotroad&feed=summary&agent=acme&day=2026-03-10").text
    row = next(row for row in Rows(page).rows if "No activity" in row[0])
    assert row[1:4] == ["2026-03-10 05:00", "2026-03-10 06:00", "2026-03-10 13:00"]


@pytest.mark.parametrize(("value", "places", "shown"), [
    (Decimal("1234567.891"), 2, "1,234,567.891"), (Decimal("-0.5"), 2, "−0.50"), (1234, None, "1,234"),
    (Decimal("12345678901234567890.123456789"), 2, "12,345,678,901,234,567,890.123456789"), (None, 2, "–"),
])  # fmt: skip
def test_numbers_are_exact(value: Decimal | int | None, places: int | None, shown: str) -> None:
    assert number(value, places) == shown


def test_text_shows_what_would_act() -> None:
    assert text("a\u202eb\n<") == "a\ufffdb\u240a&lt;"


def test_charts_stand_on_their_scale() -> None:
    first = at(2026, 3, 1).date()
    days = {first: Day(Decimal(100), Decimal(50), Decimal(10), Decimal(-1))}
    chart = tie_out_chart(currency='U"<D', first=first, last=first + 9 * DAY, days=days)
    assert 'height="130.00"' in chart
    assert 'height="65.00"' in chart
    assert "&lt;D" in chart
    assert "style=" not in chart
    empty = tie_out_chart(currency="USD", first=first, last=first, days={})
    assert "<rect" not in empty
    steps = [
        Step("a", Decimal(1000), "total"),
        Step("b", Decimal("0.01"), "restated"),
        Step("c", Decimal("1000.01"), "total"),
    ]
    assert 'class="plus"' in waterfall(title="t", steps=steps)
