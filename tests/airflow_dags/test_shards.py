"""Shards: together they declare every DAG once, and an agent's place depends on its name alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.errors import ConfigError
from tieout.dag_factory import build_dags
from tieout.dag_factory.shard import Shard
from tieout.feeds import Agent, parse_agents

ONE_FOR_ALL = {"tieout__repair", "tieout__replay", "tieout__monitor"}


@pytest.fixture(scope="module")
def agents() -> tuple[Agent, ...]:
    entries = "".join(
        f"  - {{provider: lucko, agent: agent{n}, conn_id: l{n}, start: 2026-10-01}}\n"
        f"  - {{provider: vertexplay, agent: agent{n}, conn_id: v{n}, start: 2026-10-01}}\n"
        for n in range(24)
    )
    return parse_agents(f"agents:\n{entries}")


def ids(agents: tuple[Agent, ...], shard: str) -> list[str]:
    return [dag.dag_id for dag in build_dags(agents, shard=shard)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shards_are_complete_and_disjoint(agents: tuple[Agent, ...], count: int) -> None:
    parts = [ids(agents, f"{number}/{count}") for number in range(1, count + 1)]
    every = [dag_id for part in parts for dag_id in part]
    assert sorted(every) == sorted(ids(agents, "1/1"))
    assert len(every) == len(set(every))
    assert set(parts[0]) >= ONE_FOR_ALL
    assert all(set(part) - ONE_FOR_ALL for part in parts)


def test_an_agents_dags_stand_in_one_file(agents: tuple[Agent, ...]) -> None:
    for number in range(1, 5):
        names = {dag_id.rsplit("__", 1)[-1] for dag_id in set(ids(agents, f"{number}/4")) - ONE_FOR_ALL}
        expected = {agent.agent for agent in agents if Shard(number, 4).holds(agent.agent)}
        assert names == expected


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_name_has_exactly_one_shard(name: str, count: int) -> None:
    assert sum(Shard(number, count).holds(name) for number in range(1, count + 1)) == 1


def test_shards_are_of_about_the_same_size() -> None:
    names = [f"agent{n:05d}" for n in range(10_000)]
    sizes = [sum(Shard(number, 8).holds(name) for name in names) for number in range(1, 9)]
    assert sum(sizes) == len(names)
    assert max(sizes) < 1.1 * len(names) / 8


def test_the_place_of_a_name_never_changes() -> None:
    """A change would move every agent's DAGs to another file at an upgrade."""
    assert [name for name in ("acme", "beta", "demo", "north", "south") if Shard(1, 2).holds(name)] == FIRST_OF_TWO


#: By the SHA-256 of the name, computed with sha256sum.
FIRST_OF_TWO = ["acme", "demo"]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0"])
def test_a_shard_that_does_not_exist_is_refused(agents: tuple[Agent, ...], text: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        ids(agents, text)


@pytest.mark.parametrize("text", ["", "2", "a/b", "-1/2", "1/2/3", "1 / 2"])
def test_what_is_no_shard_is_refused(agents: tuple[Agent, ...], text: str) -> None:
    with pytest.raises(ConfigError, match='Write it as "2/4"'):
        ids(agents, text)


def test_files_of_shards_fill_one_dag_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in docs/scale.md: a copy of the DAG file for each shard, parsed by Airflow itself."""
    feeds = tmp_path / "feeds.yaml"
    feeds.write_text(
        "agents:\n"
        + "".join(f"  - {{provider: lucko, agent: a{n}, conn_id: l{n}, start: 2026-10-01}}\n" for n in range(6))
    )
    monkeypatch.setenv("TIEOUT_FEEDS", str(feeds))
    source = (Path(__file__).parents[2] / "dags" / "tieout_feeds.py").read_text()
    folder = tmp_path / "dags"
    folder.mkdir()
    for number in (1, 2, 3):
        part = source.replace("load_agents())", f'load_agents(), shard="{number}/3")')
        assert part != source
        (folder / f"tieout_feeds_{number}.py").write_text(part)
    bag = DagBag(str(folder))
    assert bag.import_errors == {}
    assert len(bag.dags) == 6 * 6 + len(ONE_FOR_ALL)
