"""Many pieces in one task: what stops the round, what does not, and what it says in the end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tieout.core.batch import GIVE_UP_AFTER, Round
from tieout.core.errors import (
    ConfigError,
    ContractBroken,
    FatalError,
    IdentityChanged,
    RetryLater,
    SuspectReading,
    Throttled,
    Unreachable,
)


def go(*outcomes: Exception | None) -> Round:
    work = Round(place="repairs of lucko bets agent=acme", advice="Look at ops.readings.")
    for number, outcome in enumerate(outcomes):
        with work.piece(f"slice {number}"):
            if outcome is not None:
                raise outcome
    return work


def test_a_round_without_failures_ends_quietly() -> None:
    work = go(None, None)
    work.end()
    assert work.done == 2


def test_a_failure_does_not_stop_the_others_and_is_named_in_the_end() -> None:
    work = go(
        None, SuspectReading("the reading r1 is suspect: 3 row(s) broke the contract."), None, ContractBroken("no.")
    )
    assert work.done == 2
    with pytest.raises(FatalError) as caught:
        work.end()
    assert str(caught.value) == (
        "2 of 4 piece(s) of repairs of lucko bets agent=acme failed: slice 1: the reading r1 is suspect: "
        "3 row(s) broke the contract; slice 3: no. Look at ops.readings. It will not be retried."
    )


def test_a_later_try_is_asked_for_when_it_can_help() -> None:
    work = go(ContractBroken("no."), Throttled("too often.", delay=timedelta(seconds=70)), None, Unreachable("gone."))
    with pytest.raises(RetryLater) as caught:
        work.end()
    assert caught.value.delay == timedelta(seconds=70)
    assert "slice 0: no; slice 1: too often; slice 3: gone." in str(caught.value)


@pytest.mark.parametrize("error", [ConfigError("no connection."), IdentityChanged("another merchant.")])
def test_what_concerns_all_pieces_stops_the_round(error: Exception) -> None:
    with pytest.raises(type(error)):
        go(None, error, None)


def test_a_provider_that_is_down_is_not_asked_for_every_slice() -> None:
    with pytest.raises(RetryLater, match="3 of 4 piece") as caught:
        go(None, *(Unreachable(f"gone {number}.") for number in range(10)))
    assert GIVE_UP_AFTER == 3
    assert "gone 2" in str(caught.value)
    assert "gone 3" not in str(caught.value)


def test_failures_that_alternate_with_successes_go_on() -> None:
    work = go(*([Unreachable("gone."), None] * 5))
    assert (work.done, len(work.failures)) == (5, 5)


def test_an_error_that_nobody_expected_costs_its_piece_only() -> None:
    work = go(None, KeyError("x"), None)
    assert work.done == 2
    with pytest.raises(FatalError, match="slice 1: KeyError: 'x'"):
        work.end()


def test_many_failures_are_counted() -> None:
    with pytest.raises(FatalError, match=r"slice 9: no; and 5 more\."):
        go(*(ContractBroken("no.") for _ in range(15))).end()
