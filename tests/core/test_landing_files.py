"""Landing: paths, bytes that come back as they went in, and manifests that make a reading or do not."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import given
from hypothesis import strategies as st

from tieout.core import landing, storage
from tieout.core.errors import FatalError, Unreachable
from tieout.core.feed import FeedOptions
from tieout.core.landing import Manifest, ReadingWriter, WindowEntry
from tieout.core.replay import readings_covering
from tieout.core.slices import Slice
from tieout.core.storage import PathLike

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLICE = Slice(START, START + timedelta(hours=1))
REQUESTED = datetime(2026, 3, 1, 13, 2, 3, 456789, tzinfo=UTC)
BODIES = [b'{"a": 1.10}', b"", b"\xff\x00 no json at all", "中".encode() * 5000]


@pytest.fixture(params=["pathlib", "file", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A landing base: a folder as pathlib and as Airflow see it, and a folder of a bucket."""
    if request.param == "s3":
        return request.getfixturevalue("s3").base / "landing"
    folder = tmp_path / "landing"
    return folder if request.param == "pathlib" else ObjectStoragePath(f"file://{folder}")


def folder_of(base: PathLike, slice_: Slice = SLICE) -> PathLike:
    return landing.slice_folder(base, provider="lucko", feed="bets", agent="acme", slice_=slice_)


def land(
    base: PathLike, reading_id: str = "20260301T130203.456789Z-00000001", slice_: Slice = SLICE
) -> tuple[str, Manifest]:
    writer = ReadingWriter(folder_of(base, slice_), reading_id)
    pages = [writer.write_page(body, rows=n, total=10, requested_at=REQUESTED) for n, body in enumerate(BODIES)]
    window = WindowEntry(start=slice_.start, end=slice_.end, params={}, attempts=1, settled=True, pages=pages)
    manifest = Manifest(
        reading_id=reading_id, provider="lucko", feed="bets", agent="acme", merchant_id="m1",
        slice_start=slice_.start, slice_end=slice_.end, kind="first", options={"currency": None, "g_types": []},
        windows=[window], pulled_at=REQUESTED, finished_at=REQUESTED, problem=None, tieout_version="1",
    )  # fmt: skip
    return writer.write_manifest(manifest), manifest


def test_layout(base: Any) -> None:
    path, _ = land(base)
    folder = "landing/lucko/bets/acme/2026-03-01/20260301T120000Z_20260301T130000Z/20260301T130203.456789Z-00000001"
    assert path.endswith(f"{folder}/manifest.json")
    names = [child.name for child in storage.files_below(type(base)(path).parent, 1)]
    assert names == ["manifest.json", *(f"page-{number:05d}.json.gz" for number in (1, 2, 3, 4))]


def test_slice_of_milliseconds_has_a_folder_of_its_own(base: Any) -> None:
    slice_ = Slice(START + timedelta(milliseconds=7), START + timedelta(seconds=1))
    assert folder_of(base, slice_).name == "20260301T120000.007Z_20260301T120001Z"


def test_bytes_come_back_as_they_went_in(base: Any) -> None:
    path, manifest = land(base)
    assert landing.read_manifest(type(base)(path)) == manifest
    folder = type(base)(path).parent
    for body, (_, entry) in zip(BODIES, manifest.pages(), strict=True):
        assert landing.read_page(folder, entry) == body
        assert (entry.bytes, entry.sha256) == (len(body), hashlib.sha256(body).hexdigest())


def test_equal_answers_give_equal_files(tmp_path: Path) -> None:
    first, _ = land(tmp_path / "a")
    second, _ = land(tmp_path / "b")
    for name in ("manifest.json", *(f"page-{number:05d}.json.gz" for number in (1, 2, 3, 4))):
        assert (Path(first).parent / name).read_bytes() == (Path(second).parent / name).read_bytes()


def test_manifest_is_readable_json_without_floats(tmp_path: Path) -> None:
    path, _ = land(tmp_path)
    text = Path(path).read_text()
    parsed = json.loads(text)
    assert text.count("\n") > 20
    assert parsed["slice_start"] == "2026-03-01T12:00:00Z"
    assert parsed["pulled_at"] == "2026-03-01T13:02:03.456789Z"
    assert parsed["windows"][0]["pages"][0]["total"] == 10


def test_sums_of_the_manifest(tmp_path: Path) -> None:
    _, manifest = land(tmp_path)
    assert (manifest.page_count, manifest.rows) == (4, 6)
    assert (manifest.reported("total_first", SLICE), manifest.reported("total_last", SLICE)) == (10, 10)
    window = manifest.windows[0]
    without = msgspec.structs.replace(window, pages=[msgspec.structs.replace(window.pages[0], total=None)])
    assert msgspec.structs.replace(manifest, windows=[window, without]).reported("total_last", SLICE) is None
    assert msgspec.structs.replace(manifest, windows=[window, window]).reported("total_last", SLICE) == 20
    assert msgspec.structs.replace(manifest, windows=[]).reported("total_last", SLICE) is None


def damaged(path: str, manifest: Manifest) -> bytes | None:
    """Return the first page, or None when it is refused; any other error is a bug."""
    try:
        return read_first(path, manifest)
    except FatalError:
        return None


def first_page(path: str) -> Path:
    return Path(path).parent / "page-00001.json.gz"


def read_first(path: str, manifest: Manifest) -> bytes:
    return landing.read_page(Path(path).parent, manifest.windows[0].pages[0])


def test_page_of_other_content_is_refused(tmp_path: Path) -> None:
    path, manifest = land(tmp_path)
    first_page(path).write_bytes(gzip.compress(b'{"a": 1.20}'))
    with pytest.raises(FatalError, match=r"page-00001.json.gz is not what its manifest says \(sha256 differs\)"):
        read_first(path, manifest)


def test_a_page_that_unpacks_to_far_more_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    path, manifest = land(tmp_path)
    first_page(path).write_bytes(gzip.compress(bytes(100 * 1024 * 1024)))
    tracemalloc.start()
    try:
        with pytest.raises(FatalError, match="sha256 differs"):
            read_first(path, manifest)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_missing_page_is_refused(tmp_path: Path) -> None:
    path, manifest = land(tmp_path)
    first_page(path).unlink()
    with pytest.raises(FatalError, match=r"cannot read .*page-00001"):
        read_first(path, manifest)


@given(st.integers(0, 30), st.integers(1, 255))
def test_any_flipped_byte_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    path, manifest = land(tmp_path_factory.mktemp("flip"))
    data = bytearray(first_page(path).read_bytes())
    data[position % len(data)] ^= flip
    first_page(path).write_bytes(bytes(data))
    assert damaged(path, manifest) in (BODIES[0], None)


@pytest.mark.parametrize("keep", [0, 1, 9, 20])
def test_truncated_page_is_refused(tmp_path: Path, keep: int) -> None:
    path, manifest = land(tmp_path)
    first_page(path).write_bytes(first_page(path).read_bytes()[:keep])
    with pytest.raises(FatalError):
        read_first(path, manifest)


@pytest.mark.parametrize("keep", [0, 1, 200, -2])
def test_torn_manifest_is_no_reading(tmp_path: Path, keep: int) -> None:
    path, _ = land(tmp_path)
    Path(path).write_bytes(Path(path).read_bytes()[:keep])
    with pytest.raises(FatalError, match="is damaged"):
        landing.read_manifest(Path(path))
    assert newest(tmp_path) is None


def test_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path, _ = land(tmp_path)
    Path(path).write_bytes(Path(path).read_bytes().replace(b"acme", b"ac\xff\xfe"))
    with pytest.raises(FatalError, match="is damaged"):
        landing.read_manifest(Path(path))


def test_absent_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="no manifest at"):
        landing.read_manifest(tmp_path / "manifest.json")


def test_manifest_of_a_newer_form_is_refused(tmp_path: Path) -> None:
    path, manifest = land(tmp_path)
    newer = msgspec.structs.replace(manifest, manifest_version=2, tieout_version="9.9")
    Path(path).write_bytes(msgspec.json.encode(newer))
    with pytest.raises(FatalError, match=r"newer tieout \(9.9\)"):
        landing.read_manifest(Path(path))


def newest(base: Any) -> Any:
    held = readings_covering(
        base, provider="lucko", feed="bets", agent="acme", slice_=SLICE, options=FeedOptions()
    )  # fmt: skip
    return held.readings[0].manifest if held.readings else None


def test_newest_whole_reading_is_found(base: Any) -> None:
    assert newest(base) is None
    land(base, "20260301T130000.000000Z-ffffffff")
    middle, _ = land(base, "20260302T130000.000000Z-00000000")
    ReadingWriter(folder_of(base), "20260303T130000.000000Z-00000000")  # no manifest: no reading
    assert str(newest(base)) == middle
    torn, _ = land(base, "20260304T130000.000000Z-00000000")
    torn_file = type(base)(torn)
    storage.write(torn_file, storage.read(torn_file)[:100])
    assert str(newest(base)) == middle
    other = Slice(START, START + timedelta(minutes=30))
    land(base, "20260305T130000.000000Z-00000000", other)
    assert str(newest(base)) == middle


def test_reading_ids_sort_by_time_and_are_unique() -> None:
    ids = [landing.new_reading_id(START + timedelta(milliseconds=n)) for n in (0, 1, 999, 1000, 86_400_000)]
    assert ids == sorted(ids)
    assert len({landing.new_reading_id(START) for _ in range(100)}) == 100
    assert landing.new_reading_id(START).startswith("20260301T120000.000000Z-")


def test_landing_that_cannot_be_written_is_retried(tmp_path: Path) -> None:
    (tmp_path / "lucko").write_text("a file where a folder should be")
    with pytest.raises(Unreachable, match="cannot write the reading's folder to landing"):
        ReadingWriter(folder_of(tmp_path), "r")
    writer = ReadingWriter(folder_of(tmp_path / "other"), "r")
    (tmp_path / "other/lucko/bets/acme/2026-03-01").joinpath(writer.folder.parent.name, "r").rmdir()  # type: ignore[attr-defined]
    with pytest.raises(Unreachable, match=r"cannot write page-00001.json.gz to landing"):
        writer.write_page(b"{}", rows=0, total=None, requested_at=REQUESTED)


def test_slice_is_part_of_the_manifest(tmp_path: Path) -> None:
    _, manifest = land(tmp_path)
    assert manifest.slice == SLICE
    assert replace(manifest.windows[0].window).range == SLICE


def test_storage_that_fails_for_a_moment_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: Path) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(Path, "read_bytes", busy)
    with pytest.raises(Unreachable, match="input/output error"):
        landing.read_manifest(tmp_path / "manifest.json")
