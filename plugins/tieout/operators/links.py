"""Extra links of tasks: the page that shows what a task has worked on.

A link is written to XCom when a try of the task ends, whichever way (Airflow 3.3): one short value per task. Until then
Airflow shows none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operatorlink import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


#: What an operator class declares its links as.
Links = Collection[BaseOperatorLink]


class PageLink(BaseOperatorLink):
    """A link to the address that the operator's ``page`` tells, its templates rendered."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, relative to the base of Airflow's page."""
        return str(operator.page)


class SliceLink(PageLink):
    """The slices of a day: their certificates and raw files."""

    name = "Slice and its files"


class CoverageLink(PageLink):
    """The map of coverage."""

    name = "Coverage"


class ReconciliationLink(PageLink):
    """The tie-out of the days that were judged."""

    name = "Reconciliation"


class IntegrityLink(PageLink):
    """Rows that contradict themselves."""

    name = "Integrity breaks"


class ControlLink(PageLink):
    """The provider's totals against the sums of slices."""

    name = "Control totals"
