"""A process of its own that takes slots of a quota row, for the tests of the quota.

Writes a line when it is ready, waits for a line, and writes the instant of every slot it was granted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime, timedelta

from tieout.core.clock import SystemClock
from tieout.core.quota import PostgresQuota, Priority, QuotaKey


class StoppedQuota(PostgresQuota):
    """Has the process stopped (SIGSTOP) once, with a slot in its hand."""

    stopped = False

    def _begins(self, slot: datetime) -> float:
        begins = super()._begins(slot)
        if not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return begins


def main(url: str, merchant: str, interval: str, calls: str, priority: str, kind: str) -> None:
    """Take *calls* slots of the row of a merchant."""
    key = QuotaKey(provider="lucko", endpoint="/bets", merchant_id=merchant)
    with (StoppedQuota if kind == "stopped" else PostgresQuota)(url, SystemClock()) as quota:
        say("ready")
        sys.stdin.readline()
        for _ in range(int(calls)):
            say(quota.acquire(key, timedelta(seconds=float(interval)), priority=Priority[priority]).timestamp())


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
