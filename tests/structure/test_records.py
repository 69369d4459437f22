"""Decisions and changes are written down in one form, and what they link to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))


def test_records_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_the_agreed_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert re.fullmatch(rf"# {path.name[:4]}: .+", lines[0])
    assert re.search(r"^Status: (accepted|proposed|superseded by \[?\d{4})", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert 20 <= len(lines) <= 45, "a record is one page"
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_what_a_record_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (path.parent / target).exists(), target
    for name in re.findall(r"`((?:tests|include|docs|plugins)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for module in re.findall(r"`(tieout(?:\.[a-z_]+)+)[`.]", text):
        inner = ROOT / "plugins" / module.replace(".", "/")
        assert inner.is_dir() or inner.with_suffix(".py").exists(), module


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(.+?)\]( - \d{4}-\d{2}-\d{2})?$", text, re.MULTILINE)
    assert releases[0] == ("Unreleased", "")
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", name) and day for name, day in releases[1:])
    unreleased = text.split("## [Unreleased]")[1].split("\n## ")[0]
    kinds = re.findall(r"^### (.+)$", unreleased, re.MULTILINE)
    known = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Behaviour changes"]
    assert set(kinds) <= set(known)
    assert "Behaviour changes" in kinds
