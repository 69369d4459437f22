"""The breaks of a statement: a line for each rebate, and below it reasons, components and bets, without a script."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.core.recon.markup import number, places_of, table, text
from tieout.core.recon.statement_data import BrokenRebate, Row
from tieout.core.slices import stamp

STATUS = {0: "placed", 1: "settled", 2: "cancelled by the user", 3: "invalid", 4: "settlement made invalid"}
EVIDENCE = {"observed": "observed", "presumed": "presumed", "none": "no explanation"}


def breaks_section(rebates: Sequence[BrokenRebate]) -> str:
    """Return all breaks as foldable lines, in the order given; nothing when there are none."""
    if not rebates:
        return ""
    places: dict[str, int] = {}
    for rebate in rebates:
        figures = rebate.figures
        amounts = (figures["rebate_amount"], figures["entitled"], figures["overpaid"])
        places[figures["currency"]] = max(places.get(figures["currency"], 2), places_of(amounts))
    lines = "".join(_rebate(rebate, places[rebate.figures["currency"]]) for rebate in rebates)
    head = (
        "<div class='line head'><span>Rebate</span><span>User</span><span>Reasons</span><span></span>"
        "<span class=n>Paid</span><span class=n>Entitled</span><span class=n>Overpaid</span></div>"
    )
    note = "The most money first within each currency; a negative overpaid amount is owed to the user."
    return f"<section><h2>Breaks</h2><p class=soft>{note}</p>{head}\n{lines}</section>\n"


def _rebate(rebate: BrokenRebate, places: int) -> str:
    figures = rebate.figures
    overpaid = figures["overpaid"]
    tone = " up" if overpaid > 0 else " down" if overpaid < 0 else ""
    summary = (
        f"<summary><div class=line><span class=id>{text(figures['rebate_id'])}</span>"
        f"<span class=id>{text(figures['user_id'])}</span>"
        f"<span>{text(', '.join(row['reason'] for row in rebate.breaks))}</span>"
        f"<span>{text(figures['currency'])}</span>"
        f"<span class=n>{number(figures['rebate_amount'], places)}</span>"
        f"<span class=n>{number(figures['entitled'], places)}</span>"
        f"<span class='n{tone}'>{number(overpaid, places)}</span></div></summary>"
    )
    inside = _reasons(rebate.breaks) + _turnover(figures) + _components(rebate.components) + _bets(rebate)
    return f"<details>{summary}<div class=inside>{inside}</div></details>\n"


def _reasons(breaks: Sequence[Row]) -> str:
    return (
        "<ul>"
        + "".join(f"<li>{text(row['sentence'])} <span class=soft>{_life(row)}</span></li>" for row in breaks)
        + "</ul>"
    )


def _life(row: Row) -> str:
    life = f"{row['state']}, since {row['opened_at']:%Y-%m-%d}"
    if row["state"] == "accepted":
        life += f", by {row['accepted_by']}: {row['accepted_reason']}"
    return text(life)


def _turnover(figures: Row) -> str:
    return (
        f"<p>Activity <span class=id>{text(figures['activity_id'])}</span>, rate {number(figures['rate'], 2)} %. "
        f"Turnover stated {number(figures['turnover'], 2)}, its settled bets {number(figures['linked_turnover'], 2)}, "
        f"difference {number(figures['difference'], 2)} {text(figures['currency'])}.</p>"
    )


def _components(components: Sequence[Row]) -> str:
    if not components:
        return ""
    places = places_of(row["amount"] for row in components)
    return table(
        ("Of", "Kind", "Bet", "Evidence", "Amount"),
        (
            [
                text(row["of"]),
                text(row["kind"]),
                f"<span class=id>{text(row['bet_id'] or '–')}</span>",
                text(EVIDENCE.get(row["evidence"], row["evidence"])),
                number(row["amount"], places),
            ]
            for row in components
        ),
        numbers=1,
        name="What it is made of",
    )


def _bets(rebate: BrokenRebate) -> str:
    total = rebate.figures["linked_bets"]
    if not rebate.bets:
        return "<p class=soft>It names no bets.</p>"
    places = places_of(row[name] for row in rebate.bets for name in ("bet_amount", "turnover"))
    body = table(
        ("Bet", "Flagged", "State", "User", "Game", "Placed", "Settled", "", "Bet", "Turnover"),
        (
            [
                f"<span class=id>{text(row['bet_id'])}</span>",
                f"<span class=up>{text(', '.join(row['reasons']))}</span>",
                text(_state(row["status"])),
                f"<span class=id>{text(row['user_id'] or '–')}</span>",
                text(row["game_id"] or "–"),
                stamp(row["bet_time"]) if row["bet_time"] else "–",
                stamp(row["settle_time"]) if row["settle_time"] else "–",
                text(row["currency"] or "–"),
                number(row["bet_amount"], places),
                number(row["turnover"], places),
            ]
            for row in rebate.bets
        ),
        numbers=2,
        name=f"{number(total)} bets" if total != 1 else "1 bet",
    )
    more = total - len(rebate.bets)
    rest = f"<p class=soft>… and {number(more)} more; recon.breaks and staging.lucko_rebate_bets hold all.</p>"
    return f"<div class=scroll>{body}</div>{rest if more > 0 else ''}"


def _state(status: int | None) -> str:
    if status is None:
        return "not reported"
    return STATUS.get(status, f"unknown ({status})")
