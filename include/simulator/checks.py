"""How settings are checked: by key, before anything listens."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class ConfigError(ValueError):
    """A setting is wrong; the message names its key, and the file where there is one."""


def require(condition: bool, key: str, problem: str) -> None:
    """Raise ConfigError for `key` unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{key}: {problem}")


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "str": (str,),
    "str | None": (str, type(None)),
    "bool": (bool,),
    "tuple[str, ...]": (tuple,),
    "str | tuple[str, ...]": (str, tuple),
}


def check_types(built: Any) -> None:
    """Check a dataclass's fields against their annotations; raises ConfigError.

    YAML gives whatever was written; it is refused here by key instead of deep in a generator.
    """
    for item in fields(built):
        allowed = _TYPES.get(str(item.type))
        value = getattr(built, item.name)
        if allowed is None:
            continue
        wrong_bool = isinstance(value, bool) and bool not in allowed
        require(isinstance(value, allowed) and not wrong_bool, item.name, f"must be {item.type}, not {value!r}")
        if isinstance(value, tuple):
            require(all(isinstance(one, str) for one in value), item.name, "must be a list of texts")
