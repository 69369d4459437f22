"""Reconciliation of rebates against bets."""

from tieout.core.recon.judge import RunSummary, judge_days
from tieout.core.recon.settings import ReconSettings

__all__ = ["ReconSettings", "RunSummary", "judge_days"]
