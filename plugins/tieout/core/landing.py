"""Landing: every answer of a provider as it came, and a manifest that makes them a reading.

Layout: ``<base>/<provider>/<feed>/<agent>/<yyyy-mm-dd>/<start>Z_<end>Z/<reading_id>/page-00001.json.gz …,
manifest.json``. Files are never rewritten. The manifest comes last: no manifest, no reading. Paths are
``pathlib.Path`` or Airflow's ``ObjectStoragePath``; ``tieout.core.storage`` knows what differs between them.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tieout.core import storage
from tieout.core.errors import FatalError, Unreachable
from tieout.core.slices import Slice, Window
from tieout.core.storage import GONE, PathLike

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
#: No slice and no joined range of slices is longer; folders stand under the day their range begins on.
LONGEST_RANGE = timedelta(days=1)


class PageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One stored answer. ``requested_at``: the database's clock when the call was made; sizes in bytes."""

    file: str
    rows: int
    total: int | None
    requested_at: datetime
    bytes: int
    sha256: str


class WindowEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One window as it was read; ``attempts`` > 1 when its control total moved while it was paged."""

    start: datetime
    end: datetime
    params: dict[str, str]
    attempts: int
    settled: bool
    pages: list[PageEntry]

    @property
    def window(self) -> Window:
        """The window itself."""
        return Window(Slice(self.start, self.end), self.params)

    @property
    def total_first(self) -> int | None:
        """The control total of the first answer."""
        return self.pages[0].total if self.pages else None

    @property
    def total_last(self) -> int | None:
        """The control total of the last answer."""
        return self.pages[-1].total if self.pages else None


class SliceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of the slices that a joined reading covers."""

    start: datetime
    end: datetime


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What makes stored answers a reading. Holds no secret: requests are described by their windows only.

    ``slice_start``, ``slice_end``: all that was read. ``slices``: its pieces, when a reading joins several slices;
    each of them gets a certificate of its own.
    """

    reading_id: str
    provider: str
    feed: str
    agent: str
    merchant_id: str
    slice_start: datetime
    slice_end: datetime
    kind: str
    options: dict[str, Any]
    windows: list[WindowEntry]
    pulled_at: datetime
    finished_at: datetime
    problem: str | None
    tieout_version: str
    manifest_version: int = MANIFEST_VERSION
    slices: list[SliceEntry] = []

    @property
    def slice(self) -> Slice:
        """All that was read."""
        return Slice(self.slice_start, self.slice_end)

    @property
    def certified_slices(self) -> list[Slice]:
        """The slices that get a certificate, in order: one, unless the reading joins several."""
        return [Slice(entry.start, entry.end) for entry in self.slices] or [self.slice]

    def pages(self) -> Iterator[tuple[WindowEntry, PageEntry]]:
        """Yield every stored answer with its window, in reading order."""
        for window in self.windows:
            for page in window.pages:
                yield window, page

    @property
    def page_count(self) -> int:
        """How many answers make up the reading."""
        return sum(len(window.pages) for window in self.windows)

    @property
    def rows(self) -> int:
        """How many rows the answers hold, duplicates included."""
        return sum(page.rows for _, page in self.pages())

    def windows_meeting(self, slice_: Slice) -> list[int]:
        """Return the numbers (from 0) of the windows that meet one of the reading's slices."""
        return [n for n, entry in enumerate(self.windows) if entry.start < slice_.end and slice_.start < entry.end]

    def rows_meeting(self, slice_: Slice) -> int:
        """Return how many rows the windows hold that meet one of the reading's slices."""
        return sum(page.rows for number in self.windows_meeting(slice_) for page in self.windows[number].pages)

    def reported(self, which: str, slice_: Slice) -> int | None:
        """Return the sum of ``total_first`` or ``total_last`` over the windows of one of the reading's slices.

        None unless every window has one and lies inside the slice.
        """
        entries = [self.windows[number] for number in self.windows_meeting(slice_)]
        totals = [getattr(entry, which) for entry in entries]
        inside = all(slice_.start <= entry.start and entry.end <= slice_.end for entry in entries)
        return sum(totals) if totals and inside and None not in totals else None

    @property
    def sha256(self) -> str:
        """One digest over all answers in order."""
        digest = hashlib.sha256()
        for _, page in self.pages():
            digest.update(page.sha256.encode())
        return digest.hexdigest()


def new_reading_id(now: datetime) -> str:
    """Return a unique id that sorts by time, safe in paths: ``20260301T120000.123456Z-1f2e3d4c``."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}"


def _compact(instant: datetime) -> str:
    utc = instant.astimezone(UTC)
    millis = f".{utc.microsecond // 1000:03d}" if utc.microsecond else ""
    return f"{utc:%Y%m%dT%H%M%S}{millis}Z"


def slice_folder(base: PathLike, *, provider: str, feed: str, agent: str, slice_: Slice) -> PathLike:
    """Return the folder that holds all readings of one slice."""
    name = f"{_compact(slice_.start)}_{_compact(slice_.end)}"
    return base / provider / feed / agent / f"{slice_.start:%Y-%m-%d}" / name


class ReadingWriter:
    """Writes the answers of one reading, then its manifest."""

    def __init__(self, folder: PathLike, reading_id: str) -> None:
        self.folder = folder / reading_id
        self.reading_id = reading_id
        self.pages_written = 0
        with _writing(self.folder, "the reading's folder"):
            storage.make_folder(self.folder)

    def write_page(self, body: bytes, *, rows: int, total: int | None, requested_at: datetime) -> PageEntry:
        """Store one answer compressed and return its entry. Raises Unreachable when it cannot be written."""
        self.pages_written += 1
        name = f"page-{self.pages_written:05d}.json.gz"
        # mtime=0: the same answer gives the same bytes.
        self._write(name, gzip.compress(body, compresslevel=6, mtime=0))
        return PageEntry(
            file=name,
            rows=rows,
            total=total,
            requested_at=requested_at,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )

    def write_manifest(self, manifest: Manifest) -> str:
        """Store the manifest and return its path as text."""
        encoded = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)
        self._write(MANIFEST, encoded)
        return str(self.folder / MANIFEST)

    def _write(self, name: str, data: bytes) -> None:
        with _writing(self.folder, name):
            storage.write(self.folder / name, data)


@contextmanager
def _writing(folder: PathLike, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreachable(
            f"cannot write {what} to landing {folder}: {error}.",
            advice="Free space or mend the permissions of the landing base (TIEOUT_LANDING).",
        ) from error


def read_manifest(path: PathLike) -> Manifest:
    """Return the manifest at *path*. Raises FatalError when it is absent, torn or of a newer form."""
    try:
        manifest = msgspec.json.decode(storage.read(path), type=Manifest)
    except GONE as error:
        raise FatalError(
            f"no manifest at {path}: {error}.",
            advice="Pull the slice again, or check that every worker sees the same landing base.",
        ) from error
    except OSError as error:
        raise Unreachable(f"cannot read the manifest at {path}: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FatalError(f"the manifest at {path} is damaged: {error}.", advice="Pull the slice again.") from error
    if manifest.manifest_version > MANIFEST_VERSION:
        raise FatalError(
            f"the manifest at {path} was written by a newer tieout ({manifest.tieout_version}).",
            advice="Upgrade tieout on this worker.",
        )
    return manifest


def read_page(folder: PathLike, entry: PageEntry) -> bytes:
    """Return one stored answer. Raises FatalError when it is absent or is not what the manifest says."""
    path = folder / entry.file
    try:
        # One byte more than promised is enough to see that it is another file, however far it would unpack.
        body = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(storage.read(path), entry.bytes + 1)
    except (*GONE, zlib.error) as error:
        raise FatalError(f"cannot read {path}: {error}.", advice="Restore the file or pull the slice again.") from error
    except OSError as error:
        raise Unreachable(f"cannot read {path}: {error}.") from error
    if hashlib.sha256(body).hexdigest() != entry.sha256:
        raise FatalError(
            f"{path} is not what its manifest says (sha256 differs).",
            advice="Restore the file or pull the slice again.",
        )
    return body


@dataclass(frozen=True, kw_only=True)
class LandedReading:
    """A complete reading in landing: ``range`` is all that it covers."""

    reading_id: str
    range: Slice
    manifest: PathLike


def landed_readings(base: PathLike, *, provider: str, feed: str, agent: str, range_: Slice) -> list[LandedReading]:
    """Return the complete readings that meet *range_*, whatever their width, oldest first.

    Needs nothing but landing: what was read can be loaded again into an empty warehouse. A reading without a manifest
    (its writer was killed) is none. Raises Unreachable when landing cannot be read.
    """
    found: list[LandedReading] = []
    day = (range_.start - LONGEST_RANGE).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < range_.end:
        for manifest in _manifests(base / provider / feed / agent / f"{day:%Y-%m-%d}"):
            reading = manifest.parent
            covered = _range_of(str(reading.parent.name))
            if covered is not None and covered.start < range_.end and range_.start < covered.end:
                found.append(LandedReading(reading_id=str(reading.name), range=covered, manifest=manifest))
        day += timedelta(days=1)
    return sorted(found, key=lambda reading: reading.reading_id)


def beside(manifest: PathLike, uri: str) -> PathLike:
    """Return the path of another manifest of the same landing base, whose *uri* the ledger keeps."""
    base: PathLike = manifest
    for _ in range(_DEPTH):
        base = base.parent
    return below(base, uri)


def below(base: PathLike, uri: str) -> PathLike:
    """Return the path below *base* of a manifest whose *uri* the ledger keeps; the base may have moved since."""
    path = base
    for part in uri.rsplit("/", _DEPTH)[1:]:
        path = path / part
    return path


#: How many steps a manifest lies below the base: provider, feed, agent, day, range, reading, file.
_DEPTH = 7


def _manifests(day: PathLike) -> list[PathLike]:
    """Return the manifests of one day, which stand in its ranges' readings' folders."""
    try:
        return [path for path in storage.files_below(day, 3) if path.name == MANIFEST]
    except OSError as error:
        raise Unreachable(f"cannot read landing folder {day}: {error}.") from error


def _range_of(name: str) -> Slice | None:
    """Return the range a slice folder is named after; None for anything else."""
    try:
        start, end = name.split("_")
        return Slice(datetime.fromisoformat(start), datetime.fromisoformat(end))
    except ValueError:
        return None
