"""Claims and epochs: who is believed, and who stays."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh.core.claims import HOLDER, PLAYING, READY, STANDBY, STARTING, TRANSITIONS, Holding, Ledger, beats
from mesh.core.messages import NodeState
from tests.core.cases import claim, said

HOLDINGS = some.builds(
    lambda node, epoch, heard, first, planned: Holding(node, claim("eye", epoch, heard=heard, first=first, planned=planned)),
    some.sampled_from(["a", "b", "c", "d"]), some.integers(1, 4), some.integers(1, 4), some.integers(1, 4), some.booleans(),
)


def _ledger(**states: NodeState) -> Ledger:
    ledger = Ledger()
    ledger.read(states)
    return ledger


def test_consumers_believe_the_highest_epoch_and_then_the_highest_node() -> None:
    ledger = _ledger(a=said(claim("eye", 3)), b=said(claim("eye", 4)), c=said(claim("eye", 4)))
    believed = ledger.believed("eye")
    assert believed is not None and believed.node == "c"
    assert _ledger(a=said()).believed("eye") is None


def test_the_holder_of_the_larger_side_stays_even_below_the_other() -> None:
    ledger = _ledger(a=said(claim("eye", 2, heard=3)), b=said(claim("eye", 9, heard=1)))
    winner = ledger.winner("eye")
    assert winner is not None and winner.node == "a"


def test_of_equal_sides_the_one_stays_that_played_first_however_often_it_claimed_anew() -> None:
    ledger = _ledger(a=said(claim("eye", 7, heard=2, first=1)), b=said(claim("eye", 6, heard=2, first=2)))
    winner = ledger.winner("eye")
    assert winner is not None and winner.node == "a"


def test_of_equal_claims_the_lower_node_stays() -> None:
    ledger = _ledger(b=said(claim("eye", 2, heard=2, first=2)), a=said(claim("eye", 2, heard=2, first=2)))
    winner = ledger.winner("eye")
    assert winner is not None and winner.node == "a"


def test_a_hand_over_by_plan_stands_above_the_one_it_relieves() -> None:
    ledger = _ledger(a=said(claim("eye", 2, heard=5, first=1)), b=said(claim("eye", 3, heard=5, first=3, planned=True)))
    winner = ledger.winner("eye")
    assert winner is not None and winner.node == "b"


def test_standbys_hold_nothing() -> None:
    ledger = _ledger(a=said(claim("eye", 2, part=STANDBY, state=READY)))
    assert ledger.winner("eye") is None
    assert [each.node for each in ledger.standbys["eye"]] == ["a"]


@given(some.lists(HOLDINGS, min_size=1, max_size=4, unique_by=lambda each: each.node))
def test_the_winner_is_the_same_in_whatever_order_claims_are_read(holdings: list[Holding]) -> None:
    ledger = Ledger()
    winners = set()
    for order in permutations(holdings):
        ledger.holdings = {"eye": list(order)}
        winner = ledger.winner("eye")
        assert winner is not None
        if not any(each.claim.planned for each in holdings):
            winners.add(winner.node)
    assert len(winners) <= 1


@given(HOLDINGS, HOLDINGS)
def test_of_two_holders_exactly_one_beats_the_other(one: Holding, other: Holding) -> None:
    if one.node != other.node:
        assert beats(one, other) != beats(other, one)


def test_a_new_claim_is_above_all_that_was_ever_named() -> None:
    ledger = _ledger(a=said(claim("eye", 3), epochs={"eye": 8, "poet/1": 2}))
    assert ledger.next_epoch("eye") == 9
    assert ledger.next_epoch("poet/1") == 3
    assert ledger.next_epoch("unheard-of") == 1


def test_epochs_are_remembered_when_the_claims_are_gone() -> None:
    ledger = _ledger(a=said(claim("eye", 3)))
    ledger.read({})
    assert ledger.holdings == {}
    assert ledger.next_epoch("eye") == 4


def test_an_epoch_that_nobody_seen_here_has_claimed_is_hidden() -> None:
    ledger = _ledger(a=said(epochs={"eye": 2}))
    assert ledger.hidden("eye")
    ledger.read({"b": said(claim("eye", 2))})
    assert not ledger.hidden("eye")


def test_an_epoch_is_used_up_when_its_higher_claimant_has_been_heard_and_a_lower_one_is_left() -> None:
    # Given consumers here who have listened to b at epoch 3, and refuse anybody below
    ledger = _ledger(a=said(claim("eye", 3)), b=said(claim("eye", 3)))
    # When only a is left at that epoch, Then the number above is named, so that a claims above it
    ledger.read({"a": said(claim("eye", 3))})
    assert ledger.epochs["eye"] == 4
    ledger.read({"a": said(claim("eye", 5))})
    assert ledger.epochs["eye"] == 5


def test_agreement_means_that_no_instance_has_two_holders() -> None:
    assert _ledger(a=said(claim("eye")), b=said(claim("poet/1"))).agreed
    assert not _ledger(a=said(claim("eye")), b=said(claim("eye"))).agreed


# ---- the table of transitions


def test_every_state_of_the_table_can_be_reached_and_left() -> None:
    reachable = {after for changes in TRANSITIONS.values() for after in changes}
    assert reachable == set(TRANSITIONS)
    assert all(("", "") in changes for where, changes in TRANSITIONS.items() if where != ("", ""))


@pytest.mark.parametrize("state", [STARTING, READY, PLAYING])
def test_a_holder_never_becomes_a_standby_of_itself(state: str) -> None:
    assert not [after for after in TRANSITIONS[HOLDER, state] if after[0] == STANDBY]


def test_only_a_standby_that_is_loaded_plays_at_once() -> None:
    assert [where for where, changes in TRANSITIONS.items() if (HOLDER, PLAYING) in changes and where[0] == STANDBY] == [(STANDBY, READY)]
