"""Faults that are none of the connection: the world changes while it is read."""

from __future__ import annotations

import asyncio
from functools import partial

from simulator.encoding import decode
from simulator.faults.base import ROWS, Context, FaultKind
from simulator.faults.rows import Opened
from simulator.wire.base import Answer

_IN_ROWS = {
    ("lucko", "bets"): {"bumped": "resettled", "quiet": "resettled_quietly"},
    ("vertexplay", "betlogs"): {"bumped": "resettled", "quiet": "resettled_quietly"},
}
_IN_TOTALS = {"bumped": "restated", "quiet": "restated", "vanished": "vanished", "appeared": "appeared"}


async def _moved_rows(context: Context) -> Answer | None:
    """Only a page with others behind it counts: then a row leaves the window and the next page starts one too
    far.
    """
    answer = await context.call.proceed()
    opened = Opened.of(context.call.endpoint, answer)
    if opened is None or not opened.rows or opened.total is None:
        return None
    at = context.call.world.latest()
    more = int(context.call.admitted.values["start_index"]) + len(opened.rows) < opened.total
    if not more or at < int(context.call.admitted.values["end_time"]):
        return None
    touch = context.call.world.lucko[context.call.admitted.agent_id].touch
    await asyncio.to_thread(touch, decode(opened.rows[0])["id"], at=at)
    return answer


async def _resettled(context: Context) -> Answer | None:
    """The answer still shows the old state: only who reads again finds the new one."""
    answer = await context.call.proceed()
    if Opened.of(context.call.endpoint, answer) is None:
        return None
    endpoint = context.call.endpoint
    kinds = _IN_ROWS.get((endpoint.provider, endpoint.name), _IN_TOTALS)
    asked = endpoint.asked(context.call.admitted, context.call.received)
    change = partial(
        context.call.world.change,
        f"{endpoint.provider}_{endpoint.name}",
        context.call.admitted.agent_id,
        asked.start,
        asked.end,
        share=context.spec.share,
        seed=context.random.getrandbits(64),
        kinds=(kinds.get(context.variant) or context.random.choice(list(kinds.values())),),
        g_type=asked.g_type,
    )
    changed = await asyncio.to_thread(change)
    return answer if changed else None


KINDS = (
    FaultKind(
        name="moved_rows",
        doc="changes the world: an order of the page just served is updated and leaves the window being paged",
        run=_moved_rows,
        only=frozenset({("lucko", "bets")}),
        changes_world=True,
    ),
    FaultKind(
        name="resettled",
        doc="changes the world: after this answer a `share` of the window's settled rows show other amounts; "
        "`bumped`: and a new update_time or txTime, `quiet`: the old one; HotRoad and JDB totals also `vanished`, "
        "`appeared`",
        run=_resettled,
        only=ROWS - {("lucko", "rebates")},
        variants=("bumped", "quiet", "vanished", "appeared"),
        changes_world=True,
    ),
)
