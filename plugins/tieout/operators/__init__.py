"""Airflow operators: thin, over the core."""

from tieout.operators.alerts import RaiseAlertsOperator
from tieout.operators.coverage import DayCoverageSensor, SliceCoverageSensor
from tieout.operators.load import LoadSliceOperator
from tieout.operators.monitor import RecordLostOperator
from tieout.operators.outputs import ControlTotalOperator, RefreshMartOperator, StatementOperator
from tieout.operators.pull import PullSliceOperator
from tieout.operators.reconcile import JudgeDayOperator, RejudgeOperator
from tieout.operators.repair import PlanRepairOperator, RepairBatchOperator
from tieout.operators.replay import PlanReplayOperator, ReplayBatchOperator
from tieout.operators.revisit import RevisitFeedOperator

__all__ = [
    "ControlTotalOperator",
    "DayCoverageSensor",
    "JudgeDayOperator",
    "LoadSliceOperator",
    "PlanRepairOperator",
    "PlanReplayOperator",
    "PullSliceOperator",
    "RaiseAlertsOperator",
    "RecordLostOperator",
    "RefreshMartOperator",
    "RejudgeOperator",
    "RepairBatchOperator",
    "ReplayBatchOperator",
    "RevisitFeedOperator",
    "SliceCoverageSensor",
    "StatementOperator",
]
