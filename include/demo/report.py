"""The end of the demo: the daily tie-out, the breaks found next to the breaks planted, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from rich import box
from rich.console import Console
from rich.table import Table


def _amount(amount: Decimal) -> str:
    """Write an exact amount with at least two decimals; none of its digits are dropped."""
    exponent = amount.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return f"{amount:,.{max(2, -exponent)}f}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")


@dataclass(frozen=True)
class Comparison:
    """Breaks found against breaks planted, by rebate; a break counts as found when its reasons are exactly right."""

    found: dict[str, tuple[str, ...]]
    planted: dict[str, tuple[str, ...]]

    @property
    def right(self) -> int:
        """How many planted breaks were found with exactly their reasons."""
        return sum(self.found.get(rebate) == reasons for rebate, reasons in self.planted.items())

    @property
    def false(self) -> int:
        """How many breaks were found that were not planted so."""
        return sum(self.planted.get(rebate) != reasons for rebate, reasons in self.found.items())

    @property
    def agrees(self) -> bool:
        """Whether found and planted are the same, and anything was planted at all."""
        return bool(self.planted) and self.found == self.planted


def found_breaks(connection: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    """Return the reasons of every broken rebate."""
    rows = connection.execute("SELECT rebate_id, reasons FROM recon.rebates WHERE verdict = 'break'").fetchall()
    return {rebate_id: tuple(sorted(reasons)) for rebate_id, reasons in rows}


def planted_breaks(truth: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the reasons of every planted break from the simulator's truth."""
    return {entry["rebate_id"]: tuple(sorted(entry["reasons"])) for entry in truth}


def print_daily(console: Console, connection: psycopg.Connection) -> None:
    """Print recon.daily: what was bet, what was rebated, what was paid."""
    table = _table("Daily tie-out (recon.daily)")
    for name in ("day", "currency"):
        table.add_column(name, no_wrap=True)
    amounts = ("bet turnover", "rebated", "unclaimed", "paid", "entitled", "net overpaid")
    for name in (*amounts, "matched", "broken", "pending"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = connection.execute(
        """SELECT day, currency, bet_turnover, rebated_turnover, unclaimed_turnover, paid, entitled,
                  overpaid - underpaid, matched, broken, pending
           FROM recon.daily WHERE rebates > 0 OR bets > 0 ORDER BY day, currency"""
    ).fetchall()
    for day, currency, *figures in rows:
        table.add_row(f"{day}", currency, *map(_amount, figures[: len(amounts)]), *map(str, figures[len(amounts) :]))
    console.print(table)


def print_breaks(console: Console, connection: psycopg.Connection, truth: list[dict[str, Any]]) -> None:
    """Print the breaks found beside what the simulator planted."""
    found, planted = found_breaks(connection), planted_breaks(truth)
    kinds = {entry["rebate_id"]: entry["kind"] for entry in truth}
    details = {
        rebate_id: details
        for rebate_id, *details in connection.execute(
            "SELECT rebate_id, day, user_id, currency, overpaid FROM recon.rebates WHERE verdict = 'break'"
        ).fetchall()
    }
    table = _table("Breaks found (recon.breaks), next to breaks planted by the simulator")
    for name in ("rebate", "day", "user", "found: reasons"):
        table.add_column(name, no_wrap=True)
    table.add_column("overpaid", justify="right", no_wrap=True)
    for name in ("planted", ""):
        table.add_column(name, no_wrap=True)
    for rebate_id in sorted({*found, *planted}, key=lambda key: (kinds.get(key) or "", key)):
        day, user, currency, overpaid = details.get(rebate_id, ("", "", "", None))
        same = found.get(rebate_id) == planted.get(rebate_id)
        table.add_row(
            rebate_id,
            str(day),
            user,
            ", ".join(found.get(rebate_id, ("not found",))),
            "" if overpaid is None else f"{_amount(overpaid)} {currency}",
            kinds.get(rebate_id) or "nothing",
            "[green]✓[/]" if same else "[red]✗[/]",
        )
    console.print(table)
