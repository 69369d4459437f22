"""feeds.yaml: every error names file, line and key; what is left out is what the documents say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tieout.core.errors import ConfigError
from tieout.core.recon.settings import Rounding, Severity, Tolerance
from tieout.feeds import AgentFeed, load_agents, parse_agents

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

LUCKO = """\
agents:
  - provider: lucko
    agent: acme
    conn_id: lucko_acme
    start: 2026-03-01
"""
HOTROAD = """\
agents:
  - provider: hotroad
    agent: acme
    conn_id: c
    start: 2026-03-01
    currency: USD
"""
JDB = """\
agents:
  - provider: jdb
    agent: acme
    conn_id: c
    start: 2026-03-01
    currency: RMB
    g_types: ["0", 7]
"""
VERTEXPLAY = """\
agents:
  - provider: vertexplay
    agent: acme
    conn_id: c
    start: 2026-03-01
"""


def without(text: str, key: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.strip(" -").startswith(f"{key}:"))


def failure(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_agents(text, "my-feeds.yaml")
    assert type(caught.value) is ConfigError
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        # keys
        (LUCKO + "    strat: 2026-03-01\n", 6, "agents[0].strat", "unknown key; allowed are activities, agent"),
        (LUCKO + "    start: 2026-03-02\n", 6, "agents[0].start", "this key stands here twice"),
        ("agent: []\n", 1, "agent", "unknown key; allowed are agents"),
        (LUCKO + "extra: 1\n", 6, "extra", "unknown key"),
        (LUCKO + "    feeds:\n      bet: {slice: 1h}\n", 7, "agents[0].feeds.bet", "allowed are bets, rebates"),
        (LUCKO + "    feeds:\n      bets: {slize: 1h}\n", 7, "agents[0].feeds.bets.slize", "allowed are interval, lag"),
        (VERTEXPLAY + "    feeds:\n      bets: {}\n", 7, "agents[0].feeds.bets", "allowed are betlogs"),
        (LUCKO + "    tolerances: {USD: {turn: 0}}\n", 6, "agents[0].tolerances.USD.turn", "allowed are amount,"),
        (LUCKO + "    tolerances: {turnover: 0}\n", 6, "agents[0].tolerances.turnover", "a mapping of keys"),
        (LUCKO + "    severity: {USD: {low: 0}}\n", 6, "agents[0].severity.USD.low", "allowed are high, medium"),
        (LUCKO + "    severity: {USD: {medium: 200}}\n", 6, "agents[0].severity.USD", "medium must not exceed high"),
        (HOTROAD + "    rounding: {USD: {places: 2}}\n", 7, "agents[0].rounding", "hotroad reports no rebates"),
        (HOTROAD + "    unsettled_after: 1d\n", 7, "agents[0].unsettled_after", "hotroad reports no rebates"),
        (LUCKO + "    unsettled_after: 14\n", 6, "agents[0].unsettled_after", "'14' is no duration"),
        (LUCKO + "    rounding: {USD: {digits: 2}}\n", 6, "agents[0].rounding.USD.digits", "allowed are mode, places"),
        # what must be there
        (without(LUCKO, "conn_id"), 2, "agents[0]", "the key 'conn_id' is missing"),
        (without(LUCKO, "start"), 2, "agents[0]", "the key 'start' is missing"),
        (without(LUCKO, "agent"), 2, "agents[0]", "the key 'agent' is missing"),
        (without(HOTROAD, "currency"), 2, "agents[0]", "'currency' is missing; hotroad's answers do not tell it"),
        (without(JDB, "currency"), 2, "agents[0]", "the key 'currency' is missing"),
        (without(JDB, "g_types"), 2, "agents[0]", "the key 'g_types' is missing; jdb's answers do not tell it"),
        (JDB.replace('["0", 7]', "[]"), 7, "agents[0].g_types", "at least one game type"),
        (JDB.replace('["0", 7]', "0"), 7, "agents[0].g_types", "a list is expected"),
        (JDB.replace('["0", 7]', '["0", 0]'), 7, "agents[0].g_types", "a game type stands here twice"),
        (JDB.replace('["0", 7]', '["0", [7]]'), 7, "agents[0].g_types[1]", "a value is expected"),
        (LUCKO + "    currency: USD\n", 6, "agents[0].currency", "lucko has no use for this key"),
        (HOTROAD + '    g_types: ["0"]\n', 7, "agents[0].g_types", "hotroad has no use for this key"),
        # values
        (LUCKO.replace("lucko\n", "luko\n"), 2, "agents[0].provider", "'luko' is not one of hotroad, jdb, lucko"),
        (LUCKO.replace("acme\n", "Acme\n", 1), 3, "agents[0].agent", "'Acme' must match"),
        (LUCKO.replace("agent: acme", "agent: " + "a" * 64), 3, "agents[0].agent", "must match"),
        (LUCKO.replace("agent: acme", "agent: ../etc"), 3, "agents[0].agent", "must match"),
        (LUCKO.replace("lucko_acme", '""'), 4, "agents[0].conn_id", "a value is expected"),
        (LUCKO.replace("2026-03-01", "2026-02-30"), 5, "agents[0].start", "'2026-02-30' is no date or instant"),
        (LUCKO.replace("2026-03-01", "0001-01-01T00:00:00+14:00"), 5, "agents[0].start", "is no date or instant"),
        (LUCKO + "    stop: 2026-03-01\n", 6, "agents[0].stop", "stop must lie after start"),
        (LUCKO + "    stop: 2026-02-01\n", 6, "agents[0].stop", "stop must lie after start"),
        (LUCKO + "    timezone: Mars/Olympus\n", 6, "agents[0].timezone", "no timezone of the IANA database"),
        (LUCKO + "    timezone: Europe\n", 6, "agents[0].timezone", "no timezone of the IANA database"),
        (LUCKO + "    timezone: ../../etc/passwd\n", 6, "agents[0].timezone", "no timezone of the IANA database"),
        (LUCKO + "    tolerances: {USD: {amount: -1}}\n", 6, "agents[0].tolerances.USD.amount", "of at least 0"),
        (LUCKO + "    tolerances: {USD: {amount: .nan}}\n", 6, "agents[0].tolerances.USD.amount", "is no amount"),
        (LUCKO + "    tolerances: {USD: {amount: NaN}}\n", 6, "agents[0].tolerances.USD.amount", "no finite amount"),
        (LUCKO + "    rounding: {USD: {places: 13}}\n", 6, "agents[0].rounding.USD.places", "at most 12"),
        (LUCKO + "    rounding: {USD: {places: ²}}\n", 6, "agents[0].rounding.USD.places", "no whole number"),
        (LUCKO + "    rounding: {USD: {mode: up}}\n", 6, "agents[0].rounding.USD.mode", "'up' is not one of half_up"),
        (LUCKO + "    bet_lookback: two days\n", 6, "agents[0].bet_lookback", "'two days' is no duration"),
        (LUCKO + "    judge_after: 6\n", 6, "agents[0].judge_after", "'6' is no duration"),
        # feeds
        (LUCKO + "    feeds:\n      bets: {lag: 5x}\n", 7, "agents[0].feeds.bets.lag", "'5x' is no duration"),
        (LUCKO + "    feeds:\n      bets: {lag: -5s}\n", 7, "agents[0].feeds.bets.lag", "'-5s' is no duration"),
        (LUCKO + "    feeds:\n      bets: {lag: 9999999999d}\n", 7, "agents[0].feeds.bets.lag", "longer than any"),
        (LUCKO + "    feeds:\n      bets: {interval: 0s}\n", 7, "agents[0].feeds.bets.interval", "longer than nothing"),
        (LUCKO + "    feeds:\n      bets: {slice: 7min}\n", 7, "agents[0].feeds.bets.slice", "neither minutes that"),
        (LUCKO + "    feeds:\n      bets: {slice: 0min}\n", 7, "agents[0].feeds.bets.slice", "longer than nothing"),
        (LUCKO + "    feeds:\n      bets: {slice: 5h}\n", 7, "agents[0].feeds.bets.slice", "hours that divide a day"),
        (LUCKO + "    feeds:\n      bets: {slice: 2d}\n", 7, "agents[0].feeds.bets.slice", "neither minutes that"),
        (LUCKO + "    feeds:\n      bets: {slice: 90s}\n", 7, "agents[0].feeds.bets.slice", "neither minutes that"),
        (HOTROAD + "    feeds:\n      summary: {slice: 30min}\n", 8, "agents[0].feeds.summary.slice", "multiple"),
        (JDB + "    feeds:\n      daily: {slice: 12h}\n", 9, "agents[0].feeds.daily.slice", "multiple of 1 day"),
        (LUCKO + "    feeds:\n      bets: {revisits: 1h}\n", 7, "agents[0].feeds.bets.revisits", "a list is expected"),
        (LUCKO + "    feeds:\n      bets: {revisits: [1h, x]}\n", 7, "agents[0].feeds.bets.revisits[1]", "no duration"),
        (LUCKO + "    feeds: [bets]\n", 6, "agents[0].feeds", "a mapping of keys and values is expected"),
        # shape
        ("agents: lucko\n", 1, "agents", "a list is expected"),
        ("agents:\n", 1, "agents", "a list is expected"),
        ("agents:\n  - lucko\n", 2, "agents[0]", "a mapping of keys and values is expected"),
        (LUCKO + LUCKO.removeprefix("agents:\n"), 6, "agents[1]", "lucko agent 'acme' is declared twice"),
    ],
)  # fmt: skip
def test_error_names_file_line_and_key(text: str, line: int, key: str, said: str) -> None:
    message = failure(text)
    assert message.startswith(f"my-feeds.yaml, line {line}, key '{key}': ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: [\n", "my-feeds.yaml, line 2: this is no valid YAML"),
        ("agents:\n\t- provider: lucko\n", "my-feeds.yaml, line 2: this is no valid YAML"),
        ("agents: []\n---\nagents: []\n", "my-feeds.yaml, line 2: this is no valid YAML"),
        ("agents: *nothing\n", "my-feeds.yaml, line 1: this is no valid YAML"),
        ("agents: \x00\n", "my-feeds.yaml: this is no valid YAML"),
        ("- provider: lucko\n", "my-feeds.yaml, line 1: a mapping of keys and values is expected"),
        ("{}\n", "my-feeds.yaml, line 1: the key 'agents' is missing"),
        ("", "my-feeds.yaml is empty. Declare agents under the key 'agents', or write 'agents: []'."),
        ("# only a comment\n", "my-feeds.yaml is empty."),
    ],
)
def test_file_that_is_no_declaration(text: str, said: str) -> None:
    assert failure(text).startswith(said)


def test_absent_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the feeds file .*/none.yaml cannot be read: No such file"):
        load_agents(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"agents: [] # \xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml is not UTF-8"):
        load_agents(tmp_path / "latin.yaml")


def test_file_of_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "feeds.yaml").write_text(LUCKO)
    monkeypatch.setenv("TIEOUT_FEEDS", str(tmp_path / "feeds.yaml"))
    (agent,) = load_agents()
    assert (agent.provider, agent.agent, agent.conn_id) == ("lucko", "acme", "lucko_acme")
    assert (agent.start, agent.stop) == (datetime(2026, 3, 1, tzinfo=UTC), None)


def feed(text: str, name: str) -> AgentFeed:
    (agent,) = parse_agents(text)
    return next(feed for feed in agent.feeds if feed.spec.name == name)


@pytest.mark.parametrize(
    ("text", "name", "slice_width", "lag", "interval", "reach", "revisits", "max_window", "cron"),
    [
        (LUCKO, "bets", HOUR, 2 * MINUTE, 5, 90 * DAY, (HOUR, DAY), 23 * HOUR, "0 * * * *"),
        (LUCKO, "rebates", HOUR, 2 * MINUTE, 10, None, (HOUR, DAY, 7 * DAY), DAY, "0 * * * *"),
        (HOTROAD, "summary", HOUR, 2 * HOUR, 1, 40 * DAY, (DAY, 3 * DAY), HOUR, "0 * * * *"),
        (JDB, "daily", DAY, DAY + HOUR, 5, 90 * DAY, (DAY, 3 * DAY), DAY, "0 4 * * *"),
        (VERTEXPLAY, "betlogs", HOUR, 2 * MINUTE, 3, 40 * DAY, (HOUR, DAY), 10 * MINUTE, "0 * * * *"),
    ],
)  # fmt: skip
def test_defaults_are_the_documents_limits(
    text: str, name: str, slice_width: timedelta, lag: timedelta, interval: int, reach: timedelta | None,
    revisits: tuple[timedelta, ...], max_window: timedelta, cron: str,
) -> None:  # fmt: skip
    found = feed(text, name)
    assert found.slice_width == slice_width
    assert found.lag == lag
    assert found.interval == timedelta(seconds=interval)
    assert found.spec.reach == reach
    assert found.revisits == revisits
    assert found.spec.max_window == max_window
    assert found.cron == cron
    assert found.dag_id == f"{found.spec.provider}__{name}__acme"


def test_page_sizes_are_the_documents_limits() -> None:
    assert feed(LUCKO, "bets").spec.page_size == 5000
    assert feed(LUCKO, "rebates").spec.page_size == 3000
    assert feed(VERTEXPLAY, "betlogs").spec.page_size is None
    assert (feed(LUCKO, "bets").spec.widen_factor * 5, feed(LUCKO, "rebates").spec.widen_factor * 10) == (30, 30)


def test_overrides() -> None:
    text = LUCKO.replace("2026-03-01", "2026-03-01T12:30:00+08:00") + (
        "    stop: 2026-04-01\n"
        "    feeds:\n"
        "      bets: {slice: 10min, lag: 1h30m, interval: 0.5s, revisits: [2d, 90s]}\n"
    )
    bets, rebates = feed(text, "bets"), feed(text, "rebates")
    assert (bets.slice_width, bets.lag, bets.interval) == (10 * MINUTE, 90 * MINUTE, timedelta(milliseconds=500))
    assert bets.revisits == (2 * DAY, timedelta(seconds=90))
    assert bets.cron == "*/10 * * * *"
    assert bets.start == datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    assert bets.stop == rebates.stop == datetime(2026, 4, 1, tzinfo=UTC)
    assert (rebates.slice_width, rebates.lag) == (HOUR, 2 * MINUTE)
    assert feed(LUCKO + "    feeds:\n      bets: {revisits: []}\n", "bets").revisits == ()


def test_options_of_feeds_without_currency() -> None:
    assert feed(HOTROAD, "summary").options.currency == "USD"
    assert feed(JDB, "daily").options.g_types == ("0", "7")
    assert feed(LUCKO, "bets").options.as_json() == {"currency": None, "g_types": []}


def test_reconciliation_settings() -> None:
    (agent,) = parse_agents(
        LUCKO + "    timezone: Asia/Kolkata\n"
        "    bet_lookback: 3d\n"
        "    judge_after: 30min\n"
        "    unsettled_after: 7d\n"
        "    tolerances: {default: {turnover: 0.10, amount: '0.005'}, VND2: {turnover_relative: 0.001}}\n"
        "    severity: {VND2: {medium: 25000, high: 2500000}}\n"
        "    rounding: {VND2: {places: 0}, JPY: {mode: down}}\n"
    )
    recon = agent.recon
    assert (recon.timezone, recon.bet_lookback, recon.judge_after) == ("Asia/Kolkata", 3 * DAY, 30 * MINUTE)
    assert recon.unsettled_after == 7 * DAY
    assert recon.tolerances["default"] == Tolerance(turnover=Decimal("0.10"), amount=Decimal("0.005"))
    assert recon.tolerances["VND2"] == Tolerance(turnover_relative=Decimal("0.001"))
    assert recon.severity["VND2"] == Severity(medium=Decimal(25000), high=Decimal(2500000))
    assert recon.severity["default"] == Severity()
    assert recon.rounding["VND2"] == Rounding(places=0, mode="half_up")
    assert recon.rounding["JPY"] == Rounding(places=2, mode="down")
    assert recon.rounding["default"] == Rounding(places=2, mode="half_up")


def test_agents_come_sorted_and_one_name_may_serve_two_providers() -> None:
    body = [text.removeprefix("agents:\n") for text in (VERTEXPLAY, LUCKO, LUCKO.replace("acme", "aaa"), JDB)]
    agents = parse_agents("agents:\n" + "".join(body))
    assert [(agent.provider, agent.agent) for agent in agents] == [
        ("jdb", "acme"), ("lucko", "aaa"), ("lucko", "acme"), ("vertexplay", "acme"),
    ]  # fmt: skip


def test_no_agents_is_a_declaration_too() -> None:
    assert parse_agents("agents: []\n") == ()


def test_declaration_for_the_ledger() -> None:
    declared = feed(JDB, "daily").declaration()
    assert (declared.provider, declared.agent, declared.feed, declared.currency) == ("jdb", "acme", "daily", "RMB")
    assert (declared.slice_width, declared.slice_anchor, declared.reach) == (DAY, 4 * HOUR, 90 * DAY)
