"""Files are whole or not at all, and a warehouse that cannot be read says what is missing: over a real server."""

from __future__ import annotations

import csv
import http.client
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi.testclient import TestClient
from sqlalchemy import URL
from web_people import Person

from demo.serving import served
from recon.world import World
from tieout.core.warehouse import connect
from tieout.web import export
from tieout.web import warehouse as web_warehouse

Browser = Callable[[Person | None], TestClient]
MARCH = "first=2026-03-01&last=2026-03-31"


def got(port: int, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, f"/tieout/{path}")
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_a_file_is_whole_or_an_error(
    pages: Browser, owner: Person, world: World, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's session is ended while rows are read; later, the file itself cannot be read any more."""
    with pages(owner) as client:
        app = client.app
    monkeypatch.setattr(export, "BLOCK", 1)
    plain = web_warehouse.Snapshot.stream
    monkeypatch.setattr(
        web_warehouse.Snapshot, "stream", lambda self, *args, **named: plain(self, *args, size=1, **named)
    )
    with served(app) as port:
        answer, body = got(port, "breaks.csv?state=all")
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == len(body)
        assert len(list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))) > 3
        head, nothing = got(port, "breaks.csv?state=all", "HEAD")
        assert (head.status, nothing) == (200, b"")
        assert head.headers["Content-Length"] == answer.headers["Content-Length"]

        lines = export._lines
        made: list[int] = []

        def interrupted(rows: Sequence[Sequence[object]]) -> str:
            made.append(len(rows))
            if len(made) == 2:
                db.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND query LIKE 'FETCH%'"""
                )
            return lines(rows)

        with monkeypatch.context() as patch:
            patch.setattr(export, "_lines", interrupted)
            answer, body = got(port, "breaks.csv?state=all")
        assert len(made) > 1, "rows had come"
        assert answer.status == 503
        assert b"did not answer" in body
        assert "Content-Disposition" not in answer.headers

        def broken(file: Any) -> Iterator[bytes]:
            yield b"agent"
            raise OSError

        # Without its length, the end of the connection is all that a client has.
        class Unknown(export.StreamingResponse):
            def init_headers(self, headers: Any = None) -> None:
                super().init_headers({k: v for k, v in (headers or {}).items() if k != "Content-Length"})

        monkeypatch.setattr(export, "_sent", broken)
        monkeypatch.setattr(export, "StreamingResponse", Unknown)
        with pytest.raises(http.client.IncompleteRead):
            got(port, "breaks.csv?state=all")


def test_a_warehouse_that_is_not_set_up_says_what_to_run(
    pages: Browser, owner: Person, world: World, warehouse: URL, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(conn_id: str) -> URL:
        raise AirflowNotFoundException(conn_id)

    with pages(owner) as client:
        for statement in ("ALTER TABLE recon.breaks RENAME TO gone", "ALTER TABLE recon.gone RENAME TO breaks"):
            db.execute(statement.encode())
            for path in ("breaks", "breaks.csv"):
                answer = client.get(f"/tieout/{path}")
                if statement.endswith("gone"):
                    assert answer.status_code == 503
                    assert "python -m tieout migrate" in answer.text
                else:
                    assert answer.status_code == 200
        db.execute("CREATE ROLE no_grants LOGIN")
        try:
            monkeypatch.setattr(web_warehouse, "warehouse_url", lambda conn_id: warehouse.set(username="no_grants"))
            web_warehouse.forget_connections()
            answer = client.get("/tieout/breaks")
            assert answer.status_code == 503
            assert "python -m tieout grant-reader" in answer.text
        finally:
            db.execute("DROP ROLE no_grants")
        monkeypatch.setattr(web_warehouse, "warehouse_url", missing)
        web_warehouse.forget_connections()
        answer = client.get("/tieout/breaks")
        assert answer.status_code == 503
        assert "tieout_warehouse" in answer.text
        monkeypatch.setattr(web_warehouse, "_own_url", lambda: 1 / 0)
        broken = client.get("/tieout/breaks")
        assert (broken.status_code, broken.headers["cache-control"]) == (500, "no-store")
        assert client.post("/tieout/breaks").headers["allow"] == "GET, HEAD"
    with connect(warehouse) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM recon.breaks").fetchone() == (True,)


def test_what_lists_say_of_breaks_and_of_rebates_without_a_verdict(
    owners_pages: TestClient, db: psycopg.Connection
) -> None:
    from test_findings import column, rows

    for address in ("breaks?state=healed", "breaks?state=accepted"):
        assert "No break matches" in owners_pages.get(f"/tieout/{address}").text
    (count, rebates) = db.execute("SELECT count(*), count(DISTINCT rebate_id) FROM recon.breaks").fetchone() or (0, 0)
    assert count > rebates
    page = owners_pages.get(f"/tieout/breaks?state=standing&{MARCH}").text
    assert f"{count} breaks of {rebates} rebates" in page
    assert 'sort=agent"' in page
    assert "sort=-day" in page
    # Money first; each currency with the decimals that it needs.
    db.execute("UPDATE recon.breaks SET overpaid = -999 WHERE reason = 'amount'")
    db.execute("UPDATE recon.breaks SET currency = 'BTC', overpaid = 0.12345678 WHERE reason = 'voided_bet'")
    db.execute("UPDATE recon.rebates SET severity = 'high' WHERE rebate_id = 'amount'")
    overpaid = column(owners_pages, "breaks", "Overpaid")
    assert overpaid[0] == "−999.00"
    assert "+0.12345678" in overpaid
    assert all(len(cell.partition(".")[2]) == 2 for cell in overpaid if cell != "+0.12345678")
    assert column(owners_pages, "breaks?severity=high&reason=amount", "Severity") == ["high"]
    assert column(owners_pages, "breaks?sort=-severity", "Severity")[0] == "high"
    assert column(owners_pages, "breaks?reason=%20amount%20", "Amount")[0].endswith("money")
    # What sorts or filters one list of unclaimed turnover does not break the other.
    assert rows(owners_pages, f"unclaimed?{MARCH}&agent=acme&sort=-share")
    assert rows(owners_pages, f"unclaimed?{MARCH}&sort=-user_id")
    db.execute(
        """UPDATE recon.rebates SET verdict = 'pending', pending_reason = 'not_fetched', severity = NULL,
               waits_for = '{[2026-03-10 05:00Z, 2026-03-10 06:00Z)}' WHERE rebate_id = 'matched'
           AND cardinality(reasons) = 0"""
    )
    db.execute(
        """UPDATE recon.rebates SET verdict = 'unprovable', reasons = '{}', severity = NULL,
               lost_slices = '{[2026-03-09 05:00Z, 2026-03-09 06:00Z)}' WHERE rebate_id = 'amount'"""
    )
    db.execute("UPDATE recon.daily SET pending = 1, unprovable = 1")
    tie_out = owners_pages.get(f"/tieout/reconciliation?{MARCH}").text
    assert "pending?verdict=unprovable" in tie_out
    assert column(owners_pages, f"pending?{MARCH}&verdict=unprovable", "Lost slices (UTC)") == [
        "2026-03-09 05:00 – 2026-03-09 06:00"
    ]
    assert "amount" in owners_pages.get(f"/tieout/pending.csv?{MARCH}").text
    lines = csv.DictReader(io.StringIO(owners_pages.get(f"/tieout/reconciliation.csv?{MARCH}").text.lstrip("\ufeff")))
    assert [(line["day"], line["bet_turnover"]) for line in lines] == [("2026-03-10", "162.5")]


def test_what_was_typed_is_there_again(owners_pages: TestClient, owner: Person, db: psycopg.Connection) -> None:
    from test_access import OWN, form

    typed = form(db, owner, reason="agreed <b>", until="yesterday")
    answer = owners_pages.post("/tieout/accept", data=typed, headers=OWN)
    assert answer.status_code == 400
    assert 'value="agreed &lt;b&gt;"' in answer.text
    assert "not a date" in answer.text
    assert answer.text.count('action="accept"') == 1
