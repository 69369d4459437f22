"""What a switched fault is told: which kinds, how often, which calls, and how hard."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.checks import check_types, require

MANY = ("any", "any_answer")
"""Names that stand for several kinds: all of them; those that leave the world as it is."""

METADATA = "http://169.254.169.254/"
"""Where clouds keep the credentials of a machine: no client may follow a redirect there."""


@dataclass(frozen=True, kw_only=True)
class FaultSpec:
    """One switched fault: which kinds, how often (`next` N matching calls or a `probability`), which calls match.

    `name` is a kind, a list of kinds, `any` or `any_answer`; of several, each call met draws one. `variant` is one of
    a kind's variants or `any`; without it a kind that is named alone takes its first, one of several draws. Draws
    repeat for equal `seed`s (by default that of the simulator, and apart for each fault).
    `share`: of the rows concerned, at least one. `seconds`: how long (hang, Retry-After). `skew_seconds`: how far a
    clock is ahead (negative: behind). `location`: where a redirect leads. `size`: decoded bytes of an oversize body.
    """

    name: str | tuple[str, ...]
    next: int | None = None
    probability: float | None = None
    provider: str | None = None
    endpoint: str | None = None
    agent: str | None = None
    variant: str | None = None
    share: float = 0.05
    seconds: float = 5.0
    skew_seconds: float = 3600.0
    location: str = METADATA
    size: int = 1 << 30
    seed: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.next is None and self.probability is None:
            object.__setattr__(self, "next", 1)
        require(bool(self.names), "name", "must name at least one kind")
        require(self.next is None or self.probability is None, "next", "give next or probability, not both")
        require(self.next is None or self.next >= 1, "next", "must be at least 1")
        require(self.probability is None or 0 < self.probability <= 1, "probability", "must be in (0, 1]")
        require(0 < self.share <= 1, "share", "must be in (0, 1]")
        require(0 <= self.seconds <= 120, "seconds", "must be between 0 and 120")
        require(abs(self.skew_seconds) <= 86_400_000, "skew_seconds", "must be at most 1000 days")
        require(1 <= self.size <= 1 << 36, "size", "must be between 1 byte and 64 GiB")
        require(self.location.isprintable() and self.location.isascii(), "location", "must be printable ASCII")

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds named, in order."""
        return self.name if isinstance(self.name, tuple) else (self.name,)

    @property
    def several(self) -> bool:
        """True when each call met draws its kind."""
        return len(self.names) > 1 or self.names[0] in MANY
