"""No secret is found anywhere after a run with faults, wrong keys and a provider that says back what it was told."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker
from kit import Conn, simulated
from leaks import Recorder, attempt, files, leaks, rows, spellings
from rogue import RogueServer, head, whole
from sqlalchemy import URL

import simulator
from demo.postgres import EmbeddedPostgres
from simulator import FaultSpec, HotRoadAgent, JdbAgent, LuckoAgent, RunningServer, SimConfig, VertexPlayAgent
from simulator.faults import KINDS
from tieout.core.clock import SystemClock, epoch_ms
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.load import load_reading
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota
from tieout.core.slices import Slice, Window
from tieout.core.warehouse import connect
from tieout.providers import FEEDS, HOOKS
from tieout.providers.base import ProviderHook

#: Spelled so that every encoding of them looks different. ``wrong``: what a person might have entered by mistake.
SECRETS = {
    "lucko password": 'Lk-"key"/&+=% ключ-7f3a91',
    "hotroad login": "Hr-user+/&=-19d2c4",
    "hotroad password": "Hr-pass/+&=?-55ae07",
    "jdb password": "Jd/+&=%key-16b!!",
    "jdb iv_secret": "Jd-iv+/&=%-16b??",
    "vertexplay password": 'Vp-"secret"/&+=%-c0ffee',
    "vertexplay api_key": "5ec12e70a9b8c7d6e5f40312233445566778899aabbccddeeff00112233445ff",
    "wrong lucko password": "Wrong-lk-key/&+=%-0b1d",
    "wrong hotroad password": "Wrong-hr-pass/&+=-2c3e",
    "wrong jdb password": "Wrong-jd-16/&+=%",
    "wrong jdb short password": "short-jd-key&+=",
    "wrong jdb iv_secret": "Wrong-iv-16/&+=%",
    "wrong vertexplay password": "Wrong-vp-secret/&+=-77",
    "wrong vertexplay api_key": "badc0de0a9b8c7d6e5f40312233445566778899aabbccddeeff0011223344ff5",
    "wrong vertexplay short api_key": "badc0de1a9b8c7d6e5f4",
    "warehouse password": "Wh-\\'pass'/&+=%-d00d",
}
AGENTS = (
    LuckoAgent(agent_id="lk", sign_key=SECRETS["lucko password"]),
    HotRoadAgent(agent_id="hr", username=SECRETS["hotroad login"], password=SECRETS["hotroad password"]),
    JdbAgent(agent_id="jd", aes_key=SECRETS["jdb password"], iv=SECRETS["jdb iv_secret"], dc="test"),
    VertexPlayAgent(agent_id="vp", secret=SECRETS["vertexplay password"], api_key=SECRETS["vertexplay api_key"]),
)
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("lucko", {"password": SECRETS["wrong lucko password"]}),
    ("hotroad", {"password": SECRETS["wrong hotroad password"]}),
    ("hotroad", {"login": "", "password": SECRETS["wrong hotroad password"]}),
    ("jdb", {"password": SECRETS["wrong jdb password"]}),
    ("jdb", {"password": SECRETS["wrong jdb short password"]}),
    ("jdb", {"extra": {"iv_secret": SECRETS["wrong jdb iv_secret"]}}),
    ("jdb", {"extra": {"padding": "zeros"}}),
    ("vertexplay", {"password": SECRETS["wrong vertexplay password"]}),
    ("vertexplay", {"extra": {"api_key": SECRETS["wrong vertexplay api_key"]}}),
    ("vertexplay", {"extra": {"api_key": SECRETS["wrong vertexplay short api_key"]}}),
    ("vertexplay", {"extra": {"signature_form": "other"}}),
    ("vertexplay", {"login": "агент"}),
]  # fmt: skip
PROVIDERS = sorted(HOOKS)
ROGUE_TOKEN = "t0ken-of-a-rogue-server"
DAY = timedelta(days=1)
FAST = timedelta(milliseconds=1)
OPTIONS = {"hotroad": FeedOptions(currency="CNY"), "jdb": FeedOptions(currency="RMB", g_types=("0", "7", "9", "18"))}


def slice_of(feed: FeedSpec) -> Slice:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - 4 * DAY + feed.slice_anchor
    return Slice(start, start + feed.slice_width)


@dataclass(repr=False)  # it stands in the frames of what it provokes
class Run:
    """A run and what it left: log records, shown errors, printed text, landing, warehouse."""

    server: RunningServer
    warehouse: URL
    landing: Path
    recorder: Recorder = field(default_factory=Recorder)
    errors: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def secrets(self) -> list[str]:
        basic = f"{SECRETS['hotroad login']}:{SECRETS['hotroad password']}"
        return [*SECRETS.values(), basic, *self.tokens]

    def fail(self, work: Callable[[], object], *, variables: bool = True) -> str:
        """Do what is expected to fail and keep what a log could show of it."""
        error = attempt(work, variables=variables)
        self.errors.append(error)
        return error

    def hook(self, provider: str, **changes: Any) -> ProviderHook:
        return simulated(self.server, provider, **changes)

    def pull_and_load(self, feed: FeedSpec, hook: ProviderHook) -> None:
        plan = PullPlan(
            feed=feed, agent="acme", slice=slice_of(feed), options=OPTIONS.get(feed.provider, FeedOptions()),
            interval=FAST, lag=feed.lag,
        )  # fmt: skip
        clock = SystemClock()
        with PostgresQuota(self.warehouse, clock) as quota:
            result = SlicePuller(caller=hook, quota=quota, clock=clock, landing=self.landing).pull(plan)
        assert isinstance(result, tuple)
        path = Path(result[0])
        load_reading(self.warehouse, feed, path, path.parent)

    def call(self, feed: FeedSpec, hook: ProviderHook) -> None:
        range_ = slice_of(feed)
        window = Window(Slice(range_.start, min(range_.end, range_.start + feed.max_window)), {"gType": "0"})
        feed.read_page(hook.fetch(feed, window, 0))

    def forget_nothing(self, hook: ProviderHook) -> None:
        token = getattr(hook, "_token", None)
        self.tokens |= {token} if token else set()


def echo(rogue: RogueServer, provider: str) -> Callable[[], list[bytes]]:
    """Return an answer in which the provider says back all that it was told, and the secrets it knows."""

    def pieces() -> list[bytes]:
        told = rogue.requests[-1].decode("utf-8", "replace")
        known = [spellings(secret) for name, secret in SECRETS.items() if name.startswith(provider)]
        words = [*sorted(set().union(*known)), told]
        envelopes = {
            "lucko": {"code": 600100, "message": words},
            "hotroad": {"code": words[0], "message": " ".join(words)},
            "jdb": {"status": "9006", "err_text": " ".join(words)},
            "vertexplay": {"code": 83, "message": words[::-1]},
        }
        body = json.dumps(envelopes[provider]).encode()
        return [head(f"Content-Length: {len(body)}", "Connection: close"), body]

    return pieces


@pytest.fixture(scope="module")
def run(postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run over all feeds: everything that can be provoked to fail, with all loggers at DEBUG."""
    postgres.create_database("secrets_tests", template=template)
    config = SimConfig(seed=5, quota_scale=0, agents=AGENTS, now=epoch_ms(datetime.now(UTC)))
    printed = io.StringIO()
    root = logging.getLogger()
    level, streams = root.level, (sys.stdout, sys.stderr)
    with simulator.serve(config) as server, RogueServer() as rogue:
        made = Run(server, postgres.url("secrets_tests"), tmp_path_factory.mktemp("secrets"))
        root.addHandler(made.recorder)
        root.setLevel(logging.DEBUG)
        sys.stdout = sys.stderr = printed
        try:
            provoke(made, rogue)
        finally:
            sys.stdout, sys.stderr = streams
            root.setLevel(level)
            root.removeHandler(made.recorder)
        made.recorder.lines.append(printed.getvalue())
        yield made
    postgres.drop_database("secrets_tests")


def provoke(run: Run, rogue: RogueServer) -> None:
    for feed in FEEDS.values():
        hook = run.hook(feed.provider)
        run.pull_and_load(feed, hook)
        run.forget_nothing(hook)
        for kind in KINDS:
            run.server.simulator.faults.add(FaultSpec(name=kind, provider=feed.provider, seconds=0.01, size=1 << 27))
            run.fail(partial(run.call, feed, hook))
            run.forget_nothing(hook)
            run.server.simulator.faults.clear()
    for provider, changes in WRONG:
        feed = next(feed for feed in FEEDS.values() if feed.provider == provider)
        assert run.fail(partial(run.call, feed, run.hook(provider, **changes))), changes
        run.sentences.append(run.hook(provider, **changes).test_connection()[1])
    for provider in PROVIDERS:
        feed = next(feed for feed in FEEDS.values() if feed.provider == provider)
        answers = [
            whole(b"", status="401 Unauthorized"), whole(b"", status="403 Forbidden"), whole(b"{"),
            whole(b"", "Location: http://169.254.169.254/", status="302 Found"), echo(rogue, provider),
        ]  # fmt: skip
        if provider == "vertexplay":
            answers.append(whole(b'{"code":0,"data":{"accessToken":"%b","expiresIn":"soon"}}' % ROGUE_TOKEN.encode()))
        for answer in answers:
            rogue.answer = answer
            # What a provider answers stands in variables as it came, secrets that it says included.
            told = answer.__name__ == "pieces"
            assert run.fail(partial(run.call, feed, run.hook(provider, host=rogue.url)), variables=not told)
            run.sentences.append(run.hook(provider, host=rogue.url).test_connection()[1])
        for host in ("http://127.0.0.1:1", "https://127.0.0.1:1", "http://provider.example", "ftp://x", None):
            assert run.fail(partial(run.call, feed, run.hook(provider, host=host)))
    run.tokens.add(ROGUE_TOKEN)
    wrong_user = run.warehouse.set(username="nobody_here", password=SECRETS["warehouse password"])
    lost = wrong_user.set(query={"host": "127.0.0.1", "port": "1"})
    for url in (wrong_user, lost, lost.render_as_string(hide_password=False)):
        assert run.fail(partial(_ask, url))


def _ask(url: URL | str) -> None:
    with connect(url) as connection:
        connection.execute("SELECT 1")


def test_the_run_failed_in_every_way_and_read_every_feed(run: Run) -> None:
    with connect(run.warehouse) as connection:
        found = connection.execute("SELECT provider || '__' || feed, state FROM ops.readings ORDER BY 1").fetchall()
    assert found == [(feed_id, "certified") for feed_id in sorted(FEEDS)]
    failed = [error for error in run.errors if error]
    assert len(failed) > 60
    assert {"urllib3.connectionpool", "tieout.core.load"} <= run.recorder.loggers
    assert len(run.tokens) >= 2


def test_what_is_looked_for_would_be_found() -> None:
    """The run's own signed requests hold the secrets: whoever saw them would find them."""
    assert leaks(b'{"a": "%b"}' % SECRETS["lucko password"].encode().hex().encode(), SECRETS.values())
    for secret in SECRETS.values():
        assert leaks(attempt(partial(fail_beside, Conn(password=secret))), [secret])


def fail_beside(connection: Conn) -> None:
    raise ValueError


def test_no_error_shows_a_secret(run: Run) -> None:
    if leaks("".join(run.errors), run.secrets):
        for error in run.errors:
            assert leaks(error, run.secrets) == [], error[-3000:]


def test_no_sentence_of_a_connection_test_shows_a_secret(run: Run) -> None:
    assert len(run.sentences) == len(WRONG) + 5 * len(PROVIDERS) + 1
    for sentence in run.sentences:
        assert leaks(sentence, run.secrets) == [], sentence


def test_no_log_line_shows_a_secret_or_a_signed_request(run: Run) -> None:
    written = "".join(run.recorder.lines)
    assert leaks(written, run.secrets) == []
    for query in ("?sign=", "&sign=", "?x=", "&x=", "&timestamp="):
        assert query not in written
    assert any('"GET /api/game/transaction/query?… HTTP/1.1" 200' in line for line in run.recorder.lines)


def test_no_file_of_landing_shows_a_secret(run: Run) -> None:
    found = list(files(run.landing))
    assert {path.name for path, _ in found} >= {"manifest.json", "page-00001.json.gz"}
    for path, content in found:
        assert leaks(content, run.secrets) == [], path


def test_no_row_of_the_warehouse_shows_a_secret(run: Run) -> None:
    with connect(run.warehouse) as connection:
        found = list(rows(connection))
    assert {"ops.readings", "ops.quota", "staging.lucko_bets", "staging.jdb_daily"} <= {name for name, _ in found}
    if leaks("\n".join(text for _, text in found), run.secrets):
        for name, text in found:
            assert leaks(text, run.secrets) == [], (name, text[:500])


def test_the_log_of_the_database_shows_no_secret(run: Run, postgres: EmbeddedPostgres) -> None:
    assert leaks((postgres.data / "log").read_bytes(), run.secrets) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_airflow_masks_every_secret_and_what_is_made_of_it(run: Run, provider: str) -> None:
    masker = _secrets_masker()
    names = [name for name in SECRETS if name.startswith(provider)]
    assert names
    for name in names:
        for spelling in spellings(SECRETS[name]):
            assert SECRETS[name] not in str(masker.redact(f"before {spelling} after"))
    if provider == "vertexplay":
        key = bytes.fromhex(SECRETS["vertexplay api_key"])
        assert masker.redact(f"key={key!r}") == "key=b'***'"
        for token in run.tokens - {ROGUE_TOKEN}:
            assert masker.redact(f"Bearer {token}") == "Bearer ***"
    if provider == "hotroad":
        # The masker may take the login's spelling first, which a Basic header begins with.
        basic = base64.b64encode(f"{SECRETS['hotroad login']}:{SECRETS['hotroad password']}".encode()).decode()
        masked = str(masker.redact(f"Authorization: Basic {basic}"))
        assert "***" in masked
        assert leaks(masked, [SECRETS["hotroad password"]]) == []
        for piece in range(len(basic) - 12):
            assert basic[piece : piece + 12] not in masked
