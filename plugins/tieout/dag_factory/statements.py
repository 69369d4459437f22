"""The task that writes the statements of the days another task returns."""

from __future__ import annotations

from typing import cast

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from tieout.feeds import Agent
from tieout.operators import StatementOperator
from tieout.settings import landing_base


def add_statements(agent: Agent, after: BaseOperator, *, key: str = "days") -> None:
    """Have the statements written of the days that the task *after* returns under *key*, and of all that are due."""
    StatementOperator(
        task_id="write_statements",
        provider=agent.provider,
        agent=agent.agent,
        timezone=agent.recon.timezone,
        landing=landing_base(),
        days=cast("PlainXComArg", after.output)[key],
        doc_md="Writes `statements/<provider>/<agent>/<day>.html` and `.csv` below the landing base where they differ.",
    )
