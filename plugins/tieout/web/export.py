"""Lists as CSV files (RFC 4180, UTF-8): whole or not at all, exact, and with nothing that a spreadsheet would compute.

A file is written in full before its first byte is sent: whatever ends the statement early (a lost server, the time
limit, a missing table) is then told as an error, and never makes a shorter file that looks like a whole one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any

from fastapi.responses import StreamingResponse
from psycopg import sql

from tieout.web.query import today
from tieout.web.warehouse import LONG_TIMEOUT, Row, reading

BLOCK = 1_000
#: Up to this many bytes a file is kept in memory, beyond it in the system's folder for temporary files.
IN_MEMORY = 4 * 2**20
#: How many bytes are handed over at a time.
CHUNK = 2**18
#: By this a spreadsheet knows UTF-8 from the encoding of its own system.
BYTE_ORDER_MARK = "\ufeff"


def csv_answer(
    name: str, head: Sequence[str], cells: Callable[[Row], Sequence[object]], *,
    statement: str, parameters: dict[str, Any], order: sql.Composed,
) -> StreamingResponse:  # fmt: skip
    """Return all rows of a statement as a download, in the order asked for; *cells* makes a line of a row.

    Raises Unreachable when the warehouse is, or when it does not tell all of them in time.
    """
    # Closed by whoever sends it, or with this function when there is nothing to send.
    file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    try:
        for block in _blocks(head, cells, statement, parameters, order):
            file.write(block.encode())
    except BaseException:
        file.close()
        raise
    length = file.tell()
    headers = {"Content-Disposition": f'attachment; filename="{name}-{today()}.csv"', "Content-Length": str(length)}
    return StreamingResponse(_sent(file), media_type="text/csv; charset=utf-8", headers=headers)


def _blocks(
    head: Sequence[str], cells: Callable[[Row], Sequence[object]], statement: str, parameters: dict[str, Any],
    order: sql.Composed,
) -> Iterator[str]:  # fmt: skip
    """Yield the file in blocks of many lines."""
    yield BYTE_ORDER_MARK + _lines([head])
    with reading(LONG_TIMEOUT) as snapshot:
        rows = snapshot.stream(statement, parameters, tail=order)
        while block := [cells(row) for row in islice(rows, BLOCK)]:
            yield _lines(block)


def _lines(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _sent(file: SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk
