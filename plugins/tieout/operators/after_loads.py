"""AfterLoads: work that loads have made necessary, done once for many of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, Context


class AfterLoads(BaseOperator):
    """Work that is not bound to the load that started it: a run that loads have started waits for *pause* first.

    While it waits, on the triggerer, no further run starts (``max_active_runs=1``): what is loaded meanwhile is worked
    on with it.
    """

    def __init__(self, *, pause: timedelta = timedelta(0), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pause = pause

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, when loads have started the run, and work."""
        if self.pause and context["dag_run"].run_type == "asset_triggered":
            self.defer(trigger=DateTimeTrigger(moment=datetime.now(UTC) + self.pause), method_name="resume")
        return self.work()

    def resume(self, context: Context, event: object = None) -> dict[str, Any]:
        """Work, the pause being over."""
        return self.work()

    def work(self) -> dict[str, Any]:
        """Do the work and return what came of it."""
        raise NotImplementedError
