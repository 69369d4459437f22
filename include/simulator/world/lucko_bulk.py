"""A Lucko world of very many bets: every bet follows from its number, so none has to be remembered.

Bets stand at even distances, `bets_per_hour` of them in every hour, and settle a fixed time later; their update_time
grows with their number, so a window is a range of numbers and a page a part of it. Bets that were changed or came
late are remembered and woven into the ranges. There are no rebates.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from simulator.agents import LuckoAgent
from simulator.config import SimConfig
from simulator.encoding import encode, encode_row
from simulator.world.bets import SETTLED, Bet, bet_row
from simulator.world.chance import HOUR, SECOND, dice
from simulator.world.change import ChangeOrder
from simulator.world.lucko import BetDay, Entry, LuckoWorld, Page, bet_day
from simulator.world.lucko_bets import new_bet
from simulator.world.lucko_rebates import DayPlan
from simulator.world.texts import marked

LAG = 7 * SECOND
"""A bulk bet settles this long after it was placed."""

PATTERNS = 509  # how many different bets there are but for id, user and times; prime, so that users mix with them
LINES = 5_000
MOST_CHANGES = 100_000
_TIMES = (9_000_000_000_001, 9_000_000_000_002)  # stand for bet_time and update_time in a template

Segment = range | Entry


class BulkLuckoWorld(LuckoWorld):
    """Bets of one agent by number; instants are Unix ms. The n-th bet of hour h has the number h x size + n."""

    def __init__(self, config: SimConfig, agent: LuckoAgent) -> None:
        super().__init__(config, agent)
        self._size = agent.bets_per_hour
        self._patterns = [self._pattern(n) for n in range(PATTERNS)]
        self._templates = [_template(bet) for bet in self._patterns]
        self._users = [encode(user.user_id) for user in self._people]
        # What was changed or came late, and the numbers it stands for; replaced together, as answers run in threads.
        self._woven: tuple[BetDay, list[int]] = (bet_day({}), [])

    def _make_plan(self, day: int) -> DayPlan:
        return DayPlan()

    def _pattern(self, n: int) -> Bet:
        """A settled bet placed at 0."""
        random = dice(self._config.seed, "lucko", self.agent.agent_id, "bulk", n)
        while True:
            bet = new_bet(
                random,
                user_id="",
                currency=random.choice(("USD", "CNY", "VND2")),
                bet_time=0,
                quiet=True,
                hostile=self.agent.hostile_ids,
            )
            last = bet.versions[-1]
            if last.status == SETTLED:
                only = replace(last, at=_TIMES[1], update_time=_TIMES[1], settle_time=_TIMES[1])
                return replace(bet, id="", shoe=n, versions=(only,))

    # ------------------------------------------------------------ numbers

    def _time(self, number: int) -> int:
        hour, n = divmod(number, self._size)
        return hour * HOUR + n * HOUR // self._size

    def _first(self, instant: int) -> int:
        """The first number whose bet is updated at or after `instant`."""
        hour, rest = divmod(instant - LAG, HOUR)
        return hour * self._size - (-rest * self._size // HOUR)

    def _id(self, number: int) -> str:
        plain = f"{self._time(number) // 1000:08x}{number:016x}"
        return marked(plain) if self.agent.hostile_ids else plain

    def _numbers(self, start: int, end: int, as_of: int) -> range:
        """The numbers of bets of the activity updated in [start, end) and by `as_of`."""
        begin, until = self._config.activity_from, self._config.activity_until
        start = start if begin is None else max(start, begin + LAG)
        end = min(end, as_of + 1) if until is None else min(end, as_of + 1, until)
        return range(self._first(start), max(self._first(start), self._first(end)))

    def _bet(self, number: int) -> Bet:
        """The bet of a number as it was settled first."""
        pattern, moment = self._patterns[number % PATTERNS], self._time(number)
        at = moment + LAG
        only = replace(pattern.versions[0], at=at, update_time=at, settle_time=at)
        user = self._people[number % len(self._people)].user_id
        return replace(pattern, id=self._id(number), user_id=user, bet_time=moment, versions=(only,))

    def _row(self, number: int) -> bytes:
        """The encoded row of `_bet`, without building it."""
        moment = self._time(number)
        at = moment + LAG
        bet_id = f"{moment // 1000:08x}{number:016x}"
        encoded = encode(marked(bet_id)) if self.agent.hostile_ids else b'"%b"' % bet_id.encode()
        user = self._users[number % len(self._users)]
        return self._templates[number % PATTERNS] % (encoded, user, moment, at, moment, at)

    # ------------------------------------------------------------ bets

    def _segments(self, start: int, end: int, as_of: int) -> list[Segment]:
        """The window in order: ranges of numbers without those left out, and the woven bets between them."""
        numbers = self._numbers(start, end, as_of)
        woven, left_out = self._woven
        first, last = bisect_left(left_out, numbers.start), bisect_left(left_out, numbers.stop)
        marks: list[tuple[int, int, Entry | None]] = [(number, 1, None) for number in left_out[first:last]]
        marks += [(self._place(one, numbers), 0, one) for one in woven.shown(start, end, as_of)]
        segments: list[Segment] = []
        at = numbers.start
        for place, skip, one in sorted(marks, key=lambda mark: mark[:2]):
            segments.append(range(at, place))
            at = place + skip
            if one is not None:
                segments.append(one)
        segments.append(range(at, numbers.stop))
        return segments

    def _place(self, one: Entry, numbers: range) -> int:
        """The number before which a woven bet stands."""
        place = self._first(one.update_time)
        if self._time(place) + LAG == one.update_time and self._id(place) < one.bet_id:
            place += 1
        return min(max(place, numbers.start), numbers.stop)

    def page(self, start: int, end: int, *, as_of: int, index: int, size: int) -> Page:
        """The rows of the window from position `index` on, at most `size`, encoded."""
        rows: list[msgspec.Raw] = []
        total = 0
        for segment in self._segments(start, end, as_of):
            length = len(segment) if isinstance(segment, range) else 1
            low, high = max(index - total, 0), min(index + size - total, length)
            total += length
            if low >= high:
                continue
            if isinstance(segment, range):
                rows += [msgspec.Raw(self._row(number)) for number in segment[low:high]]
            else:
                rows.append(encode_row(segment.row()))
        return Page(total, rows)

    def bets(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """All rows of the window; for windows of a size that fits into memory."""
        found: list[dict[str, Any]] = []
        for segment in self._segments(start, end, as_of):
            if isinstance(segment, range):
                found += [bet_row(bet, bet.versions[0]) for bet in map(self._bet, segment)]
            else:
                found.append(segment.row())
        return found

    def lines(self, start: int, end: int, *, as_of: int) -> Iterator[list[msgspec.Raw]]:
        """The rows of the window, encoded, some thousands at a time."""
        index = 0
        while True:
            page = self.page(start, end, as_of=as_of, index=index, size=LINES)
            yield page.rows
            index += LINES
            if index >= page.total:
                return

    def _find(self, bet_id: str) -> Bet | None:
        known = self._woven[0].bets.get(bet_id)
        if known is not None:
            return known
        try:
            number = int(bet_id[-16:], 16)
        except ValueError:
            return None
        placed = self._numbers(0, self._time(number) + LAG + 1, sys.maxsize)
        return self._bet(number) if number in placed and self._id(number) == bet_id else None

    # ------------------------------------------------------------ changes

    def _replace(self, bets: list[Bet]) -> None:
        woven, left_out = self._woven
        numbers = {int(bet.id[-16:], 16): bet.id for bet in bets}
        plain = [number for number, bet_id in numbers.items() if self._id(number) == bet_id]
        self._woven = (woven.with_bets({bet.id: bet for bet in bets}), sorted({*left_out, *plain}))

    def change_bets(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on bets never changed before; returns how many rows changed by kind."""
        with self._lock:
            numbers = self._numbers(order.start, order.end, order.at)
            left_out = set(self._woven[1])
            count = min(order.count(len(numbers)), MOST_CHANGES)
            drawn = [number for number in order.random.sample(numbers, count) if number not in left_out]
            bets = map(self._bet, drawn)
            entries = [Entry(bet.versions[0].update_time, bet.id, 0, bet) for bet in bets]
            return self._carry_out(replace(order, share=1), entries)


def _template(pattern: Bet) -> bytes:
    """The encoded row of a pattern with places (%) for id, user, bet_time, settle_time, create_time, update_time."""
    row = bet_row(replace(pattern, bet_time=_TIMES[0]), pattern.versions[0])
    text = encode(row | {"id": "\x01id", "user_id": "\x01user"}).replace(b"%", b"%%")
    text = text.replace(encode("\x01id"), b"%b").replace(encode("\x01user"), b"%b")
    for moment in _TIMES:
        text = text.replace(b"%d" % moment, b"%d")
    return text
