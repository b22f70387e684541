"""Two works that were given one key by mistake: each is told which the other is, and takes nothing from it."""

from __future__ import annotations

from dataclasses import replace

from mesh.core.distribution import FETCH, PLAY
from mesh.core.effects import Dial, Effect, Fetch, HangUp, Play, Report, SendControl
from mesh.core.events import DeploymentRead, Event, Heard, LinkHint, LinkUp, Measured, PeerFound
from mesh.core.messages import NodeRecord, NodeState, Order, State
from mesh.core.node import Node
from mesh.core.other_works import CALLED_MAX
from mesh.core.status import status
from tests.core.cases import ROOM, beat, record
from tests.sim.sending import sign, trusts

REVISION = "b" * 64


class Side:
    """One machine, alone with its work."""

    def __init__(self, name: str, work: str) -> None:
        self.node = Node(record(name, installation=work), 0.0, trusts=trusts, waiting="waits")
        self.feed(DeploymentRead(replace(ROOM, installation=work), (1, "a" * 64)), Measured({"memory": {"bytes": 10**9}}))

    def feed(self, *events: Event) -> list[Effect]:
        return [effect for event in events for effect in self.node.handle(event, 1.0)]

    def finds(self, other: NodeRecord, same_key: bool = True) -> list[Effect]:
        return self.feed(PeerFound(other, same_key))

    def alarms(self) -> list[str]:
        found: list[str] = status(self.node, {})["alarms"]
        return found


def _meet(one: Side, other: Side) -> list[Effect]:
    """Each finds the other and calls it; what is said over the lines arrives."""
    effects: list[Effect] = []
    for speaker, hearer in ((one, other), (other, one)):
        found = hearer.node.me
        effects += speaker.finds(found)
        said = speaker.feed(LinkUp(found.node, "10.0.0.9"))
        effects += hearer.feed(*(Heard(each.message) for each in said if isinstance(each, SendControl) and each.node == found.node))
    return effects


def test_both_works_and_machines_are_named_on_both_sides_with_what_to_do() -> None:
    # Given two works with one key, on one network
    house, garden = Side("door", "house"), Side("shed", "garden")
    # When they meet
    effects = _meet(house, garden)
    # Then each side says once, as an event, and in status which two they are and what to do
    alarms = [each.fields["what"] for each in effects if isinstance(each, Report) and each.event == "alarm"]
    assert len(alarms) == 2
    assert {each.record.name for each in effects if isinstance(each, Dial)} == {"door", "shed"}
    for words in (*alarms, *house.alarms(), *garden.alarms()):
        assert all(name in words for name in ("house", "door", "garden", "shed", "`roomful key new`"))
    assert len(house.alarms()) == len(garden.alarms()) == 1
    assert status(house.node, {})["machines"]["shed"]["health"] == "stranger"
    # And neither is a machine of the other's room
    assert not house.node.membership.members and not garden.node.membership.members


def test_neither_takes_a_revision_nor_an_order_from_the_other_although_its_key_signed_it() -> None:
    house, garden = Side("door", "house"), Side("shed", "garden")
    _meet(house, garden)
    # When the other work sends its own machines a revision, and all that it says is heard here
    ordered = NodeState(5, {}, (1, "a" * 64), Order(9, "up", "x"), ordered=sign(PLAY, 7, REVISION), offered=sign(FETCH, 7, REVISION))
    effects = house.feed(Heard(State(garden.node.me.node, 1, ordered, garden.node.me.boot)), Heard(beat("shed", 4), "10.0.0.9"))
    # Then nothing of it is adopted
    assert not [each for each in effects if isinstance(each, (Fetch, Play, SendControl))]
    assert (house.node.distribution.ordered.number, house.node.distribution.offered.number) == (0, 0)
    assert house.node.state.order.number == 0


def test_a_machine_of_this_room_that_comes_back_as_another_works_is_believed_no_more() -> None:
    # Given a room of two
    house, shed = Side("door", "house"), Side("shed", "house")
    _meet(house, shed)
    assert list(house.node.membership.members) == ["n-shed"] and not house.alarms()
    # When one of them is started with another work, and comes to play a revision of that
    garden = Side("shed", "garden")
    said = garden.feed(PeerFound(house.node.me, True), LinkUp("n-door", "10.0.0.9"))
    house.feed(*(Heard(each.message) for each in said if isinstance(each, SendControl)))
    later = NodeState(5, {}, (1, "a" * 64), Order(), ordered=sign(PLAY, 7, REVISION))
    house.feed(Heard(State("n-shed", 2, later, "another-boot")))
    # Then it is named, and not followed
    assert len(house.alarms()) == 1 and "garden" in house.alarms()[0]
    assert house.node.distribution.ordered.number == 0


def test_it_is_said_for_as_long_as_the_line_holds() -> None:
    house, garden = Side("door", "house"), Side("shed", "garden")
    _meet(house, garden)
    # When the other has got a key of its own, its line is broken
    house.feed(LinkHint("n-shed"))
    assert not house.alarms()
    # And when it was only the cable, the line comes back
    house.feed(LinkUp("n-shed", "10.0.0.9"))
    assert len(house.alarms()) == 1


def test_another_work_with_a_key_of_its_own_is_neither_called_nor_alarming() -> None:
    house = Side("door", "house")
    assert not [each for each in house.finds(record("shed", installation="garden"), same_key=False) if isinstance(each, Dial)]
    assert not house.alarms()


def test_what_mdns_says_alone_alarms_nobody_and_is_called_within_bounds() -> None:
    house = Side("door", "house")
    effects = [each for n in range(5 * CALLED_MAX) for each in house.finds(record(f"made-up-{n}", installation="garden"))]
    assert not house.alarms() and not [each for each in effects if isinstance(each, Report)]
    called = {each.record.node for each in effects if isinstance(each, Dial)} - {each.node for each in effects if isinstance(each, HangUp)}
    assert len(called) == CALLED_MAX


def test_who_waits_to_be_sent_a_work_alarms_nobody() -> None:
    house, empty = Side("door", "house"), Side("shed", "waits")
    _meet(house, empty)
    assert not house.alarms() and not empty.alarms()
    assert empty.node.me.installation == "house"
