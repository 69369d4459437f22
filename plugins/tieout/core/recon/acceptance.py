"""Accepting a break: a person says that it may stand, until when, and why.

An acceptance is bound to the money and the evidence it was given for (the break's fingerprint). When either changes,
or when it expires, the next run of the judge reopens the break. The statement of its day shows an acceptance after the
next run that writes statements of the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from tieout.core.errors import ConfigError
from tieout.core.recon.judge import lock_name
from tieout.core.recon.statement_due import note_statements


@dataclass(frozen=True, kw_only=True)
class BreakKey:
    """What names a break for its whole life: agent, rebate and reason (``turnover``, ``missing_bet`` …)."""

    agent: str
    rebate_id: str
    reason: str

    def __str__(self) -> str:
        return f"break {self.reason} of rebate {self.rebate_id} of agent {self.agent}"


def accept_break(
    connection: psycopg.Connection, key: BreakKey, *, by: str, reason: str, expires_at: datetime | None = None,
    fingerprint: str | None = None,
) -> int:  # fmt: skip
    """Accept an open or reopened break, in a transaction of its own, after a run that is under way; returns its id.

    *by* is who accepts, *reason* why; *expires_at* an aware instant to come, None for no end; *fingerprint* that of
    the break as the person saw it. An accepted break may be accepted anew, for another reason or end. Raises
    ConfigError when there is nothing to accept: no such break, healed, or changed since it was seen.
    """
    by, reason = by.strip(), reason.strip()
    if not by or not reason:
        raise ConfigError(f"{key} cannot be accepted without saying who accepts it and why.")
    if expires_at is not None and expires_at.tzinfo is None:
        raise ConfigError(f"{key} cannot be accepted until {expires_at}: that instant has no timezone.")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock_name(key.agent),))
        _check(connection, key, expires_at, fingerprint)
        row = connection.execute(
            """WITH accepted AS (
                   UPDATE recon.breaks SET state = 'accepted', accepted_by = %(by)s, accepted_reason = %(reason)s,
                       accepted_at = clock_timestamp(), accepted_until = %(expires_at)s,
                       accepted_fingerprint = fingerprint, changed_at = clock_timestamp()
                   WHERE agent = %(agent)s AND rebate_id = %(rebate_id)s AND reason = %(break_reason)s
                   RETURNING break_id, day, state, amount, fingerprint, accepted_at),
               noted AS (
                   INSERT INTO recon.break_events (break_id, state, amount, fingerprint, cause, actor, expires_at,
                       happened_at)
                   SELECT break_id, state, amount, fingerprint, %(reason)s, %(by)s, %(expires_at)s, accepted_at
                   FROM accepted)
               SELECT break_id, day FROM accepted""",
            {
                "agent": key.agent, "rebate_id": key.rebate_id, "break_reason": key.reason, "by": by,
                "reason": reason, "expires_at": expires_at,
            },
        ).fetchone()  # fmt: skip
        assert row is not None
        note_statements(connection, provider="lucko", agent=key.agent, days=[row[1]])
    return int(row[0])


def _check(
    connection: psycopg.Connection, key: BreakKey, expires_at: datetime | None, fingerprint: str | None
) -> None:  # fmt: skip
    row = connection.execute(
        """SELECT state, fingerprint, sentence, coalesce(%s <= clock_timestamp(), FALSE) FROM recon.breaks
           WHERE agent = %s AND rebate_id = %s AND reason = %s FOR UPDATE""",
        (expires_at, key.agent, key.rebate_id, key.reason),
    ).fetchone()
    if row is None:
        raise ConfigError(f"there is no {key}.", advice="Look it up in recon.breaks.")
    state, found, sentence, is_over = row
    if state == "healed":
        raise ConfigError(f"{key} has healed: there is nothing to accept.")
    if fingerprint is not None and fingerprint != found:
        raise ConfigError(
            f"{key} has changed since it was shown. It says now: {sentence}", advice="Look at it again, then decide."
        )
    if is_over:
        raise ConfigError(f"{key} cannot be accepted until {expires_at}: that instant has passed.")
