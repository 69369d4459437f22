"""feeds.yaml: what activities rebate, which identities do not hold, which commission is agreed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tieout.core.errors import ConfigError
from tieout.core.recon.eligibility import Eligibility
from tieout.core.recon.integrity import Commission, IntegritySettings
from tieout.feeds import Agent, parse_agents

HEADS = {
    "lucko": "",
    "hotroad": "    currency: USD\n",
    "jdb": '    currency: RMB\n    g_types: ["0"]\n',
}


def declared(provider: str, text: str) -> Agent:
    head = f"agents:\n  - provider: {provider}\n    agent: acme\n    conn_id: c\n    start: 2026-03-01\n"
    (agent,) = parse_agents(head + HEADS[provider] + text, "my-feeds.yaml")
    return agent


def test_nothing_declared_restricts_nothing() -> None:
    agent = declared("lucko", "")
    assert agent.recon.activities == {}
    assert agent.integrity == IntegritySettings()


def test_activities() -> None:
    text = '    activities:\n      spring: {games: ["101", 103], currencies: [USD]}\n      vip: {}\n'
    activities = declared("lucko", text).recon.activities
    assert activities == {
        "spring": Eligibility(games=("101", "103"), currencies=("USD",)),
        "vip": Eligibility(games=None, currencies=None),
    }
    assert activities["vip"].as_json() == {}


def test_identities_and_commission() -> None:
    text = "    identities: {win_amount: [FISH, SLOT]}\n    commission:\n      LIVE: {rate: 0.30, of: bet_amount}\n"
    text += "      default: {rate: 0, tolerance: 0.01}\n"
    assert declared("hotroad", text).integrity == IntegritySettings(
        switched_off={"win_amount": ("FISH", "SLOT")},
        commission={
            "LIVE": Commission(rate=Decimal("0.30"), of="bet_amount"),
            "default": Commission(rate=Decimal(0), tolerance=Decimal("0.01")),
        },
    )
    assert declared("jdb", '    identities: {net_win: ["*"]}\n').integrity.switched_off == {"net_win": ("*",)}


@pytest.mark.parametrize(
    ("provider", "text", "key", "said"),
    [
        ("hotroad", "activities: {a: {}}", "activities", "reports no rebates"),
        ("lucko", "activities: {a: {games: []}}", "activities.a.games", "leave the key out"),
        ("lucko", "activities: {a: {users: [x]}}", "activities.a.users", "unknown key"),
        ("lucko", "activities: [a]", "activities", "a mapping"),
        ("jdb", 'identities: {win_amount: ["*"]}', "identities.win_amount", "allowed are net_win, turnover_sign"),
        ("jdb", "identities: {net_win: false}", "identities.net_win", "a list is expected"),
        ("lucko", "commission: {default: {rate: 1}}", "commission", "lucko reports no commission"),
        ("hotroad", "commission: {default: {of: valid_bet}}", "commission.default", "'rate' is missing"),
        ("hotroad", "commission: {default: {rate: -1}}", "commission.default.rate", "at least 0"),
        ("hotroad", "commission: {default: {rate: 1, of: winnings}}", "commission.default.of", "not one of"),
    ],
)
def test_mistakes_name_file_line_and_key(provider: str, text: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declared(provider, f"    {text}\n")
    line = 6 + HEADS[provider].count("\n")
    assert f"my-feeds.yaml, line {line}, key 'agents[0].{key}'" in str(caught.value)
    assert said in str(caught.value)
