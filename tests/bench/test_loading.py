"""The benchmarks of loading and growth, tiny: every contender runs, and every figure is measured."""

from __future__ import annotations

import pytest

from bench import growth, load, rivals


def test_load_is_measured_against_its_rivals_and_a_skip_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "_environment", lambda: ("", "no network"))
    outcome = load.measure(load.Sizes(rows=2000, slow_rows=200, rounds=1))
    values = {figure.name: figure.value for figure in outcome.figures}
    assert all(value > 0 for value in values.values())
    assert {"first load / raw COPY", "first load / insert_rows", "identical replay", "update of all rows"} <= set(
        values
    )
    assert not any("dlt" in name for name in values)
    assert outcome.sizes["dlt"] == "skipped: no network"


def test_growth_is_measured_by_merges_that_read_no_table_whole() -> None:
    outcome = growth.measure(growth.Sizes(large=40_000, slice_rows=900, rounds=1, updates=1))
    values = {figure.name: figure.value for figure in outcome.figures}
    assert values["times a load read a large table whole"] == 0
    assert values["merge of a slice, large"] > 0
    assert values["lucko_bets"] > values["pk_lucko_bets"] > 10
    assert outcome.sizes == {"large": 40_000, "small": 2_000, "slice": 900, "rounds": 1}
