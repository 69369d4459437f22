"""The world all providers show: one part per agent, deterministic from seed, settings and the changes ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from simulator.agents import HotRoadAgent, JdbAgent, LuckoAgent, VertexPlayAgent
from simulator.clock import WorldClock
from simulator.config import SimConfig
from simulator.world.chance import DAY, HOUR, dice
from simulator.world.change import CHANGES, ChangeOrder
from simulator.world.hotroad import HotRoadWorld
from simulator.world.jdb import JdbWorld
from simulator.world.lucko import LuckoWorld
from simulator.world.lucko_bulk import BulkLuckoWorld
from simulator.world.vertexplay import VertexPlayWorld

FEEDS = tuple(CHANGES)


class Shows(Protocol):
    """Gives something about [start, end) (ms) as of an instant."""

    def __call__(self, start: int, end: int, *, as_of: int) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """One feed of one agent: its rows; the same in order, in parts, ready to be encoded; and how it changes."""

    rows: Shows
    chunks: Shows
    change: Callable[[ChangeOrder], Counter[str]]


def _stepwise(step: int, rows: Shows) -> Shows:
    def chunks(start: int, end: int, *, as_of: int) -> Iterator[Sequence[object]]:
        for begin in range(start, end, step):
            yield list(rows(begin, min(begin + step, end), as_of=as_of))

    return chunks


def _lucko(config: SimConfig, agent: LuckoAgent) -> LuckoWorld:
    return BulkLuckoWorld(config, agent) if agent.bulk else LuckoWorld(config, agent)


class World:
    """The agents' worlds by provider and id, and the clock they share."""

    def __init__(self, config: SimConfig, clock: WorldClock) -> None:
        self.config = config
        self.clock = clock
        self.lucko = {a.agent_id: _lucko(config, a) for a in config.agents if isinstance(a, LuckoAgent)}
        self.hotroad = {a.agent_id: HotRoadWorld(config, a) for a in config.agents if isinstance(a, HotRoadAgent)}
        self.jdb = {a.agent_id: JdbWorld(config, a) for a in config.agents if isinstance(a, JdbAgent)}
        self.vertexplay = {
            a.agent_id: VertexPlayWorld(config, a) for a in config.agents if isinstance(a, VertexPlayAgent)
        }
        self._lock = Lock()
        self._changes: Counter[tuple[str, str]] = Counter()

    def _part(self, feed: str, agent: str) -> Part:
        if feed == "lucko_bets":
            lucko = self.lucko[agent]
            return Part(rows=lucko.bets, chunks=lucko.lines, change=lucko.change_bets)
        if feed == "lucko_rebates":
            lucko = self.lucko[agent]
            return Part(rows=lucko.rebates, chunks=_stepwise(DAY, lucko.rebates), change=lucko.change_rebates)
        if feed == "hotroad_summary":
            hotroad = self.hotroad[agent]
            return Part(rows=hotroad.hourly, chunks=_stepwise(DAY, hotroad.hourly), change=hotroad.change)
        if feed == "jdb_daily":
            jdb = self.jdb[agent]
            return Part(rows=jdb.dated, chunks=_stepwise(DAY, jdb.dated), change=jdb.change)
        if feed == "vertexplay_betlogs":
            vertexplay = self.vertexplay[agent]
            return Part(rows=vertexplay.betlogs, chunks=_stepwise(HOUR, vertexplay.encoded), change=vertexplay.change)
        raise KeyError(feed)

    def rows(self, feed: str, agent: str, start: int, end: int) -> list[dict[str, Any]]:
        """The rows of one feed in [start, end) as served now, without any provider's limits.

        Raises KeyError for an unknown feed or agent.
        """
        return list(self._part(feed, agent).rows(start, end, as_of=self.clock.now()))

    def chunks(self, feed: str, agent: str, start: int, end: int) -> Iterator[Sequence[object]]:
        """The rows of `rows` in order and in parts, each ready to be encoded; all as of the instant of the call.

        Raises KeyError for an unknown feed or agent at once.
        """
        chunks: Iterator[Sequence[object]] = self._part(feed, agent).chunks(start, end, as_of=self.clock.now())
        return chunks

    def latest(self) -> int:
        """The instant of a change made now (ms): now, but nothing happens at or after the end of the activity."""
        until = self.config.activity_until
        return self.clock.now() if until is None else min(self.clock.now(), until - 1)

    def change(
        self,
        feed: str,
        agent: str,
        start: int,
        end: int,
        *,
        share: float,
        seed: object,
        kinds: Sequence[str] = (),
        at: int | None = None,
        g_type: str | None = None,
    ) -> Counter[str]:
        """Change `share` of a feed's rows in [start, end), to be seen from `at` on (by default from now on).

        Returns how many rows changed by kind (none named: all kinds of the feed). Equal sequences of changes of a
        feed make equal rows. Raises KeyError for an unknown feed or agent.
        """
        part = self._part(feed, agent)
        with self._lock:
            # Counted, so that an order given twice adds other rows the second time, not the same ids again.
            self._changes[feed, agent] += 1
            number = self._changes[feed, agent]
        order = ChangeOrder(
            start=start,
            end=end,
            share=share,
            at=self.latest() if at is None else at,
            kinds=tuple(kinds) or tuple(CHANGES[feed]),
            random=dice(self.config.seed, "change", feed, agent, seed, number),
            g_type=g_type,
        )
        return part.change(order)
