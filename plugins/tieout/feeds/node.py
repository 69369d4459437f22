"""YAML nodes that remember where they stand, so that every error can say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import yaml

from tieout.core.errors import ConfigError
from tieout.core.slices import parse_instant

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True)
class Node:
    """A node of the feeds file: ``key`` is its path in it. All methods raise ConfigError with file, line and key."""

    file: str
    node: yaml.Node
    key: str = ""

    def fail(self, message: str) -> NoReturn:
        where = f"{self.file}, line {self.node.start_mark.line + 1}"
        raise ConfigError(f"{where}, key {self.key!r}: {message}" if self.key else f"{where}: {message}")

    def mapping(self, allowed: set[str]) -> dict[str, Node]:
        if not isinstance(self.node, yaml.MappingNode):
            self.fail("a mapping of keys and values is expected here.")
        found: dict[str, Node] = {}
        for key_node, value_node in self.node.value:
            name = str(key_node.value)
            child = Node(self.file, value_node, f"{self.key}.{name}" if self.key else name)
            if name in found:
                child.fail("this key stands here twice.")
            if allowed and name not in allowed:
                child.fail(f"unknown key; allowed are {', '.join(sorted(allowed))}.")
            found[name] = child
        return found

    def items(self) -> Iterator[Node]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("a list is expected here.")
        for position, child in enumerate(self.node.value):
            yield Node(self.file, child, f"{self.key}[{position}]")

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value:
            self.fail("a value is expected here.")
        return str(self.node.value)

    def one_of(self, allowed: tuple[str, ...]) -> str:
        value = self.text()
        if value not in allowed:
            self.fail(f"{value!r} is not one of {', '.join(allowed)}.")
        return value

    def duration(self) -> timedelta:
        value = self.text()
        match = _DURATION.fullmatch(value)
        if not match or not any(match.groups()):
            self.fail(f"{value!r} is no duration; write for example 90s, 10min, 1h, 2d or 1h30m.")
        days, hours, minutes, seconds = match.groups()
        try:
            return timedelta(
                days=int(days or 0),
                hours=int(hours or 0),
                minutes=int(minutes or 0),
                milliseconds=int(Decimal(seconds or 0) * 1000),
            )
        except OverflowError:
            self.fail(f"{value!r} is longer than any duration can be.")

    def instant(self) -> datetime:
        value = self.text()
        try:
            return parse_instant(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date or instant; write 2026-01-31 or 2026-01-31T12:00:00Z.")

    def amount(self) -> Decimal:
        value = self.text()
        try:
            amount = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount.")
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is no finite amount of at least 0.")
        return amount

    def plain(self) -> Any:
        """Return the node as plain values, as YAML reads them."""
        return yaml.safe_load(yaml.serialize(self.node, Dumper=yaml.SafeDumper))

    def whole(self) -> int:
        value = self.text()
        if not value.isdecimal():
            self.fail(f"{value!r} is no whole number.")
        return int(value)
