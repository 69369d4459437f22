"""The benchmarks of reconciliation, tiny: they measure what they say and judge what they made."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import recon, recon_accuracy
from bench.recon_data import Bulk


@pytest.mark.usefixtures("no_pandas")
def test_every_figure_is_measured_and_a_skip_says_why() -> None:
    bulk = Bulk(rebates_per_day=200, bets_per_rebate=3, days=3)
    outcome = recon.measure(recon.Sizes(bulk=bulk, changed=20, small_days=1, rounds=1))
    values = {figure.name: figure.value for figure in outcome.figures}
    assert all(value > 0 for value in values.values())
    assert "full run / counts over all its joins" in values
    assert "incremental, 20 bets changed" in values
    assert "pandas, the same" not in values
    assert outcome.sizes == {
        "rebates": 600, "bets": 1800, "days": 3, "changed_bets": 20, "small_days": 1, "pandas": "skipped: no network",
    }  # fmt: skip


@pytest.fixture
def no_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the benchmark from installing anything."""

    def environment(folder: Path) -> tuple[str, str]:
        return "", "no network"

    monkeypatch.setattr(recon, "_environment", environment)


def test_accuracy_of_small_worlds_is_complete() -> None:
    outcome = recon_accuracy.measure(recon_accuracy.Sizes(seeds=2, users=60, bets_per_hour=60, days=2), 11)
    assert outcome.passed
    values = {figure.name: figure.value for figure in outcome.figures}
    assert values["kinds of planted break"] >= 15
    assert values["rebates with several kinds"] > 10
