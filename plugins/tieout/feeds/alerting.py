"""The key ``alerts`` of the feeds file: from when on something is an alert, and which Airflow notifiers are told."""

from __future__ import annotations

from typing import Any

from tieout.core.alerts import AlertSettings, NotifierSpec
from tieout.feeds.node import Node

_WAITS = ("before_lost", "stale_after", "suspect_after", "throttled_within", "judged_within")


def alert_settings(node: Node) -> AlertSettings:
    """Return what the node declares. Raises ConfigError naming file, line and key."""
    keys = node.mapping({*_WAITS, "overpaid", "notifiers"})
    found: dict[str, Any] = {name: keys[name].duration() for name in _WAITS if name in keys}
    if "overpaid" in keys:
        amounts = {currency: child.amount() for currency, child in keys["overpaid"].mapping(set()).items()}
        found["overpaid"] = {**AlertSettings().overpaid, **amounts}
    if "notifiers" in keys:
        notifiers = [_notifier(child) for child in keys["notifiers"].items()]
        names = [notifier.name for notifier in notifiers]
        if len(set(names)) != len(names):
            keys["notifiers"].fail("two notifiers have the same name.")
        found["notifiers"] = tuple(notifiers)
    return AlertSettings(**found)


def _notifier(node: Node) -> NotifierSpec:
    keys = node.mapping({"name", "class", "arguments"})
    for name in ("name", "class"):
        if name not in keys:
            node.fail(f"the key {name!r} is missing.")
    path = keys["class"].text()
    if "." not in path:
        keys["class"].fail(f"{path!r} is no class; write its full path, as airflow.providers.….SmtpNotifier.")
    arguments = keys["arguments"].plain() if "arguments" in keys else {}
    if not isinstance(arguments, dict):
        keys["arguments"].fail("a mapping of arguments is expected here.")
    return NotifierSpec(name=keys["name"].text(), path=path, arguments=arguments)
