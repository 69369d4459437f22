"""The keys of an agent that say how its rebates are judged and which identities its rows obey."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from zoneinfo import ZoneInfo

from tieout.core.recon.eligibility import Eligibility
from tieout.core.recon.integrity import COMMISSION_OF, IDENTITIES, Commission, IntegritySettings
from tieout.core.recon.settings import ROUNDING_MODES, ReconSettings, Rounding, Severity, Tolerance
from tieout.feeds.node import Node

KEYS = {
    "timezone", "rounding", "tolerances", "severity", "bet_lookback", "unsettled_after", "judge_after", "activities",
    "identities", "commission",
}  # fmt: skip
#: Only Lucko reports rebates to judge.
OF_REBATES = KEYS - {"timezone", "identities", "commission"}


def recon_settings(keys: dict[str, Node], provider: str) -> ReconSettings:
    """Return how an agent's rebates are judged. Raises ConfigError naming file, line and key."""
    for name in sorted(OF_REBATES & keys.keys()):
        if provider != "lucko":
            keys[name].fail(f"{provider} reports no rebates to judge.")
    found: dict[str, Any] = {}
    if "timezone" in keys:
        found["timezone"] = keys["timezone"].text()
        try:
            ZoneInfo(found["timezone"])
        except (KeyError, ValueError, OSError):
            keys["timezone"].fail(f"{found['timezone']!r} is no timezone of the IANA database.")
    for name, entry in ENTRIES.items():
        if name in keys:
            found[name] = {key: entry(node) for key, node in keys[name].mapping(set()).items()}
    for name in ("bet_lookback", "unsettled_after", "judge_after"):
        if name in keys:
            found[name] = keys[name].duration()
    return ReconSettings(**found)


def _tolerance(node: Node) -> Tolerance:
    names = {each.name for each in fields(Tolerance)}
    return Tolerance(**{name: child.amount() for name, child in node.mapping(names).items()})


def _severity(node: Node) -> Severity:
    amounts = {name: child.amount() for name, child in node.mapping({"medium", "high"}).items()}
    try:
        return Severity(**amounts)
    except ValueError as error:
        node.fail(f"{error}.")


def _eligibility(node: Node) -> Eligibility:
    return Eligibility(**{name: _texts(limit) for name, limit in node.mapping({"games", "currencies"}).items()})


def _texts(node: Node) -> tuple[str, ...]:
    values = tuple(item.text() for item in node.items())
    if not values:
        node.fail("at least one must be named; leave the key out where all are meant.")
    return values


def integrity_settings(keys: dict[str, Node], provider: str) -> IntegritySettings:
    """Return which identities an agent's rows obey. Raises ConfigError naming file, line and key."""
    found: dict[str, Any] = {}
    if "identities" in keys:
        switched = keys["identities"].mapping(set(IDENTITIES[provider]))
        found["switched_off"] = {name: _texts(node) for name, node in switched.items()}
    if "commission" in keys:
        if "commission" not in IDENTITIES[provider]:
            keys["commission"].fail(f"{provider} reports no commission.")
        found["commission"] = {kind: _commission(node) for kind, node in keys["commission"].mapping(set()).items()}
    return IntegritySettings(**found)


def _commission(node: Node) -> Commission:
    keys = node.mapping({"rate", "of", "tolerance"})
    if "rate" not in keys:
        node.fail("the key 'rate' is missing: the agreed commission in percent.")
    return Commission(
        rate=keys["rate"].amount(),
        of=keys["of"].one_of(COMMISSION_OF) if "of" in keys else Commission.of,
        tolerance=keys["tolerance"].amount() if "tolerance" in keys else Commission.tolerance,
    )


def _rounding(node: Node) -> Rounding:
    keys = node.mapping({"places", "mode"})
    places = keys["places"].whole() if "places" in keys else Rounding().places
    if places > 12:
        keys["places"].fail("at most 12 decimal places.")
    return Rounding(places=places, mode=keys["mode"].one_of(ROUNDING_MODES) if "mode" in keys else Rounding().mode)


#: What is given per currency or per activity, and how one entry is read.
ENTRIES = {"tolerances": _tolerance, "rounding": _rounding, "severity": _severity, "activities": _eligibility}
