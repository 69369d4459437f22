"""Airflow DAGs: every feed and reconciliation DAG of the agents declared in include/feeds.yaml (or TIEOUT_FEEDS)."""

from tieout.dag_factory import build_dags
from tieout.feeds import load_agents

for dag in build_dags(load_agents()):
    globals()[dag.dag_id] = dag
