"""Settings from the environment: where feeds.yaml lies, where answers land, which connection is the warehouse."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from tieout.core.errors import ConfigError

WAREHOUSE_CONN_ID = "tieout_warehouse"
PULL_POOL = "tieout_pull"

_ROOT = Path(__file__).resolve().parents[2]


def feeds_file() -> Path:
    """Return the feeds file: ``TIEOUT_FEEDS``, or ``include/feeds.yaml`` beside ``plugins``."""
    return Path(os.environ.get("TIEOUT_FEEDS") or _ROOT / "include" / "feeds.yaml")


def landing_base() -> str:
    """Return the landing base (any ObjectStoragePath URL): ``TIEOUT_LANDING``, or ``landing`` beside ``plugins``.

    Raises ConfigError when it carries a password: the base stands in XCom, in the ledger and in rendered templates.
    """
    base = os.environ.get("TIEOUT_LANDING") or f"file://{_ROOT / 'landing'}"
    if ":" in base.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise ConfigError(
            "TIEOUT_LANDING carries a password, which would be shown wherever the path of an answer is.",
            advice="Put it into an Airflow connection and name that one before the @: s3://<conn_id>@<bucket>/<folder>.",
        )
    return base


def coverage_poke_seconds() -> float:
    """Return how often a reconciliation looks whether its slices are there: ``TIEOUT_COVERAGE_POKE_SECONDS``, or 60.

    Raises ConfigError unless it is a number of at least one second.
    """
    return _seconds("TIEOUT_COVERAGE_POKE_SECONDS", default=60, least=1, most=3600)


def after_loads_pause() -> timedelta:
    """Return how long work that loads start waits for further loads: ``TIEOUT_AFTER_LOADS_SECONDS``, or five minutes.

    Raises ConfigError unless it is a number of seconds of at most a day.
    """
    return timedelta(seconds=_seconds("TIEOUT_AFTER_LOADS_SECONDS", default=300, least=0, most=86_400))


def repair_settle() -> timedelta:
    """Return for how long repairs leave a slice to its ordinary run: ``TIEOUT_REPAIR_SETTLE_SECONDS``, or an hour.

    Raises ConfigError unless it is a number of seconds of at most a day.
    """
    return timedelta(seconds=_seconds("TIEOUT_REPAIR_SETTLE_SECONDS", default=3600, least=0, most=86_400))


def _seconds(name: str, *, default: float, least: float, most: float) -> float:
    text = os.environ.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= most:
        raise ConfigError(f"{name}={text!r} is no number of seconds from {least:g} to {most:g}.")
    return seconds


def check_landing_is_shared(executors: str) -> None:
    """Refuse a local landing base with an executor whose tasks run on other machines.

    *executors*: Airflow's ``core.executor``, one or several separated by commas. Raises ConfigError unless
    ``TIEOUT_LANDING_SHARED=1`` says that the folder is mounted on all machines.
    """
    base = landing_base()
    is_local = "://" not in base or base.startswith("file://")
    remote = [name for name in executors.split(",") if "LocalExecutor" not in name]
    if not is_local or not remote or os.environ.get("TIEOUT_LANDING_SHARED") == "1":
        return
    raise ConfigError(
        f"the landing base {base} is a local folder, but {', '.join(remote)} runs tasks on other machines: "
        "a load would not find what a pull has landed.",
        advice="Set TIEOUT_LANDING to an object store, or TIEOUT_LANDING_SHARED=1 if every worker mounts the folder.",
    )
