"""Requirements, lock files, packaging metadata and the image's ingredients agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
#: The packages the project is built on.
GIVEN = {"apache-airflow", "apache-airflow-providers-postgres", "requests", "pycryptodome", "sqlalchemy"}


def lines(name: str) -> list[str]:
    """A requirements file's lines, continuations joined, comments left out."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def requirements(name: str) -> list[Requirement]:
    return [Requirement(line.split(" --hash")[0]) for line in lines(name) if not line.startswith("-r")]


def pins(name: str) -> dict[str, set[str]]:
    """Package → its pinned versions (several only for different markers)."""
    found: dict[str, set[str]] = {}
    for requirement in requirements(name):
        found.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return found


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_direct_dependency_is_pinned(name: str) -> None:
    for requirement in requirements(name):
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(requirement.specifier)), str(requirement)
        assert requirement.url is None


def test_the_given_packages_are_direct_dependencies() -> None:
    assert set(pins("requirements.txt")) >= GIVEN


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_lock_holds_each_direct_dependency_at_that_version(name: str) -> None:
    locked = pins("requirements.lock")
    for package, direct in pins(name).items():
        assert locked[package] == direct, package


def test_the_development_list_builds_on_the_production_list() -> None:
    assert "-r requirements.txt" in lines("requirements-dev.txt")
    assert not set(pins("requirements-dev.txt")) & set(pins("requirements.txt"))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-celery.txt"])
def test_every_locked_package_is_pinned_with_hashes(name: str) -> None:
    for line in lines(name):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}\b", line), line[:80]
    for package, versions in pins(name).items():
        assert all(re.fullmatch(r"==\S+", one) for one in versions), package


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements.lock", "requirements-celery.txt"]
)
def test_no_requirement_names_a_host(name: str) -> None:
    """Where packages come from is the machine's business; a lock with an address would work on one machine only."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(--index-url|--extra-index-url|--find-links|--trusted-host|-i|-f)\b", text, re.MULTILINE)


def test_what_celery_adds_is_apart_from_the_lock() -> None:
    celery, locked = pins("requirements-celery.txt"), pins("requirements.lock")
    assert {"apache-airflow-providers-celery", "celery", "redis"} <= set(celery)
    assert not set(celery) & set(locked), "a package has to have one version only"


def test_the_tests_run_with_the_locked_packages() -> None:
    """The environment that runs the tests is the lock; what it has installed must be what the lock says."""
    for package in ("apache-airflow", "sqlalchemy", "psycopg", "msgspec"):
        assert pins("requirements.lock")[package] == {f"=={version(package)}"}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_the_package_declares_the_provider_and_takes_its_dependencies_from_the_list() -> None:
    loaded = project()
    assert loaded["project"]["entry-points"]["apache_airflow_provider"] == {
        "provider_info": "tieout.provider_info:get_provider_info"
    }
    assert loaded["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}


def test_every_kind_of_file_the_package_reads_is_packaged() -> None:
    patterns = project()["tool"]["setuptools"]["package-data"]["*"]
    for path in (ROOT / "plugins" / "tieout").rglob("*"):
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
            assert any(fnmatch(path.name, pattern) for pattern in patterns), path


def test_pre_commit_is_valid_and_runs_what_lint_runs() -> None:
    loaded = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["id"]: hook for repository in loaded["repos"] for hook in repository["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in hooks.values():
        assert {"id", "name", "entry", "language"} <= set(hook)
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/"), "hooks and CI run the locked tools"
        assert f"$(BIN)/{Path(program).name} " in makefile
        assert canonicalize_name(Path(program).name) in pins("requirements-dev.txt")
    assert set(hooks) == {"ruff-check", "ruff-format", "mypy", "sqlfluff"}


# -- the image ------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def test_the_image_is_airflows_own_at_the_locked_version() -> None:
    (default,) = [value for word, value in instructions() if word == "ARG"]
    (airflow,) = pins("requirements.txt")["apache-airflow"]
    assert default == f"AIRFLOW_IMAGE=apache/airflow:{airflow.removeprefix('==')}-python3.11"
    assert [value for word, value in instructions() if word == "FROM"] == ["${AIRFLOW_IMAGE}"]


def test_the_image_installs_locked_versions_with_hashes() -> None:
    runs = [value for word, value in instructions() if word == "RUN"]
    assert "--require-hashes" in runs[0]
    for option in (
        "--requirement requirements.txt", "--requirement requirements-celery.txt", "--constraint requirements.lock",
    ):  # fmt: skip
        assert option in runs[0]
    assert "--no-deps --editable ." in runs[1]


def test_the_image_ends_as_an_ordinary_user_and_holds_no_secret() -> None:
    assert [value for word, value in instructions() if word == "USER"] == ["airflow"]
    for word, value in instructions():
        assert word in {"ARG", "FROM", "ENV", "COPY", "RUN", "USER"}
        if word in ("ARG", "ENV"):
            assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", value, re.IGNORECASE)


def let_through() -> set[str]:
    """The top-level names the build sees."""
    rules = [line for line in lines(".dockerignore")]
    assert rules[0] == "*", "everything is left out first"
    return {rule.removeprefix("!") for rule in rules if rule.startswith("!")}


def test_the_build_sees_what_it_copies_and_nothing_that_does_not_run() -> None:
    copied = {
        word for instruction, value in instructions() if instruction == "COPY" for word in value.split()
        if not word.startswith(("-", "/")) and word != "."
    }  # fmt: skip
    assert copied <= let_through()
    assert {"dags", "plugins", "include", "pyproject.toml"} <= let_through()
    assert not {".env", ".git", ".venv", "tests", "docs", "requirements-dev.txt"} & let_through()
    rules = lines(".dockerignore")
    assert rules.index("**/.env*") > max(rules.index(f"!{name}") for name in let_through())


def test_what_the_image_needs_exists() -> None:
    # README.md only describes the package.
    for name in let_through() - {"README.md"}:
        assert (ROOT / name).exists(), name


def test_secrets_stay_out_of_version_control() -> None:
    ignored = lines(".gitignore")
    assert ".env" in ignored
    assert [name for name in tracked() if Path(name).name.startswith(".env") and name != ".env.example"] == []
