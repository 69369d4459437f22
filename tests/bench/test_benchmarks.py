"""The benchmark runner: figures and goals, one table, one JSON file, an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench.__main__ as command_line
from bench.framework import Benchmark, Figure, Outcome, benchmarks
from bench.quota_utilisation import INTERVAL, RowUse

README = Path(command_line.__file__).with_name("README.md")


def outcome(value: float) -> Outcome:
    figures = (Figure(name="speed", value=value, unit="m/s", at_least=10), Figure(name="weight", value=3))
    return Outcome(figures=figures, sizes={"rows": 7})


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two benchmarks, the second of which misses its goal; the seeds they were run with."""
    seeds: list[int] = []

    def run(seed: int, value: float) -> Outcome:
        seeds.append(seed)
        return outcome(value)

    found = [
        Benchmark(name="fast", measures="one that runs", run=lambda seed: run(seed, 12)),
        Benchmark(name="slow", measures="one that limps", run=lambda seed: run(seed, 9.5)),
    ]
    monkeypatch.setattr(command_line, "benchmarks", lambda only: iter(found))
    monkeypatch.delenv("ONLY", raising=False)
    return seeds


@pytest.mark.parametrize(
    ("figure", "passed", "goal"),
    [
        (Figure(name="a", value=1), True, ""),
        (Figure(name="a", value=0.95, at_least=0.95), True, "≥ 0.95"),
        (Figure(name="a", value=0.9499, at_least=0.95), False, "≥ 0.95"),
        (Figure(name="a", value=0, at_most=0), True, "≤ 0"),
        (Figure(name="a", value=1, at_most=0), False, "≤ 0"),
        (Figure(name="a", value=5, at_least=1, at_most=4), False, "≥ 1, ≤ 4"),
    ],
)
def test_figure_knows_its_goal(figure: Figure, passed: bool, goal: str) -> None:
    assert (figure.passed, figure.goal) == (passed, goal)


def test_missed_goal_is_the_exit_code(known: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([]) == 1
    shown = capsys.readouterr().out
    assert "one that limps" in shown
    assert [line.split("│")[-2].strip() for line in shown.splitlines() if "speed" in line] == ["yes", "NO"]
    assert known == [1, 1]


def test_one_can_be_selected(
    known: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONLY", "fast")
    assert command_line.main(["--seed", "5"]) == 0
    assert "one that limps" not in capsys.readouterr().out
    assert known == [5]


def test_unknown_name_is_said_with_the_known_ones(known: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--only", "fsat"]) == 2
    assert "known are fast, slow" in capsys.readouterr().out
    assert known == []


def test_json_holds_figures_and_circumstances(known: list[int], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert command_line.main(["--json", str(path), "--seed", "3"]) == 1
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["seed"] == 3
    assert report["machine"]["cores"] >= 1
    assert report["python"].startswith("3.")
    assert {"psycopg", "requests", "urllib3"} <= set(report["versions"])
    fast, slow = report["benchmarks"]
    assert (fast["name"], fast["passed"], fast["sizes"]) == ("fast", True, {"rows": 7})
    assert (slow["passed"], slow["figures"][0]["passed"]) == (False, False)
    assert slow["figures"][0] == {
        "name": "speed", "value": 9.5, "unit": "m/s", "at_least": 10, "at_most": None, "passed": False,
    }  # fmt: skip


def test_markdown_is_a_table_of_all_figures_with_the_machine(known: list[int], tmp_path: Path) -> None:
    path = tmp_path / "figures.md"
    assert command_line.main(["--markdown", str(path)]) == 1
    page = path.read_text(encoding="utf-8")
    assert "cores" in page
    assert "| fast | speed | 12 m/s | ≥ 10 | yes |" in page
    assert "| slow | speed | 9.5 m/s | ≥ 10 | NO |" in page
    assert "|  | weight | 3 |  |  |" in page
    assert known == [1, 1]


def test_one_that_fails_loses_nothing_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(seed: int) -> Outcome:
        raise RuntimeError(f"no room for seed {seed}")

    found = [
        Benchmark(name="falls", measures="one that falls", run=fail),
        Benchmark(name="fast", measures="one that runs", run=lambda seed: outcome(12)),
    ]
    monkeypatch.setattr(command_line, "benchmarks", lambda only: iter(found))
    assert command_line.main(["--seed", "4"]) == 1
    shown = capsys.readouterr().out
    assert "RuntimeError: no room for seed 4" in shown
    assert "12 m/s" in shown


def test_full_sizes_and_what_takes_long_are_run_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def remember(name: str) -> Outcome:
        ran.append(name)
        return outcome(12)

    found = [
        Benchmark(name="a", measures="", run=lambda _: remember("a"), full=lambda _: remember("a in full")),
        Benchmark(name="b", measures="", run=lambda _: remember("b"), takes_long=True),
    ]
    monkeypatch.setattr(command_line, "benchmarks", lambda only: iter(found))
    monkeypatch.delenv("ONLY", raising=False)
    assert command_line.main([]) == 0
    assert command_line.main(["--full"]) == 0
    assert command_line.main(["--only", "b"]) == 0
    assert ran == ["a", "a in full", "b", "b"]


def test_every_benchmark_has_its_modules_name_and_is_listed_in_the_readme() -> None:
    found = list(benchmarks())
    assert "quota_utilisation" in [one.name for one in found]
    assert [next(benchmarks(one.name)) for one in found] == found
    text = README.read_text(encoding="utf-8")
    assert [one.name for one in found if f"`{one.name}`" not in text] == []


def test_utilisation_counts_every_call_as_one_interval() -> None:
    interval = INTERVAL.total_seconds() * 1000
    full = RowUse(provider="p", arrivals=tuple(n * interval for n in range(10)), violations=0, given_up=0)
    half = RowUse(provider="p", arrivals=tuple(2 * n * interval for n in range(10)), violations=0, given_up=0)
    assert full.utilisation == 1
    assert half.utilisation == pytest.approx(10 / 19)
    assert half.gaps == [2 * interval] * 9
