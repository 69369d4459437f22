"""Assets: the rows that loads bring up to date. A DAG that is scheduled on them runs after a load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

#: What tasks over many slices update: which rows these are is only known when they have.
RELOADED = AssetAlias(name="tieout_reloaded", group="tieout")


def rows_of(provider: str, feed: str, agent: str) -> Asset:
    """Return the asset of the rows of one feed of one agent."""
    return Asset(name=f"{provider}__{feed}__{agent}", uri=f"tieout://{provider}/{feed}/{agent}", group="tieout")


def tell_loaded(task: BaseOperator, context: Context, asset: Asset, figures: Mapping[str, Any]) -> None:
    """Let the event of a load say what was loaded: directly, or through the alias when the task updates several."""
    for outlet in task.outlets:
        if outlet == RELOADED:
            context["outlet_events"][RELOADED].add(asset, extra=dict(figures))
        elif outlet == asset:
            context["outlet_events"][asset].extra = dict(figures)
