"""Charts as SVG without a style of their own: classes, positions and titles; the figures stand in tables beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from markupsafe import Markup

from tieout.web.render import number, text

#: How many steps a waterfall shows between its totals; the others are one step.
STEPS = 40
WIDTH, LEFT, TOP = 960, 8, 22
TALL, LOW, GAP, FOOT = 130, 52, 30, 18
ZERO = Decimal(0)


@dataclass(frozen=True)
class Day:
    """What a day of the tie-out shows."""

    bet_turnover: Decimal
    rebated_turnover: Decimal
    unclaimed: Decimal
    difference: Decimal


def tie_out_chart(*, currency: str, first: date, last: date, days: Mapping[date, Day]) -> Markup:
    """Return two panels over time: turnover of bets, of rebates and unclaimed above; paid less expected below."""
    count = (last - first).days + 1
    step = Decimal(WIDTH - 2 * LEFT) / count
    top = max((max(day.bet_turnover, day.rebated_turnover) for day in days.values()), default=ZERO)
    most = max((abs(day.difference) for day in days.values()), default=ZERO)
    floor = Decimal(TOP + TALL)
    middle = floor + GAP + LOW // 2
    bar = min(max(Decimal("1.5"), step * Decimal("0.36")), Decimal(26))
    pieces = [
        Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(LEFT, WIDTH - LEFT, floor),
        Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(LEFT, WIDTH - LEFT, middle),
    ]
    for place in range(count):
        when = first + timedelta(days=place)
        if (day := days.get(when)) is not None:
            x = LEFT + step * place + step * Decimal("0.12")
            pieces.append(_tie_out_day(when, day, x, bar, top=top, most=most, middle=middle))
    bottom = floor + GAP + LOW + FOOT
    said = (
        f"{currency}, {first} to {last}: bet turnover at most {number(top, 2)} a day, "
        f"paid differs from expected by at most {number(most, 2)}. The figures stand in the table below."
    )
    labels = [
        # At the end where the newest days are: a narrow screen shows that end first.
        (WIDTH - LEFT, 12, "end", f"Turnover a day, at most {number(top, 2)} {currency}"),
        (WIDTH - LEFT, int(floor) + 20, "end", f"Paid less expected, at most ± {number(most, 2)} {currency}"),
        (LEFT, int(bottom) - 2, "start", str(first)),
        (WIDTH - LEFT, int(bottom) - 2, "end", str(last)),
    ]
    return _svg("tie-out", int(bottom), said, [*pieces, *(_label(*label) for label in labels)])


def _tie_out_day(
    when: date, day: Day, x: Decimal, bar: Decimal, *, top: Decimal, most: Decimal, middle: Decimal
) -> Markup:
    floor = Decimal(TOP + TALL)
    title = text(
        f"{when}: bet turnover {number(day.bet_turnover, 2)}, rebated {number(day.rebated_turnover, 2)}, "
        f"unclaimed {number(day.unclaimed, 2)}, paid less expected {number(day.difference, 2)}"
    )
    parts = [
        _rect("bets", x, floor, bar, _share(day.bet_turnover, top, TALL)),
        _rect("unclaimed", x, floor, bar, _share(day.unclaimed, top, TALL)),
        _rect("rebated", x + bar + 1, floor, bar, _share(day.rebated_turnover, top, TALL)),
    ]
    height = _share(abs(day.difference), most, LOW // 2)
    kind = "over" if day.difference > 0 else "under"
    parts.append(_rect(kind, x, middle if day.difference > 0 else middle + height, bar * 2 + 1, height))
    return Markup("<g><title>{}</title>{}</g>").format(title, Markup("").join(parts))


@dataclass(frozen=True)
class Step:
    """A step of a waterfall. ``kind``: ``total`` stands on the ground, others begin where the last one ended."""

    label: str
    amount: Decimal
    kind: str


def waterfall(*, title: str, steps: Sequence[Step]) -> Markup:
    """Return a waterfall, a line for each step; it begins and ends with totals.

    Of many steps the largest are shown, and what is unexplained; the others are one step, their exact sum.
    """
    line, name, room = 24, 300, 470
    steps = _largest(steps)
    ends: list[tuple[Decimal, Decimal]] = []
    at = ZERO
    for step in steps:
        start = ZERO if step.kind == "total" else at
        at = start + step.amount
        ends.append((start, at))
    # Totals may be much larger than what lies between them: the scale then begins near the smallest of them.
    low, high = _scale(steps, ends)
    pieces = []
    for place, (step, (start, end)) in enumerate(zip(steps, ends, strict=True)):
        y = 8 + place * line
        left, right = sorted((max(start, low), max(end, low)))
        x = name + _share(left - low, high - low, room)
        width = max(_share(right - left, high - low, room), Decimal("1.5"))
        kind = step.kind if step.kind in ("total", "unexplained") else "plus" if step.amount >= 0 else "minus"
        pieces.append(
            Markup("<g><title>{}: {}</title>{}{}{}</g>").format(
                text(step.label),
                number(step.amount, 2),
                _label(name - 10, y + 14, "end", step.label if len(step.label) <= 44 else f"{step.label[:43]}…"),
                Markup('<rect class="{}" x="{:.2f}" y="{}" width="{:.2f}" height="16"/>').format(kind, x, y, width),
                _label(
                    WIDTH - LEFT,
                    y + 14,
                    "end",
                    ("+" if kind != "total" and step.amount > 0 else "") + number(step.amount, 2),
                ),
            )
        )
    said = f"{title}: " + ", ".join(f"{step.label} {number(step.amount, 2)}" for step in steps)
    bottom = 16 + line * len(steps)
    if low > 0:
        cut = f"Bars begin at {number(low.quantize(Decimal(1)))}, not at nothing."
        pieces.append(_label(name, bottom + 8, "start", cut))
        bottom += line
    return _svg("waterfall", bottom, said, pieces)


def _largest(steps: Sequence[Step]) -> Sequence[Step]:
    between = [place for place, step in enumerate(steps) if step.kind != "total"]
    if len(between) <= STEPS:
        return steps
    ranked = sorted(between, key=lambda place: (steps[place].kind != "unexplained", -abs(steps[place].amount)))
    others = set(ranked[STEPS - 1 :])
    rest = sum((steps[place].amount for place in others), ZERO)
    summed = Step(f"{number(len(others))} smaller ones together", rest, "rest")
    kept = [step for place, step in enumerate(steps) if place not in others]
    return [*kept[:-1], summed, kept[-1]]


def _scale(steps: Sequence[Step], ends: Sequence[tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal]:
    corners = [
        corner
        for step, pair in zip(steps, ends, strict=True)
        for corner in (pair[1:] if step.kind == "total" else pair)
    ]
    low, high = min(corners), max(corners)
    span = high - low
    if low > 0 and span < low / 4:
        return low - span / 2 - Decimal("0.01"), high + span / 10 + Decimal("0.01")
    return min(low, ZERO), max(high, ZERO) or Decimal(1)


def _share(amount: Decimal, whole: Decimal, room: int) -> Decimal:
    return amount / whole * room if whole else ZERO


def _rect(kind: str, x: Decimal, floor: Decimal, width: Decimal, height: Decimal) -> Markup:
    """Return a bar that stands on *floor*, nothing for an amount of nothing."""
    if not height:
        return Markup("")
    tall = max(height, Decimal("0.75"))
    return Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>').format(
        kind, x, floor - tall, width, tall
    )


def _label(x: int, y: int, anchor: str, said: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text(said))


def _svg(kind: str, height: int, said: str, pieces: Sequence[Markup]) -> Markup:
    # Text would be too small to read on a narrow screen: the chart keeps its size there and is scrolled.
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="Chart">'
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></div>'
    ).format(kind, WIDTH, height, text(said), Markup("").join(pieces))
