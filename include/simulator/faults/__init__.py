"""The registry of faults: what may go wrong between a right request and its right answer.

A further fault is one coroutine and one entry in a family's KINDS. A fault is switched by a FaultSpec (which calls,
how often), meets only calls the quota let through, and counts each time it took effect.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from simulator.checks import require
from simulator.fault_spec import MANY, FaultSpec
from simulator.faults import changes, identity, rows, transport
from simulator.faults.base import Call, Context, FaultKind
from simulator.ledger import Key
from simulator.wire.base import Answer
from simulator.world.chance import dice

KINDS: dict[str, FaultKind] = {
    kind.name: kind for family in (transport, identity, rows, changes) for kind in family.KINDS
}


def kinds_of(spec: FaultSpec) -> tuple[FaultKind, ...]:
    """The kinds a spec names; raises ConfigError for one that does not exist."""
    named: dict[str, FaultKind] = {}
    for name in spec.names:
        known = (*KINDS, *MANY)
        require(name in known, "name", f"unknown fault {name!r}; known are {', '.join(known)}")
        for kind in KINDS.values():
            if name in (kind.name, "any") or (name == "any_answer" and not kind.changes_world):
                named[kind.name] = kind
    variants = {variant for kind in named.values() for variant in kind.variants}
    fits = spec.variant is None or spec.variant == "any" or spec.variant in variants
    require(fits, "variant", f"unknown variant {spec.variant!r}; known are {', '.join(sorted(variants - {''}))}")
    return tuple(named.values())


@dataclass(kw_only=True)
class ActiveFault:
    """A switched fault: `left` calls to come (None: by probability), and how often each kind took effect.

    Draws are apart for each (provider, endpoint, agent), so that they repeat however agents' calls interleave.
    """

    id: int
    spec: FaultSpec
    kinds: tuple[FaultKind, ...]
    seed: int
    left: int | None
    counts: Counter[str] = field(default_factory=Counter)
    dice: dict[Key, Random] = field(default_factory=dict)

    def random(self, key: Key) -> Random:
        """The generator of one (provider, endpoint, agent)."""
        if key not in self.dice:
            own = () if self.spec.seed is not None else (self.id,)
            self.dice[key] = dice(self.seed, "fault", *own, *key)
        return self.dice[key]

    def fitting(self, key: Key) -> list[FaultKind]:
        """The kinds that can meet the call."""
        wanted = zip((self.spec.provider, self.spec.endpoint, self.spec.agent), key, strict=True)
        if any(want is not None and want != got for want, got in wanted):
            return []
        return [kind for kind in self.kinds if not kind.only or key[:2] in kind.only]

    def meets(self, key: Key) -> list[FaultKind]:
        """The kinds to try on the call, in a drawn order; none when this fault leaves it alone."""
        fitting = self.fitting(key)
        if not fitting:
            return []
        if self.left is not None:
            if self.left == 0:
                return []
        elif self.random(key).random() >= (self.spec.probability or 0):
            return []
        return self.random(key).sample(fitting, len(fitting))


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A fault that meets a call, and the kinds to try in order until one takes effect."""

    fault: ActiveFault
    kinds: list[FaultKind]
    random: Random


class Faults:
    """The faults now switched on, in the order they were added; at most one meets a call."""

    def __init__(self, *, seed: int, specs: tuple[FaultSpec, ...] = ()) -> None:
        self._seed = seed
        self._count = 0
        self._active: list[ActiveFault] = []
        self._fired: Counter[str] = Counter()
        for spec in specs:
            self.add(spec)

    def add(self, spec: FaultSpec) -> ActiveFault:
        """Switch a fault on; raises ConfigError for an unknown kind or variant."""
        kinds = kinds_of(spec)
        self._count += 1
        seed = self._seed if spec.seed is None else spec.seed
        active = ActiveFault(id=self._count, spec=spec, kinds=kinds, seed=seed, left=spec.next)
        self._active.append(active)
        return active

    def clear(self, *, fault_id: int | None = None) -> int:
        """Switch one fault or all off and say how many that were."""
        before = len(self._active)
        self._active = [one for one in self._active if fault_id is not None and one.id != fault_id]
        return before - len(self._active)

    def draw(self, key: Key) -> Hit | None:
        """The fault that meets this call; its turn is taken at once, as calls may overlap."""
        for active in self._active:
            kinds = active.meets(key)
            if kinds:
                if active.left is not None:
                    active.left -= 1
                # Of its own, as calls that overlap would otherwise take each other's draws.
                return Hit(fault=active, kinds=kinds, random=Random(active.random(key).getrandbits(64)))
        return None

    async def run(self, hit: Hit, call: Call) -> Answer:
        """Let the fault meet the call; a fault without effect keeps its turn."""
        spec = hit.fault.spec
        for kind in hit.kinds:
            variant = kind.variant(spec, hit.random)
            answer = await kind.run(Context(call=call, spec=spec, variant=variant, random=hit.random))
            if answer is not None:
                hit.fault.counts[kind.name] += 1
                self._fired[kind.name] += 1
                return answer
        if hit.fault.left is not None:
            hit.fault.left += 1
        return await call.proceed()

    def report(self) -> dict[str, Any]:
        """The kinds there are; the faults switched on; how often faults took effect since the start."""
        active = [
            {
                "id": one.id,
                "left": one.left,
                "fired": one.counts.total(),
                "by_kind": dict(one.counts),
                **asdict(one.spec),
            }
            for one in self._active
        ]
        return {
            "kinds": {kind.name: kind.doc for kind in KINDS.values()},
            "variants": {kind.name: kind.variants for kind in KINDS.values() if len(kind.variants) > 1},
            "active": active,
            "fired": {"total": self._fired.total(), "by_kind": dict(self._fired)},
        }
