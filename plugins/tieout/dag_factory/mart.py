"""The DAG that keeps an agent's part of the mart up to date after loads: refresh_mart → write_statements."""

from __future__ import annotations

from airflow.sdk import DAG

from tieout.core.recon.mart import MartSettings
from tieout.dag_factory.after_loads import dag_after_loads, gathering
from tieout.dag_factory.statements import add_statements
from tieout.feeds import Agent
from tieout.operators import RefreshMartOperator
from tieout.settings import after_loads_pause


def build_mart_dag(agent: Agent) -> DAG:
    """Return the DAG of an agent's part of mart.turnover_daily and its rows' identities."""
    with dag_after_loads(
        agent,
        "mart",
        tag="mart",
        description=f"Daily turnover of agent {agent.agent} in the mart, and rows that contradict themselves.",
        doc=_doc(agent),
    ) as dag:
        refresh = RefreshMartOperator(
            task_id="refresh_mart",
            provider=agent.provider,
            agent=agent.agent,
            settings=MartSettings(timezone=agent.recon.timezone, integrity=agent.integrity),
            **gathering(),
            doc_md="Waits for further loads, then rebuilds the days they touched and checks the rows they changed.",
        )
        add_statements(agent, refresh)
    return dag


def _doc(agent: Agent) -> str:
    return f"""\
### Daily figures of agent `{agent.agent}`

A load starts a run, which waits {after_loads_pause()} for further ones, rebuilds the days they touched in
`mart.turnover_daily`, and checks the identities of the rows they changed (`recon.integrity_breaks`: figures of one row
that contradict each other, a commission that is not the agreed one). Then it writes the statements of these days.

Every committed load is taken in once, whoever made it; with other settings all days are rebuilt. **A run failed**:
nothing is lost, the next one takes up its loads.
"""
