"""The pages in a real browser, inside a real Airflow: what a person does with keyboard and mouse."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from demo.__main__ import entrance
from demo.airflow_stack import USER, AirflowStack
from demo.postgres import EmbeddedPostgres
from demo.screenshots import browser_options, chromium, log_in, showcase_stack
from demo.showcase import HOSTILE_USER, Showcase
from tieout.core.warehouse import connect

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(chromium() is None, reason="no chromium on the path: apt-get install chromium"),
]

COVERAGE = "plugin/tieout-coverage/tieout/coverage"
BREAKS = "plugin/tieout-reconciliation/tieout/breaks"


@pytest.fixture(scope="module")
def running(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AirflowStack, Showcase]]:
    """An Airflow with something to see; its DAGs are paused."""
    here = Path(__file__).parent
    environment = {
        "PYTHONPATH": f"{here.parents[1] / 'include'}:{here}",
        "AIRFLOW__CORE__AUTH_MANAGER": "per_dag_auth.PerDagAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,partial:user,vera:viewer",
    }
    home = tmp_path_factory.mktemp("browser")
    with showcase_stack(home, postgres, environment=environment, prefix="web") as (stack, showcase):
        # Users see DAGs once the dag-processor has written them down.
        for _ in range(240):
            if stack.api("GET", "/dags?limit=1")["total_entries"] >= 20:
                break
            time.sleep(0.5)
        yield stack, showcase


@pytest.fixture(scope="module")
def stack(running: tuple[AirflowStack, Showcase]) -> AirflowStack:
    return running[0]


@pytest.fixture(scope="module")
def showcase(running: tuple[AirflowStack, Showcase]) -> Showcase:
    return running[1]


@pytest.fixture(scope="module")
def ledger(stack: AirflowStack) -> Iterator[psycopg.Connection]:
    with connect(stack.warehouse_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        chrome = playwright.chromium.launch(**browser_options())
        yield chrome
        chrome.close()


@pytest.fixture(scope="module")
def states(stack: AirflowStack, browser: Any) -> dict[str, Any]:
    """What each logged-in user's browser keeps."""
    passwords = json.loads((stack.home / "passwords.json").read_text())
    kept = {}
    for user, password in passwords.items():
        context = browser.new_context()
        page = context.new_page()
        log_in(page, stack, user, password)
        kept[user] = context.storage_state()
        context.close()
    return kept


@pytest.fixture
def visit(stack: AirflowStack, browser: Any, states: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """Return a function that opens an address as a user; nothing may be said in the console."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(path: str, *, user: str = USER, scheme: str = "light") -> Any:
        context = browser.new_context(
            storage_state=states[user], color_scheme=scheme, viewport={"width": 1500, "height": 1000}
        )
        contexts.append(context)
        page = context.new_page()

        def heard(message: Any) -> None:
            # What may not be seen is not found, and the browser says so.
            is_refusal = "404 (Not Found)" in message.text and "/tieout/break?id=" in message.location["url"]
            if message.type == "error" and "/tieout/" in message.location["url"] and not is_refusal:
                complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script has opened: {dialog.message}"))
        page.goto(f"{stack.url}/{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def frame(page: Any) -> Any:
    return page.frame_locator("iframe")


def test_both_pages_are_reached_from_the_navigation(visit: Callable[..., Any]) -> None:
    page = visit("")
    for name, heading in (("Coverage", "Coverage"), ("Reconciliation", "Daily tie-out")):
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name=name).click()
        frame(page).get_by_role("heading", level=1, name=heading).wait_for()


def test_from_a_red_cell_to_its_slices_and_to_a_repair(
    visit: Callable[..., Any], showcase: Showcase, stack: AirflowStack
) -> None:
    page = visit(f"{COVERAGE}?provider=lucko&feed=bets&agent=borealis&days=30")
    day = (showcase.first + timedelta(days=2)).date()
    cell = frame(page).locator(f'a.cell[aria-label^="{day}"]')
    assert "1 missing" in cell.get_attribute("aria-label")
    assert cell.inner_text() == "M"
    cell.click()
    slices = frame(page).locator("table.slices")
    slices.wait_for()
    assert slices.locator("span.s-missing").count() == 1
    # The address of the whole page can be shared: it leads to the same slices.
    page.wait_for_url(re.compile("slices"))
    shared = visit(page.url.removeprefix(f"{stack.url}/"))
    frame(shared).locator("table.slices").wait_for()
    frame(page).get_by_role("link", name="Repair", exact=False).nth(1).click()
    frame(page).get_by_role("button", name="Start it in Airflow").click()
    said = frame(page).locator("#called a")
    said.wait_for()
    run = stack.api("GET", "/dags/tieout__repair/dagRuns")["dag_runs"][0]
    assert run["conf"] == {
        "provider": "lucko", "feed": "bets", "agent": "borealis", "from": f"{day}T00:00:00Z",
        "to": f"{day}T06:00:00Z", "everything": True, "dry_run": False,
    }  # fmt: skip
    # Out of Airflow's sandboxed frame and into Airflow.
    said.click()
    page.wait_for_url(re.compile(r"/dags/tieout__repair/runs/"))


def test_the_map_is_walked_with_the_keyboard(visit: Callable[..., Any]) -> None:
    page = visit(f"{COVERAGE}?days=14")
    cells = frame(page).locator("a.cell")
    cells.last.wait_for()
    assert frame(page).locator('a.cell[tabindex="0"]').count() == 1
    cells.last.focus()
    label = cells.last.get_attribute("aria-label")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    focused = frame(page).locator("a.cell:focus")
    assert focused.get_attribute("aria-label") != label
    page.keyboard.press("Enter")
    frame(page).locator("table.slices").wait_for()


def test_a_dag_has_a_tab_with_its_coverage(visit: Callable[..., Any]) -> None:
    page = visit("dags/lucko__bets__borealis/plugin/tieout-dag-coverage")
    frame(page).get_by_role("heading", level=1, name="Coverage of borealis").wait_for()
    assert frame(page).locator("table.map tbody tr").count() == 1


def test_from_a_break_to_its_bets_and_what_it_was_read_from(visit: Callable[..., Any]) -> None:
    page = visit(f"{BREAKS}?reason=voided_bet&agent=acme")
    frame(page).locator("tbody td.id a").first.click()
    frame(page).locator("svg.waterfall").first.wait_for()
    bets = frame(page).locator("tr.concerned")
    assert bets.count() == 1
    bets.locator("summary").click()
    assert bets.locator("details tbody tr").count() == 2
    landing = frame(page).locator("section[aria-labelledby=origins-title] td.id").first.inner_text()
    assert "/lucko/" in landing


def test_filter_sort_and_page(visit: Callable[..., Any]) -> None:
    page = visit(f"{BREAKS}?size=5")
    frame(page).get_by_role("combobox", name="Reason").select_option("amount")
    frame(page).get_by_label("Agent", exact=True).fill("acme")
    frame(page).get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("reason=amount"))
    reasons = frame(page).locator("tbody td:nth-child(4)").all_inner_texts()
    assert set(reasons) == {"amount"}
    page = visit(f"{BREAKS}?size=5&agent=acme")
    first = frame(page).locator("tbody td.id a").first.inner_text()
    frame(page).get_by_role("link", name="Next ›").click()
    page.wait_for_url(re.compile("page=2"))
    assert frame(page).locator("tbody td.id a").first.inner_text() != first
    # The money comes first of itself, largest first.
    assert frame(page).locator('th[aria-sort="descending"]').inner_text().startswith("Overpaid")
    frame(page).get_by_role("link", name="Overpaid").click()
    page.wait_for_url(re.compile("sort=overpaid"))
    assert frame(page).locator('th[aria-sort="ascending"]').inner_text().startswith("Overpaid")


def test_a_break_is_accepted_and_its_history_says_by_whom(
    visit: Callable[..., Any], ledger: psycopg.Connection, showcase: Showcase
) -> None:
    (break_id,) = ledger.execute(
        "SELECT break_id FROM recon.breaks WHERE agent = 'acme' AND reason = 'amount' AND state = 'open' LIMIT 1"
    ).fetchone() or (None,)
    page = visit(f"plugin/tieout-reconciliation/tieout/break?id={break_id}")
    frame(page).get_by_label("Why it may stand").fill("agreed with the provider <b>")
    frame(page).get_by_label("Last day (UTC)").fill(str((showcase.today + timedelta(days=30)).date()))
    frame(page).get_by_role("button", name="Accept").click()
    frame(page).locator(".life-accepted").first.wait_for()
    row = ledger.execute(
        "SELECT state, accepted_by, accepted_reason, accepted_until FROM recon.breaks WHERE break_id = %s", (break_id,)
    ).fetchone()
    assert row == ("accepted", USER, "agreed with the provider <b>", showcase.today + timedelta(days=31))
    history = frame(page).locator("section[aria-labelledby=history-title]").inner_text()
    assert USER in history


def test_the_csv_is_what_was_filtered(visit: Callable[..., Any], ledger: psycopg.Connection) -> None:
    page = visit(f"{BREAKS}?reason=missing_bet&state=all")
    with page.expect_download() as download:
        frame(page).get_by_role("link", name="CSV of these").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    (count,) = ledger.execute("SELECT count(*) FROM recon.breaks WHERE reason = 'missing_bet'").fetchone() or (0,)
    assert len(rows) == count > 0
    assert {row["reason"] for row in rows} == {"missing_bet"}


def test_a_hostile_user_id_is_text(visit: Callable[..., Any], ledger: psycopg.Connection) -> None:
    row = ledger.execute("SELECT count(*) FROM recon.breaks WHERE user_id = %s", (HOSTILE_USER,)).fetchone()
    assert row is not None
    assert row[0] > 0
    page = visit(f"{BREAKS}?state=all&size=500")
    frame(page).locator("tbody tr").first.wait_for()
    assert frame(page).locator("td.id bdi", has_text=HOSTILE_USER).count() == row[0]
    assert frame(page).locator("img").count() == 0


def test_nobody_is_sent_to_the_login_and_back(stack: AirflowStack, browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{stack.url}/tieout/coverage?days=14")
    page.wait_for_url(re.compile("/auth/login"))
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", stack.password)
    page.click("button[type=submit]")
    page.wait_for_url(re.compile(r"/tieout/coverage\?days=14"))
    context.close()
    # What `make demo` prints leads through the login to the page inside Airflow.
    context = browser.new_context()
    page = context.new_page()
    page.goto(entrance(stack.url))
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", stack.password)
    page.click("button[type=submit]")
    frame(page).get_by_role("heading", level=1, name="Coverage").wait_for()
    context.close()
    for path in ("coverage", "breaks.csv", "break?id=1", "incomplete", "static/tieout.js"):
        assert requests.get(f"{stack.url}/tieout/{path}", timeout=30).status_code == 401


def test_somebody_sees_his_agents_only_and_may_not_accept(
    visit: Callable[..., Any], ledger: psycopg.Connection
) -> None:
    page = visit(f"{COVERAGE}", user="partial")
    frame(page).locator("table.map").wait_for()
    assert set(frame(page).locator("table.map tbody th bdi").all_inner_texts()) == {"borealis"}
    page = visit(f"{BREAKS}?state=all&size=500", user="partial")
    frame(page).locator("tbody tr").first.wait_for()
    assert set(frame(page).locator("tbody td:nth-child(2)").all_inner_texts()) == {"borealis"}
    ids = dict(
        ledger.execute("SELECT agent, min(break_id) FROM recon.breaks WHERE state = 'open' GROUP BY 1").fetchall()
    )
    page = visit(f"plugin/tieout-reconciliation/tieout/break?id={ids['acme']}", user="partial")
    frame(page).get_by_text("you may not see it").wait_for()
    page = visit(f"plugin/tieout-reconciliation/tieout/break?id={ids['borealis']}", user="partial")
    frame(page).locator("h1").wait_for()
    assert frame(page).get_by_role("button", name="Accept").count() == 0


def test_airflows_theme_is_followed(visit: Callable[..., Any]) -> None:
    page = visit(COVERAGE)
    frame(page).locator("h1").wait_for()
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    inner = page.frames[1]
    light = inner.evaluate(background)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    frame(page).locator("h1").wait_for()
    assert page.frames[1].evaluate(background) != light


def paths_of(showcase: Showcase, ledger: psycopg.Connection) -> tuple[str, ...]:
    """An address of every page: with something on it, without, and with an error."""
    (break_id,) = ledger.execute("SELECT break_id FROM recon.breaks WHERE reason = 'voided_bet'").fetchone() or (None,)
    day = (showcase.today - timedelta(days=21)).date()
    return (
        "coverage", f"slices?provider=hotroad&feed=summary&agent=acme&day={day}&slice={day}T03:00:00Z", "breaks",
        f"break?id={break_id}",
        f"action?kind=repair&provider=hotroad&feed=summary&agent=acme&from={day}T00:00:00Z&to={day}T01:00:00Z",
        "reconciliation", f"bridge?agent=acme&day={showcase.first.date()}&currency=USD", "unclaimed",
        "unclaimed?agent=acme", "activities", "integrity?state=all", "controls", "runbook", "runbook?kind=losing",
        "rejects?provider=vertexplay&feed=betlogs&agent=acme", "break?id=999999", "integrity?agent=nobody",
        "alerts?state=all",
    )  # fmt: skip


def test_no_page_is_wider_than_a_telephone(
    stack: AirflowStack, browser: Any, states: dict[str, Any], showcase: Showcase, ledger: psycopg.Connection
) -> None:
    """What is wide scrolls by itself."""
    context = browser.new_context(storage_state=states[USER], viewport={"width": 400, "height": 800})
    page = context.new_page()
    beyond = {}
    for path in paths_of(showcase, ledger):
        page.goto(f"{stack.url}/tieout/{path}")
        page.locator("[aria-busy=true]").wait_for(state="detached")
        if wider := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
            beyond[path] = wider
    context.close()
    assert beyond == {}


#: What the Tab key is to reach, in order.
REACHABLE = """() => {
    const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')];
    window.reachable = all.filter(e => e.checkVisibility() && !e.disabled && e.type !== 'hidden' && e.tabIndex >= 0);
    return window.reachable.length;
}"""
#: Which of them has the focus (null: none), and whether that is seen.
FOCUSED = """() => {
    const at = window.reachable.indexOf(document.activeElement), style = getComputedStyle(document.activeElement);
    return at < 0 ? null : [at, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
}"""


def test_every_page_is_walked_with_the_tab_key(
    stack: AirflowStack, browser: Any, states: dict[str, Any], showcase: Showcase, ledger: psycopg.Connection
) -> None:
    """From the first link to the last, each in its place and seen to have the focus; never caught."""
    context = browser.new_context(storage_state=states[USER], viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    for path in paths_of(showcase, ledger):
        # The page of one slice begins at it.
        page.goto(f"{stack.url}/tieout/{path.partition('&slice=')[0]}")
        page.locator("[aria-busy=true]").wait_for(state="detached")
        count = page.evaluate(REACHABLE)
        order: list[int] = []
        seen: set[int] = set()
        # The parts of a date take a step each; the last, which opens a calendar, is outlined by the browser.
        for _ in range(4 * count + 4):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused is None:
                break
            at, is_seen = focused
            if is_seen:
                seen.add(at)
            if at not in order:
                order.append(at)
        assert order == list(range(count)), path
        assert seen == set(order), path
    context.close()


def finished(stack: AirflowStack, dag_id: str, task_id: str) -> dict[str, Any]:
    """The first task instance of a DAG whose try is over."""
    for _ in range(360):
        found = stack.api("GET", f"/dags/{dag_id}/dagRuns/~/taskInstances?task_id={task_id}&order_by=run_after")
        over = [ti for ti in found["task_instances"] if ti["state"] in ("success", "failed", "up_for_retry")]
        if over:
            instance: dict[str, Any] = over[0]
            return instance
        time.sleep(0.5)
    pytest.fail(f"no try of {dag_id}.{task_id} is over")


def links_of(stack: AirflowStack, instance: dict[str, Any]) -> dict[str, Any]:
    """What Airflow's REST API names as extra links of a task instance."""
    path = f"/dags/{instance['dag_id']}/dagRuns/{instance['dag_run_id']}/taskInstances/{instance['task_id']}/links"
    found: dict[str, Any] = stack.api("GET", path)["extra_links"]
    return found


def test_tasks_lead_to_the_pages_of_what_they_worked_on(visit: Callable[..., Any], stack: AirflowStack) -> None:
    """Of a pull that has failed (there is no provider), of the monitor, and of a judge."""
    dags = ("jdb__daily__acme", "tieout__monitor", "lucko__rejudge__acme")
    for dag_id in dags:
        stack.api("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
    stack.api("POST", "/dags/lucko__rejudge__acme/dagRuns", json={"logical_date": None, "conf": {}})
    pull = finished(stack, "jdb__daily__acme", "pull_slice")
    stack.api("PATCH", "/dags/jdb__daily__acme", json={"is_paused": True})
    assert pull["state"] != "success"
    monitor = finished(stack, "tieout__monitor", "record_lost")
    judge = finished(stack, "lucko__rejudge__acme", "rejudge")
    for dag_id in dags[1:]:
        stack.api("PATCH", f"/dags/{dag_id}", json={"is_paused": True})
    start = stack.api("GET", f"/dags/{pull['dag_id']}/dagRuns/{pull['dag_run_id']}")["data_interval_start"]
    assert links_of(stack, monitor) == {"Coverage": "plugin/tieout-coverage/tieout/coverage"}
    assert links_of(stack, judge)["Reconciliation"].startswith(
        "plugin/tieout-reconciliation/tieout/reconciliation?agent=acme"
    )
    (link,) = links_of(stack, pull).values()
    assert link.startswith(f"plugin/tieout-coverage/tieout/slices?provider=jdb&feed=daily&agent=acme&day={start[:10]}")
    # And by a click in Airflow's own page of the task.
    page = visit(f"dags/{pull['dag_id']}/runs/{pull['dag_run_id']}/tasks/pull_slice/details")
    page.get_by_role("link", name="Slice and its files").click()
    opened = frame(page).locator("tr[data-shown]")
    opened.wait_for()
    assert opened.get_attribute("id") == start[:19] + "Z"
    assert opened.locator("details[open]").count() == 1


def test_from_the_tie_out_to_what_nobody_claimed(visit: Callable[..., Any]) -> None:
    page = visit("plugin/tieout-reconciliation/tieout/reconciliation?agent=acme")
    unclaimed = frame(page).locator("tbody td:nth-child(6) a").first
    amount = unclaimed.inner_text()
    unclaimed.click()
    frame(page).get_by_role("heading", level=1, name="Unclaimed turnover").wait_for()
    rows = frame(page).locator("tbody tr")
    assert rows.count() >= 1
    shown = [text.replace(",", "") for text in frame(page).locator("tbody td:nth-child(6)").all_inner_texts()]
    assert sum(map(Decimal, shown)) == Decimal(amount.replace(",", ""))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_closed_to_anybody(
    stack: AirflowStack,
    browser: Any,
    states: dict[str, Any],
    showcase: Showcase,
    ledger: psycopg.Connection,
    scheme: str,
) -> None:
    """axe finds nothing, contrast included, whatever the theme."""
    context = browser.new_context(storage_state=states[USER], color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    found: dict[str, list[str]] = {}
    for path in paths_of(showcase, ledger):
        page.goto(f"{stack.url}/tieout/{path}")
        page.locator("[aria-busy=true]").wait_for(state="detached")
        for violation in axe.Axe().run(page).response["violations"]:
            found.setdefault(path, []).append(f"{violation['id']}: {violation['nodes'][0]['html'][:160]}")
    context.close()
    assert not found, json.dumps(found, indent=1)
