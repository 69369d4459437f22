"""``python -m demo.screenshots``: pictures of the pages inside a real Airflow, for the README.

Needs chromium on the path. Everything else is set up below a temporary folder and taken away again.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.airflow_stack import ROOT, USER, AirflowStack
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes
from demo.showcase import Showcase

FOLDER = ROOT / "docs" / "images"
#: Name of the picture, and the page as the UI's address has it.
PAGES = (
    ("coverage", "plugin/tieout-coverage/tieout/coverage?days=60"),
    ("slices", "plugin/tieout-coverage/tieout/slices?provider=hotroad&feed=summary&agent=acme&day={suspect_day}"),
    ("repair", "plugin/tieout-coverage/tieout/action?kind=repair&provider=hotroad&feed=summary&agent=acme"
               "&from={suspect_day}T00:00:00Z&to={suspect_day}T10:00:00Z"),
    ("reconciliation", "plugin/tieout-reconciliation/tieout/reconciliation?agent=acme&first={first}&last={last}"),
    ("bridge", "plugin/tieout-reconciliation/tieout/bridge?agent=acme&day={first}&currency=USD"),
    ("breaks", "plugin/tieout-reconciliation/tieout/breaks"),
    ("break", "plugin/tieout-reconciliation/tieout/break?id={break_id}"),
    ("integrity", "plugin/tieout-reconciliation/tieout/integrity"),
    ("alerts", "plugin/tieout-coverage/tieout/alerts"),
    ("dag", "dags/lucko__bets__borealis/plugin/tieout-dag-coverage"),
)  # fmt: skip


@contextmanager
def showcase_stack(
    home: Path, postgres: EmbeddedPostgres, *, environment: dict[str, str] | None = None, prefix: str = "show"
) -> Iterator[tuple[AirflowStack, Showcase]]:
    """Run an Airflow whose DAGs are paused over a warehouse worth looking at."""
    feeds = home / "feeds.yaml"
    with Processes(home / "logs", home / "processes.json") as processes:
        stack = AirflowStack(
            home=home, postgres=postgres, processes=processes, feeds=feeds, metadata=f"{prefix}_airflow",
            warehouse=f"{prefix}_tieout",
            environment={"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True", **(environment or {})},
        )  # fmt: skip
        showcase = Showcase(stack.warehouse_url, stack.landing, datetime.now(UTC))
        feeds.write_text(showcase.feeds_yaml(), encoding="utf-8")
        stack.prepare()
        showcase.write()
        stack.start()
        stack.wait_until_ready()
        yield stack, showcase


def chromium() -> str | None:
    """Return where chromium is, None when it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browser_options() -> dict[str, Any]:
    """Return how Playwright starts it; as root it cannot make a sandbox of its own."""
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    return {"executable_path": chromium(), "args": arguments}


def log_in(page: Any, stack: AirflowStack, user: str, password: str) -> None:
    """Log in through Airflow's form."""
    page.goto(f"{stack.url}/auth/login")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.url}/", timeout=60_000)


def take(stack: AirflowStack, showcase: Showcase, folder: Path) -> list[Path]:
    """Take every picture, light and dark."""
    from playwright.sync_api import sync_playwright

    names = {
        "suspect_day": (showcase.today - timedelta(days=21)).date(),
        "first": showcase.first.date(),
        "last": showcase.today.date(),
        "break_id": _voided_break(showcase),
    }
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**browser_options())
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": 1600, "height": 1000}, color_scheme=scheme)
            page = context.new_page()
            log_in(page, stack, USER, stack.password)
            page.evaluate("theme => localStorage.setItem('theme', theme)", scheme)
            for name, path in PAGES:
                page.goto(f"{stack.url}/{path.format(**names)}")
                frame = page.frame_locator("iframe").locator("main")
                frame.wait_for(timeout=30_000)
                page.frame_locator("iframe").locator("[aria-busy=true]").wait_for(state="detached", timeout=30_000)
                page.wait_for_timeout(500)
                target = folder / f"{name}-{scheme}.png"
                page.screenshot(path=target)
                taken.append(target)
            context.close()
        browser.close()
    return taken


def _voided_break(showcase: Showcase) -> int:
    from tieout.core.warehouse import connect

    with connect(showcase.url) as connection:
        row = connection.execute(
            "SELECT break_id FROM recon.breaks ORDER BY (reason = 'voided_bet') DESC, break_id LIMIT 1"
        ).fetchone()
    assert row is not None
    return int(row[0])


def main() -> int:
    """Take the pictures and name them."""
    if chromium() is None:
        print("screenshots: chromium is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tieout-show-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "data") as postgres, showcase_stack(home, postgres) as (stack, showcase):
            for path in take(stack, showcase, FOLDER):
                print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
