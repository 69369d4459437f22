"""Load one reading: manifest → typed rows → COPY → one merge, in one transaction with its certificate.

Never calls the provider; a slice can be loaded again long after the provider has forgotten it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL

from tieout.core import landing
from tieout.core.contract import RowRejected
from tieout.core.errors import FatalError, IdentityChanged, SuspectReading
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.landing import Manifest, PathLike
from tieout.core.ledger import Certificate, record_landed
from tieout.core.merge import MergeSql
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

MAX_RAW_TEXT = 100_000


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A row that broke its contract."""

    page: str
    row_number: int
    natural_key: str | None
    reason: str
    detail: str
    raw: str


def load_reading(url: str | URL, feed: FeedSpec, manifest_path: PathLike, folder: PathLike) -> Certificate:
    """Load the reading whose manifest stands at *manifest_path* (answers beside it, in *folder*).

    Returns its certificate. Raises SuspectReading after committing a reading that cannot be certified,
    FatalError for damaged landing files, IdentityChanged, Unreachable when the warehouse is lost.
    Loading the same reading twice changes nothing the second time.
    """
    manifest = landing.read_manifest(manifest_path)
    with connect(url) as connection:
        certificate = ReadingLoader(connection, feed, manifest, manifest_path, folder).run()
    if certificate.state == "suspect":
        raise SuspectReading(
            f"the reading {manifest.reading_id} is suspect: {certificate.reason}.",
            advice="Reload it with a repair, or see ops.rejects for rows that broke their contract.",
        )
    return certificate


class ReadingLoader:
    """One load inside one open transaction."""

    def __init__(
        self,
        connection: psycopg.Connection,
        feed: FeedSpec,
        manifest: Manifest,
        manifest_path: PathLike,
        folder: PathLike,
    ) -> None:
        self.connection = connection
        self.feed = feed
        self.manifest = manifest
        self.manifest_path = manifest_path
        self.folder = folder
        self.options = FeedOptions.from_json(manifest.options)
        self.merge_sql = MergeSql(feed)
        self.rejects: list[Reject] = []

    def run(self) -> Certificate:
        """Load and certify; the caller commits."""
        manifest = self.manifest
        self._lock()
        self._check_identity()
        record_landed(self.connection, manifest, str(self.manifest_path))
        load_id = self._new_load()
        parameters = {
            "agent": manifest.agent,
            "reading_id": manifest.reading_id,
            "load_id": load_id,
            "newer": self._newer_readings(),
        }
        self.connection.execute(self.merge_sql.create_incoming())
        self._copy()
        keys = self._one(self.merge_sql.count_keys(), parameters)[0]
        collisions = self._one(self.merge_sql.count_collisions(), parameters)[0]
        inserted, updated, retired = self._merge(parameters, keys)
        self._write_rejects()
        self.connection.execute(
            "UPDATE ops.loads SET inserted = %s, updated = %s, retired = %s WHERE load_id = %s",
            (inserted, updated, retired, load_id),
        )
        state, reason = self._judge(keys, collisions)
        certificate = Certificate(
            reading_id=manifest.reading_id,
            state=state,
            reason=reason,
            rows=manifest.rows,
            distinct_keys=keys,
            inserted=inserted,
            updated=updated,
            unchanged=keys - inserted - updated,
            retired=retired,
            rejected=len(self.rejects),
        )
        certificate.write(self.connection)
        log.info("loaded %s: %s", manifest.reading_id, certificate)
        return certificate

    def _lock(self) -> None:
        """One load of an agent's feed at a time: what another reading covered must be visible to this one."""
        name = f"tieout:{self.feed.id}:{self.manifest.agent}"
        self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))

    def _check_identity(self) -> None:
        manifest = self.manifest
        if (manifest.provider, manifest.feed) != (self.feed.provider, self.feed.name):
            raise FatalError(
                f"the manifest {self.manifest_path} is of {manifest.provider} {manifest.feed}, "
                f"not of {self.feed.provider} {self.feed.name}."
            )
        agent = {"provider": manifest.provider, "feed": manifest.feed, "agent": manifest.agent}
        # Written once: a load that only reads the row does not keep the next pull's declaration waiting.
        self.connection.execute(
            """UPDATE ops.agents SET merchant_id = %(merchant)s
               WHERE provider = %(provider)s AND feed = %(feed)s AND agent = %(agent)s AND merchant_id IS NULL""",
            {**agent, "merchant": manifest.merchant_id},
        )
        row = self.connection.execute(
            """SELECT merchant_id FROM ops.agents
               WHERE provider = %(provider)s AND feed = %(feed)s AND agent = %(agent)s""",
            agent,
        ).fetchone()
        if row is not None and row[0] != manifest.merchant_id:
            raise IdentityChanged(
                f"agent {manifest.agent} was read as merchant {row[0]!r} so far, this reading is of "
                f"{manifest.merchant_id!r}.",
                advice="Declare the other merchant as an agent of its own in feeds.yaml.",
            )

    def _new_load(self) -> int:
        manifest = self.manifest
        row = self.connection.execute(
            """INSERT INTO ops.loads (reading_id, provider, feed, agent) VALUES (%s, %s, %s, %s)
               RETURNING load_id""",
            (manifest.reading_id, manifest.provider, manifest.feed, manifest.agent),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _newer_readings(self) -> str:
        """Return, as a multirange, what certified readings begun after this one's last answer have covered.

        Only such a reading saw everything later than this one did; of the others, rows compare by their own instants.
        A reading of fewer game types does not cover the rest.
        """
        manifest = self.manifest
        last_answer = max((page.requested_at for _, page in manifest.pages()), default=manifest.pulled_at)
        row = self.connection.execute(
            """SELECT coalesce(range_agg(tstzrange(slice_start, slice_end)), '{}')::text FROM ops.readings
               WHERE provider = %s AND feed = %s AND agent = %s AND state = 'certified'
                 AND pulled_at > %s AND slice_start < %s AND slice_end > %s AND g_types @> %s""",
            (
                manifest.provider,
                manifest.feed,
                manifest.agent,
                last_answer,
                manifest.slice_end,
                manifest.slice_start,
                list(self.options.g_types),
            ),
        ).fetchone()
        assert row is not None
        return str(row[0])

    def _copy(self) -> None:
        with self.connection.cursor() as cursor, cursor.copy(self.merge_sql.copy_in()) as copy:
            for values in self._rows():
                copy.write_row(values)

    def _rows(self) -> Iterator[list[Any]]:
        """Decode page by page; rows that break their contract are set aside."""
        codec, feed = self.feed.codec, self.feed
        for page_number, (window_entry, page_entry) in enumerate(self.manifest.pages(), start=1):
            window_values = feed.window_values(window_entry.window, self.options)
            page = feed.read_page(landing.read_page(self.folder, page_entry))
            for row_number, raw in enumerate(page.rows, start=1):
                try:
                    row, extra = codec.decode(raw)
                    values = codec.values(row)
                    values.extend(feed.derive(row))
                except RowRejected as rejected:
                    self._reject(page_entry.file, row_number, raw, rejected)
                    continue
                values.extend(window_values)
                values.extend((extra, page_number, row_number, page_entry.requested_at))
                yield values

    def _reject(self, page: str, row_number: int, raw: Any, rejected: RowRejected) -> None:
        # NUL cannot be stored in text, not even as part of the evidence.
        text = bytes(raw).decode("utf-8", "replace").replace("\0", "\\u0000")[:MAX_RAW_TEXT]
        self.rejects.append(
            Reject(
                page=page,
                row_number=row_number,
                natural_key=_natural_key(text, self.feed),
                reason=rejected.reason,
                detail=rejected.detail.replace("\0", "\\u0000"),
                raw=text,
            )
        )
        log.warning("rejected row %d of %s: %s", row_number, page, rejected)

    def _merge(self, parameters: dict[str, Any], keys: int) -> tuple[int, int, int]:
        for statement in self.feed.before_merge:
            self.connection.execute(statement, parameters)
        inserted, updated = self._one(self.merge_sql.merge(), parameters)
        late_history = self.merge_sql.late_history()
        if late_history is not None and inserted + updated < keys:
            self.connection.execute(late_history, parameters)
        retired = self._retire(parameters)
        for statement in self.feed.after_merge:
            self.connection.execute(statement, parameters)
        return inserted, updated, retired

    def _retire(self, parameters: dict[str, Any]) -> int:
        statement = self.merge_sql.retire()
        # A row that could not be decoded has not vanished; nothing is retired on incomplete evidence.
        if statement is None or self.rejects or self.manifest.problem:
            return 0
        names = self.feed.window_columns
        scope = [
            {
                name: _json_value(value)
                for name, value in zip(names, self.feed.window_values(entry.window, self.options), strict=True)
            }
            for entry in self.manifest.windows
        ]
        cursor = self.connection.execute(
            statement, {**parameters, "scope": json.dumps(scope), "retired_at": self.manifest.pulled_at}
        )
        return cursor.rowcount

    def _write_rejects(self) -> None:
        manifest = self.manifest
        self.connection.execute("DELETE FROM ops.rejects WHERE reading_id = %s", (manifest.reading_id,))
        with self.connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO ops.rejects (reading_id, provider, feed, agent, page, row_number, natural_key,
                                            reason, detail, raw)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    (
                        manifest.reading_id,
                        manifest.provider,
                        manifest.feed,
                        manifest.agent,
                        reject.page,
                        reject.row_number,
                        reject.natural_key,
                        reject.reason,
                        reject.detail,
                        reject.raw,
                    )
                    for reject in self.rejects
                ],
            )

    def _judge(self, keys: int, collisions: int) -> tuple[str, str | None]:
        """Return (state, reason): certified only when nothing contradicts that all of it came."""
        manifest = self.manifest
        if manifest.problem:
            return "suspect", manifest.problem
        if self.rejects:
            return "suspect", f"{len(self.rejects)} row(s) broke the contract, see ops.rejects"
        if collisions:
            return "suspect", f"{collisions} key(s) came more than once in one answer, with different contents"
        total = manifest.reported("total_last")
        if total is None and any(window.total_last is not None for window in manifest.windows):
            return "suspect", "the provider reported a control total for some windows of the slice only"
        if total is not None and total != keys:
            return "suspect", f"the provider reported {total} rows, {keys} distinct keys came"
        if manifest.rows == 0:
            return "certified", "no_activity"
        return "certified", "no_control_total" if total is None else None

    def _one(self, statement: sql.Composed, parameters: dict[str, Any]) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.connection.execute(statement, parameters).fetchone()
        assert row is not None
        return row


def _natural_key(raw: str, feed: FeedSpec) -> str | None:
    """Return the reject's natural key where its raw text still shows one."""
    try:
        fields = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    wire = dict(zip(feed.codec.columns, feed.codec.wire_names, strict=True))
    parts = [fields.get(wire[name]) for name in feed.key if name in wire]
    return "|".join(map(str, parts)).replace("\0", "") if parts and None not in parts else None


def _json_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (datetime, date)) else value
