"""The examples a newcomer copies are valid: the commented agents of include/feeds.yaml and those of the README."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tieout.core.alerts import AlertSettings
from tieout.feeds import load_agents, parse_agents, parse_alert_settings

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


def test_every_key_of_alerts_is_documented_with_its_default() -> None:
    text = FEEDS.read_text()
    example = text[text.index("# alerts:") : text.index("\nagents: []")]
    uncommented = "\n".join(line.removeprefix("#")[1:] for line in example.splitlines())
    found = parse_alert_settings(f"{uncommented}\nagents: []\n")
    assert found.as_parameters() == AlertSettings().as_parameters()
    for key in (*AlertSettings().as_parameters(), "overpaid", "notifiers"):
        assert f"\n#   {key}:" in example
    assert [notifier.name for notifier in found.notifiers] == ["mail", "chat"]


def test_every_page_of_the_documents_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for name in ("metrics.md", "pages.md", "object-storage.md", "warehouse-growth.md"):
        assert f"](docs/{name})" in text
    pictures = {path.name for path in (ROOT / "docs" / "images").glob("*.png")}
    assert set(re.findall(r"images/([\w-]+\.png)", (ROOT / "docs" / "pages.md").read_text())) == pictures


def test_the_readme_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    agents = parse_agents(textwrap.dedent(example))
    assert [feed.dag_id for agent in agents for feed in agent.feeds] == [
        "hotroad__summary__acme",
        "lucko__bets__acme",
        "lucko__rebates__acme",
    ]
