"""What a loaded reading proves: a certificate for each of its slices, or the reason why there is none.

Certified: every window answered, the provider's control total (where there is one) did not move and equals the
distinct keys received, no row was rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

from tieout.core.landing import Manifest
from tieout.core.ledger import Certificate
from tieout.core.rejects import RejectLog
from tieout.core.slices import Slice

NO_ACTIVITY = "no_activity"
NO_CONTROL_TOTAL = "no_control_total"
#: The control total that agrees is that of a window which holds other slices, too.
JOINED_TOTAL = "joined_control_total"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What came: (rows, distinct keys) by window and, of a joined reading, by slice (numbers from 0); rejects aside."""

    by_window: dict[int, tuple[int, int]]
    by_slice: dict[int, tuple[int, int]]
    keys: int

    @property
    def rows(self) -> int:
        """All rows that could be decoded."""
        return sum(rows for rows, _ in self.by_window.values())


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Judges one reading. Everything it looks at is in the manifest, the counts and the rejects."""

    manifest: Manifest
    counts: Counts
    rejects: RejectLog

    def certificates(self, changes: dict[int, tuple[int, int]], retired: int) -> list[Certificate]:
        """Return a certificate per slice; *changes*: slice → (inserted, updated). Retired rows count with the first."""
        slices = self.manifest.certified_slices
        found = []
        for number, slice_ in enumerate(slices):
            windows = self.manifest.windows_meeting(slice_)
            rows, keys = (self.manifest.rows, self.counts.keys) if len(slices) == 1 else self._counted(number)
            state, reason = self._judge(slice_, windows, rows)
            inserted, updated = changes.get(number, (0, 0))
            found.append(
                Certificate(
                    reading_id=self.manifest.reading_id,
                    slice_start=slice_.start,
                    slice_end=slice_.end,
                    state=state,
                    reason=reason,
                    rows=rows,
                    distinct_keys=keys,
                    inserted=inserted,
                    updated=updated,
                    unchanged=max(keys - inserted - updated, 0),
                    retired=retired if number == 0 else 0,
                    rejected=self.rejects.of_windows(windows),
                )
            )
        return found

    def _counted(self, number: int) -> tuple[int, int]:
        return self.counts.by_slice.get(number, (0, 0))

    def _judge(self, slice_: Slice, windows: list[int], rows: int) -> tuple[str, str | None]:
        manifest = self.manifest
        entries = [manifest.windows[window] for window in windows]
        moved = any(not window.settled for window in manifest.windows)
        if manifest.problem and (not moved or any(not entry.settled for entry in entries)):
            return "suspect", manifest.problem
        rejected = self.rejects.of_windows(windows)
        if rejected:
            return "suspect", f"{rejected} row(s) broke the contract, see ops.rejects"
        totals = [entry.total_last for entry in entries]
        if any(total is not None for total in totals) and None in totals:
            return "suspect", "the provider reported a control total for some windows of the slice only"
        keys = {window: self.counts.by_window.get(window, (0, 0))[1] for window in windows}
        wrong = [n for n, total in zip(windows, totals, strict=True) if total is not None and total != keys[n]]
        if wrong:
            reported = sum(manifest.windows[n].total_last or 0 for n in wrong)
            return "suspect", f"the provider reported {reported} rows, {sum(keys[n] for n in wrong)} distinct keys came"
        return "certified", self._remark(slice_, rows, has_total=bool(totals) and None not in totals)

    def _remark(self, slice_: Slice, rows: int, *, has_total: bool) -> str | None:
        if rows == 0:
            return NO_ACTIVITY
        if not has_total:
            return NO_CONTROL_TOTAL
        return None if self.manifest.reported("total_last", slice_) is not None else JOINED_TOTAL
