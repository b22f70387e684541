"""What a listener believes: the highest holder counts, and every piece is shown once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from mesh.core.frames import Header, Sender
from mesh.core.hearing import BEGINNING_S, PATIENCE_S, UTTERANCES_MAX, Fence, Speaker, Utterances

OLD = Sender("mood", "node-a", 1, 1, "text")
NEW = Sender("mood", "node-b", 2, 1, "text")


def piece(number: int, *, request: str | None = "r", more: bool = True, ended: str | None = None, sender: Sender = OLD) -> Header:
    return Header(sender, 0, 0, False, "word", request, number, more, ended, "", (), -1)


def fence(*sources: tuple[str, str, int, int, str]) -> Fence:
    made = Fence()
    made.route(sources)
    return made


# ---- the fence


def test_the_higher_epoch_wins_and_the_lower_is_fenced_out_for_good() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    assert ours.admits(OLD, False)
    assert ours.admits(NEW, False)
    assert not ours.admits(OLD, False)
    assert ours.admits(NEW, False)


def test_of_two_with_one_epoch_the_higher_node_wins() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    twin = OLD._replace(node="node-z")
    assert ours.admits(twin, False)
    assert not ours.admits(OLD, False)


def test_routes_raise_the_fence_before_the_new_holder_speaks() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    ours.route([("mood", "node-b", 2, 1, "playing")])
    assert not ours.admits(OLD, False)


def test_a_process_that_claims_anew_is_heard_at_its_lower_epoch_until_it_knows_of_the_higher_one() -> None:
    # Given a holder that claimed anew after two sides met, which its own process learns a moment later than this listener
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    ours.route([("mood", "node-a", 3, 1, "playing")])
    assert ours.admits(OLD, False)
    # But its past process, and the holder of the other side, are not
    assert not ours.admits(OLD._replace(generation=0), False)
    assert not ours.admits(NEW, False)
    assert ours.admits(OLD._replace(epoch=3), False)


def test_what_the_holder_before_answered_is_heard_although_another_holds_now_until_it_is_forgotten() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    ours.route([("mood", "node-b", 2, 1, "playing")])
    assert ours.admits(OLD, False, answers=True), "whoever asked has the answer, and will not ask again"
    assert not ours.admits(OLD, False, answers=False)
    assert not ours.admits(OLD._replace(node="node-c"), False, answers=True)
    ours.forget()
    assert not ours.admits(OLD, False, answers=True)


def test_an_instance_that_no_route_names_is_not_heard() -> None:
    assert not fence(("mood", "node-a", 1, 1, "playing")).admits(OLD._replace(instance="stranger"), False)


def test_an_instance_that_routes_no_longer_name_is_heard_on_until_it_is_forgotten() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"))
    ours.route([])
    assert ours.admits(OLD, False), "what it said before may still be on its way"
    assert not ours.admits(OLD._replace(epoch=0, generation=0), False)
    ours.forget()
    assert not ours.admits(OLD, False)


def test_nothing_of_a_node_that_was_shut_out_counts_until_routes_name_it_again() -> None:
    # Given a holder with a hot standby elsewhere
    ours = fence(("mood", "node-a", 3, 1, "playing"), ("mood", "node-b", 0, 1, "standby"))
    assert ours.admits(OLD._replace(epoch=3), False)
    # When its node is shut out, and it claims whatever it likes
    ours.shun(["node-a"])
    assert not ours.admits(OLD._replace(epoch=3), False)
    assert not ours.admits(OLD._replace(epoch=9), False) and not ours.admits(OLD._replace(epoch=9), True)
    # Then the standby is heard at once, and the next holder
    assert ours.admits(NEW, True)
    ours.route([("mood", "node-b", 4, 1, "playing")])
    assert ours.admits(NEW._replace(epoch=4), False)
    assert not ours.admits(OLD._replace(epoch=9), False)
    # And it itself once it was let in anew and plays
    ours.route([("mood", "node-a", 5, 2, "playing")])
    assert ours.admits(OLD._replace(epoch=5, generation=2), False)


def test_a_standby_is_heard_only_while_the_holder_is_suspect() -> None:
    muted = NEW._replace(epoch=1)
    ours = fence(("mood", "node-a", 1, 1, "playing"), ("mood", "node-b", 1, 1, "standby"))
    assert not ours.admits(muted, True)
    ours.route([("mood", "node-a", 1, 1, "suspect"), ("mood", "node-b", 1, 1, "standby")])
    assert ours.admits(muted, True)
    assert ours.admits(OLD, False), "the holder speaks after all"
    assert not ours.admits(muted, True)


def test_a_standby_is_heard_as_soon_as_the_line_to_the_holder_breaks_and_until_the_holder_speaks_again() -> None:
    muted = NEW._replace(epoch=1)
    named = [("mood", "node-a", 1, 1, "playing"), ("mood", "node-b", 1, 1, "standby")]
    ours = fence(*named)
    assert ours.admits(OLD, False)
    ours.broke("mood", "node-b", 0)
    assert not ours.admits(muted, True), "only the standby's own line broke"
    ours.broke("mood", "node-a", 1)
    assert ours.admits(muted, True)
    ours.route(named)
    assert ours.admits(muted, True), "routes that do not know it yet change nothing"
    assert ours.admits(OLD, False), "the line stands again"
    assert not ours.admits(muted, True)
    ours.broke("mood", "node-a", 1)
    assert ours.admits(NEW, False), "it plays now, as the higher epoch"
    assert not ours.admits(muted, True)


def test_a_standby_with_a_higher_node_id_does_not_fence_out_its_holder() -> None:
    ours = fence(("mood", "node-a", 1, 1, "playing"), ("mood", "node-z", 1, 1, "standby"))
    assert not ours.admits(OLD._replace(node="node-z"), True)
    assert ours.admits(OLD, False)


@given(some.lists(some.tuples(some.integers(0, 4), some.sampled_from("abc")), max_size=30))
def test_whatever_the_order_only_the_highest_so_far_is_heard(spoken: list[tuple[int, str]]) -> None:
    ours, highest = fence(("mood", "", 0, 1, "standby")), (-1, "")
    for epoch, node in spoken:
        highest = max(highest, (epoch, node))
        assert ours.admits(Sender("mood", node, epoch, epoch, "text"), False) == ((epoch, node) == highest)


# ---- utterances


@given(some.lists(some.integers(0, 9), max_size=40))
def test_each_piece_is_shown_once_and_in_order(numbers: list[int]) -> None:
    heard, shown = Utterances(), []
    for number in numbers:
        if heard.accepts(piece(number), 0.0):
            shown.append(number)
    assert shown == sorted(set(shown))


def test_who_comes_in_the_middle_waits_for_the_beginning_and_then_hears_all() -> None:
    heard = Utterances()
    assert not heard.accepts(piece(4), 0.0)
    assert [heard.accepts(piece(number), 0.1) for number in range(6)] == [True] * 6


def test_who_comes_in_the_middle_waits_only_for_a_moment() -> None:
    heard = Utterances()
    assert not heard.accepts(piece(4), 0.0)
    assert heard.accepts(piece(5), BEGINNING_S)


def test_nothing_is_shown_after_an_utterance_has_ended() -> None:
    heard = Utterances()
    assert heard.accepts(piece(0), 0.0)
    assert heard.accepts(piece(1, more=False, ended="failed"), 0.0)
    assert not heard.accepts(piece(2), 0.0)
    assert not heard.accepts(piece(3, more=False, ended="failed"), 0.0)


def test_the_end_of_what_was_never_begun_is_not_shown() -> None:
    assert not Utterances().accepts(piece(4, more=False, ended="cancelled"), 0.0)


def test_an_end_closes_even_where_its_number_was_seen() -> None:
    heard = Utterances()
    heard.accepts(piece(0), 0.0)
    heard.accepts(piece(5), 0.0)
    assert heard.accepts(piece(3, more=False, ended="failed"), 0.0)


def test_a_second_end_is_not_shown() -> None:
    heard = Utterances()
    heard.accepts(piece(0), 0.0)
    heard.accepts(piece(1, more=False), 0.0)
    assert not heard.accepts(piece(2, more=False, ended="failed"), 0.0)


def test_frames_outside_of_requests_are_all_shown() -> None:
    heard = Utterances()
    assert all(heard.accepts(piece(0, request=None), 0.0) for _ in range(5))


def test_a_lost_speaker_breaks_its_utterance_once_and_after_a_moment() -> None:
    heard = Utterances()
    heard.accepts(piece(0), 0.0)
    heard.lost(set(), now=10.0)
    assert heard.broken(10.0 + PATIENCE_S / 2) == []
    assert heard.broken(10.0 + PATIENCE_S) == [("r", 1)]
    assert heard.broken(99.0) == []
    assert not heard.accepts(piece(1), 0.0)


def test_an_utterance_that_another_goes_on_with_is_not_broken() -> None:
    heard = Utterances()
    heard.accepts(piece(0), 0.0)
    heard.lost({Speaker("mood", "node-b", 1)}, now=10.0)
    assert heard.accepts(piece(1, sender=NEW), 0.0)
    assert heard.broken(99.0) == []
    heard.lost({Speaker("mood", "node-b", 1)}, now=100.0)
    assert heard.broken(999.0) == []


def test_a_finished_utterance_is_not_broken_by_the_loss_of_its_speaker() -> None:
    heard = Utterances()
    heard.accepts(piece(0, more=False), 0.0)
    heard.lost(set(), now=10.0)
    assert heard.broken(99.0) == []


def test_the_memory_of_utterances_is_bounded() -> None:
    heard = Utterances()
    for number in range(UTTERANCES_MAX * 2):
        heard.accepts(piece(0, request=str(number)), 0.0)
    kept: Any = heard._heard
    assert len(kept) == UTTERANCES_MAX
