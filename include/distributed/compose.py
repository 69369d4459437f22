"""docker-compose.yaml as Docker Compose reads it: YAML merged, variables replaced, what each service runs.

Only what this project's file uses is understood; anything else is an error, not a guess.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"

#: Everything Compose understands after a dollar sign and the file may use.
REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Z][A-Z0-9_]*)(?:(?P<kind>:\?|:-)(?P<text>[^}]*))?\}|(?P<wrong>))"
)
CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


class Missing(Exception):
    """A required variable is not set; the message is the one the file gives."""


def raw(path: Path = FILE) -> dict[str, Any]:
    """Return the file as YAML (anchors and merges done), variables as they are written."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace the variables in *value* as Compose does.

    Raises Missing for a required one that is unset or empty, ValueError for a dollar sign that is no reference.
    """
    if isinstance(value, dict):
        return {key: interpolate(child, variables) for key, child in value.items()}
    if isinstance(value, list):
        return [interpolate(child, variables) for child in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["wrong"] is not None:
            raise ValueError(f"a dollar sign that is neither ${{NAME}} nor $$: {value[match.start() :][:40]!r}")
        found = variables.get(match["name"]) or ""
        if not found and match["kind"] == ":?":
            raise Missing(f"{match['name']}: {match['text']}")
        return found or (match["text"] if match["kind"] == ":-" else "")

    return REFERENCE.sub(replace, value)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file that a container sees at ``target``.

    ``source``: a path beside the compose file when it begins with a dot, else the name of a volume or a config.
    """

    source: str
    target: str


@dataclass(frozen=True)
class Service:
    """One service of the file, variables replaced."""

    name: str
    definition: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        """Return its command as words; empty when the image's own is meant."""
        command = self.definition.get("command", [])
        return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]

    @property
    def environment(self) -> dict[str, str]:
        """Return its environment. Raises TypeError for a value that is neither text nor a number, as Compose would."""
        given = self.definition.get("environment", {})
        for name, value in given.items():
            if not isinstance(value, (str, int)) or isinstance(value, bool):
                raise TypeError(f"{self.name}: {name} is {value!r}; put it in quotes")
        return {name: str(value) for name, value in given.items()}

    @property
    def mounts(self) -> list[Mount]:
        """Return its volumes, bind mounts and configs."""
        volumes = [str(volume).split(":") for volume in self.definition.get("volumes", [])]
        configs = [(config["source"], config["target"]) for config in self.definition.get("configs", [])]
        return [Mount(source=one[0], target=one[1]) for one in (*volumes, *configs)]

    @property
    def health_check(self) -> list[str]:
        """Return the command that tells whether it is well; empty when there is none. Raises ValueError."""
        test = self.definition.get("healthcheck", {}).get("test", [])
        if not test:
            return []
        kind, *words = test
        if kind not in ("CMD", "CMD-SHELL"):
            raise ValueError(f"{self.name}: a health check of the kind {kind!r}")
        return ["sh", "-c", *words] if kind == "CMD-SHELL" else words

    @property
    def needs(self) -> dict[str, str]:
        """Return the services it waits for, with what has to be true of them. Raises ValueError."""
        found = {name: str(how["condition"]) for name, how in self.definition.get("depends_on", {}).items()}
        for name, condition in found.items():
            if condition not in CONDITIONS:
                raise ValueError(f"{self.name} waits for {name} to be {condition!r}")
        return found


@dataclass(frozen=True)
class Compose:
    """The file with *variables* in place. Raises Missing when a required one is not among them."""

    document: Mapping[str, Any]

    @classmethod
    def read(cls, variables: Mapping[str, str], path: Path = FILE) -> Compose:
        """Read the file."""
        return cls(interpolate(raw(path), variables))

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services by name, those of profiles included."""
        return {name: Service(name, definition) for name, definition in self.document["services"].items()}

    @property
    def configs(self) -> dict[str, str]:
        """The contents of inline configs by name."""
        return {name: str(config["content"]) for name, config in self.document.get("configs", {}).items()}
