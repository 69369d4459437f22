"""Shards: several DAG files that each declare a part of the agents, so that none takes too long to parse."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tieout.core.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Part *number* of *count*, counted from 1. An agent's name alone decides to which it belongs.

    So all feeds of an agent stand in one file, and neither other agents nor their order move it. Raises ConfigError
    unless 1 ≤ number ≤ count.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"shard {self.number}/{self.count} does not exist.",
                advice="Shards of n files are called 1/n to n/n.",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``number/count``. Raises ConfigError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None:
            raise ConfigError(f"shard={text!r} is no shard.", advice='Write it as "2/4": the second of four files.')
        return cls(int(found[1]), int(found[2]))

    @property
    def is_first(self) -> bool:
        """Whether what exists once, whatever the number of shards, belongs here."""
        return self.number == 1

    def holds(self, agent: str) -> bool:
        """Whether the agents of this name, with whichever provider, belong here."""
        digest = hashlib.sha256(agent.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1
