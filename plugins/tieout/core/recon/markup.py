"""Text, numbers and a chart as HTML: everything escaped, every number exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import Any

#: Control characters and those that turn the direction of text show as themselves, not by their effect.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(32)},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), 0xFFFD),
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 150, 4, 18, 20
HUNDREDTH = Decimal("0.01")


def text(value: object) -> str:
    """Return a value as escaped text, for elements and quoted attributes."""
    return escape(str(value).translate(_VISIBLE))


def places_of(values: Iterable[Decimal | None]) -> int:
    """Return how many decimals show every value exactly, two at least; trailing zeros do not count."""
    return max((_places(value) for value in values if value is not None), default=2)


def _places(value: Decimal) -> int:
    _, digits, exponent = value.as_tuple()
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return max(2, -int(exponent) - zeros) if value else 2


def number(value: Decimal | int | None, places: int | None = None) -> str:
    """Return a number with thousands separators and at least *places* decimals (None: a count), never rounded."""
    if value is None:
        return "–"
    if places is None:
        return f"{value:,d}" if isinstance(value, int) else f"{value:,f}"
    exact = Decimal(value)
    return f"{exact:,.{max(places, _places(exact))}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int, name: str = "") -> str:
    """Return a table; cells are HTML already, the last *numbers* columns are numbers and stand to the right."""
    first = len(head) - numbers
    titles = "".join(
        f"<th scope=col{' class=n' if position >= first else ''}>{text(title)}</th>"
        for position, title in enumerate(head)
    )
    lines = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if position >= first else ''}>{cell}</td>" for position, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    caption = f"<caption>{text(name)}</caption>" if name else ""
    return f"<table>{caption}<thead><tr>{titles}</tr></thead><tbody>\n{lines}</tbody></table>\n"


def attribute(name: str, value: Any) -> str:
    """Return an attribute, quoted."""
    return f' {name}="{text(value)}"'


def chart(
    *, title: str, last: date, days: int, values: Mapping[date, tuple[Decimal, Decimal]], names: tuple[str, str]
) -> str:
    """Return bars of *days* days up to *last* as SVG: the first value of a day upwards, the second downwards.

    Both share one scale; a day without figures stays empty. Every bar tells its figures in a ``title``.
    """
    highest = max((up for up, _ in values.values()), default=Decimal(0))
    lowest = max((down for _, down in values.values()), default=Decimal(0))
    span = highest + lowest
    room = Decimal(HEIGHT - TOP - BOTTOM)
    base = TOP + (room * highest / span).quantize(HUNDREDTH) if span else Decimal(HEIGHT - BOTTOM)
    step = (Decimal(WIDTH - 2 * LEFT) / days).quantize(HUNDREDTH)
    bars = []
    for place in range(days):
        day = last - timedelta(days=days - 1 - place)
        if day not in values or not span:
            continue
        left = LEFT + step * place + 1
        for kind, amount in enumerate(values[day]):
            if amount:
                size = max((room * amount / span).quantize(HUNDREDTH), Decimal("0.75"))
                top = base - size if kind == 0 else base
                bars.append(
                    f'<rect class={"down" if kind else "up"} x="{left}" y="{top}" width="{step - 2}" height="{size}">'
                    f"<title>{day}: {text(names[kind])} {number(amount, 2)}</title></rect>"
                )
    first = last - timedelta(days=days - 1)
    said = f"{title}: " + ", ".join(
        f"{name} at most {number(most, 2)}" for name, most in zip(names, (highest, lowest), strict=True) if name
    )
    peaks = f"▲ {text(names[0])}, at most {number(highest, 2)}"
    if names[1]:
        peaks += f" · ▼ {text(names[1])}, at most {number(lowest, 2)}"
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img'
        f"{attribute('aria-label', said)}>"
        f'<text x="{LEFT}" y="11">{peaks}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{base}" y2="{base}"/>{"".join(bars)}'
        f'<text x="{LEFT}" y="{HEIGHT - 5}">{first}</text>'
        f'<text x="{WIDTH - LEFT}" y="{HEIGHT - 5}" class=end>{last}</text></svg></figure>\n'
    )
