"""The lists of what was found beside breaks: filtered, sorted, paged, exported, and shown to whom they concern."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from fastapi.testclient import TestClient
from test_pages import Rows
from web_people import FORMULA, HOSTILE, Person, declare

from readings import at
from recon.world import World
from tieout.core.alerts import KINDS
from tieout.web import runbook
from tieout.web.render import share

Browser = Callable[[Person | None], TestClient]
LISTS = ("integrity", "controls", "unclaimed", "unclaimed?agent=acme", "activities", "pending", "alerts")
MARCH = "first=2026-03-01&last=2026-03-31"


@pytest.fixture
def found(db: psycopg.Connection) -> None:
    """Rows that contradict themselves, and totals, of two providers and two agents."""
    for number, (provider, feed, agent, identity, difference, state, user) in enumerate((
        ("lucko", "bets", "acme", "real_win", "0.5", "open", HOSTILE),
        ("lucko", "bets", "acme", "bet_detail", "-12.345", "reopened", FORMULA),
        ("lucko", "bets", "acme", "real_win", "3", "healed", "u3"),
        ("hotroad", "summary", "acme", "control_total", "6", "open", ""),
        ("lucko", "bets", "other", "real_win", "999", "open", "u9"),
    )):  # fmt: skip
        db.execute(
            """INSERT INTO recon.integrity_breaks (provider, agent, identity, row_key, feed, day, game_type, user_id,
                   currency, stated, computed, difference, sentence, state, opened_at, changed_at)
               VALUES (%s, %s, %s, %s, %s, '2026-03-10', '101', %s, 'USD', %s::numeric, 0, %s::numeric, 's', %s,
                   now(), now())""",
            (provider, agent, identity, f"row{number}", feed, user, difference, difference, state),
        )
    for provider, agent, state in (("hotroad", "acme", "differs"), ("hotroad", "other", "equal")):
        declare(db, provider, "summary", agent, at(2026, 3, 1))
        db.execute(
            """INSERT INTO recon.control_totals (provider, agent, starts_at, ends_at, day, state, games, differing,
                   hours_open, control_read_at, landing_uri)
               VALUES (%s, %s, '2026-03-10Z', '2026-03-11Z', '2026-03-10', %s, 1234, %s, 0, now(), 'file:///l')""",
            (provider, agent, state, 1 if state == "differs" else 0),
        )


def rows(client: TestClient, address: str) -> list[list[str]]:
    answer = client.get(f"/tieout/{address}")
    assert answer.status_code == 200, answer.text
    return [[cell.strip() for cell in row] for row in Rows(answer.text).rows[1:]]


def column(client: TestClient, address: str, title: str) -> list[str]:
    answer = client.get(f"/tieout/{address}")
    assert answer.status_code == 200, answer.text
    head, *lines = Rows(answer.text).rows
    place = [cell.strip(" ▲▼") for cell in head].index(title)
    return [line[place].strip() for line in lines]


def test_integrity_breaks_are_filtered_and_sorted(owners_pages: TestClient, found: None) -> None:
    assert sorted(column(owners_pages, f"integrity?{MARCH}", "Identity")) == ["bet_detail", "real_win"]
    assert column(owners_pages, f"integrity?{MARCH}&sort=-difference", "Difference") == ["−12.345", "+0.500"]
    assert column(owners_pages, f"integrity?{MARCH}&state=healed", "Difference") == ["+3.00"]
    assert len(rows(owners_pages, f"integrity?{MARCH}&state=all")) == 3
    assert column(owners_pages, f"integrity?{MARCH}&identity=bet_detail", "Difference") == ["−12.345"]
    assert rows(owners_pages, f"integrity?{MARCH}&provider=jdb") == []
    assert rows(owners_pages, "integrity?first=2026-03-11&last=2026-03-31") == []
    assert column(owners_pages, f"integrity?{MARCH}&state=all&sort=difference&size=1&page=2", "Difference") == ["+3.00"]
    page = owners_pages.get(f"/tieout/integrity?{MARCH}").text
    assert "1–2 of 2 rows" in page
    chips = [a["href"] or "" for tag, a in Rows(page).tags if tag == "a" and "state=reopened" in (a.get("href") or "")]
    assert [column(owners_pages, chip, "Identity") for chip in chips] == [["bet_detail"]]


def test_whoever_reads_a_feed_sees_what_contradicts_itself_in_it(pages: Browser, found: None) -> None:
    with pages(Person("Hanna", reads={"hotroad__summary__acme"})) as client:
        assert column(client, f"integrity?{MARCH}", "Identity") == ["control_total"]
        assert column(client, f"controls?{MARCH}", "State") == ["● differs"]
        assert column(client, f"controls?{MARCH}", "Games") == ["1,234"]
        links = [a.get("href") for tag, a in Rows(client.get(f"/tieout/controls?{MARCH}").text).tags if tag == "a"]
        (differing,) = [link for link in links if link and link.startswith("integrity?agent")]
        assert column(client, differing, "Difference") == ["+6.00"]
        back = [a.get("href") for tag, a in Rows(client.get(f"/tieout/{differing}").text).tags if tag == "a"]
        assert any((link or "").startswith("controls?agent=acme") for link in back)
    with pages(Person("Nobody", reads={"tieout__repair"})) as client:
        for address in LISTS:
            assert "acme" not in client.get(f"/tieout/{address.partition('?')[0]}?{MARCH}").text


def test_unclaimed_turnover_by_agent_and_by_user(owners_pages: TestClient, db: psycopg.Connection) -> None:
    assert rows(owners_pages, f"unclaimed?{MARCH}") == [["acme", "USD", "1", "1", "12.50", "162.50", "7.69 %"]]
    (line,) = rows(owners_pages, f"unclaimed?{MARCH}&agent=acme")
    known = db.execute("SELECT user_id, bets, turnover::text FROM recon.unclaimed").fetchone()
    assert known is not None
    assert (line[0], line[2], line[4], line[5]) == ("2026-03-10", known[0], str(known[1]), "12.50")
    assert rows(owners_pages, f"unclaimed?{MARCH}&agent=other") == []
    assert rows(owners_pages, f"unclaimed?{MARCH}&agent=acme&user_id=nobody") == []
    # From the figures of the tie-out and of the bridge.
    for address in (f"reconciliation?{MARCH}", "bridge?agent=acme&day=2026-03-10&currency=USD"):
        tags = Rows(owners_pages.get(f"/tieout/{address}").text).tags
        links = [a["href"] or "" for tag, a in tags if tag == "a" and (a.get("href") or "").startswith("unclaimed?")]
        assert links
        assert all(owners_pages.get(f"/tieout/{link}").status_code == 200 for link in links)
        assert any("12.50" in cell for link in links for row in rows(owners_pages, link) for cell in row)


def test_activities_show_their_rates(owners_pages: TestClient, db: psycopg.Connection) -> None:
    db.execute(
        "UPDATE recon.activity_daily SET eligible_turnover = 81.25, claimed_turnover = 81.2499, claim_rate = 0.999999"
    )
    assert set(column(owners_pages, f"activities?{MARCH}", "Eligibility")) == {"50.00 %"}
    assert set(column(owners_pages, f"activities?{MARCH}", "Claim rate")) == {"> 99.99 %"}
    assert set(column(owners_pages, f"activities?{MARCH}", "Eligible turnover")) == {"81.2500"}


@pytest.mark.parametrize(("value", "shown"), [
    ("0", "0.00 %"), ("0.00001", "< 0.01 %"), ("0.5", "50.00 %"), ("0.999999", "> 99.99 %"), ("1", "100.00 %"),
    ("1.0249", "102.49 %"), (None, "–"),
])  # fmt: skip
def test_a_share_never_looks_like_nothing_or_all_when_it_is_not(value: str | None, shown: str) -> None:
    assert share(None if value is None else Decimal(value)) == shown


@pytest.mark.parametrize("name", ["integrity", "controls", "unclaimed", "activities", "pending"])
def test_the_file_holds_what_the_list_shows(owners_pages: TestClient, found: None, name: str) -> None:
    asked = f"{MARCH}&agent=acme"
    answer = owners_pages.get(f"/tieout/{name}.csv?{asked}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{name}-' in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    shown = rows(owners_pages, f"{name}?{asked}")
    assert len(lines) == len(shown)
    assert [line["day"] for line in lines] == [row[0] for row in shown]
    assert all(cell[:1] not in ("=", "+", "@") for line in lines for cell in line.values())
    if name == "integrity":
        assert {line["user_id"] for line in lines} == {HOSTILE, f"'{FORMULA}"}
        assert {line["difference"] for line in lines} == {"0.5", "-12.345"}


@pytest.mark.parametrize("query", [
    "integrity?state=x", "integrity?sort=sentence", "controls?first=2026-03-02&last=2026-03-01",
    "controls?state=healed", "unclaimed?last=x", "unclaimed?user_id=u1", "unclaimed.csv?user_id=u1",
    "pending?verdict=x", "activities?page=0", "activities.csv?sort=x", "runbook?kind=x",
    "slices?provider=lucko&feed=bets&agent=acme&day=2026-03-10&slice=x", "alerts?kind=x", "alerts?sort=detail",
])  # fmt: skip
def test_a_wrong_address_of_a_list_is_told_what_is_wrong(owners_pages: TestClient, query: str) -> None:
    assert owners_pages.get(f"/tieout/{query}").status_code == 400


@pytest.mark.parametrize("address", LISTS)
def test_an_empty_list_says_so_kindly(pages: Browser, address: str) -> None:
    with pages(Person("New", reads={"lucko__bets__acme"})) as client:
        page = client.get(f"/tieout/{address}").text
    assert 'class="message"' in page
    assert "<table>" not in page


@pytest.fixture
def alerted(db: psycopg.Connection) -> None:
    """An alert of each kind about what its owner may see, one about another's, and one that is gone."""
    db.execute("UPDATE ops.agents SET merchant_id = 'm1' WHERE agent = 'acme'")
    for kind, cause, feed, agent, detail, closed in (
        ("losing", "lucko/bets/acme", "bets", "acme", "", None),
        ("lost", "lucko/bets/acme/1", "bets", "acme", "not read in time", None),
        ("suspect", "lucko/bets/acme/2", "bets", "acme", HOSTILE, None),
        ("stale", "lucko/bets/acme", "bets", "acme", "", datetime.now(UTC)),
        ("stale", "lucko/bets/acme", "bets", "acme", "gone long since", "2026-03-11Z"),
        ("throttled", "lucko/list/m1", "list", "m1", "3 answers so far", None),
        ("late", "lucko/rejudge/acme", "rejudge", "acme", "2 load(s)", None),
        ("unjudged", "acme/2026-03-09", "rebates", "acme", "2026-03-09", None),
        ("overpaid", "acme/r1", "rebates", "acme", "rebate r1 of user u1", None),
        ("overpaid", "other/r9", "rebates", "other", "rebate r9", None),
        ("throttled", "lucko/list/m9", "list", "m9", "9 answers so far", None),
        ("late", "lucko/rejudge/other", "rejudge", "other", "9 load(s)", None),
    ):
        db.execute(
            """INSERT INTO ops.alerts (kind, cause, provider, feed, agent, since, until, detail, opened_at, closed_at)
               VALUES (%s, %s, 'lucko', %s, %s, '2026-03-09 05:00Z', '2026-03-09 06:00Z', %s, '2026-03-10Z', %s)""",
            (kind, cause, feed, agent, detail, closed),
        )


def test_alerts_are_listed_to_whom_they_concern_and_lead_to_their_cause(
    owners_pages: TestClient, alerted: None
) -> None:
    assert sorted(column(owners_pages, "alerts", "Kind")) == [
        "late", "losing", "lost", "overpaid", "suspect", "throttled", "unjudged",
    ]  # fmt: skip
    assert column(owners_pages, "alerts?state=closed", "Kind") == ["stale"]
    assert len(rows(owners_pages, "alerts?state=all")) == 8
    assert column(owners_pages, f"alerts?state=closed&{MARCH}&sort=closed_at", "What it says") == [
        "gone long since",
        "–",
    ]
    assert column(owners_pages, "alerts?kind=overpaid", "What it says") == ["rebate r1 of user u1"]
    assert rows(owners_pages, "alerts?agent=other") == rows(owners_pages, "alerts?first=2026-03-11") == []
    page = owners_pages.get("/tieout/alerts?state=all").text
    links = {attributes.get("href") for tag, attributes in Rows(page).tags if tag == "a"}
    assert {
        "slices?provider=lucko&feed=bets&agent=acme&day=2026-03-09", "coverage?provider=lucko&merchant=m1",
        "reconciliation?agent=acme&first=2026-03-09&last=2026-03-09", "coverage?provider=lucko&feed=bets&agent=acme",
        "breaks?agent=acme&rebate_id=r1&state=all", "runbook?kind=late", "alerts.csv?state=all",
    } <= links  # fmt: skip
    for address in sorted(filter(None, links)):
        if not address.startswith(("alerts", "#", "http")):
            assert owners_pages.get(f"/tieout/{address}").status_code == 200, address
    lines = list(csv.DictReader(io.StringIO(owners_pages.get("/tieout/alerts.csv").text.removeprefix("\ufeff"))))
    assert [line["kind"] for line in lines] == [row[0] for row in rows(owners_pages, "alerts")]


def test_rejects_are_a_file_too(owners_pages: TestClient, db: psycopg.Connection) -> None:
    for number in (1, 2):
        db.execute(
            """INSERT INTO ops.rejects (reading_id, provider, feed, agent, page, row_number, natural_key, reason,
                   detail, raw)
               VALUES ('r', 'lucko', 'bets', 'acme', 'p', %s, %s, 'malformed', 'd', %s)""",
            (number, FORMULA, "x" * 5000),
        )
    feed = "provider=lucko&feed=bets&agent=acme"
    assert f"rejects.csv?{feed.replace('&', '&amp;')}" in owners_pages.get(f"/tieout/rejects?{feed}").text
    answer = owners_pages.get(f"/tieout/rejects.csv?{feed}")
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    assert [line["row_number"] for line in lines] == ["2", "1"]
    assert {(line["natural_key"], len(line["raw"]), line["raw_length"]) for line in lines} == {
        (f"'{FORMULA}", 4000, "5000")
    }


def test_a_link_of_a_task_opens_its_slice(owners_pages: TestClient) -> None:
    address = "slices?provider=lucko&feed=bets&agent=acme&day=2026-03-10"
    assert "open>" not in owners_pages.get(f"/tieout/{address}").text
    opened = owners_pages.get(f"/tieout/{address}&slice=2026-03-10T05:00:00Z").text
    assert opened.count("<details open>") == 1
    tags = Rows(opened).tags
    (shown,) = [attributes for tag, attributes in tags if tag == "tr" and "data-shown" in attributes]
    assert shown["id"] == "2026-03-10T05:00:00Z"
    # The neighbours of the day are plain.
    assert not [a for tag, a in tags if tag == "a" and "slice=" in (a.get("href") or "")]


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_runbook_is_what_the_documents_say(owners_pages: TestClient, kind: str) -> None:
    page = owners_pages.get(f"/tieout/runbook?kind={kind}").text
    title = (runbook.FOLDER / f"{kind}.md").read_text().splitlines()[0].removeprefix("# ").partition(" (")[0]
    assert title in page
    assert "<strong>What it means.</strong>" in page
    assert f'href="runbook?kind={kind}"' in owners_pages.get("/tieout/runbook").text


def test_a_runbook_that_was_not_deployed_is_told_in_short(
    owners_pages: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(runbook, "FOLDER", tmp_path)
    runbook._text.cache_clear()
    try:
        assert KINDS["lost"][1] in owners_pages.get("/tieout/runbook?kind=lost").text
    finally:
        runbook._text.cache_clear()


def test_quota_use_is_the_time_that_slots_took(owners_pages: TestClient, db: psycopg.Connection, world: World) -> None:
    hour = int(datetime.now(UTC).timestamp()) // 3600
    db.execute("UPDATE ops.agents SET merchant_id = 'm1'")
    db.execute(
        """INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at, reserved, given_up, throttled, used)
           VALUES ('lucko', '/bets', 'm1', now(), 1305, 5, 2, jsonb_build_object(
               %s::text, '{"calls": 0, "seconds": 0}'::jsonb, %s::text, '{"calls": 1000, "seconds": 86400}'::jsonb,
               %s::text, '{"calls": 300, "seconds": 9999}'::jsonb))""",
        (str(hour), str(hour - 3), str(hour - 30)),
    )
    (line,) = [row for row in Rows(owners_pages.get("/tieout/coverage?merchant=m1").text).rows if "/bets" in row]
    assert line[4].strip() == "0.00 %0 calls"
    # A day of slots in 24 to 25 hours; what was before is forgotten.
    share_of_day, calls = line[5].strip().removesuffix(" calls").split(" %")
    assert 0.95 < float(share_of_day) / 100 <= 1.0
    assert (calls, line[6].strip()) == ("1,000", "1,300")
    assert "2" in line
    assert "No feed matches" in owners_pages.get("/tieout/coverage?merchant=m2").text
