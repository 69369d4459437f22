"""Declared agents: ``include/feeds.yaml`` (or ``TIEOUT_FEEDS``) becomes frozen, validated declarations.

Every error names the file, the line and the key.
"""

from tieout.feeds.declared import Agent, AgentFeed
from tieout.feeds.parse import load_agents, load_alert_settings, parse_agents, parse_alert_settings

__all__ = ["Agent", "AgentFeed", "load_agents", "load_alert_settings", "parse_agents", "parse_alert_settings"]
