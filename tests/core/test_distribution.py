"""Which revision a node fetches and plays: tables of what it knows, and what follows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.core.codec import decode, encode
from mesh.core.distribution import AGAIN_S, FETCH, KEPT, NEVER, NOTHING, PLAY, Distribution
from mesh.core.effects import Effect, Fetch, Play, Prune, Report, Save
from mesh.core.events import Offered, RevisionFailed, RevisionReady
from mesh.core.messages import NodeState, Order, Signed, State
from tests.sim.sending import sign, trusts

A, B, C = "a" * 64, "b" * 64, "c" * 64


def state(ordered: Signed = NOTHING, offered: Signed = NOTHING) -> NodeState:
    return NodeState(1, {}, (1, A), Order(), offered=offered, ordered=ordered)


def node(playing: tuple[int, str] = (1, A), *ready: str) -> Distribution:
    each = Distribution(trusts)
    for revision in ready:
        each.take(RevisionReady(revision), 0.0)
    if playing[1]:
        each.reads(playing)
    return each


def done(effects: Sequence[Effect]) -> list[Effect]:
    return [each for each in effects if isinstance(each, (Fetch, Play))]


@pytest.mark.parametrize(
    ("playing", "ready", "ordered", "offered", "follows"),
    [
        ((1, A), (), (0, ""), (0, ""), None),
        ((1, A), (), (0, ""), (2, B), Fetch(2, B)),
        ((1, A), (B,), (0, ""), (2, B), None),  # it lies ready, and that is all
        ((1, A), (), (2, B), (2, B), Fetch(2, B)),
        ((1, A), (B,), (2, B), (2, B), Play(2, B)),
        ((2, B), (B,), (2, B), (2, B), None),
        ((2, B), (A, B), (2, B), (3, A), None),  # a rollback that is only offered
        ((2, B), (A, B), (3, A), (3, A), Play(3, A)),
        ((2, B), (B,), (2, A), (0, ""), None),  # the lower of two of one number
        ((2, B), (B,), (2, C), (0, ""), Fetch(2, C)),  # the higher
        ((1, A), (B,), (2, B), (3, C), Play(2, B)),  # what is ordered comes before what is offered
        ((1, A), (), (2, A), (0, ""), Play(2, A)),  # the same folder under a higher number
        ((0, ""), (), (2, B), (0, ""), Fetch(2, B)),  # a machine that was started with nothing
    ],
)
def test_what_follows_from_what_others_have_adopted(
    playing: tuple[int, str], ready: tuple[str, ...], ordered: tuple[int, str], offered: tuple[int, str], follows: Effect | None
) -> None:
    each = node(playing)
    each.ready |= set(ready)
    said = state(sign(PLAY, *ordered) if ordered[1] else NOTHING, sign(FETCH, *offered) if offered[1] else NOTHING)
    assert done(each.look([said], 1.0)) == ([follows] if follows else [])
    # And it is said once
    assert done(each.look([said], 1.1)) == []


def test_what_is_adopted_is_kept_and_known_after_a_restart() -> None:
    each = node()
    effects = each.look([state(sign(PLAY, 2, B), sign(FETCH, 3, C))], 0.0)
    saved = {effect.key: effect.value for effect in effects if isinstance(effect, Save)}
    again = Distribution(trusts, saved)
    assert (again.ordered, again.offered) == (sign(PLAY, 2, B), sign(FETCH, 3, C))


@given(st.permutations([1, 2, 3, 4]), st.booleans())
def test_an_older_order_said_again_with_its_good_signature_moves_nobody_back(again: list[int], restarted: bool) -> None:
    # Given a machine that plays what was ordered last, and has the earlier ones on its disk
    each, saved = node((0, ""), A, B, C), dict[str, object]()
    orders = [sign(PLAY, 1, C), sign(PLAY, 2, B), sign(PLAY, 3, A), sign(PLAY, 4, B)]
    for order in orders:
        saved |= {effect.key: effect.value for effect in each.look([state(order)], 0.0) if isinstance(effect, Save)}
        saved |= {effect.key: effect.value for effect in each.reads((order.number, order.hash)) if isinstance(effect, Save)}
        each.ready |= {A, B, C}
    if restarted:
        each = Distribution(trusts, saved)
        each.ready |= {A, B, C}
        each.reads((4, B))
    # When a member says the earlier ones again, in its state or at the door
    for number in again:
        order = orders[number - 1]
        assert done(each.look([state(order, sign(FETCH, order.number, order.hash))], 1.0)) == []
        assert done(each.take(Offered(PLAY, order), 1.0)) == []
    # Then it is played what was ordered last, and that is what the machine tells others
    assert each.ordered == orders[-1] and each.playing == (4, B) and each.wanted() is None


ROWS = [None, [], [2, B], [2, B, "xx"], ["2", B, "00"], [2, "b", "00"], [2, B, "00"], {"a": 1}, [9, C, sign(FETCH, 9, C).signature.hex()]]


@pytest.mark.parametrize("row", ROWS)
def test_a_damaged_or_forged_value_on_disk_is_as_none(row: object) -> None:
    assert Distribution(trusts, {"ordered": row, "offered": None, "history": row}).ordered == NOTHING


def test_what_failed_is_tried_again_later_and_said_until_it_is_there() -> None:
    each = node()
    assert done(each.look([state(offered=sign(FETCH, 2, B))], 0.0)) == [Fetch(2, B)]
    (report,) = each.take(RevisionFailed(B, "its disk is full"), 10.0)
    assert isinstance(report, Report) and report.fields["why"] == "its disk is full"
    assert each.said()["cannot"] == ((B, "its disk is full"),)
    assert each.next_due() == 10.0 + AGAIN_S and done(each.look([], 10.0 + AGAIN_S - 1)) == []
    assert done(each.look([], 10.0 + AGAIN_S)) == [Fetch(2, B)]
    each.take(RevisionReady(B), 50.0)
    assert each.said()["cannot"] == () and each.next_due() == NEVER


def test_a_later_offer_takes_the_place_of_one_that_is_being_fetched() -> None:
    each = node()
    each.look([state(offered=sign(FETCH, 2, B))], 0.0)
    assert done(each.look([state(offered=sign(FETCH, 3, C))], 1.0)) == [Fetch(3, C)]


@given(st.lists(st.integers(0, 40), max_size=40))
def test_disks_stay_bounded_however_many_revisions_come(revisions: list[int]) -> None:
    each = node()
    for number, revision in enumerate(revisions, 2):
        chosen = f"{revision:064x}"
        each.take(RevisionReady(chosen), 0.0)
        each.take(Offered(PLAY, sign(PLAY, number, chosen)), 0.0)
        if done(each.look([], 0.0)):
            (prune,) = [effect for effect in each.reads((number, chosen)) if isinstance(effect, Prune)]
            assert chosen in prune.keep and len(prune.keep) <= KEPT + 1
            assert each.ready <= set(prune.keep)
        # What was played before can be gone back to
        played = [row for row in each.history if row[1] != each.playing[1]]
        assert not played or each.previous() == played[-1][1]


@given(st.permutations([(2, B), (2, C), (3, A), (4, B), (4, C)]))
def test_whatever_the_order_in_which_they_are_heard_the_highest_pair_wins(orders: list[tuple[int, str]]) -> None:
    each = node((1, A), A, B, C)
    each.ready |= {A, B, C}
    for ordered in orders:
        for effect in done(each.look([state(sign(PLAY, *ordered))], 0.0)):
            assert isinstance(effect, Play)
            each.reads((effect.number, effect.hash))
            each.ready |= {A, B, C}
    assert each.playing == (4, C)


def test_a_forged_statement_is_told_once_and_leaves_no_trace() -> None:
    each = node()
    forged = sign(PLAY, 5, B, key="stranger")
    told = [*each.look([state(forged)], 0.0), *each.look([state(forged), state(forged)], 1.0)]
    assert [type(effect) for effect in told] == [Report]
    assert each.ordered == NOTHING and not done(each.look([state(Signed(6, "../../etc", forged.signature))], 2.0))


def test_statements_travel_in_a_node_s_state() -> None:
    said = State("n", 1, state(sign(PLAY, 2, B), sign(FETCH, 3, C)), "boot")
    assert decode(encode(said)) == said
