"""What a person reads of alerts: one message for all that is new, each with what it means and what to do."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from tieout.core.alerts.book import Alert
from tieout.core.slices import stamp

#: Alerts of one kind that a message names one by one; the others are counted.
MAX_NAMED = 20

#: What chats take for markup, mentions and masked links, and what begins a line of its own, as look-alikes: user ids
#: are the providers' to choose. Escapes would do for one kind of chat and be read as such in all others.
_HARMLESS: dict[int, str | int] = {
    **str.maketrans("<>@[]", "‹›＠［］"),
    **dict.fromkeys([*range(32), 0x7F, 0x85, 0x2028, 0x2029], " "),
}

#: What may hold a text that a provider has chosen.
_FOREIGN = ("agent", "detail")

#: kind → what it is called, and what to do; docs/runbook/<kind>.md says more.
KINDS: dict[str, tuple[str, str]] = {
    "losing": (
        "Slices that the provider is about to forget",
        "Run tieout__repair for the feed now; its log says whether the quota suffices in time.",
    ),
    "lost": (
        "Time that is lost for good",
        "Replay it if landing holds it, or ask the provider for an export.",
    ),
    "stale": ("Feeds that are not read any more", "Look whether the feed's DAG is paused, fails or waits for a slot."),
    "suspect": (
        "Slices whose answers contradict themselves",
        "Repairs read them again; look at ops.rejects and at the reason if it stays.",
    ),
    "throttled": (
        "Providers that say they are called too often",
        "See what else calls with this merchant's quota; raise `interval` of the feed.",
    ),
    "unjudged": ("Settlement days that nobody has judged", "Look at lucko__reconcile__<agent>; it can be backfilled."),
    "late": (
        "Loads that no rejudging or mart run has taken in",
        "Look at <provider>__rejudge__<agent> or <provider>__mart__<agent>: paused, failing or waiting?",
    ),
    "overpaid": (
        "Rebates that are over- or underpaid by a large amount",
        "Look at the break and its components; claim or accept it.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """``title`` in one line, ``text`` as plain lines in which nothing is markup to a chat, ``html`` with links."""

    title: str
    text: str
    html: str


def compose(alerts: Sequence[Alert], link: Callable[[Alert], str], runbook: Callable[[str], str]) -> Message:
    """Return the message for *alerts* (at least one, ordered by kind).

    *link* is the address of the page that shows the cause of an alert, *runbook* that of what to do about a kind; what
    is no address that can be followed from anywhere stands as words.
    """
    kinds = [(kind, list(group)) for kind, group in groupby(alerts, key=attrgetter("kind"))]
    title = "tieout: " + ", ".join(f"{len(group)} {kind}" for kind, group in kinds)
    lines, blocks = list[str](), list[str]()
    for kind, group in kinds:
        name, advice = KINDS[kind]
        lines += [f"{name} ({len(group)})", f"{advice}  {runbook(kind)}"]
        blocks.append(
            f"<h3>{html.escape(name)} ({len(group)})</h3><p>{html.escape(advice)} "
            f"{_linked('What it means and what to do', runbook(kind))}</p><ul>"
        )
        for alert in group[:MAX_NAMED]:
            harmless = replace(alert, **{name: getattr(alert, name).translate(_HARMLESS) for name in _FOREIGN})
            lines.append(f"- {describe(harmless)}  {link(alert)}")
            blocks.append(f"<li>{_linked(describe(alert), link(alert))}</li>")
        if len(group) > MAX_NAMED:
            lines.append(f"- … and {len(group) - MAX_NAMED} more")
            blocks.append(f"<li>… and {len(group) - MAX_NAMED} more</li>")
        lines.append("")
        blocks.append("</ul>")
    return Message(title=title, text="\n".join(lines).rstrip(), html="".join(blocks))


def _linked(text: str, target: str) -> str:
    """Return HTML: the text leading to *target*, or followed by it where it is no address."""
    if target.startswith(("https://", "http://")):
        return f'<a href="{html.escape(target)}">{html.escape(text)}</a>'
    return html.escape(f"{text} {target}")


def describe(alert: Alert) -> str:
    """Return one alert as one line of text."""
    where = f"{alert.provider} {alert.feed} agent={alert.agent}"
    since = "" if alert.since is None else stamp(alert.since)
    until = "" if alert.until is None else stamp(alert.until)
    return {
        "losing": f"{where}: open from {since} on, forgotten from {until} on",
        "lost": f"{where}: [{since}, {until}), {alert.detail}",
        "stale": f"{where}: read up to {since}" if since else f"{where}: nothing of it was ever read",
        "suspect": f"{where}: [{since}, {until}): {alert.detail}",
        "late": f"{alert.provider}__{alert.feed}__{alert.agent}: {alert.detail} not taken in since {since}",
        "throttled": f"{alert.provider} {alert.feed} of merchant {alert.agent}: last at {since}, {alert.detail}",
        "unjudged": f"lucko agent={alert.agent}: {alert.detail}",
        "overpaid": f"lucko agent={alert.agent}: {alert.detail}",
    }[alert.kind]
