"""What the ledger proves, what it lacks, until when that can still be had, and what is to be done about it."""

from tieout.core.coverage.certified import remember_certified
from tieout.core.coverage.declared import Declared, plain, where
from tieout.core.coverage.forecast import Forecast, call_spacing, forecast, forecast_table
from tieout.core.coverage.lost import Gap, LostReport, record_lost
from tieout.core.coverage.repairs import BATCH_SLICES, SETTLE, Batch, Repair, is_open, plan_batches, repairs
from tieout.core.coverage.revisits import due_revisits, expected_calls, join_slices
from tieout.core.coverage.summary import FeedCoverage, coverage_table, feed_coverage

__all__ = [
    "BATCH_SLICES",
    "SETTLE",
    "Batch",
    "Declared",
    "FeedCoverage",
    "Forecast",
    "Gap",
    "LostReport",
    "Repair",
    "call_spacing",
    "coverage_table",
    "due_revisits",
    "expected_calls",
    "feed_coverage",
    "forecast",
    "forecast_table",
    "is_open",
    "join_slices",
    "plain",
    "plan_batches",
    "record_lost",
    "remember_certified",
    "repairs",
    "where",
]
