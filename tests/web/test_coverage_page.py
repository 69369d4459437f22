"""What the page of coverage says beside its map: all the time of a feed, one agent or several, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi.testclient import TestClient
from test_pages import Rows
from web_people import Person, declare, read

from tieout.providers import FEEDS, feed_spec
from tieout.web.coverage import ENDPOINTS

Browser = Callable[[Person | None], TestClient]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PART = {"X-Tieout-Part": "1"}


@pytest.fixture
def client(pages: Browser, db: psycopg.Connection) -> TestClient:
    """Three agents: acme lacks hours of long ago, acme2 nothing, and nothing of late was ever certified."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for agent in ("acme", "acme2"):
        declare(db, "hotroad", "summary", agent, now - 60 * DAY, reach=40 * DAY)
    read(db, "hotroad", "summary", "acme2", now - 60 * DAY, now)
    for begin, end in ((60, 50), (49, 39), (38, 0)):
        read(db, "hotroad", "summary", "acme", now - begin * DAY, now - end * DAY)
    declare(db, "jdb", "daily", "late", now - 5 * DAY, slice_width=DAY)
    declare(db, "jdb", "daily", "new", now - 5 * DAY, slice_width=DAY, first_known_at=now)
    declare(db, "lucko", "bets", "acme", now, merchant_id="m1")
    declare(db, "lucko", "rebates", "acme", now, merchant_id="m1")
    for feed in ("bets", "rebates"):
        db.execute(
            "INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at) VALUES ('lucko', %s, 'm1', now())",
            (feed_spec("lucko", feed).endpoint,),
        )
    reads = {
        "hotroad__summary__acme", "hotroad__summary__acme2", "jdb__daily__late", "jdb__daily__new", "lucko__bets__acme",
    }  # fmt: skip
    return pages(Person("Olga", reads=reads))


def feed_lines(client: TestClient, query: str) -> dict[str, list[str]]:
    rows = Rows(client.get(f"/tieout/coverage?{query}").text).rows
    return {row[0]: [cell.strip() for cell in row[2:]] for row in rows if len(row) == 11 and row[0] != "Agent"}


def test_figures_do_not_depend_on_the_days_shown(client: TestClient) -> None:
    shown = [feed_lines(client, f"provider=hotroad&days={days}") for days in ("14", "90")]
    for lines in shown:
        assert lines["acme"][:2] == ["24", "24"]
        assert lines["acme"][2].startswith(("in 23 h", "in 1 d"))
        assert lines["acme2"][:3] == ["0", "0", "–"]
    of_a_day_long_ago = feed_lines(client, "provider=hotroad&days=14&until=2020-01-01")
    assert of_a_day_long_ago["acme"][:2] == ["24", "24"]


def test_a_feed_of_which_nothing_was_certified_is_late(client: TestClient) -> None:
    lines = feed_lines(client, "provider=jdb")
    assert lines["late"][3:5] == ["nothing yet", "–"]
    assert lines["late"][5].startswith("5 d")
    assert "late" in lines["late"][5]
    assert "late" not in lines["new"][5]


def test_links_name_one_agent_and_the_search_box_several(client: TestClient) -> None:
    assert set(feed_lines(client, "provider=hotroad&agent=acme")) == {"acme"}
    assert set(feed_lines(client, "provider=hotroad&contains=acme")) == {"acme", "acme2"}
    assert "No feed matches" in client.get("/tieout/coverage?agent=acm").text
    beyond = client.get("/tieout/coverage?provider=hotroad&page=9").text
    assert "There is no such page" in beyond
    assert 'href="coverage?provider=hotroad"' in beyond
    assert 'href="rejects?provider=hotroad&amp;feed=summary&amp;agent=acme"' in client.get(
        "/tieout/rejects?provider=hotroad&feed=summary&agent=acme&page=9"
    ).text  # fmt: skip


def test_a_reader_of_one_feed_sees_the_quota_of_that_feed(client: TestClient) -> None:
    assert set(ENDPOINTS) == {(spec.provider, spec.name, spec.endpoint) for spec in FEEDS.values()}
    page = client.get("/tieout/coverage?provider=lucko").text
    assert feed_spec("lucko", "bets").endpoint in page
    assert feed_spec("lucko", "rebates").endpoint not in page


def test_the_list_of_incomplete_feeds_is_a_page_without_the_script(client: TestClient, pages: Browser) -> None:
    part = client.get("/tieout/incomplete", headers=PART).text
    whole = client.get("/tieout/incomplete").text
    for shown in (part, whole):
        assert "24 missing; first forgotten in" in shown
    assert "<html" not in part
    assert '<html lang="en">' in whole
    for reads, said in ((set(), "no feed that you may see"), ({"tieout__repair"}, "no feed that you may see"),
                        ({"hotroad__summary__acme2"}, "Every feed you may see is complete")):  # fmt: skip
        assert said in pages(Person("Sam", reads=reads)).get("/tieout/incomplete", headers=PART).text


@pytest.mark.parametrize("kind", ["repair", "replay", "backfill"])
@pytest.mark.parametrize("span", ["from=2026-03-11&to=2026-03-10", "from=2026-03-10&to=2026-03-10"])
def test_an_action_on_no_time_is_not_offered(client: TestClient, kind: str, span: str) -> None:
    answer = client.get(f"/tieout/action?kind={kind}&provider=hotroad&feed=summary&agent=acme&{span}")
    assert answer.status_code == 400
    assert "The time ends before it begins" in answer.text
