"""Alerts: what somebody has to know now, each cause told once, with what it means and what to do."""

from tieout.core.alerts.book import Alert, close_vanished, mark_sent, open_new, unsent
from tieout.core.alerts.causes import Cause, find_causes
from tieout.core.alerts.gauges import Gauge, find_gauges
from tieout.core.alerts.message import KINDS, Message, compose
from tieout.core.alerts.settings import AlertSettings, NotifierSpec

__all__ = [
    "KINDS",
    "Alert",
    "AlertSettings",
    "Cause",
    "Gauge",
    "Message",
    "NotifierSpec",
    "close_vanished",
    "compose",
    "find_causes",
    "find_gauges",
    "mark_sent",
    "open_new",
    "unsent",
]
