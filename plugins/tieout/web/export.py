"""Lists as CSV files (RFC 4180, UTF-8): streamed, exact, and with nothing in them that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from fastapi.responses import StreamingResponse
from psycopg import sql

from tieout.web.query import today
from tieout.web.warehouse import LONG_TIMEOUT, Row, reading

BLOCK = 1_000


def csv_answer(
    name: str, head: Sequence[str], cells: Callable[[Row], Sequence[object]], *,
    statement: str, parameters: dict[str, Any], order: sql.Composed,
) -> StreamingResponse:  # fmt: skip
    """Return all rows of a statement as a download, in the order asked for; *cells* makes a line of a row."""
    blocks = _blocks(head, cells, statement, parameters, order)
    # The first one is made before the answer begins: a warehouse that does not answer is told as such.
    first = next(blocks)
    headers = {"Content-Disposition": f'attachment; filename="{name}-{today()}.csv"'}
    return StreamingResponse(chain([first], blocks), media_type="text/csv; charset=utf-8", headers=headers)


def _blocks(
    head: Sequence[str], cells: Callable[[Row], Sequence[object]], statement: str, parameters: dict[str, Any],
    order: sql.Composed,
) -> Iterator[str]:  # fmt: skip
    """Yield the file in blocks of many lines: a line at a time would mostly be spent on handing it over."""
    with reading(LONG_TIMEOUT) as snapshot:
        yield _lines([head])
        rows = snapshot.stream(statement, parameters, tail=order)
        while block := [cells(row) for row in islice(rows, BLOCK)]:
            yield _lines(block)


def _lines(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
