"""Alerts: each cause found when it stands, told once, closed when it is gone, told again when it comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from book import DAY, HOUR, Book, declared

from tieout.core import alerts
from tieout.core.alerts import KINDS, Alert, AlertSettings, Cause, compose, find_causes
from tieout.core.errors import ConfigError
from tieout.feeds import parse_alert_settings

SETTINGS = AlertSettings()


def hotroad(db: psycopg.Connection, *, hours: float = 100) -> Book:
    """HotRoad since some hours ago, known as long."""
    probe = Book(db, declared("hotroad", "summary"))
    start = probe.hour(int(hours)).start
    return Book(db, declared("hotroad", "summary", start=f"{start:%Y-%m-%dT%H:%M:%SZ}")).declare(
        known_for=timedelta(hours=hours)
    )


def kinds(db: psycopg.Connection, settings: AlertSettings = SETTINGS) -> list[tuple[str, str]]:
    return [(cause.kind, cause.cause) for cause in find_causes(db, settings)]


def test_a_feed_that_is_read_is_no_alert(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 100))
    assert kinds(db) == []


def test_a_feed_that_is_not_read_any_more_is_stale(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 88))
    (cause,) = find_causes(db, SETTINGS)
    assert (cause.kind, cause.cause) == ("stale", "hotroad/summary/acme")
    assert cause.since == book.hour(12).start
    assert kinds(db, AlertSettings(stale_after=timedelta(hours=20))) == []


def test_a_hole_behind_what_is_read_is_not_stale(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 40))
    book.read(book.hour(50, 50))
    assert kinds(db) == []


def test_an_agent_that_was_declared_just_now_is_not_stale(db: psycopg.Connection) -> None:
    probe = Book(db, declared("hotroad", "summary"))
    start = probe.hour(100).start
    Book(db, declared("hotroad", "summary", start=f"{start:%Y-%m-%dT%H:%M:%SZ}")).declare(known_for=HOUR)
    assert kinds(db) == []


def test_what_will_be_forgotten_soon_is_told_with_its_deadline(db: psycopg.Connection) -> None:
    book = hotroad(db, hours=41 * 24)
    book.read(book.hour(41 * 24, 48))
    book.read(book.hour(38 * 24, 38 * 24))
    (cause,) = find_causes(db, SETTINGS)
    assert (cause.kind, cause.cause) == ("losing", "hotroad/summary/acme")
    assert cause.since == book.hour(39 * 24).start
    assert cause.until == cause.since + 40 * DAY
    assert kinds(db, AlertSettings(before_lost=timedelta(hours=12))) == []


def test_a_suspect_slice_is_told_after_a_while_and_while_nothing_certifies_it(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 50))
    book.read(book.hour(50), state="suspect", ago=3 * HOUR)
    book.read(book.hour(49), state="suspect", ago=HOUR)
    book.read(book.hour(48, 48))
    assert [cause for kind, cause in kinds(db) if kind == "suspect"] == [
        f"hotroad/summary/acme/{book.hour(50).start:%Y-%m-%d}"
    ]
    book.read(book.hour(50))
    assert kinds(db) == []


def test_suspect_slices_of_a_day_are_one_cause_that_lists_them(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 100))
    day = (book.top - 3 * DAY).replace(hour=0)
    first = int((book.top - day) / HOUR)
    db.execute("DELETE FROM ops.readings")
    for number in range(26):
        book.read(book.hour(first - number), state="suspect", ago=3 * HOUR, reason=f"reason {number}")
    found = [cause for cause in find_causes(db, SETTINGS) if cause.kind == "suspect"]
    assert [cause.cause for cause in found] == [
        f"hotroad/summary/acme/{day:%Y-%m-%d}", f"hotroad/summary/acme/{day + DAY:%Y-%m-%d}"
    ]  # fmt: skip
    assert found[0].detail.startswith("24 slice(s) from 00:00, 01:00, ")
    assert found[0].detail.endswith(", 23:00 UTC, the last: reason 23")
    assert (found[0].since, found[0].until) == (day, day + DAY)
    assert found[1].detail == "2 slice(s) from 00:00, 01:00 UTC, the last: reason 25"


def test_loads_that_nobody_takes_in_are_late(db: psycopg.Connection) -> None:
    Book(db, declared("lucko", "rebates", start="2090-01-01")).declare()
    Book(db, declared("hotroad", "summary", start="2090-01-01")).declare()
    db.execute(
        """INSERT INTO ops.loads (reading_id, provider, feed, agent, started_at, inserted)
           SELECT 'r', a.provider, 'f', 'acme', now() - n.age, n.rows
           FROM (VALUES ('lucko'), ('hotroad')) AS a (provider),
               (VALUES (1, interval '20 days', 1), (2, '15 hours', 1), (3, '14 hours', 1), (4, '13 hours', 0),
                   (5, '1 hour', 1)) AS n (place, age, rows)
           ORDER BY n.place"""
    )
    found = {cause.cause: cause.detail for cause in find_causes(db, SETTINGS) if cause.kind == "late"}
    assert found == dict.fromkeys(("hotroad/mart/acme", "lucko/mart/acme", "lucko/rejudge/acme"), "2 load(s)")
    assert kinds(db, AlertSettings(judged_within=timedelta(hours=16))) == []
    db.execute(
        """INSERT INTO mart.inputs (provider, agent, load_id)
           SELECT provider, agent, load_id FROM ops.loads WHERE started_at < now() - interval '14 hours 30 minutes'"""
    )
    found = {cause.cause: cause.detail for cause in find_causes(db, SETTINGS) if cause.kind == "late"}
    assert found["lucko/mart/acme"] == found["hotroad/mart/acme"] == "1 load(s)"
    db.execute("INSERT INTO mart.inputs SELECT provider, agent, load_id FROM ops.loads ON CONFLICT DO NOTHING")
    assert [cause for _, cause in kinds(db)] == ["lucko/rejudge/acme"]


def test_a_gap_is_told_once_however_it_grows(db: psycopg.Connection) -> None:
    book = hotroad(db)
    book.read(book.hour(100, 100))
    begin = book.hour(2000).start
    db.execute(
        "INSERT INTO ops.lost (provider, feed, agent, gap_start, gap_end, slices) "
        "VALUES ('hotroad', 'summary', 'acme', %s, %s, 2)",
        (begin, begin + 2 * HOUR),
    )
    first = kinds(db)
    db.execute("UPDATE ops.lost SET gap_end = gap_end + interval '1 hour', slices = 3")
    assert kinds(db) == first == [("lost", f"hotroad/summary/acme/{begin:%Y-%m-%dT%H:%M:%SZ}")]


def test_a_throttled_quota_is_told_for_an_hour(db: psycopg.Connection) -> None:
    db.execute(
        """INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at, throttled, throttled_at)
           VALUES ('lucko', '/api/x', 'm1', now(), 3, now() - interval '10 minutes'),
                  ('lucko', '/api/x', 'm2', now(), 9, now() - interval '2 hours')"""
    )
    assert kinds(db) == [("throttled", "lucko//api/x/m1")]


def add_break(
    db: psycopg.Connection, rebate: str, overpaid: str, *, currency: str = "USD", state: str = "open"
) -> None:
    run = db.execute(
        """INSERT INTO recon.runs (agent, kind, days, config, config_fingerprint, started_at)
           VALUES ('acme', 'incremental', '{}', '{}', 'f', now()) RETURNING run_id"""
    ).fetchone()
    assert run is not None
    for reason in ("amount", "turnover"):
        db.execute(
            """INSERT INTO recon.breaks (agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid,
                   bet_ids, sentence, fingerprint, opened_at, changed_at, run_id)
               VALUES ('acme', %s, %s, '2026-03-01', '<b>u1</b>', %s, %s, 1, %s, '{}', 's', 'f', now(), now(), %s)""",
            (rebate, reason, currency, state, overpaid, run[0]),
        )


def test_large_breaks_are_told_by_their_currency_and_once_for_all_reasons(db: psycopg.Connection) -> None:
    add_break(db, "large", "100")
    add_break(db, "small", "99.99")
    add_break(db, "under", "-100.01")
    add_break(db, "dong", "5000", currency="VND2")
    add_break(db, "over", "500", state="healed")
    settings = AlertSettings(overpaid={"default": Decimal(100), "VND2": Decimal(2_500_000)})
    assert kinds(db, settings) == [("overpaid", "acme/large"), ("overpaid", "acme/under")]
    details = [cause.detail for cause in find_causes(db, settings)]
    assert details[1] == "rebate under of user <b>u1</b>, day 2026-03-01: underpaid 100.01 USD (amount, turnover)"


def test_a_settlement_day_that_nobody_judges_is_told(db: psycopg.Connection) -> None:
    start = datetime.now(UTC) - 5 * DAY
    for feed in ("bets", "rebates"):
        book = Book(db, declared("lucko", feed, start=f"{start:%Y-%m-%d}")).declare(known_for=5 * DAY)
        book.read(book.hour(200, 200))
    db.execute(
        """INSERT INTO ops.config (provider, agent, reconciliation)
           VALUES ('lucko', 'acme', '{"timezone": "UTC", "judge_after_seconds": 21600}')
           ON CONFLICT (provider, agent) DO UPDATE SET reconciliation = excluded.reconciliation"""
    )
    unjudged = [cause for kind, cause in kinds(db) if kind == "unjudged"]
    assert len(unjudged) in (4, 5)
    days = [cause.removeprefix("acme/") for cause in unjudged]
    db.execute(
        """INSERT INTO recon.runs (agent, kind, days, config, config_fingerprint, started_at)
           VALUES ('acme', 'full', %s::date[], '{}', 'f', now())""",
        (days[1:],),
    )
    assert [cause for kind, cause in kinds(db) if kind == "unjudged"] == unjudged[:1]


# -- the book -----------------------------------------------------------------------------------------------------


def cause(name: str, *, kind: str = "stale", detail: str = "") -> Cause:
    return Cause(
        kind=kind, cause=name, provider="lucko", feed="bets", agent="acme", since=None, until=None, detail=detail
    )


def settle(db: psycopg.Connection, *causes: Cause) -> int:
    alerts.open_new(db, causes)
    return alerts.close_vanished(db, causes)


def names(found: list[Alert]) -> list[str]:
    return [alert.cause for alert in found]


def test_a_cause_is_told_once_to_each_notifier_and_again_when_it_comes_back(db: psycopg.Connection) -> None:
    settle(db, cause("a"), cause("b"))
    told = alerts.unsent(db, "mail")
    assert names(told) == ["a", "b"]
    alerts.mark_sent(db, "mail", told[:1])
    assert names(alerts.unsent(db, "mail")) == ["b"]
    assert names(alerts.unsent(db, "chat")) == ["a", "b"]
    alerts.mark_sent(db, "mail", told[1:])
    # It still stands, with other words: nothing new.
    settle(db, cause("a", detail="worse"), cause("b"))
    assert alerts.unsent(db, "mail") == []
    assert alerts.unsent(db, "chat")[0].detail == "worse"
    assert settle(db, cause("b")) == 1
    assert names(alerts.unsent(db, "chat")) == ["b"]
    settle(db, cause("a"), cause("b"))
    assert names(alerts.unsent(db, "mail")) == ["a"]


def test_without_causes_everything_is_closed(db: psycopg.Connection) -> None:
    settle(db, cause("a"), cause("a", kind="lost"))
    assert settle(db) == 2
    assert alerts.unsent(db, "mail") == []


# -- the message --------------------------------------------------------------------------------------------------


def alert(number: int, kind: str = "stale", detail: str = "") -> Alert:
    return Alert(
        alert_id=number, kind=kind, cause=str(number), provider="lucko", feed="bets", agent=f"a{number}", since=None,
        until=None, detail=detail, opened_at=datetime.now(UTC),
    )  # fmt: skip


def test_one_message_names_all_kinds_and_counts_what_is_too_much() -> None:
    message = compose(
        [alert(1, "lost"), *(alert(n) for n in range(2, 30))],
        lambda told: f"https://x/{told.alert_id}",
        lambda kind: f"https://run/{kind}",
    )
    assert message.title == "tieout: 1 lost, 28 stale"
    assert "Time that is lost for good (1)" in message.text
    assert "- lucko bets agent=a2: nothing of it was ever read  https://x/2" in message.text
    assert "- … and 8 more" in message.text
    assert message.text.count("https://run/stale") == message.html.count('href="https://run/stale"') == 1
    assert message.text.count("\n- ") == 1 + 20 + 1


def test_what_providers_say_cannot_become_markup() -> None:
    message = compose(
        [alert(1, "overpaid", detail="<script>alert(1)</script>")], lambda _: 'https://x/"><b>', lambda _: '"><b>'
    )
    assert "<script>" not in message.html
    assert '"><b>' not in message.html
    assert "&lt;script&gt;" in message.html
    user = "<!channel> @here\n- forged <https://evil|x> [x](https://evil)"
    told = compose([alert(1, "overpaid", detail=user)], lambda _: "https://x", lambda _: "https://y").text
    assert not set("<>@") & set(told)
    assert "](" not in told
    assert told.count("\n") == 2
    assert "‹!channel›" in told


def test_what_is_no_address_is_no_link() -> None:
    message = compose([alert(1)], lambda _: "(in Airflow: /plugin/x)", lambda _: "(in Airflow: /plugin/y)")
    assert "<a " not in message.html
    assert "(in Airflow: /plugin/x)" in message.html
    assert "(in Airflow: /plugin/y)" in message.text


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_words_and_a_page_of_the_runbook(kind: str) -> None:
    assert kind in compose([alert(1, kind)], lambda _: "", lambda _: "").title
    page = Path(__file__).parents[2] / "docs" / "runbook" / f"{kind}.md"
    assert page.read_text().startswith("# ")


# -- the feeds file -----------------------------------------------------------------------------------------------

DECLARED = """
agents: []
alerts:
  before_lost: 3d
  overpaid: {VND2: 2500000}
  notifiers:
    - name: mail
      class: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      arguments: {to: [ops@example.com], subject: "{{ tieout.title }}"}
"""


def test_alerts_are_declared_in_the_feeds_file() -> None:
    found = parse_alert_settings(DECLARED)
    assert found.before_lost == 3 * DAY
    assert found.overpaid == {"default": Decimal(100), "VND2": Decimal(2_500_000)}
    (notifier,) = found.notifiers
    assert (notifier.name, notifier.path.rpartition(".")[2]) == ("mail", "SmtpNotifier")
    assert notifier.arguments == {"to": ["ops@example.com"], "subject": "{{ tieout.title }}"}
    assert parse_alert_settings("agents: []\n") == AlertSettings()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("before_lost: 3d", "before_lost: 3", "line 4, key 'alerts.before_lost': '3' is no duration"),
        ("before_lost", "before", "key 'alerts.before': unknown key; allowed are before_lost"),
        ("VND2: 2500000", "VND2: -1", "key 'alerts.overpaid.VND2': '-1' is no finite amount"),
        ("name: mail", "nome: mail", "key 'alerts.notifiers[0].nome': unknown key"),
        ("class: airflow.providers.smtp.notifications.smtp.", "class: ", "'SmtpNotifier' is no class"),
        ("      class: airflow.providers.smtp.notifications.smtp.SmtpNotifier\n", "", "the key 'class' is missing"),
        ('{to: [ops@example.com], subject: "{{ tieout.title }}"}', "[a]", "a mapping of arguments is expected"),
        ("    - name: mail", "    - {name: mail, class: a.b}\n    - name: mail", "two notifiers have the same name"),
    ],
)
def test_mistakes_name_file_line_and_key(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_alert_settings(DECLARED.replace(old, new), "my-feeds.yaml")
    assert said in str(caught.value)
    assert "my-feeds.yaml, line" in str(caught.value)
