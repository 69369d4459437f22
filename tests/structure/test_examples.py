"""The examples a newcomer copies are valid: the commented agents of include/feeds.yaml and those of the README."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tieout.feeds import load_agents, parse_agents

ROOT = Path(__file__).parents[2]
FEEDS = ROOT / "include" / "feeds.yaml"


def test_the_shipped_feeds_file_declares_nobody() -> None:
    assert load_agents(FEEDS) == ()


def test_the_commented_example_is_valid_once_uncommented() -> None:
    text = FEEDS.read_text()
    example = text[text.index("# agents:") : text.index("\nagents: []")]
    agents = parse_agents("\n".join(line.removeprefix("#")[1:] for line in example.splitlines()))
    assert [agent.provider for agent in agents] == ["hotroad", "jdb", "lucko", "vertexplay"]
    lucko = agents[2]
    assert lucko.recon.rounding["VND2"].places == 0
    assert lucko.stop is None


def test_the_readme_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    agents = parse_agents(textwrap.dedent(example))
    assert [feed.dag_id for agent in agents for feed in agent.feeds] == [
        "hotroad__summary__acme",
        "lucko__bets__acme",
        "lucko__rebates__acme",
    ]
