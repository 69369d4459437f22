"""The providers, one module each: limits, signing, error codes, rows and hook of a provider in one place."""

from __future__ import annotations

from tieout.core.feed import FeedSpec
from tieout.providers import hotroad, jdb, lucko, vertexplay
from tieout.providers.base import ProviderHook

HOOKS: dict[str, type[ProviderHook]] = {
    "lucko": lucko.LuckoHook,
    "hotroad": hotroad.HotRoadHook,
    "jdb": jdb.JdbHook,
    "vertexplay": vertexplay.VertexPlayHook,
}

FEEDS: dict[str, FeedSpec] = {feed.id: feed for feed in (*lucko.FEEDS, *hotroad.FEEDS, *jdb.FEEDS, *vertexplay.FEEDS)}


def feed_spec(provider: str, name: str) -> FeedSpec:
    """Return the declared feed. Raises KeyError."""
    return FEEDS[f"{provider}__{name}"]


def feeds_of(provider: str) -> tuple[FeedSpec, ...]:
    """Return a provider's feeds in document order."""
    return tuple(feed for feed in FEEDS.values() if feed.provider == provider)
