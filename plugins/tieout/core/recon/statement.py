"""A statement of one agent and day: a page of HTML that needs nothing else, and its breaks as CSV.

Both are functions of the warehouse alone: the same state of it gives the same bytes. They stand below the
landing base as ``statements/<provider>/<agent>/<day>.html`` and ``.csv`` and are written anew when it has changed.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from importlib.resources import files
from string import Template

from sqlalchemy import URL

from tieout.core import storage
from tieout.core.errors import Unreachable
from tieout.core.recon.markup import chart, number, places_of, table, text
from tieout.core.recon.statement_breaks import breaks_section
from tieout.core.recon.statement_data import TREND, Row, StatementData, StatementOf, statement_in_turn
from tieout.core.slices import stamp
from tieout.core.storage import PathLike

__all__ = ["StatementOf", "breaks_csv", "folder_of", "plain_cell", "render", "write_statement"]

FOLDER = "statements"
TITLES = {"lucko": "Lucko", "hotroad": "HotRoad Gaming", "jdb": "JDB", "vertexplay": "VertexPlay"}
#: The steps of the bridge: how each counts, its column, and what it is called.
STEPS = (
    ("", "bet_turnover", "Turnover of the day's settled bets"),
    ("−", "unclaimed", "unclaimed: no successful rebate names the bet"),
    ("+", "claimed_again", "claimed again by the day's rebates"),
    ("+", "from_other_days", "from bets of other days"),
    ("−", "to_other_days", "to rebates of other days"),
    ("−", "other_currency", "claimed in another currency only"),
    ("+", "turnover_differences", "stated by rebates beyond their bets"),
    ("=", "rebated_turnover", "Turnover of the day's successful rebates"),
)
CSV_HEAD = (
    "kind", "provider", "agent", "day", "subject", "reason", "state", "user_id", "currency", "amount", "overpaid",
    "opened_at", "bet_ids", "sentence",
)  # fmt: skip
#: What a spreadsheet takes for the beginning of a formula, full-width forms included.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")


def write_statement(url: str | URL, of: StatementOf, base: PathLike) -> list[str]:
    """Write the statement and the CSV below *base*; return their paths. What has not changed is not written.

    Those who write statements of one agent take turns, so that the newest state is what is left. Raises Unreachable
    when the warehouse or the landing base is.
    """
    folder = folder_of(base, of.provider, of.agent)
    paths = []
    with statement_in_turn(url, of) as data:
        for name, content in ((f"{of.day}.html", render(data)), (f"{of.day}.csv", breaks_csv(data))):
            _write(folder, name, content.encode())
            paths.append(str(folder / name))
    return paths


def folder_of(base: PathLike, provider: str, agent: str) -> PathLike:
    """Return the folder of an agent's statements."""
    return base / FOLDER / provider / agent


def _write(folder: PathLike, name: str, content: bytes) -> None:
    try:
        path = folder / name
        with contextlib.suppress(FileNotFoundError):
            if storage.read(path) == content:
                return
        storage.make_folder(folder)
        storage.write(path, content)
    except OSError as error:
        raise Unreachable(
            f"cannot write the statement {name} to {folder}: {error}.",
            advice="Free space or mend the permissions of the landing base (TIEOUT_LANDING).",
        ) from error


def breaks_csv(data: StatementData) -> str:
    """Return the breaks that stand as CSV (RFC 4180, UTF-8, CRLF); no cell of text can become a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_HEAD)
    of = data.of
    for rebate in data.rebates:
        for row in rebate.breaks:
            writer.writerow(
                (
                    *("rebate", of.provider, of.agent, of.day),
                    *_plain(row["rebate_id"], row["reason"], row["state"], row["user_id"], row["currency"]),
                    *(f"{row['amount']:f}", f"{row['overpaid']:f}", stamp(row["opened_at"])),
                    *_plain(" ".join(row["bet_ids"]), row["sentence"]),
                )
            )
    for row in data.integrity:
        writer.writerow(
            (
                *("row", of.provider, of.agent, of.day),
                *_plain(row["row_key"], row["identity"], row["state"], row["user_id"], row["currency"]),
                *(f"{row['difference']:f}", "", stamp(row["opened_at"]), ""),
                *_plain(row["sentence"]),
            )
        )
    return out.getvalue()


def _plain(*cells: str) -> list[str]:
    return [plain_cell(cell) for cell in cells]


def plain_cell(cell: str) -> str:
    """Return a text as a cell that a spreadsheet shows instead of computing it."""
    may_be_formula = cell[:1] in ("\t", "\r", "\n") or cell.lstrip().startswith(FORMULA)
    return f"'{cell}" if may_be_formula else cell


def render(data: StatementData) -> str:
    """Return the statement as HTML: no script, no other file, light and dark, for print too."""
    of = data.of
    provider = TITLES.get(of.provider, of.provider)
    template = Template(files("tieout.core.recon").joinpath("statements/statement.html").read_text(encoding="utf-8"))
    sections = [
        _tie_out(data.tie_outs, data.undecided),
        _bridge(data.bridges),
        _trend(data),
        breaks_section(data.rebates),
        _integrity(data.integrity),
        _controls(data.controls),
        _activities(data.activities),
        _games(data.games),
    ]
    return template.substitute(
        title=f"{text(provider)} {text(of.agent)} {of.day}",
        heading=f"{text(provider)}, agent <bdi>{text(of.agent)}</bdi>, {of.day}",
        subheading=text(f"Statement of one day; days are counted in {of.timezone} unless a table says otherwise."),
        lead=_lead(data),
        sections="".join(section for section in sections if section),
    )


def _lead(data: StatementData) -> str:
    """Return what matters in one sentence or two."""
    if not (data.tie_outs or data.games or data.rebates or data.integrity or data.controls):
        return "Nothing is known of this day."
    sentences = []
    if data.of.provider == "lucko":
        pending, unprovable = (sum(row[name] for row in data.tie_outs) for name in ("pending", "unprovable"))
        broken = len(data.rebates)
        sentences.append(
            f"{number(broken)} {'rebate does' if broken == 1 else 'rebates do'} not tie out."
            if broken
            else "Every rebate ties out."
            if not (pending or unprovable)
            else "No rebate is broken."
        )
        if pending or unprovable:
            sentences.append(f"{number(pending)} pending, {number(unprovable)} unprovable.")
    rows = len(data.integrity)
    if rows:
        sentences.append(f"{number(rows)} {'row contradicts itself' if rows == 1 else 'rows contradict themselves'}.")
    elif not sentences:
        sentences.append("No row contradicts itself.")
    good = not (data.rebates or data.integrity or any(row["state"] == "differs" for row in data.controls))
    return f"<span class={'good' if good else 'up'}>{'✓' if good else '●'}</span> " + text(" ".join(sentences))


def _section(title: str, body: str, note: str = "") -> str:
    note = f"<p class=soft>{text(note)}</p>" if note else ""
    return f"<section><h2>{text(title)}</h2>{note}<div class=scroll>{body}</div></section>\n"


def _money_rows(
    rows: Sequence[Row], labels: Sequence[str], counts: Sequence[str], amounts: Sequence[str]
) -> Iterable[list[str]]:
    """Yield rows as cells: labels, then counts, then amounts, each column of amounts with one number of decimals."""
    places = {name: places_of(row[name] for row in rows) for name in amounts}
    for row in rows:
        yield [
            *(f"<bdi>{text(row[name])}</bdi>" for name in labels),
            *(number(row[name]) for name in counts),
            *(number(row[name], places[name]) for name in amounts),
        ]


def _tie_out(rows: Sequence[Row], undecided: Sequence[Row]) -> str:
    if not rows:
        return ""
    counts = ("rebates", "matched", "broken", "pending", "unprovable", "rebates_failed")
    money = ("paid", "expected", "difference", "entitled", "overpaid", "underpaid")
    # Two tables: one with all columns is too wide for a page.
    body = table(
        ("Currency", "Paid", "Expected", "Difference", "Entitled", "Overpaid", "Underpaid"),
        _money_rows(rows, ("currency",), (), money),
        numbers=len(money),
    ) + table(
        ("Currency", "Rebates", "Matched", "Broken", "Pending", "Unprovable", "Failed"),
        _money_rows(rows, ("currency",), counts, ()),
        numbers=len(counts),
    )
    body += _undecided(rows, undecided)
    return _section("Tie-out", body, "Expected follows from the turnover each rebate states, entitled from its bets.")


def _undecided(rows: Sequence[Row], undecided: Sequence[Row]) -> str:
    """Return how much of what is over- and underpaid is not decided yet; nothing when all of it is."""
    if not undecided:
        return ""
    totals = {row["currency"]: row for row in rows}
    money = ("overpaid", "underpaid")
    cells = _money_rows(undecided, ("currency",), ("rebates",), money)
    body = []
    for (currency, rebates, *amounts), row in zip(cells, undecided, strict=True):
        shares = (_share(row[name], totals.get(row["currency"], {}).get(name, 0)) for name in money)
        pairs = zip(amounts, shares, strict=True)
        body.append([currency, rebates, *(cell for pair in pairs for cell in pair)])
    return table(
        ("Currency", "Rebates", "Of overpaid", "Share", "Of underpaid", "Share"),
        body,
        numbers=5,
        name="Of pending and unprovable rebates, which may still change",
    )


def _share(part: Decimal, whole: Decimal) -> str:
    return f"{number(round(part * 100 / whole, 2), 2)} %" if whole else "–"


def _bridge(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    places = [places_of(row[column] for _, column, _ in STEPS) for row in rows]
    body = table(
        ("", "", *(row["currency"] for row in rows)),
        (
            [
                sign,
                text(name) if sign else f"<strong>{text(name)}</strong>",
                *(number(row[column], digits) for row, digits in zip(rows, places, strict=True)),
            ]
            for sign, column, name in STEPS
        ),
        numbers=len(rows),
    )
    undated = sum(row["undated_bets"] for row in rows)
    note = f"{number(undated)} settled bets have no settle_time and count on the day they were placed."
    return _section("From bets to rebates", body, note if undated else "")


def _trend(data: StatementData) -> str:
    if not data.trend:
        return ""
    is_lucko = data.of.provider == "lucko"
    names = ("overpaid", "underpaid") if is_lucko else ("turnover", "")
    charts = "".join(
        chart(title=currency, last=data.of.day, days=TREND, values=values, names=names)
        for currency, values in data.trend.items()
    )
    return _section(f"{'Overpaid and underpaid' if is_lucko else 'Turnover'}, {TREND} days", charts)


def _integrity(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    body = table(
        ("Identity", "Row", "Currency", "State", "Open since", "Stated", "Computed", "Difference"),
        (
            [
                text(row["identity"]),
                f"<span class=id>{text(row['row_key'])}</span><br><span class=soft>{text(row['sentence'])}</span>",
                text(row["currency"]),
                text(row["state"]),
                f"{row['opened_at']:%Y-%m-%d}",
                *(number(row[name], 2) for name in ("stated", "computed", "difference")),
            ]
            for row in rows
        ),
        numbers=3,
    )
    return _section("Rows that contradict themselves", body, "Figures of one row that should agree with each other.")


def _controls(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    body = table(
        ("Range", "Result", "Total read", "Hours read", "Games", "Figures that differ", "Hours missing"),
        (
            [
                text(f"{stamp(row['starts_at'])} to {stamp(row['ends_at'])}"),
                text(row["state"]),
                stamp(row["control_read_at"]),
                f"{stamp(row['hours_read_from'])} to {stamp(row['hours_read_to'])}" if row["hours_read_from"] else "–",
                number(row["games"]),
                number(row["differing"]),
                number(row["hours_open"]),
            ]
            for row in rows
        ),
        numbers=3,
    )
    return _section("Control totals", body, "The provider's own total of the whole range against its hours.")


def _activities(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    counts = ("eligible_bets", "claimed_bets", "ineligible_bets")
    money = ("eligible_turnover", "claimed_turnover", "ineligible_turnover")
    cells = _money_rows(rows, ("activity_id", "currency"), counts, money)
    body = table(
        ("Activity", "Currency", "Eligible bets", "Claimed", "Claimed, not eligible", "Eligible turnover", "Claimed",
         "Claimed, not eligible", "Claim rate"),
        (
            [*line, "–" if row["claim_rate"] is None else f"{number(row['claim_rate'] * 100, 2)} %"]
            for line, row in zip(cells, rows, strict=True)
        ),
        numbers=7,
    )  # fmt: skip
    return _section("Claim rates", body)


def _games(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    body = table(
        ("Currency", "Game", "Day", "Bets", "Turnover", "Player's net", "Rebate"),
        _money_rows(rows, ("currency", "game", "day_rule"), ("bets",), ("turnover", "win_loss", "rebate")),
        numbers=4,
    )
    return _section("Turnover by game", body)
