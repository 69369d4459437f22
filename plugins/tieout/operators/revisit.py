"""RevisitFeedOperator: what is due of one feed is read again, because providers restate what they have reported."""

from __future__ import annotations

from airflow.sdk import Context

from tieout import upkeep
from tieout.assets import rows_of, tell_loaded
from tieout.operators.base import FeedOperator


class RevisitFeedOperator(FeedOperator):
    """Pull and load every range of the feed that is due, within the time one run may take; return counts.

    Goes on after a range that fails and raises FatalError or RetryLater in the end, naming what is left.
    """

    ui_color = "#e0e7ff"

    def execute(self, context: Context) -> dict[str, int]:
        """Revisit the feed."""
        counts = upkeep.revisit(self.ingest, self.declared)
        # Most revisits find nothing new: nobody need run for them.
        if counts["inserted"] or counts["updated"] or counts["retired"]:
            tell_loaded(self, context, rows_of(self.provider, self.feed, self.agent), counts)
        return counts
