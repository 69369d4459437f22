"""The worked examples of docs/recon-examples.md are true: every world is built, judged and compared."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from world import DAY, DISPATCHED, HOUR, NEEDED, World

DOCUMENT = Path(__file__).parents[2] / "docs" / "recon-examples.md"
STATUS = {"open": 0, "settled": 1, "void": 3}
SECTION = re.compile(r"^## (\d+)\. (.+?)$.*?^```text\n(.*?)^```", re.M | re.S)


@dataclass
class Example:
    """One section of the document."""

    title: str
    bets: list[tuple[str, str, str, str, int, int]] = field(default_factory=list)
    rebates: list[tuple[str, str, str, str, str, list[str]]] = field(default_factory=list)
    expected: dict[str, tuple[str, Decimal | None]] = field(default_factory=dict)
    parts: dict[str, set[tuple[str, str, Decimal, str]]] = field(default_factory=lambda: defaultdict(set))


def parse(title: str, block: str) -> Example:
    example = Example(title)
    for line in block.strip().splitlines():
        words = line.replace(":", "").split()
        if words[0] == "bet":
            _, name, user, turnover, currency, status, hour = words
            example.bets.append((name, user, turnover, currency, STATUS[status], int(hour[1:])))
        elif words[0] == "rebate":
            _, name, user, turnover, amount, currency, *bets = words
            example.rebates.append((name, user, turnover, amount, currency, bets))
        elif words[0] == "expect":
            _, name, verdict, *reasons = words
            overpaid = Decimal(reasons.pop()) if "overpaid" in reasons else None
            reasons = [reason for reason in reasons if reason != "overpaid"]
            example.expected[name] = (": ".join(filter(None, [verdict, " ".join(reasons)])), overpaid)
        else:
            of, listed = line.removeprefix("of ").split(": ")
            for part in listed.split(", "):
                kind, bet, amount, evidence = part.split()
                example.parts[of].add((kind, "" if bet == "-" else bet, Decimal(amount), evidence))
    return example


EXAMPLES = [parse(f"{number}. {title}", block) for number, title, block in SECTION.findall(DOCUMENT.read_text())]


def test_there_are_ten_of_every_kind() -> None:
    assert len(EXAMPLES) == 10
    kinds = {kind for example in EXAMPLES for parts in example.parts.values() for kind, *_ in parts}
    assert kinds == {"restated", "voided", "foreign", "reused", "missing", "unexplained"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_example(example: Example, world: World) -> None:
    build(example, world)
    world.judge()
    for name, (outcome, overpaid) in example.expected.items():
        found = world.verdict(name)
        assert found.outcome == outcome
        assert overpaid is None or found.overpaid == overpaid
    rows = world.rows("recon.break_components", "of, kind, bet_id")
    assert {row["rebate_id"] for row in rows} <= {"r"}
    for of in ("difference", "entitlement"):
        found_parts = {
            (row["kind"], row["bet_id"], row["amount"], row["evidence"]) for row in rows if row["of"] == of
        }  # fmt: skip
        assert found_parts == example.parts[of]


def build(example: Example, world: World) -> None:
    """Read every state of the bets in its own hour, and everything else the rebates need."""
    world.declare()
    end = NEEDED[1] + 4 * HOUR
    for second, (name, user, turnover, currency, status, hour) in enumerate(example.bets):
        updated = DAY + hour * HOUR
        world.bet(name, turnover, user=user, currency=currency, status=status, updated=updated, bet_amount="500")
        world.read_bets(updated, updated + HOUR, pulled=updated + HOUR + timedelta(seconds=second))
    world.read_bets(NEEDED[0], end - HOUR)
    world.read_bets(end - HOUR, end)
    for minute, (name, user, turnover, amount, currency, bets) in enumerate(example.rebates):
        created = DISPATCHED + timedelta(minutes=minute)
        world.rebate(name, bets, turnover, amount, user=user, currency=currency, created=created)
    world.read_rebates()


def test_the_database_refuses_components_that_do_not_add_up(world: World, db: psycopg.Connection) -> None:
    build(EXAMPLES[0], world)
    world.judge()
    for statement in (
        "UPDATE recon.break_components SET amount = amount + 0.01 WHERE agent = %s",
        "DELETE FROM recon.break_components WHERE agent = %s AND of = 'entitlement'",
        "UPDATE recon.rebates SET difference = difference + 1 WHERE agent = %s",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="add up"):
            db.execute(statement.encode(), (world.agent,))
    assert world.judge().changed == 0
