"""Who may exist, and when each is dialled."""

from __future__ import annotations

from itertools import pairwise

from mesh.core.effects import Dial, HangUp
from mesh.core.peers import UNPROVEN_MAX, Peers
from mesh.core.timing import WIRED
from tests.core.cases import record


def _peers() -> Peers:
    return Peers("n-me", "house", WIRED)


def test_a_peer_is_dialled_as_soon_as_it_is_found() -> None:
    assert _peers().found(record("door"), 0.0) == [Dial(record("door"))]


def test_this_node_itself_is_never_dialled() -> None:
    peers = _peers()
    assert peers.found(record("me"), 0.0) == []
    assert peers.records() == ()


def test_finding_the_same_again_dials_nobody() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    assert peers.found(record("door", name="renamed"), 0.1) == []
    assert peers.records()[0].name == "renamed"


def test_a_changed_address_is_dialled_at_once() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    moved = record("door", addresses=("10.0.0.99",))
    assert peers.found(moved, 0.1) == [Dial(moved)]


def test_a_record_of_an_earlier_life_is_passed_over() -> None:
    peers = _peers()
    peers.found(record("door", incarnation=3), 0.0, itself=True)
    assert peers.found(record("door", incarnation=2, addresses=("10.9.9.9",)), 0.1, itself=True) == []
    assert peers.records()[0].incarnation == 3


def test_a_false_record_of_a_node_neither_breaks_its_link_nor_takes_its_place() -> None:
    # Given a node that is linked and has said where it is
    peers = _peers()
    peers.found(record("door", incarnation=3), 0.0)
    peers.linked("n-door", "10.0.0.1")
    peers.found(record("door", incarnation=3), 0.0, itself=True)
    # When somebody announces the same id elsewhere, of a later life
    false = record("door", incarnation=2**62, addresses=("10.6.6.6",))
    assert peers.found(false, 1.0) == []
    # Then nobody is dialled, and it is told to nobody; and when the link breaks the true place is dialled as well as the false one
    assert peers.records() == (record("door", incarnation=3),)
    peers.unlinked("n-door", 2.0)
    dialled = [effect.record.addresses for step in range(1, 60) for effect in peers.dial_due(2.0 + step) if isinstance(effect, Dial)]
    assert dialled.count(("10.6.6.6",)) > 1 and dialled.count(record("door").addresses) > 1
    # And the node's own next life is believed
    moved = record("door", incarnation=4, addresses=("10.0.0.7",))
    peers.found(moved, 20.0, itself=True)
    assert peers.records() == (moved,)


def test_who_took_a_nodes_id_before_it_was_ever_met_does_not_keep_it_out() -> None:
    peers = _peers()
    peers.found(record("door", incarnation=2**62, addresses=("10.6.6.6",)), 0.0)
    assert peers.found(record("door", incarnation=1), 0.1) == [Dial(record("door", incarnation=1))]
    peers.linked("n-door", "10.0.0.1")
    peers.found(record("door", incarnation=1), 0.2, itself=True)
    assert peers.records() == (record("door", incarnation=1),)


def test_ten_thousand_made_up_nodes_are_bounded_and_push_out_nobody_who_is_known() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    peers.linked("n-door", "10.0.0.1")
    hung_up = 0
    for number in range(10_000):
        hung_up += sum(isinstance(effect, HangUp) for effect in peers.found(record(f"a{number}"), 0.1))
    assert len(peers.known) == UNPROVEN_MAX + 1 and hung_up == 10_000 - UNPROVEN_MAX
    assert peers.records()[0].node == "n-door"


def test_a_node_of_another_version_is_named_and_not_dialled() -> None:
    peers = _peers()
    assert peers.found(record("door", protocol=7), 0.0) == []
    assert peers.strangers["n-door"].protocol == 7


def test_who_says_so_itself_is_known_although_it_speaks_another_version() -> None:
    peers = _peers()
    assert peers.found(record("door", protocol=7), 0.0, itself=True) == [Dial(record("door", protocol=7))]
    assert peers.records() == (record("door", protocol=7),) and not peers.strangers


def test_who_joins_an_installation_still_takes_those_of_others_for_strangers() -> None:
    peers = Peers("n-me", "waiting", WIRED, "waiting")
    for name, house in (("door", "house"), ("ghost", "elsewhere")):
        assert peers.found(record(name, installation=house), 0.0) == []
    assert peers.join("house", 1.0) == [Dial(record("door"))]
    assert set(peers.strangers) == {"n-ghost"}


def test_another_installation_is_named_but_never_dialled() -> None:
    peers = _peers()
    assert peers.found(record("door", installation="next door"), 0.0) == []
    assert "n-door" in peers.strangers
    assert peers.next_deadline() == float("inf")


def test_strangers_are_bounded() -> None:
    peers = _peers()
    for number in range(1000):
        peers.found(record(f"m{number}", installation="x"), 0.0)
    assert len(peers.strangers) <= 256


def test_a_peer_that_cannot_be_reached_is_not_dialled() -> None:
    assert _peers().found(record("door", addresses=()), 0.0) == []
    assert _peers().found(record("door", control_port=0), 0.0) == []


def test_a_peer_is_dialled_for_ever_and_never_less_often_than_the_longest_pause() -> None:
    peers, now, dialled = _peers(), 0.0, []
    peers.found(record("door"), now)
    while now < 600.0:
        now = peers.next_deadline()
        dialled += [now for _ in peers.dial_due(now)]
    pauses = [later - earlier for earlier, later in pairwise(dialled)]
    assert dialled[-1] >= 590.0
    assert max(pauses) <= WIRED.dial_max_s
    assert pauses[0] < pauses[-1]


def test_a_linked_peer_is_left_alone_and_dialled_soon_after_its_link_breaks() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    peers.linked("n-door", "10.0.0.1")
    assert peers.next_deadline() == float("inf")
    peers.unlinked("n-door", 50.0)
    assert 50.0 < peers.next_deadline() <= 50.0 + WIRED.dial_s
    assert peers.dial_due(60.0) == [Dial(record("door"))]


def test_words_about_an_unknown_peer_change_nothing() -> None:
    peers = _peers()
    peers.linked("n-door", "10.0.0.1")
    peers.unlinked("n-door", 1.0)
    assert peers.records() == ()


def test_a_sign_of_life_of_an_unlinked_peer_dials_it_at_once() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    assert peers.nudge("n-door", 0.05) == []
    assert peers.nudge("n-door", 5.0) == [Dial(record("door"))]
    peers.unlinked("n-door", 5.01)
    assert peers.nudge("n-door", 5.02) == [Dial(record("door"))]
    peers.linked("n-door", "10.0.0.7")
    assert peers.nudge("n-door", 6.0) == []
    assert peers.nudge("n-nobody", 6.0) == []
    assert peers.address("n-door") == "10.0.0.7"


def test_a_rumour_is_dialled_at_once_and_then_in_turn_with_what_the_node_was_first_found_at() -> None:
    # Given a node that nobody has reached, and the same id announced elsewhere
    peers = _peers()
    peers.found(record("door"), 0.0)
    rumour = record("door", addresses=("10.6.6.6",))
    assert peers.found(rumour, 1.0) == [Dial(rumour)]
    # Then the next call goes to the first place, the one after to the other, and so on
    dialled = [effect.record for step in range(1, 100) for effect in peers.dial_due(1.0 + step) if isinstance(effect, Dial)]
    assert dialled[:4] == [record("door"), rumour, record("door"), rumour]
    # And to hear the same rumour again, or one without a place, changes nothing
    for again in (rumour, record("door", addresses=()), record("door", addresses=("10.7.7.7",), control_port=0)):
        assert peers.found(again, 200.0) == []
    assert peers.known["n-door"].rumour == rumour


def test_nobody_is_dialled_before_the_time_or_while_the_link_stands() -> None:
    peers = _peers()
    peers.found(record("door"), 0.0)
    assert peers.dial_due(WIRED.dial_s / 2) == []
    peers.linked("n-door", "10.0.0.1")
    assert peers.dial_due(1_000.0) == []


def test_what_is_on_this_very_computer_is_nobodys_business() -> None:
    peers = _peers()
    peers.found(record("door", installation="other", addresses=("127.0.0.1",)), 0.0)
    assert peers.strangers == {}
    peers.found(record("door", installation="other", addresses=("127.0.0.1", "10.0.0.4")), 0.0)
    assert list(peers.strangers) == ["n-door"]


def test_a_node_that_waited_meets_only_the_room_that_it_belongs_to() -> None:
    peers = _peers()
    for name, installation in (("door", "studio"), ("shelf", "cellar")):
        peers.found(record(name, installation=installation), 0.0)
    assert peers.join("studio", 1.0) == [Dial(record("door", installation="studio"))]
    assert list(peers.strangers) == ["n-shelf"]
