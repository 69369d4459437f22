"""Row identities: figures of one row that must agree with each other, and commission against the agreed rate.

A broken identity is a warning about the provider's row (recon.integrity_breaks), no break of a rebate. Which game
types are exempt, and which commission is agreed, is configuration of the agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tieout.core.recon.daily import statement

#: The identities of each provider's rows.
IDENTITIES = {
    "lucko": ("real_win", "bet_detail", "turnover_sign"),
    "hotroad": ("bet_amount", "win_amount", "commission", "turnover_sign"),
    "jdb": ("net_win", "turnover_sign"),
    "vertexplay": ("turnover_sign",),
}
#: In the place of a game type: all of them.
ALL = "*"
COMMISSION_OF = ("valid_bet", "bet_amount")


@dataclass(frozen=True, kw_only=True)
class Commission:
    """An agreed commission: ``rate`` in percent ``of`` a figure of the row, off by at most ``tolerance``."""

    rate: Decimal
    of: str = "valid_bet"
    tolerance: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.of not in COMMISSION_OF:
            raise ValueError(f"of must be one of {', '.join(COMMISSION_OF)}, not {self.of!r}")
        for name in ("rate", "tolerance"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise ValueError(f"{name} must be a finite number of at least 0, not {value}")


@dataclass(frozen=True, kw_only=True)
class IntegritySettings:
    """``switched_off``: identity → the game types it does not hold for (``*``: all).

    ``commission``: game type (or ``default``) → what is agreed; without an entry it is not checked.
    """

    switched_off: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    commission: Mapping[str, Commission] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as the SQL reads them: amounts as text."""
        return {
            "switched_off": {name: sorted(kinds) for name, kinds in sorted(self.switched_off.items())},
            "commission": {
                kind: {"rate": str(agreed.rate), "of": agreed.of, "tolerance": str(agreed.tolerance)}
                for kind, agreed in sorted(self.commission.items())
            },
        }


def check_rows(
    connection: psycopg.Connection,
    *,
    provider: str,
    agent: str,
    loads: Sequence[int],
    timezone: str,
    settings: IntegritySettings,
) -> int:
    """Check the rows that *loads* changed and those whose break stands; return how many breaks stand now.

    Writes recon.integrity_breaks; the caller commits. *timezone* decides the day a break is listed under.
    """
    parameters = {
        "provider": provider,
        "agent": agent,
        "loads": list(loads),
        "timezone": timezone,
        "settings": Jsonb(settings.as_json()),
    }
    connection.execute(statement("identities/tables.sql"))
    connection.execute(statement(f"identities/{provider}.sql"), parameters)
    connection.execute(statement("identities/standing.sql"), parameters)
    connection.execute(statement("identities/heal.sql"), parameters)
    row = connection.execute("SELECT count(*) FROM integrity_found").fetchone()
    connection.execute("DROP TABLE integrity_found")
    assert row is not None
    return int(row[0])
