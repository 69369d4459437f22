"""The project speaks of itself alone: no machine, no workplace, no ticket, no package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One letter of each word stands in brackets, so that this file does not match itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.$}-])/wor[k]/|/tm[p]/w\b|/roo[t]/|/User[s]/",
    "a home directory": r"/hom[e]/(?!airflow\b)\w",
    "a ticket or a working session": r"\b(?:sessio[n]|issu[e]|ticke[t]|pull reques[t])s? ?#\d",
    "a file outside of the repository": r"(?<![\w/.])share[d]/(?:design|style|providers|vectors|seeds)",
    "a package registry": r"\b(?:pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:com|org)|yarnpk[g]\.com)",
}


def project_files() -> list[Path]:
    """Tracked files, and new ones that are not ignored: what the next commit can contain."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in sorted(set(done.stdout.split("\0"))) if name and (ROOT / name).is_file()]


def findings(text: str, what: str) -> list[str]:
    return [
        f"line {number}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(FORBIDDEN[what], line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_names(what: str) -> None:
    files = project_files()
    assert len(files) > 50
    found = {
        str(path.relative_to(ROOT)): hits
        for path in files
        if (hits := findings(path.read_text(encoding="utf-8", errors="replace"), what))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of one machine", "see /" + "work/main/README.md"),
        ("a path of one machine", "cp x /" + "tmp/w/y"),
        ("a home directory", "in /" + "home/someone/project"),
        ("a ticket or a working session", "as said in Issue " + "#12"),
        ("a ticket or a working session", "session" + "#3"),
        ("a file outside of the repository", "by shared" + "/design.md"),
        ("a package registry", "--index-url https://pypi" + ".org/simple"),
    ],
)
def test_each_pattern_finds_what_it_is_for(what: str, text: str) -> None:
    assert findings(text, what)


@pytest.mark.parametrize(
    "text", ["airflow/homework/x", "${WORK}/connections.json", "a session of requests", "/home/airflow/x"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert [what for what in FORBIDDEN if findings(text, what)] == []


def test_no_file_is_a_link_out_of_the_repository() -> None:
    for path in project_files():
        assert path.resolve().is_relative_to(ROOT), path
