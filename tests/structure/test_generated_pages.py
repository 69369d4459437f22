"""Pages of the documentation that are made from the code are those of the code."""

from __future__ import annotations

from pages import dags


def test_the_page_of_dags_is_what_the_factory_builds() -> None:
    """``make docs`` writes it anew; read the difference before committing it."""
    assert dags.PAGE.read_text(encoding="utf-8") == dags.render()
