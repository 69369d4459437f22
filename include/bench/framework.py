"""What a benchmark is: a name, what it measures, figures with goals, and the circumstances they were measured in."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import bench

#: Whose version can change a figure.
PACKAGES = ("apache-airflow", "msgspec", "psycopg", "requests", "sqlalchemy", "urllib3", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number. ``at_least``, ``at_most``: its goal; a figure without one is shown only."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the goal is met."""
        return not (
            (self.at_least is not None and self.value < self.at_least)
            or (self.at_most is not None and self.value > self.at_most)
        )

    @property
    def shown(self) -> str:
        """The value as people read it, with its unit."""
        return f"{self.value:,.4g} {self.unit}".strip()

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in a word; empty when there is none."""
        return ("yes" if self.passed else "NO") if self.goal else ""

    @property
    def goal(self) -> str:
        """The goal as people write it; empty when there is none."""
        bounds = [("≥", self.at_least), ("≤", self.at_most)]
        return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one benchmark found. ``sizes``: how much it worked on, so that figures can be compared.

    ``error``: why it did not come to its end.
    """

    figures: tuple[Figure, ...]
    sizes: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it came to its end and every goal is met."""
        return not self.error and all(figure.passed for figure in self.figures)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A module's ``BENCHMARK``, with the module's name. ``run`` takes the seed of all that is drawn.

    ``full``: the same with larger sizes; without one ``run`` is full. One that ``takes_long`` only runs when it is
    named or everything is asked for in full.
    """

    name: str
    measures: str
    run: Callable[[int], Outcome]
    full: Callable[[int], Outcome] | None = None
    takes_long: bool = False


def benchmarks(only: str = "") -> Iterator[Benchmark]:
    """Yield the benchmark of every module of this package that declares one, or that of the module named *only*."""
    modules = sorted(found.name for found in pkgutil.iter_modules(bench.__path__) if found.name != "__main__")
    for name in [only] if only in modules else modules:
        declared = getattr(importlib.import_module(f"bench.{name}"), "BENCHMARK", None)
        if isinstance(declared, Benchmark):
            yield declared


def circumstances(seed: int) -> dict[str, Any]:
    """Return the machine, Python, package versions and seed that figures belong to."""
    return {
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        },
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "seed": seed,
    }


def as_json(benchmark: Benchmark, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Return one benchmark's outcome as plain values."""
    return {
        "name": benchmark.name,
        "measures": benchmark.measures,
        "seconds": round(seconds, 1),
        "passed": outcome.passed,
        "sizes": dict(outcome.sizes),
        "error": outcome.error,
        "figures": [
            {
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "at_least": figure.at_least,
                "at_most": figure.at_most,
                "passed": figure.passed,
            }
            for figure in outcome.figures
        ],
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return a whole report (see the command line's JSON) as a page: the circumstances, then a table of all figures."""
    machine = report["machine"]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; what each benchmark measures stands in `include/bench/README.md`.",
        "",
        f"Measured {report['finished_at'][:10]} on {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']:g} GiB, {machine['system']}; Python {report['python']}, "
        + ", ".join(f"{name} {version}" for name, version in report["versions"].items())
        + f"; seed {report['seed']}.",
        "",
        "| benchmark | figure | value | goal | met |",
        "|---|---|---:|---:|---|",
    ]
    for found in report["benchmarks"]:
        name = found["name"]
        for values in found["figures"]:
            figure = Figure(**{key: values[key] for key in ("name", "value", "unit", "at_least", "at_most")})
            lines.append(f"| {name} | {figure.name} | {figure.shown} | {figure.goal} | {figure.verdict} |")
            name = ""
        if found.get("error"):
            lines.append(f"| {name} | {found['error']} | | | NO |")
    return "\n".join([*lines, ""])


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
