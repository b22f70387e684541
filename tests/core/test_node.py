"""One node's mind as a whole: what it tells, when, and what it keeps to itself."""

from __future__ import annotations

from typing import Any

from mesh.core.effects import Effect, Launch, Report, Save, SendControl, SendDatagram, Tell
from mesh.core.events import (
    Carrier,
    DeploymentRead,
    Event,
    Heard,
    LinkHint,
    LinkUp,
    Measured,
    PeerFound,
    RoleEnded,
    RoleFound,
    RoleReady,
    RoleStarted,
    Tick,
    Wanted,
)
from mesh.core.messages import Answer, Beat, ClockAsk, Digest, Hello, NodeState, Order, State, StateWanted, Verdict
from mesh.core.node import Node
from tests.core.cases import ROOM, beat, claim, record, said

HERE = {"memory_bytes": 4 << 30, "cores": 4}


class Life:
    """One node and what it does, in virtual time."""

    def __init__(self, name: str = "door", **saved: Any) -> None:
        self.node = Node(record(name), 0.0, saved={"order": (1, "up", "x"), **saved})
        self.now = 0.0
        self.done: list[Effect] = []

    def feed(self, *events: Event) -> list[Effect]:
        effects = [each for event in events for each in self.node.handle(event, self.now)]
        self.done += effects
        return effects

    def ready(self) -> Life:
        self.feed(DeploymentRead(ROOM, (1, "rev")), Measured(HERE))
        return self

    def until(self, now: float, *speakers: str) -> Life:
        number = int(self.now * 20) + 10
        while self.now < now:
            self.now, number = self.now + 0.05, number + 1
            self.feed(*(Heard(beat(name, number), record(name).addresses[0]) for name in speakers))
            if self.node.next_deadline() <= self.now:
                self.feed(Tick())
        return self

    def meet(self, name: str, state: NodeState | None = None) -> list[Effect]:
        other = record(name)
        events: list[Event] = [PeerFound(other), LinkUp(other.node, other.addresses[0]), Heard(Hello(other))]
        events.append(Heard(beat(name, 1), other.addresses[0]))
        if state is not None:
            events.append(Heard(State(other.node, 1, state, other.boot)))
        return self.feed(*events)

    def told(self) -> list[NodeState]:
        return [each.message.state for each in self.done if isinstance(each, SendControl) and isinstance(each.message, State)]


def _launched(effects: list[Effect]) -> list[str]:
    return [each.instance for each in effects if isinstance(each, Launch)]


def test_half_a_description_is_not_told() -> None:
    life = Life()
    life.meet("left", said())
    life.feed(DeploymentRead(ROOM, (1, "rev")))
    assert life.told() == []
    life.feed(Measured(HERE))
    assert life.told() and all(state.capabilities and state.revision == (1, "rev") for state in life.told())


def test_a_node_without_a_deployment_speaks_when_it_has_listened() -> None:
    life = Life()
    life.meet("left", said())
    life.until(0.9, "left")
    assert life.told() == []
    life.until(1.2, "left")
    assert life.told()


def test_nothing_is_played_before_it_has_listened() -> None:
    life = Life("left").ready()
    assert not _launched(life.until(0.9).done)
    assert _launched(life.until(1.2).done) == ["wall@left"]


def test_what_prefers_another_machine_waits_for_the_grace() -> None:
    life = Life("left").ready().until(19.0)
    assert _launched(life.done) == ["wall@left"]
    assert set(_launched(life.until(21.0).done)) == {"eye", "presence", "mood", "poet/1", "poet/2", "wall@left"}


def test_a_room_that_is_down_plays_nothing_and_up_is_told_and_kept() -> None:
    life = Life(order=(4, "down", "x")).ready()
    life.meet("left", said())
    assert not _launched(life.until(25.0, "left").done)
    effects = life.feed(Wanted("up"))
    assert Save("order", [5, "up", "boot-door"]) in effects
    assert "eye" in _launched(effects)
    assert life.told()[-1].order == Order(5, "up", "boot-door")


def test_an_order_given_elsewhere_is_followed_and_an_older_one_is_not() -> None:
    life = Life().ready()
    life.meet("left", said(order=Order(7, "down", "b")))
    assert life.node.state.order == Order(7, "down", "b")
    life.meet("right", said(order=Order(6, "up", "z")))
    assert life.node.state.order.state == "down"


def test_an_order_is_told_to_the_others_although_nothing_else_has_changed() -> None:
    life = Life(order=(1, "down", "x")).ready()
    life.meet("left", said())
    life.until(25.0, "left")
    version = life.told()[-1].version
    life.feed(Wanted("drain"))
    assert life.told()[-1].version == version + 1 and life.told()[-1].drained


def test_epochs_are_kept_on_disk_before_a_process_plays_under_them() -> None:
    life = Life("left").ready().until(1.2)
    kinds = [type(each) for each in life.done if isinstance(each, (Save, Launch))]
    assert kinds.index(Save) < kinds.index(Launch)
    assert next(each.value for each in life.done if isinstance(each, Save) and each.key == "epochs") == {"wall@left": 1}


def test_epochs_of_an_earlier_life_are_never_used_again() -> None:
    life = Life("left", epochs={"wall@left": 9}).ready().until(1.2)
    assert [each.epoch for each in life.done if isinstance(each, Launch)] == [10]


def test_most_heartbeats_cause_nothing() -> None:
    life = Life().ready()
    life.meet("left", said())
    life.until(4.0, "left")
    assert life.feed(Heard(beat("left", 9999), "10.0.0.3")) == []


def test_who_asks_for_the_state_gets_it() -> None:
    life = Life().ready()
    life.meet("left", said())
    (answer,) = life.feed(Heard(StateWanted("n-left")))
    assert isinstance(answer, SendControl) and isinstance(answer.message, State) and answer.message.boot == "boot-door"


def test_an_answer_to_a_command_is_nothing_to_a_node() -> None:
    assert not [each for each in Life().ready().feed(Heard(Answer("1"))) if not isinstance(each, SendDatagram)]


def test_a_process_is_told_its_routes_when_it_is_set_up_and_only_when_they_change() -> None:
    life = Life("left").ready().until(1.2)
    generation = life.node.cast.generations["wall@left"]
    life.feed(RoleStarted("wall@left", generation, 50))
    effects = life.feed(RoleReady("wall@left", generation, 1, 2, 50))
    orders = [each.order["type"] for each in effects if isinstance(each, Tell)]
    assert sorted(orders) == ["play", "routes"]
    life.meet("right", said(claim("poet/1")))
    assert [each.order["type"] for each in life.done if isinstance(each, Tell)].count("routes") == 2
    assert life.node.holds("wall@left") and not life.node.holds("wall@right")


def test_a_role_waits_for_those_it_hears_and_a_display_for_nobody() -> None:
    life = Life("left").ready().until(21.0)
    for name in ("wall@left", "presence"):
        life.feed(RoleReady(name, life.node.cast.generations[name], 1, 2, 50))
    states = {name: part.claim.state for name, part in life.node.cast.parts.items()}
    assert (states["wall@left"], states["presence"]) == ("playing", "ready")
    life.feed(RoleReady("eye", life.node.cast.generations["eye"], 1, 2, 51))
    assert life.node.cast.parts["presence"].claim.state == "playing"


def test_a_role_does_not_wait_for_one_that_cannot_be_placed() -> None:
    life = Life("left").ready().until(21.0)
    for _ in range(6):
        life.feed(RoleEnded("eye", life.node.cast.generations["eye"], "no camera"))
    life.feed(RoleReady("presence", life.node.cast.generations["presence"], 1, 2, 50))
    assert "eye" not in life.node.cast.parts
    assert life.node.cast.parts["presence"].claim.state == "playing"


def test_an_end_that_was_asked_for_is_no_failure() -> None:
    life = Life("left").ready().until(1.2)
    generation = life.node.cast.generations["wall@left"]
    life.feed(RoleEnded("wall@left", generation, "asked to", clean=True))
    assert life.node.cast.generations["wall@left"] == generation


def test_an_adopted_process_plays_through_the_listening_and_after_it() -> None:
    life = Life()
    life.feed(RoleFound(claim("eye", 6, pid=44), "none"))
    life.ready().until(3.0)
    mine = life.node.cast.parts["eye"].claim
    assert (mine.state, mine.epoch, mine.pid) == ("playing", 6, 44)
    assert "eye" not in _launched(life.done)


def test_an_adopted_role_that_another_took_over_meanwhile_ends_without_waiting() -> None:
    life = Life().ready()
    life.feed(RoleFound(claim("eye", 6, pid=44), "none"))
    life.meet("left", said(claim("eye", 7, heard=3)))
    assert "eye" not in life.node.cast.parts


def test_a_goodbye_is_told_to_all_and_is_the_last_word() -> None:
    life = Life().ready()
    life.meet("left", said())
    told = [each.message for each in life.feed(Wanted("leave")) if isinstance(each, SendControl)]
    assert [(each.subject, each.health) for each in told if isinstance(each, Verdict)] == [("n-door", "left")]
    assert life.node.next_deadline() == float("inf")
    assert life.feed(Tick(), Heard(beat("left", 500), "10.0.0.3")) == []


def test_the_carrier_and_a_broken_link_reach_the_judge() -> None:
    life = Life().ready()
    life.meet("left", said())
    life.feed(Carrier(False))
    assert not life.node.judge.carrier
    probes = [each for each in life.feed(LinkHint("n-left")) if isinstance(each, SendDatagram)]
    assert any(not isinstance(each.message, Beat) for each in probes)


def test_time_that_passes_in_silence_calls_for_no_more_ticks_than_it_needs() -> None:
    life = Life().ready()
    life.meet("left", said())
    ticks = 0
    while life.now < 30.0:
        due = life.node.next_deadline()
        assert due > life.now, f"a deadline is left in the past at {life.now}"
        life.now = due
        life.feed(Tick())
        ticks += 1
    assert ticks < 30 * 40


def test_alarms_and_deaths_are_reported_once() -> None:
    life = Life().ready()
    life.meet("left", said())
    life.until(10.0)
    events = [each.event for each in life.done if isinstance(each, Report)]
    assert events.count("node_dead") == 1 and events.count("node_up") == 1


def test_what_is_heard_when_a_beat_is_due_is_taken_in_before_the_beat_goes_out() -> None:
    life = Life()
    life.meet("left", said())
    life.until(2.0, "left")
    life.now = life.node.judge.beat_due_s + 0.01

    heard = life.feed(Heard(beat("left", 900), record("left").addresses[0]))
    told = life.feed(Tick())

    assert not [each for each in heard if isinstance(each, SendDatagram) and isinstance(each.message, Beat)]
    beats = [each.message for each in told if isinstance(each, SendDatagram) and isinstance(each.message, Beat)]
    assert [dict(each.ages) for each in beats] == [{"n-left": 0}]


def test_questions_of_the_clock_and_digests_go_out_with_a_beat() -> None:
    life = Life()
    life.meet("left", said(keeps_time=True))
    life.done.clear()
    life.until(4.0, "left")

    kinds = (Beat, ClockAsk, Digest)
    told = [type(each.message) for each in life.done if isinstance(each, (SendDatagram, SendControl)) and type(each.message) in kinds]

    assert told.count(Beat) in range(38, 42) and told.count(Digest) in range(14, 18)
    assert told.count(ClockAsk) > 30  # ten a second as long as the two have just met
