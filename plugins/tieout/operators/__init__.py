"""Airflow operators: thin, over the core."""

from tieout.operators.load import LoadSliceOperator
from tieout.operators.pull import PullSliceOperator
from tieout.operators.reconcile import CoverageSensor, JudgeDayOperator, RejudgeOperator

__all__ = ["CoverageSensor", "JudgeDayOperator", "LoadSliceOperator", "PullSliceOperator", "RejudgeOperator"]
