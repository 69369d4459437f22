"""What was found beside breaks: pending rebates, self-contradicting rows, control totals, unclaimed, activities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter

from tieout.core.recon.integrity import IDENTITIES
from tieout.web.listing import Column, Listing, Select, serve
from tieout.web.query import Query, link
from tieout.web.warehouse import Row

router = APIRouter()

PROVIDER = Select(name="provider", title="Provider", options=tuple(sorted(IDENTITIES)))
CURRENCY = ("currency", "Currency")


def _of_day(path: str, row: Row, **more: Any) -> str:
    return link(path, agent=row["agent"], first=row["day"], last=row["day"], **more)


def _to_bridge(row: Row) -> str:
    return link("bridge", agent=row["agent"], day=row["day"], currency=row["currency"])


def _beside(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    kept = {name: filters.get(name) for name in ("agent", "currency", "first", "last")}
    return [("Tie-out of these days", link("reconciliation", **kept))]


INTEGRITY = Listing(
    path="integrity",
    title="Integrity breaks",
    lead="Rows whose own figures contradict each other, and hours that do not add up to the provider's total. They are "
    "warnings about what a provider reported, no breaks of a rebate.",
    statement="integrity",
    columns=(
        Column(name="day", title="Day", kind="day", sort="day"),
        Column(name="agent", title="Agent", sort="agent"),
        Column(name="provider", title="Provider", sort="provider"),
        Column(
            name="identity", title="Identity", sort="identity",
            link=lambda row: _of_day("controls", row, provider=row["provider"], state="all")
            if row["identity"] == "control_total" else None,
        ),
        Column(name="state", title="State", kind="state", sort="state"),
        Column(name="stated", title="Stated", kind="amount"),
        Column(name="computed", title="Computed", kind="amount"),
        Column(name="difference", title="Difference", kind="signed", sort="size"),
        Column(name="currency", title="Currency", sort="currency"),
        Column(name="sentence", title="What it says", kind="sentence"),
        Column(name="feed", title="Feed"),
        Column(name="game_type", title="Game type"),
        Column(name="user_id", title="User", kind="id"),
        Column(name="opened_at", title="Found at", kind="instant", sort="opened_at"),
        Column(name="row_key", title="Row", kind="id"),
    ),
    sort="-day",
    ties=("provider", "agent", "identity", "row_key"),
    nothing="No row contradicts itself.",
    selects=(
        PROVIDER,
        Select(
            name="identity", title="Identity",
            options=(*sorted({name for names in IDENTITIES.values() for name in names}), "control_total"),
        ),
        Select(name="state", title="State", options=("standing", "open", "reopened", "healed"), default="standing"),
    ),
    texts=(CURRENCY, ("user_id", "User"), ("game_type", "Game type")),
    groups=("identity", "state"),
)  # fmt: skip

CONTROLS = Listing(
    path="controls",
    title="Control totals",
    lead="The provider's own total of a day against the sum of the slices that were read of it.",
    statement="controls",
    columns=(
        Column(name="day", title="Day", kind="day", sort="day"),
        Column(name="agent", title="Agent", sort="agent"),
        Column(name="provider", title="Provider", sort="provider"),
        Column(name="state", title="State", kind="state", sort="state"),
        Column(name="games", title="Games", kind="count"),
        Column(
            name="differing", title="Figures that differ", kind="count", sort="differing",
            link=lambda row: _of_day(
                "integrity", row, provider=row["provider"], identity="control_total", state="all"
            ) if row["differing"] else None,
        ),
        Column(name="hours_open", title="Hours not certified", kind="count", sort="hours_open"),
        Column(name="starts_at", title="From", kind="instant"),
        Column(name="ends_at", title="To", kind="instant"),
        Column(name="control_read_at", title="Total read at", kind="instant"),
        Column(name="hours_read_from", title="Hours read from", kind="instant"),
        Column(name="hours_read_to", title="to", kind="instant"),
        Column(name="landing_uri", title="Landing", kind="id"),
    ),
    sort="-day",
    ties=("provider", "agent", "starts_at", "ends_at"),
    nothing="No total was compared.",
    selects=(PROVIDER, Select(name="state", title="State", options=("differs", "incomplete", "equal"))),
    groups=("state",),
)  # fmt: skip

UNCLAIMED_BY_AGENT = Listing(
    path="unclaimed",
    title="Unclaimed turnover",
    lead="Settled bets that no successful rebate names, by agent. Choose an agent to see its users.",
    statement="unclaimed_agents",
    columns=(
        Column(
            name="agent", title="Agent", sort="agent",
            link=lambda row: link(
                "unclaimed", agent=row["agent"], currency=row["currency"], first=row["first"], last=row["last"]
            ),
        ),
        Column(name="currency", title="Currency", sort="currency"),
        Column(name="days", title="Days", kind="count"),
        Column(name="bets", title="Unclaimed bets", kind="count", sort="bets"),
        Column(name="turnover", title="Unclaimed turnover", kind="amount", sort="turnover"),
        Column(name="bet_turnover", title="Bet turnover", kind="amount", sort="bet_turnover"),
        Column(name="share", title="Share of it", kind="share", sort="share"),
    ),
    sort="-turnover",
    ties=("agent", "currency"),
    nothing="Every settled bet is claimed, or no day was judged.",
    texts=(CURRENCY,),
    beside=_beside,
    foreign=frozenset({"day", "user_id", "eligible_bets", "eligible_turnover"}),
    needs_agent=("user_id",),
)  # fmt: skip

UNCLAIMED = Listing(
    path="unclaimed",
    title="Unclaimed turnover",
    lead="Settled bets that no successful rebate names, by user and day. Eligible are those that some activity would "
    "have rebated.",
    statement="unclaimed",
    columns=(
        Column(
            name="day", title="Day", kind="day", sort="day",
            link=_to_bridge,
        ),
        Column(name="agent", title="Agent"),
        Column(name="user_id", title="User", kind="id", sort="user_id"),
        Column(name="currency", title="Currency", sort="currency"),
        Column(name="bets", title="Bets", kind="count", sort="bets"),
        Column(name="turnover", title="Turnover", kind="amount", sort="turnover"),
        Column(name="eligible_bets", title="Eligible bets", kind="count", sort="eligible_bets"),
        Column(name="eligible_turnover", title="Eligible turnover", kind="amount", sort="eligible_turnover"),
    ),
    sort="-turnover",
    ties=("day", "currency", "user_id"),
    nothing="Every settled bet of these days is claimed, or no day was judged.",
    texts=(CURRENCY, ("user_id", "User")),
    foreign=frozenset(UNCLAIMED_BY_AGENT.sortable),
    beside=lambda filters: [
        *_beside(filters),
        ("All agents", link("unclaimed", first=filters["first"], last=filters["last"], currency=filters["currency"])),
    ],
)  # fmt: skip

ACTIVITIES = Listing(
    path="activities",
    title="Activities",
    lead="What each activity could rebate of a day's settled bets, and what its rebates claimed. Eligibility is the "
    "share of the day's bet turnover that it could rebate, the claim rate what of that was claimed.",
    statement="activities",
    columns=(
        Column(
            name="day", title="Day", kind="day", sort="day",
            link=_to_bridge,
        ),
        Column(name="agent", title="Agent", sort="agent"),
        Column(name="activity_id", title="Activity", kind="id", sort="activity_id"),
        Column(name="currency", title="Currency", sort="currency"),
        Column(name="eligible_bets", title="Eligible bets", kind="count"),
        Column(name="eligible_turnover", title="Eligible turnover", kind="amount", sort="eligible_turnover"),
        Column(name="eligibility", title="Eligibility", kind="share", sort="eligibility"),
        Column(name="claimed_bets", title="Claimed bets", kind="count"),
        Column(name="claimed_turnover", title="Claimed turnover", kind="amount", sort="claimed_turnover"),
        Column(name="claim_rate", title="Claim rate", kind="share", sort="claim_rate"),
        Column(name="ineligible_bets", title="Ineligible bets", kind="count", sort="ineligible_bets"),
        Column(name="ineligible_turnover", title="Ineligible turnover", kind="amount"),
    ),
    sort="-day",
    ties=("agent", "currency", "activity_id"),
    nothing="No activity had anything to rebate, or no day was judged.",
    texts=(CURRENCY, ("activity_id", "Activity")),
    beside=_beside,
)  # fmt: skip


def _to_slices(name: str) -> Callable[[Row], str | None]:
    return lambda row: (
        link("slices", provider="lucko", feed="bets", agent=row["agent"], day=row[name]) if row[name] else None
    )


PENDING = Listing(
    path="pending",
    title="Pending and unprovable rebates",
    lead="Rebates without a verdict: pending ones wait for slices of bets, for bets to settle or for rows that were "
    "rejected; unprovable ones would need slices that the provider has forgotten.",
    statement="pending",
    columns=(
        Column(name="day", title="Day", kind="day", sort="day", link=_to_bridge),
        Column(name="agent", title="Agent", sort="agent"),
        Column(name="rebate_id", title="Rebate", kind="id", sort="rebate_id"),
        Column(name="user_id", title="User", kind="id", sort="user_id"),
        Column(name="currency", title="Currency", sort="currency"),
        Column(name="rebate_amount", title="Paid", kind="amount", sort="rebate_amount"),
        Column(name="turnover", title="Turnover stated", kind="amount", sort="turnover"),
        Column(name="verdict", title="Verdict", kind="state", sort="verdict"),
        Column(name="judged_at", title="Since", kind="instant", sort="judged_at"),
        Column(name="pending_reason", title="Because", sort="pending_reason"),
        Column(name="waits_for", title="Waits for slices (UTC)", link=_to_slices("waits_from")),
        Column(name="lost_slices", title="Lost slices (UTC)", link=_to_slices("lost_from")),
    ),
    sort="-day",
    ties=("agent", "rebate_id"),
    nothing="Every rebate has its verdict, or no day was judged.",
    selects=(
        Select(name="verdict", title="Verdict", options=("pending", "unprovable")),
        Select(name="pending_reason", title="Because", options=("not_fetched", "unsettled", "rejected")),
    ),
    texts=(CURRENCY, ("user_id", "User"), ("rebate_id", "Rebate")),
    groups=("verdict",),
    beside=_beside,
)  # fmt: skip


def _unclaimed(query: Query) -> Listing:
    """A thousand agents have millions of users: those of one agent are listed, else the agents."""
    return UNCLAIMED if query.text("agent") else UNCLAIMED_BY_AGENT


serve(router, "integrity", lambda query: INTEGRITY)
serve(router, "controls", lambda query: CONTROLS)
serve(router, "unclaimed", _unclaimed)
serve(router, "activities", lambda query: ACTIVITIES)
serve(router, "pending", lambda query: PENDING)
