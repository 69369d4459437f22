"""Load one reading: manifest → typed rows → COPY → one merge, in one transaction with its certificates.

Never calls the provider; a slice can be loaded again long after the provider has forgotten it. Readings may be loaded
in any order: one that is older than readings already loaded is merged together with these, read again from landing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from sqlalchemy import URL

from tieout.core import landing
from tieout.core.contract import RowRejected
from tieout.core.errors import FatalError, IdentityChanged, SuspectReading
from tieout.core.feed import FeedSpec
from tieout.core.history import HistorySql
from tieout.core.incoming import IncomingSql
from tieout.core.intake import Intake, Source, pages
from tieout.core.landing import Manifest
from tieout.core.ledger import Certificate, LoadedReading, later_readings, record_landed
from tieout.core.merge import MergeSql
from tieout.core.planner import analyze_misleading
from tieout.core.proof import Counts, Proof
from tieout.core.rejects import DUPLICATE_KEY, KEY_COLLISION, RejectLog
from tieout.core.storage import PathLike
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

#: Sorting and hashing a slice's keys in memory; one load runs at a time for an agent's feed. Compiling a statement
#: that writes a slice takes longer than it saves.
SETTINGS = {"work_mem": "64MB", "jit": "off"}

DUPLICATE = RowRejected(DUPLICATE_KEY, "the key stands more than once in one window, with different contents")
COLLISION = RowRejected(KEY_COLLISION, "a field that never changes differs from what is stored under the same key")


def load_reading(
    url: str | URL, feed: FeedSpec, manifest_path: PathLike, folder: PathLike, *, kind: str | None = None
) -> Certificate:
    """Load the reading whose manifest stands at *manifest_path* (answers beside it, in *folder*).

    Returns its certificate (the sum, when it joins several slices). *kind* replaces the manifest's, when it was taken
    from landing again. Raises SuspectReading after committing a reading that cannot be certified, FatalError for
    damaged landing files, IdentityChanged, Unreachable when the warehouse is lost. Loading the same reading twice
    changes nothing the second time.
    """
    manifest = landing.read_manifest(manifest_path)
    if kind is not None:
        manifest = msgspec.structs.replace(manifest, kind=kind)
    with connect(url) as connection:
        certificates = ReadingLoader(connection, feed, manifest, manifest_path, folder).run()
    suspect = [certificate for certificate in certificates if certificate.state == "suspect"]
    if suspect:
        slices = "" if len(certificates) == 1 else f" in {len(suspect)} of {len(certificates)} slices"
        raise SuspectReading(
            f"the reading {manifest.reading_id} is suspect{slices}: {suspect[0].reason}.",
            advice="tieout__repair reads it again; see ops.rejects for rows that broke their contract.",
        )
    return Certificate.total(certificates)


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
        self.reading = Source(number=0, manifest=manifest, folder=folder)
        self.incoming_sql = IncomingSql(feed)
        self.merge_sql = MergeSql(feed)
        #: Whether provenance or history of stored rows was worked out again.
        self.mended = False

    def run(self) -> list[Certificate]:
        """Load and certify; the caller commits. Returns one certificate per slice."""
        manifest = self.manifest
        self._lock()
        self._check_identity()
        record_landed(self.connection, manifest, str(self.manifest_path))
        self.rejects = RejectLog(self.connection, self.feed, manifest)
        later, complete = self._later_sources()
        sources = [self.reading, *later]
        slices = manifest.certified_slices
        load_id = self._new_load()
        self.parameters: dict[str, Any] = {
            "agent": manifest.agent,
            "load_id": load_id,
            "readings": [source.manifest.reading_id for source in sources],
            "complete": complete,
            "starts": [piece.start for piece in slices],
            "ends": [piece.end for piece in slices],
        }
        for name, value in SETTINGS.items():
            self._set(name, value)
        written = (self.feed.table, self.feed.versions)
        analyze_misleading(self.connection, [table.fullname for table in written if table is not None])
        self.intake = Intake(connection=self.connection, feed=self.feed, load_id=load_id, rejects=self.rejects)
        self.intake.take(sources)
        counts = self.intake.count(manifest, self.parameters)
        changes, retired = self._merge(sources, counts, general=bool(later) or counts.rows > counts.keys)
        self.rejects.close()
        certificates = Proof(manifest=manifest, counts=counts, rejects=self.rejects).certificates(changes, retired)
        inserted, updated = (sum(column) for column in zip(*changes.values(), strict=True)) if changes else (0, 0)
        self.connection.execute(
            """UPDATE ops.loads SET inserted = %s, updated = %s, retired = %s, only_appended = %s
               WHERE load_id = %s""",
            (inserted, updated, retired, not self.mended, load_id),
        )
        for certificate in certificates:
            certificate.write(self.connection, kind=manifest.kind)
            log.info("loaded %s", certificate)
        return certificates

    def _lock(self) -> None:
        """One load of an agent's feed at a time: what another reading wrote must be visible to this one."""
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

    # -- what stands beside it -------------------------------------------------------------------------------

    def _later_sources(self) -> tuple[list[Source], bool]:
        """Return the loaded readings that ended after this one began, and whether landing still holds all of them."""
        found: list[Source] = []
        known = later_readings(self.connection, self.manifest)
        for reading in known:
            source = self._source_of(len(found) + 1, reading)
            if source is not None:
                found.append(source)
        if found:
            log.info("%s is older than %d loaded readings; merging with them", self.manifest.reading_id, len(found))
        return found, len(found) == len(known)

    def _source_of(self, number: int, reading: LoadedReading) -> Source | None:
        path = landing.beside(self.manifest_path, reading.landing_uri)
        try:
            manifest = landing.read_manifest(path)
        except FatalError as error:
            log.warning("the later reading %s cannot be merged again: %s", reading.reading_id, error)
            return None
        return Source(number=number, manifest=manifest, folder=path.parent, certified=reading.certified)

    # -- merge ----------------------------------------------------------------------------------------------

    def _merge(self, sources: list[Source], counts: Counts, general: bool) -> tuple[dict[int, tuple[int, int]], int]:
        """Write what changed; returns (slice → (inserted, updated), retired)."""
        if self.feed.snapshot and not self.parameters["complete"]:
            # What vanished since can no longer be told: rows would come back from the dead.
            log.warning("%s is superseded by readings that landing no longer holds", self.manifest.reading_id)
            return {}, 0
        self._run(self.feed.before_merge)
        if counts.rows > sum(keys for _, keys in counts.by_window.values()):
            self._reject_rows(self.incoming_sql.reject_duplicates(), DUPLICATE)
        if general:
            # An older state must not fall to a newer one that belongs to something else.
            self._reject_rows(self.incoming_sql.reject_collisions_inside(), COLLISION)
            self._reject_rows(self.incoming_sql.reject_collisions(), COLLISION)
        with self._through_index(general):
            changes = self._merge_rows(general)
        if general or sum(map(sum, changes.values())) < counts.keys:
            self._settle_unmerged(general)
        retired = sum(self._retire(source) for source in sources)
        self._run(self.feed.after_merge)
        return changes, retired

    @contextmanager
    def _through_index(self, general: bool) -> Iterator[None]:
        """Join what came with the feed's table row by row through its key, whatever statistics say.

        A table that has grown since it was analysed, or a slice that is large beside it, would have all of it read.
        The general source is worked out by windows and left to the planner: nobody may do that once a row.
        """
        joins = () if general else ("enable_hashjoin", "enable_mergejoin")
        for name in joins:
            self._set(name, "off")
        yield
        for name in joins:
            self._set(name, "on")

    def _set(self, name: str, value: str) -> None:
        """Change a setting of the server until the transaction ends."""
        self.connection.execute("SELECT set_config(%s, %s, true)", (name, value))

    def _merge_rows(self, general: bool) -> dict[int, tuple[int, int]]:
        """Merge the temporary table; returns slice → (inserted, updated), with what needed no merge."""
        straight = self.intake.fresh
        if straight and not self.intake.is_merged:
            return {0: (straight, 0)}
        statement = self.merge_sql.merge(general=general, slices=len(self.manifest.certified_slices))
        changes = {
            number - 1: (inserted, updated)
            for number, inserted, updated in self.connection.execute(statement, self.parameters).fetchall()
        }
        if straight:
            inserted, updated = changes.get(0, (0, 0))
            changes[0] = (inserted + straight, updated)
        return changes

    def _run(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self.connection.execute(statement, self.parameters)

    def _settle_unmerged(self, general: bool) -> None:
        """See to rows that changed nothing: collisions, older states for the history, earlier first sightings."""
        with self._through_index(general):
            collides, history, moves = (
                (False, True, True) if general else self._one(self.merge_sql.look_at_unmerged(), self.parameters)
            )
            if collides:
                self._reject_rows(self.incoming_sql.reject_collisions(), COLLISION)
            if moves:
                self.connection.execute(self.merge_sql.mend_provenance(general=general), self.parameters)
        self.mended = history or moves
        mend_history = HistorySql(self.feed).mend_history(general=general)
        if (history or moves) and mend_history is not None:
            self.connection.execute(mend_history, self.parameters)

    def _reject_rows(self, statement: sql.Composed | None, rejected: RowRejected) -> None:
        """Take rows out of the temporary table, and set aside those that belong to this reading."""
        if statement is None:
            return
        found = self.connection.execute(statement, self.parameters).fetchall()
        places = [row[-2:] for row in found if len(row) == 2 or row[0] == 0]
        answers = list(pages(self.manifest))
        rows: list[Any] = []
        read: int | None = None
        for page_number, row_number in sorted(places):
            window, entry = answers[page_number - 1]
            if read != page_number:
                rows = self.feed.read_page(landing.read_page(self.reading.folder, entry)).rows
                read = page_number
            raw = rows[row_number - 1]
            self.rejects.add(window=window, page=entry.file, row_number=row_number, raw=raw, rejected=rejected)
            self.rejects.flush_when_many()

    def _retire(self, source: Source) -> int:
        statement = self.merge_sql.retire()
        # A row that could not be decoded has not vanished; nothing is retired on incomplete evidence.
        whole = source.certified or (source is self.reading and not self.rejects.count and not self.manifest.problem)
        if statement is None or not whole:
            return 0
        names = self.feed.window_columns
        scope = [
            {
                name: _json_value(value)
                for name, value in zip(names, self.feed.window_values(entry.window, source.options), strict=True)
            }
            for entry in source.manifest.windows
        ]
        own = {
            "scope": json.dumps(scope),
            "retired_at": source.manifest.pulled_at,
            "reading_id": source.manifest.reading_id,
            "reading": source.number,
        }
        return self.connection.execute(statement, {**self.parameters, **own}).rowcount

    def _one(self, statement: sql.Composed, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.connection.execute(statement, parameters).fetchone()
        assert row is not None
        return row


def _json_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (datetime, date)) else value
