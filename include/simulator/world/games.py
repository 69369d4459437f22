"""The games of the Lucko world: stakes, results and what they pay.

101 is baccarat and 103 roulette as in the provider document 'Query Bet Records'; the others stand for games a
reader has never heard of. Each outcome keeps Σ win details = win amount, and the turnover leaves pushed
stakes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from simulator.world.chance import cents
from simulator.world.texts import HOSTILE

Stakes = tuple[tuple[str, Decimal], ...]

_NOTHING = Decimal(0)

_FACES = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
_DECK = tuple(suit + face for suit in ("Hearts", "Diamonds", "Clubs", "Spades") for face in _FACES)
_SIDE_ITEMS = ("Tie", "PlayerPair", "BankerPair", "Super6", "AnyPair", "PerfectPair", "PDragonBonus")
_ROULETTE = ("Red", "Black", "Odd", "Even", "Small", "Big", "Dozen-2", "Column-1", "Direct-11")
_RED = {1, 3, 5, 7, 9, 12, 14, 16, 18, 19, 21, 23, 25, 27, 30, 32, 34, 36}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a round ended for one bet; money in the bet's currency."""

    turnover: Decimal
    win: Decimal
    wins: Stakes
    result: tuple[str, ...]
    cards: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Game:
    """A game: its id, how often it is played, and its two halves of chance."""

    game_id: str
    weight: int
    items: Callable[[Random], tuple[str, ...]]
    settle: Callable[[Random, Stakes, bool], Outcome]


def split(random: Random, amount: Decimal, items: tuple[str, ...]) -> Stakes:
    """`amount` spread over `items` in whole cents; the parts sum to it exactly."""
    stakes: list[tuple[str, Decimal]] = []
    left = amount
    for item in items[1:]:
        part = cents(amount * random.randrange(5, 20) / 100)
        stakes.append((item, part))
        left -= part
    return ((items[0], left), *stakes)


def _outcome(
    stakes: Stakes, pays: dict[str, Decimal], pushed: frozenset[str], result: tuple[str, ...], /, **cards: str
) -> Outcome:
    wins = tuple((item, cents(stake * pays.get(item, _NOTHING))) for item, stake in stakes)
    return Outcome(
        turnover=sum((stake for item, stake in stakes if item not in pushed), Decimal(0)),
        win=sum((won for _, won in wins), Decimal(0)),
        wins=wins,
        result=result,
        cards=tuple(cards.items()),
    )


def _hand(random: Random) -> str:
    return ",".join(random.choice(_DECK) for _ in range(random.randrange(2, 4)))


def _baccarat_items(random: Random) -> tuple[str, ...]:
    main = random.choice(("Banker", "Player"))
    return (main, random.choice(_SIDE_ITEMS)) if random.random() < 0.15 else (main,)


def _baccarat(random: Random, stakes: Stakes, no_comm: bool) -> Outcome:
    winner = random.choices(("Banker", "Player", "Tie"), (46, 44, 10))[0]
    pays = {item: Decimal(12) for item, _ in stakes if item in _SIDE_ITEMS and random.random() < 0.1}
    pays["Tie"] = Decimal(9) if winner == "Tie" else Decimal(0)
    pushed: frozenset[str] = frozenset()
    if winner == "Tie":
        pushed = frozenset(("Banker", "Player"))
        pays["Banker"] = pays["Player"] = Decimal(1)
    else:
        pays[winner] = Decimal("1.95") if winner == "Banker" and not no_comm else Decimal(2)
    result = (winner, random.choice(("Big", "Small")))
    return _outcome(stakes, pays, pushed, result, banker=_hand(random), player=_hand(random))


def _roulette_items(random: Random) -> tuple[str, ...]:
    return tuple(random.sample(_ROULETTE, random.randrange(1, 5)))


def _roulette(random: Random, stakes: Stakes, no_comm: bool) -> Outcome:
    number = random.randrange(37)
    names = ["Green"]
    if number:
        names = [
            "Red" if number in _RED else "Black",
            "Odd" if number % 2 else "Even",
            "Small" if number <= 18 else "Big",
            f"Column-{(number - 1) % 3 + 1}",
            f"Dozen-{(number - 1) // 12 + 1}",
        ]
    pays = {name: Decimal(3) if "-" in name else Decimal(2) for name in names}
    pays[f"Direct-{number}"] = Decimal(36)
    return _outcome(stakes, pays, frozenset(), tuple(names), result=str(number))


def _wheel_items(random: Random) -> tuple[str, ...]:
    return ("Spin",)


def _wheel(random: Random, stakes: Stakes, no_comm: bool) -> Outcome:
    multiple = random.choices(("0", "0.5", "1.5", "3", "25"), (60, 15, 15, 9, 1))[0]
    return _outcome(stakes, {"Spin": Decimal(multiple)}, frozenset(), (f"x{multiple}",))


def _dice_items(random: Random) -> tuple[str, ...]:
    return (random.choice(("Big", "Small", "AnyTriple", "Sum-9")),)


def _dice(random: Random, stakes: Stakes, no_comm: bool) -> Outcome:
    thrown = [random.randrange(1, 7) for _ in range(3)]
    total = sum(thrown)
    triple = len(set(thrown)) == 1
    side = "AnyTriple" if triple else "Small" if total <= 10 else "Big"
    pays = {side: Decimal(30) if triple else Decimal(2), f"Sum-{total}": Decimal(7)}
    return _outcome(stakes, pays, frozenset(), (side, f"Sum-{total}"), result=",".join(map(str, thrown)))


GAMES: tuple[Game, ...] = (
    Game(game_id="101", weight=55, items=_baccarat_items, settle=_baccarat),
    Game(game_id="103", weight=25, items=_roulette_items, settle=_roulette),
    Game(game_id="105", weight=12, items=_dice_items, settle=_dice),
    Game(game_id="SP-2077", weight=8, items=_wheel_items, settle=_wheel),
)
BAG: tuple[Game, ...] = tuple(game for game in GAMES for _ in range(game.weight))
"""The games as often as they are played: a draw from it is a weighted draw."""

_HOSTILE_GAMES = tuple(
    Game(game_id=text, weight=2, items=_dice_items, settle=_dice) for text in HOSTILE if text not in ("0", "-1")
)
HOSTILE_BAG = (*BAG, *(game for game in _HOSTILE_GAMES for _ in range(game.weight)))
"""The same with games whose ids are hostile texts."""

BY_ID: dict[str, Game] = {game.game_id: game for game in (*GAMES, *_HOSTILE_GAMES)}
