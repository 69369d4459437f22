"""Who may see and change what: nobody without a login, nobody else's agents, no form that this site did not make."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from airflow.api_fastapi.app import create_auth_manager
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL
from web_people import HOST, Person

from recon.world import World
from tieout.core.warehouse import connect
from tieout.web.access import TOKEN_LIFETIME, Viewer, token_for
from tieout.web.app import build_app
from tieout.web.warehouse import reading as reading_snapshot

Browser = Callable[[Person | None], TestClient]
OWN = {"Origin": HOST}
FEED = "provider=lucko&feed=bets&agent=acme"
#: An address for every route; those that change something are posted to.
ADDRESSES = {
    "/": "", "/coverage": "", "/dag": "dag_id=lucko__bets__acme", "/incomplete": "",
    "/slices": f"{FEED}&day=2026-03-10", "/rejects": FEED, "/rejects.csv": FEED, "/reconciliation": "",
    "/bridge": "agent=acme&day=2026-03-10&currency=USD", "/breaks": "state=all", "/breaks.csv": "state=all",
    "/break": "id=1", "/action": f"{FEED}&from=2026-03-10&to=2026-03-11", "/accept": "", "/static/{name}": "",
    "/integrity": "state=all", "/integrity.csv": "state=all", "/controls": "", "/controls.csv": "",
    "/unclaimed": "agent=acme&first=2026-03-01&last=2026-03-31",
    "/unclaimed.csv": "agent=acme&first=2026-03-01&last=2026-03-31",
    "/activities": "first=2026-03-01&last=2026-03-31", "/activities.csv": "first=2026-03-01&last=2026-03-31",
    "/pending": "first=2026-03-01&last=2026-03-31", "/pending.csv": "first=2026-03-01&last=2026-03-31",
    "/reconciliation.csv": "first=2026-03-01&last=2026-03-31", "/runbook": "kind=lost",
    "/alerts": "state=all", "/alerts.csv": "state=all",
}  # fmt: skip


def routes() -> list[str]:
    app: FastAPI = build_app()
    return [route.path for route in app.routes]


def break_of(db: psycopg.Connection, reason: str = "amount") -> tuple[int, str]:
    row = db.execute("SELECT break_id, fingerprint FROM recon.breaks WHERE reason = %s", (reason,)).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def form(db: psycopg.Connection, person: Person, **changes: str) -> dict[str, str]:
    """The form as a page shown to *person* holds it."""
    break_id, fingerprint = break_of(db)
    viewer = Viewer(user=person, name=person.name, readable=frozenset())
    token = token_for(viewer, f"accept break {break_id}")
    return {"break_id": str(break_id), "fingerprint": fingerprint, "reason": "agreed", "token": token, **changes}


def state_of(db: psycopg.Connection) -> str:
    row = db.execute("SELECT state FROM recon.breaks WHERE reason = 'amount'").fetchone()
    assert row is not None
    return str(row[0])


def test_every_route_is_listed_here() -> None:
    assert set(routes()) == set(ADDRESSES)


@pytest.mark.parametrize("route", sorted(ADDRESSES))
def test_nobody_gets_anything(pages: Browser, route: str) -> None:
    path = f"/tieout{route.replace('{name}', 'tieout.js')}?{ADDRESSES[route]}"
    with pages(None) as client:
        answer = client.post(path, headers=OWN) if route == "/accept" else client.get(path)
        assert answer.status_code == 401
        assert "acme" not in answer.text
        if route not in ("/accept",):
            sent = client.get(path, headers={"Accept": "text/html"})
            assert sent.status_code == 302
            assert "/api/v2/auth/login?next=" in sent.headers["location"]


def test_a_forged_login_is_none(pages: Browser) -> None:
    # The real one, which looks at signatures: Airflow's server makes it when it starts.
    create_auth_manager()
    with pages(None) as client:
        client.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
        assert client.get("/tieout/breaks").status_code in (401, 403)
        assert client.get("/tieout/breaks", headers={"Authorization": "Bearer x"}).status_code in (401, 403)


@pytest.mark.parametrize("route", [route for route in ADDRESSES if route not in ("/", "/static/{name}", "/accept")])
def test_a_stranger_sees_no_agent(pages: Browser, world: World, route: str) -> None:
    stranger = Person("Sam", reads={"lucko__bets__other", "tieout__repair"}, edits={"lucko__bets__other"})
    with pages(stranger) as client:
        answer = client.get(f"/tieout{route}?{ADDRESSES[route]}")
    assert answer.status_code in (200, 404)
    # What the stranger asked for himself stands in links and in the field it came from.
    shown = answer.text.replace("agent=acme", "").replace('name="agent" list="agents" value="acme"', "")
    assert "acme" not in shown
    assert "matched" not in shown.replace("Matched", "").replace(",matched,", "") or route in ("/reconciliation",)


def test_a_reader_of_one_feed_sees_that_feed_only(pages: Browser, world: World, db: psycopg.Connection) -> None:
    db.execute('INSERT INTO ops.agents SELECT (jsonb_populate_record(a, \'{"feed": "rebates"}\')).* FROM ops.agents a')
    with pages(Person("Rita", reads={"lucko__rebates__acme"})) as client:
        shown = client.get("/tieout/coverage?until=2026-03-12").text
        assert "Lucko rebates" in shown
        assert "Lucko bets" not in shown
        assert "no agent whose reconciliation you may see" in client.get("/tieout/breaks").text


def test_a_reader_may_look_and_not_accept(pages: Browser, world: World, db: psycopg.Connection) -> None:
    reader = Person("Rita", reads={"lucko__bets__acme"})
    with pages(reader) as client:
        assert 'action="accept"' not in client.get(f"/tieout/break?id={break_of(db)[0]}").text
        answer = client.post("/tieout/accept", data=form(db, reader), headers=OWN)
    assert answer.status_code == 403
    assert state_of(db) == "open"


def test_an_owner_accepts(owners_pages: TestClient, owner: Person, db: psycopg.Connection) -> None:
    page = owners_pages.get(f"/tieout/break?id={break_of(db)[0]}").text
    assert 'action="accept"' in page
    answer = owners_pages.post("/tieout/accept", data=form(db, owner, until="2999-12-31"), headers=OWN)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"break?id={break_of(db)[0]}"
    row = db.execute("SELECT state, accepted_by, accepted_reason, accepted_until::text FROM recon.breaks "
                     "WHERE reason = 'amount'").fetchone()  # fmt: skip
    assert row == ("accepted", "Olga", "agreed", "3000-01-01 00:00:00+00")


@pytest.mark.parametrize("headers", [
    {}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": "https://evil.example/testserver"},
    {"Origin": "http://testserver.evil.example"}, {"Origin": "https://evil.example", "Referer": f"{HOST}/tieout/"},
])  # fmt: skip
def test_a_form_of_another_site_is_refused(
    owners_pages: TestClient, owner: Person, db: psycopg.Connection, headers: dict[str, str]
) -> None:
    answer = owners_pages.post("/tieout/accept", data=form(db, owner), headers=headers)
    assert answer.status_code == 403
    assert state_of(db) == "open"


def test_a_referer_of_this_site_will_do(owners_pages: TestClient, owner: Person, db: psycopg.Connection) -> None:
    answer = owners_pages.post("/tieout/accept", data=form(db, owner), headers={"Referer": f"{HOST}/tieout/break?id=1"})
    assert answer.status_code == 303


@pytest.mark.parametrize("wrong", ["none", "garbage", "another user's", "another break's", "too old"])
def test_a_wrong_token_is_refused(
    owners_pages: TestClient, owner: Person, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    break_id, _ = break_of(db)
    viewer = Viewer(user=owner, name=owner.name, readable=frozenset())
    subject = f"accept break {break_id}"
    token = {
        "none": "",
        "garbage": "x.y.z",
        "another user's": token_for(Viewer(user=Person("Eve"), name="Eve", readable=frozenset()), subject),
        "another break's": token_for(viewer, f"accept break {break_id + 1}"),
        "too old": token_for(viewer, subject),
    }[wrong]
    if wrong == "too old":
        monkeypatch.setattr("tieout.web.access.TOKEN_LIFETIME", -1)
        assert TOKEN_LIFETIME > 0
    answer = owners_pages.post("/tieout/accept", data=form(db, owner, token=token), headers=OWN)
    assert answer.status_code == 403
    assert state_of(db) == "open"


@pytest.mark.parametrize(("changes", "status"), [
    ({"reason": "  "}, 400), ({"reason": "a\0b"}, 400), ({"until": "yesterday"}, 400), ({"until": "2020-01-01"}, 400),
    ({"fingerprint": "as it was before"}, 409), ({"until": "9999-12-31"}, 400), ({"break_id": "x"}, 400),
])  # fmt: skip
def test_what_cannot_be_accepted_is_said(
    owners_pages: TestClient, owner: Person, db: psycopg.Connection, changes: dict[str, str], status: int
) -> None:
    answer = owners_pages.post("/tieout/accept", data=form(db, owner, **changes), headers=OWN)
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert state_of(db) == "open"


def test_getting_changes_nothing(owners_pages: TestClient, db: psycopg.Connection) -> None:
    assert owners_pages.get("/tieout/accept").status_code == 405
    assert owners_pages.post("/tieout/breaks", headers=OWN).status_code == 405


def test_pages_read_in_a_transaction_that_cannot_write(pages: Browser, world: World) -> None:
    with pages(None), reading_snapshot() as snapshot, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        snapshot.connection.execute("DELETE FROM recon.breaks")
    with reading_snapshot() as snapshot:
        shown = snapshot.connection.execute("SHOW default_transaction_read_only").fetchone()
        limit = snapshot.connection.execute("SHOW statement_timeout").fetchone()
    assert (shown, limit) == (("on",), ("10s",))


def test_the_readers_connection_is_taken_where_there_is_one(
    pages: Browser, warehouse: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(warehouse, autocommit=True) as connection:
        connection.execute("CREATE ROLE web_reader LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA ops, recon TO web_reader")
    asked: list[str] = []

    def url(conn_id: str) -> URL:
        asked.append(conn_id)
        return warehouse.set(username="web_reader")

    monkeypatch.setattr("tieout.web.warehouse.warehouse_url", url)
    try:
        with pages(None):
            monkeypatch.setattr("tieout.web.warehouse.warehouse_url", url)
            with reading_snapshot() as snapshot:
                assert snapshot.connection.execute("SELECT current_user").fetchone() == ("web_reader",)
        assert asked == ["tieout_warehouse_reader"]
    finally:
        with connect(warehouse, autocommit=True) as connection:
            connection.execute("DROP OWNED BY web_reader")
            connection.execute("DROP ROLE web_reader")
