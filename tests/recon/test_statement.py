"""Statements and their CSV: exact, escaped, the same bytes for the same data, and readable without anything else."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL
from world import DAY, DAYS, HOUR, NEXT, World

from readings import Reading
from tieout.core.errors import Unreachable
from tieout.core.recon.markup import chart, number, places_of, text
from tieout.core.recon.mart import MartSettings, refresh_mart
from tieout.core.recon.statement import StatementOf, breaks_csv, write_statement
from tieout.core.recon.statement_data import SHOWN_BETS, statement_in_turn

D = Decimal
TODAY = DAY.date()
HOSTILE = "=cmd|'<script>alert(1)</script>'!A1"


class Page(HTMLParser):
    """A page's text per element, its tags and attributes; fails on what is never closed."""

    VOID = frozenset(("meta", "br", "link", "img", "line", "rect"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "summary"):
            self.cells.append("")
        if tag not in self.VOID or (tag == "rect" and not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.stack:
            self.said.append(data)
        if self.cells and ("td" in self.stack or "summary" in self.stack):
            self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.said).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def of(world: World, day: date = TODAY) -> StatementOf:
    return StatementOf(provider="lucko", agent=world.agent, day=day)


def written(world: World, base: Path, day: date = TODAY) -> tuple[Page, list[dict[str, str]]]:
    html, table = (Path(path) for path in write_statement(world.reading.warehouse, of(world, day), base))
    assert html == base / "statements" / "lucko" / world.agent / f"{day}.html"
    return Page(html.read_text()), list(csv.DictReader(io.StringIO(table.read_bytes().decode(), newline="")))


def test_a_day_of_which_nothing_is_known(world: World, tmp_path: Path) -> None:
    page, rows = written(world, tmp_path)
    assert "Nothing is known of this day." in page.text
    assert rows == []


def test_a_day_without_breaks(world: World, tmp_path: Path) -> None:
    world.rebate("r", [world.bet("b", "1234567.8")], "1234567.8", "12345.68")
    world.settle().judge()
    page, rows = written(world, tmp_path)
    assert "No rebates do not tie out." not in page.text
    assert "Every rebate ties out." in page.text
    assert page.cells[:7] == ["USD", "12,345.68", "12,345.68", "0.00", "12,345.68", "0.00", "0.00"]
    assert page.cells[7:14] == ["USD", "1", "1", "0", "0", "0", "0"]
    assert "1,234,567.80" in page.cells
    assert page.count("details") == 0
    assert rows == []


def test_the_share_of_what_is_not_decided(world: World, tmp_path: Path) -> None:
    world.rebate("known", [world.bet("b")], "100", "1.30")
    world.rebate("open", [world.bet("c", status=0)], "100", "1.00")
    world.settle().judge()
    assert world.verdict("open").outcome == "pending"
    page, _ = written(world, tmp_path)
    assert page.cells[14:20] == ["USD", "1", "1.00", "76.92 %", "0.00", "–"]
    assert "may still change" in page.text


def test_breaks_with_their_bets(world: World, tmp_path: Path) -> None:
    world.bet("fine", "60")
    world.bet("void", "40", status=4)
    world.rebate("r1", ["fine", "void", "never seen"], "110", "2.10")
    world.rebate("r2", [world.bet("c", user="u2")], "100", "0.99", user="u2")
    world.settle().judge()
    page, rows = written(world, tmp_path)
    assert "2 rebates do not tie out." in page.text
    summaries = [cell for cell in page.cells if cell.startswith("r")]
    assert [summary[:2] for summary in summaries] == ["r1", "r2"], "the most money first"
    assert "amount, missing_bet, turnover, voided_bet" in summaries[0]
    bets = [cell for cell in page.cells if cell in ("fine", "void", "never seen")]
    assert bets[-3:] == ["never seen", "void", "fine"], "flagged bets first"
    assert "not reported" in page.text
    assert "settlement made invalid" in page.text
    found = {(row["subject"], row["reason"]): row for row in rows}
    reasons = ("amount", "missing_bet", "turnover", "voided_bet")
    assert set(found) == {("r2", "amount"), *(("r1", reason) for reason in reasons)}
    assert found["r1", "missing_bet"]["bet_ids"] == "never seen"
    assert D(found["r1", "turnover"]["amount"]) == 50
    assert D(found["r1", "turnover"]["overpaid"]) == D("1.50")
    assert D(found["r2", "amount"]["amount"]) == D("-0.01")


def test_many_bets_are_cut_and_counted(world: World, tmp_path: Path) -> None:
    ids = [world.bet(f"b{number:03d}", "1") for number in range(SHOWN_BETS + 5)]
    world.bet("zz void", "1", status=3)
    world.rebate("r", [*ids, "zz void"], "25", "0.25")
    world.settle().judge()
    page, _ = written(world, tmp_path)
    assert "… and 6 more" in page.text
    assert "zz void" in page.text
    assert f"b{SHOWN_BETS + 4:03d}" not in page.text


def test_the_same_data_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    for place in range(12):
        world.rebate(f"r{place}", [world.bet(f"b{place}")], "100", f"1.{place:02d}", user="u1")
    world.settle().judge()
    paths = [Path(path) for path in write_statement(world.reading.warehouse, of(world), tmp_path)]
    first = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    world.judge()
    write_statement(world.reading.warehouse, of(world), tmp_path)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == first, "judged again, not written again"
    other = write_statement(world.reading.warehouse, of(world), tmp_path / "elsewhere")
    assert [Path(path).read_bytes() for path in other] == [content for content, _ in first]
    world.db.execute("UPDATE recon.breaks SET sentence = 'Another one.' WHERE agent = %s", (world.agent,))
    write_statement(world.reading.warehouse, of(world), tmp_path)
    assert all(path.read_bytes() != content for path, (content, _) in zip(paths, first, strict=True))


def test_nothing_of_the_data_is_markup_or_formula(world: World, tmp_path: Path) -> None:
    world.rebate(HOSTILE, ["\u202e<img src=x onerror=alert(1)>"], "5", user=HOSTILE, activity='"><b>', currency="<i>")
    world.settle().judge()
    page, rows = written(world, tmp_path)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "b", "i", "link", "iframe", "object"}
    assert not any(name.startswith("on") or name in ("src", "href") for _, attrs in page.tags for name in attrs)
    assert HOSTILE in page.text
    assert "\u202e" not in page.text
    assert {row["subject"] for row in rows} == {"'" + HOSTILE}
    assert {row["user_id"] for row in rows} == {"'" + HOSTILE}


def test_the_page_needs_nothing_else(world: World, tmp_path: Path) -> None:
    world.rebate("r", [world.bet("b")], "100", "2")
    world.settle().judge()
    path = Path(write_statement(world.reading.warehouse, of(world), tmp_path)[0])
    html = path.read_text()
    assert "default-src 'none'" in html
    assert re.findall(r"(?:https?:)?//|url\(|@import|<script", html) == []
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_trend_shows_what_was_over_and_underpaid(world: World, tmp_path: Path) -> None:
    world.rebate("over", [world.bet("a")], "100", "1.30")
    world.rebate("under", [world.bet("b")], "100", "0.80")
    world.rebate("next", [world.bet("c", settled=NEXT + HOUR)], "100", "1.05", day=NEXT, created=NEXT + DAYS)
    world.settle().judge(TODAY, TODAY + DAYS)
    page, _ = written(world, tmp_path, TODAY + DAYS)
    titles = [said for said in page.said if said.startswith("2026-")]
    assert titles[:3] == ["2026-03-10: overpaid 0.30", "2026-03-10: underpaid 0.20", "2026-03-11: overpaid 0.05"]
    assert page.count("rect") == 3


def test_a_provider_without_rebates_has_turnover_and_warnings(
    reading: type[Reading], warehouse: URL, tmp_path: Path
) -> None:
    rows = [
        {"uid": f"p{number}", "bet": -1000.5, "win": 0, "netWin": -1000.5 - (number == 1), "validBet": -1000.5}
        for number in range(3)
    ]
    reading.of("jdb", "daily", DAY + 4 * HOUR, hours=24, agent="players", currency="RMB", g_types=("0",)).answer(
        {"status": "0000", "data": rows}
    ).load()
    refresh_mart(warehouse, provider="jdb", agent="players", settings=MartSettings())
    about = StatementOf(provider="jdb", agent="players", day=TODAY)
    page = Page(Path(write_statement(warehouse, about, tmp_path)[0]).read_text())
    assert "1 row contradicts itself." in page.text
    assert "3,001.50" in page.cells
    assert page.count("rect") == 1
    with statement_in_turn(warehouse, about) as data:
        (row,) = csv.DictReader(io.StringIO(breaks_csv(data), newline=""))
    assert (row["kind"], row["subject"], row["reason"], D(row["amount"])) == (
        "row",
        "2026-03-10/0/p1",
        "net_win",
        D(-1),
    )


def test_thousands_of_breaks(world: World, tmp_path: Path) -> None:
    for place in range(3000):
        world.rebate(f"r{place:04d}", [world.bet(f"b{place:04d}")], "100", f"{2 + place % 700}.00")
    world.settle().judge()
    page, rows = written(world, tmp_path)
    assert page.count("details") == len(rows) == 3000
    overpaid = [abs(D(row["overpaid"])) for row in rows]
    assert overpaid == sorted(overpaid, reverse=True)


def test_a_landing_base_that_cannot_be_written_to(world: World, tmp_path: Path) -> None:
    (tmp_path / "statements").write_text("a file")
    with pytest.raises(Unreachable, match="cannot write the statement"):
        write_statement(world.reading.warehouse, of(world), tmp_path)


# --------------------------------------------------------------------------------------------- numbers, text, chart


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**30), max_value=10**30))
def test_numbers_are_exact(value: Decimal) -> None:
    shown = number(value, places_of([value]))
    assert D(shown.replace(",", "")) == value
    assert re.fullmatch(r"-?\d{1,3}(,\d{3})*\.\d{2,}", shown)
    assert not re.search(r"\.\d\d\d*0$", shown) or len(shown.split(".")[1]) == 2
    assert D(number(value, 0).replace(",", "")) == value, "never rounded, whatever is asked for"


@pytest.mark.parametrize(
    ("value", "places", "shown"),
    [
        (D("1E+3"), 2, "1,000.00"), (D("100.000"), 2, "100.00"), (D("-0.000001"), 2, "-0.000001"),
        (D(0), 2, "0.00"), (D("0E-9"), 2, "0.00"), (1234567, None, "1,234,567"), (None, 2, "–"),
    ],
)  # fmt: skip
def test_numbers_as_they_are_written(value: Any, places: int | None, shown: str) -> None:
    assert number(value, places) == shown


@given(st.text())
def test_text_is_never_markup(value: str) -> None:
    shown = text(value)
    assert not re.search(r"[<>\"']|&(?!#?\w+;)|[\x00-\x1f]", shown)


def _bars(svg: str) -> Iterator[tuple[D, D]]:
    for y, height in re.findall(r'<rect class=\w+ x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg):
        yield D(y), D(height)


@given(
    st.dictionaries(
        st.integers(0, 40).map(lambda age: TODAY - timedelta(days=age)),
        st.tuples(*[st.decimals(min_value=0, max_value=10**12, places=2)] * 2),
        max_size=20,
    )
)
def test_bars_stay_inside_of_the_chart(values: dict[date, tuple[Decimal, Decimal]]) -> None:
    svg = chart(title="USD", last=TODAY, days=30, values=values, names=("overpaid", "underpaid"))
    bars = list(_bars(svg))
    shown = [amounts for day, amounts in values.items() if day > TODAY - timedelta(days=30)]
    assert len(bars) == sum(bool(amount) for amounts in shown for amount in amounts)
    assert all(y >= 17 and y + height <= 132 for y, height in bars)
