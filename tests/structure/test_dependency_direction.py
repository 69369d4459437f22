"""Who may import whom: dags → factory → operators → providers → core.

The core knows no Airflow, the simulator nothing of tieout.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
INCLUDE = ROOT / "include"

#: Layer (a folder or file below plugins/tieout) → the parts of tieout it may import. The most specific layer counts.
ALLOWED: dict[str, set[str]] = {
    "core": {"tieout", "tieout.core"},
    "migrations": {"tieout.core", "tieout.migrations"},
    "providers": {"tieout.core", "tieout.providers"},
    "ingest.py": {"tieout.core", "tieout.providers", "tieout.feeds"},
    "upkeep.py": {"tieout.core", "tieout.feeds", "tieout.ingest"},
    "operators": {
        "tieout.core", "tieout.providers", "tieout.operators", "tieout.feeds", "tieout.ingest", "tieout.upkeep",
        "tieout.settings", "tieout.warehouse", "tieout.assets", "tieout.pages",
    },
    "assets.py": set(),
    "pages.py": set(),
    "web": {"tieout", "tieout.core", "tieout.web", "tieout.settings", "tieout.warehouse", "tieout.pages"},
    "settings.py": {"tieout.core"},
    "warehouse.py": {"tieout.core", "tieout.settings"},
    "timetable.py": set(),
    "priority.py": set(),
    "retry.py": {"tieout.core"},
    "feeds": {"tieout.core", "tieout.feeds", "tieout.providers", "tieout.settings", "tieout.timetable"},
    "provider_info.py": {"tieout"},
    "dag_factory": {
        "tieout.core", "tieout.providers", "tieout.dag_factory", "tieout.feeds", "tieout.operators",
        "tieout.priority", "tieout.retry", "tieout.settings", "tieout.timetable", "tieout.assets",
    },
    "__init__.py": set(),
    "__main__.py": {"tieout.core", "tieout.feeds", "tieout.migrations", "tieout.settings", "tieout.warehouse"},
}  # fmt: skip
#: Layers that must run where no Airflow is installed.
WITHOUT_AIRFLOW = {"core", "migrations", "settings.py", "pages.py", "__init__.py"}


def imports(path: Path, package_root: Path) -> Iterator[str]:
    """Every module a file imports, inside functions too; relative imports made absolute."""
    package = list(path.relative_to(package_root).parent.parts) if path.is_relative_to(package_root) else []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            # `from tieout import feeds` imports tieout.feeds, `from tieout import __version__` does not.
            for alias in node.names:
                inner = package_root / node.module.replace(".", "/") / alias.name
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def inside(module: str, packages: set[str]) -> bool:
    """Whether *module* is one of *packages* or below it; plain ``tieout`` stands for itself only."""
    return any(module == package or (package != "tieout" and module.startswith(f"{package}.")) for package in packages)


def layer_of(path: Path) -> str:
    return path.relative_to(PLUGINS / "tieout").parts[0]


def tieout_files() -> list[Path]:
    return sorted((PLUGINS / "tieout").rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", tieout_files(), ids=named)
def test_a_module_imports_downwards_only(path: Path) -> None:
    layer = layer_of(path)
    assert layer in ALLOWED, f"say in ALLOWED what the new layer {layer!r} may import"
    ours = {module for module in imports(path, PLUGINS) if module.split(".")[0] == "tieout"}
    assert {module for module in ours if not inside(module, ALLOWED[layer])} == set()


@pytest.mark.parametrize("path", [p for p in tieout_files() if layer_of(p) in WITHOUT_AIRFLOW], ids=named)
def test_the_core_names_no_airflow(path: Path) -> None:
    assert [module for module in imports(path, PLUGINS) if module.split(".")[0] == "airflow"] == []


@pytest.mark.parametrize("path", [*tieout_files(), PLUGINS / "tieout_plugin.py"], ids=named)
def test_production_code_does_not_import_demo_simulator_or_tests(path: Path) -> None:
    beside = {"simulator", "demo", "tests", "readings", "pytest"}
    assert [module for module in imports(path, PLUGINS) if module.split(".")[0] in beside] == []


def modules_loaded_by(modules: list[str], folder: Path) -> set[str]:
    """The top-level packages in sys.modules of a fresh interpreter that imported *modules*."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print('\\n'.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.split())


def dotted(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_whole_core_loads_without_airflow() -> None:
    modules = [dotted(path, PLUGINS) for path in sorted((PLUGINS / "tieout" / "core").rglob("*.py"))]
    assert {"tieout.core.pull", "tieout.core.load", "tieout.core.recon.judge"} < set(modules)
    loaded = modules_loaded_by([*modules, "tieout.migrations", "tieout.settings"], PLUGINS)
    assert "tieout" in loaded
    assert not loaded & {"airflow", "simulator", "Crypto"}


def test_the_check_sees_airflow_where_it_is() -> None:
    assert "airflow" in modules_loaded_by(["tieout.providers.base"], PLUGINS)


def simulator_files() -> list[Path]:
    return sorted((INCLUDE / "simulator").rglob("*.py"))


@pytest.mark.parametrize("path", simulator_files(), ids=named)
def test_the_simulator_imports_nothing_of_ours(path: Path) -> None:
    strange = {"tieout", "tieout_plugin", "airflow", "demo", "Crypto", "readings"}
    assert [module for module in imports(path, INCLUDE) if module.split(".")[0] in strange] == []


def test_the_simulator_loads_with_a_crypto_library_of_its_own() -> None:
    """One mistake must not hide on both sides: tieout signs with pycryptodome, the simulator with cryptography."""
    modules = [dotted(path, INCLUDE) for path in simulator_files() if path.stem != "__main__"]
    loaded = modules_loaded_by(modules, INCLUDE)
    assert "cryptography" in loaded
    assert not loaded & {"tieout", "airflow", "Crypto"}


def dag_files() -> list[Path]:
    return sorted((ROOT / "dags").rglob("*.py"))


@pytest.mark.parametrize("path", dag_files(), ids=named)
def test_a_dag_file_declares_and_does_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.For, ast.Assign)
    assert [type(node).__name__ for node in tree.body if not isinstance(node, kinds)] == []
    assert set(imports(path, PLUGINS)) <= {"__future__", "tieout.dag_factory", "tieout.feeds"}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    # Everything else (the clock, the environment, a database) belongs behind the factory.
    assert called <= {"build_dags", "load_agents", "globals"}


@pytest.mark.parametrize("path", dag_files(), ids=named)
def test_airflow_takes_the_file_for_a_dag_file(path: Path) -> None:
    """Airflow's safe mode reads only files that contain both words."""
    text = path.read_text(encoding="utf-8").lower()
    assert "dag" in text
    assert "airflow" in text


def test_operators_stay_thin_over_the_core() -> None:
    """An operator's execute or poke is a short sequence of calls; what it knows stands in the core."""
    for path in (PLUGINS / "tieout" / "operators").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in ("execute", "poke"):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno <= 45, f"{named(path)}: {node.name}"
