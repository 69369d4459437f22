"""Reconciliation of rebates against bets."""

from tieout.core.recon.acceptance import BreakKey, accept_break
from tieout.core.recon.judge import RunSummary, judge_days, rejudge
from tieout.core.recon.settings import ReconSettings
from tieout.core.recon.stored import verdicts_as_of

__all__ = [
    "BreakKey", "ReconSettings", "RunSummary", "accept_break", "judge_days", "rejudge", "verdicts_as_of",
]  # fmt: skip
