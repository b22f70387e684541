"""What `status` says, each sentence once: the words that a technician reads must be true and say what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.core.events import (
    Carrier,
    DeploymentRead,
    Heard,
    LinkHint,
    LinkUp,
    Measured,
    PeerFound,
    RoleEnded,
    RoleReady,
    RoleWorks,
    Tick,
    Wanted,
)
from mesh.core.messages import Hello, NodeState, Signed, State, Verdict
from mesh.core.node import Node
from mesh.core.status import ASIDE, DRAINED, HINTS, status
from mesh.core.timing import WIRELESS
from tests.core.cases import ROOM, beat, claim, record, said

HERE = {"memory_bytes": 4 << 30, "cores": 4}


def _node(name: str = "door", *, up: bool = True, deployment: bool = True) -> Node:
    node = Node(record(name), 0.0, saved={"order": (1, "up", "x")} if up else {})
    if deployment:
        node.handle(DeploymentRead(ROOM, (1, "rev")), 0.0)
    node.handle(Measured(HERE), 0.0)
    return node


def _arrives(node: Node, name: str, now: float, /, *, state: NodeState | None = None, **changes: Any) -> None:
    other = record(name, **changes)
    node.handle(PeerFound(other), now)
    node.handle(LinkUp(other.node, other.addresses[0]), now)
    node.handle(Heard(Hello(other)), now)
    node.handle(Heard(beat(name, 1, incarnation=other.incarnation, boot=other.boot), other.addresses[0]), now)
    if state is not None:
        node.handle(Heard(State(other.node, other.incarnation, state, other.boot)), now)


def _pass(node: Node, until: float, *speakers: str) -> None:
    """Time passes; the speakers beat."""
    now, number = node.started_s, 10
    while now < until:
        now, number = now + 0.05, number + 1
        for name in speakers:
            node.handle(Heard(beat(name, number), record(name).addresses[0]), now)
        if node.next_deadline() <= now:
            node.handle(Tick(), now)


def _machine(node: Node, name: str, **hints: tuple[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = status(node, {f"n-{key}": value for key, value in hints.items()})["machines"][name]
    return found


def _why(node: Node, name: str, **hints: tuple[str, str]) -> str:
    return str(_machine(node, name, **hints)["why"])


# ---- this machine


def test_a_node_without_a_deployment_says_how_to_send_it_one() -> None:
    assert "roomful up DIR" in _why(_node(deployment=False), "door")


def test_a_node_that_starts_says_that_it_waits_for_the_others() -> None:
    assert "waits for the machines that the file names" in _why(_node(), "door")


def test_a_settled_node_has_nothing_to_say_of_itself() -> None:
    node = _node()
    _pass(node, 25.0)
    assert _machine(node, "door") == {**_machine(node, "door"), "health": "alive", "why": "", "self": True}


def test_a_node_that_holds_its_verdicts_says_that_it_may_be_cut_off() -> None:
    node = _node()
    for name in ("shelf", "left", "right"):
        _arrives(node, name, 0.1, state=said())
    _pass(node, 5.0, "shelf", "left", "right")
    node.started_s = 5.0
    _pass(node, 6.0)
    assert "the fault may be here" in _why(node, "door")


def test_a_node_alone_says_that_it_plays_on() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    _pass(node, 9.0)
    assert "plays on alone" in _why(node, "door")


def test_a_drained_node_says_so() -> None:
    node = _node()
    _pass(node, 25.0)
    node.handle(Wanted("drain"), 25.0)
    assert _why(node, "door") == DRAINED


def test_a_node_that_is_put_aside_says_why() -> None:
    node = _node()
    _pass(node, 25.0)
    node.standing.steadiness.put_aside, node.standing.steadiness.aside_until_s = True, 85.0
    words = str(status(node, {}, 25.0)["machines"]["door"]["why"])
    assert "came and went too often" in words and "for 60 s more" in words


def test_a_node_whose_cable_is_out_says_so_beside_what_else_it_knows() -> None:
    node = _node()
    _pass(node, 25.0)
    node.handle(Carrier(False), 25.0)
    node.handle(Wanted("drain"), 25.0)
    assert "cable is out" in _why(node, "door") and DRAINED in _why(node, "door")


def test_what_a_machine_gave_up_on_is_told_with_its_reason() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said(gave_up=(("eye", "no camera"), *((f"poet/{n}", "no memory") for n in range(1, 5)))))
    words = _why(node, "shelf")
    assert "gave up on eye here and tries again later: no camera" in words and "and on 2 more" in words


def test_whoever_takes_a_machine_back_vouches_for_it() -> None:
    # Given a machine that is drained, put aside and gave up on something
    node = _node()
    _pass(node, 25.0)
    node.standing.steadiness.returns = 9
    node.standing.steadiness.came_back(25.0)
    node.cast.gave_up, node.cast.try_again_s = {"eye": "no camera"}, {"eye": 99.0}
    node.handle(Wanted("drain"), 25.1)
    assert node.state.put_aside and node.state.aside_s == 600
    # When it is taken back, then nothing of that is left
    node.handle(Wanted("undrain"), 25.2)
    assert (node.state.drained, node.state.put_aside, node.state.gave_up, node.standing.steadiness.returns) == (False, False, (), 0)
    assert "put aside" not in _why(node, "door")


# ---- the others


def test_a_machine_that_has_just_arrived() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1)
    assert _why(node, "shelf") == "it has just arrived"


def test_a_healthy_machine_needs_no_words_and_its_roles_are_listed() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said(claim("eye"), claim("presence", part="standby", state="ready")))
    assert _why(node, "shelf") == ""
    assert _machine(node, "shelf")["roles"] == ["eye", "presence (standby)"]


@pytest.mark.parametrize("hint", sorted(HINTS))
def test_a_silent_machine_is_explained_by_what_the_transport_found_there(hint: str) -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    _pass(node, 9.0)
    assert _machine(node, "shelf")["health"] == "dead"
    words = _why(node, "shelf", shelf=(hint, "10.0.0.77"))
    assert words == HINTS[hint].format(address="10.0.0.77")
    assert _machine(node, "shelf")["roles"] == []


def test_a_silent_machine_about_which_nothing_is_known() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    _pass(node, 9.0)
    assert _why(node, "shelf") == "it fell silent: power, cable, or a crash"


def test_a_machine_that_was_stopped_by_hand() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    node.handle(Heard(Verdict("n-shelf", "n-shelf", 1, 9, "left", "boot-shelf")), 1.0)
    assert (_machine(node, "shelf")["health"], _why(node, "shelf")) == ("left", "it was stopped by hand")


def test_a_machine_without_the_deployment_is_told_apart_from_one_with_another_revision() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said(revision=(0, "")))
    _arrives(node, "left", 0.1, state=said(revision=(2, "abcdef1234")))
    assert "holds no deployment" in _why(node, "shelf")
    assert "another revision (abcdef12" in _why(node, "left") and "send both the same" in _why(node, "left")


def test_a_spare_a_drained_machine_and_one_put_aside() -> None:
    node = _node()
    _arrives(node, "attic", 0.1, state=said())
    _arrives(node, "shelf", 0.1, state=said(drained=True))
    _arrives(node, "left", 0.1, state=said(put_aside=True, aside_s=60))
    assert _why(node, "attic") == "a spare: the file names no machine 'attic'"
    assert _why(node, "shelf") == DRAINED
    assert _why(node, "left") == f"{ASIDE}, for 60 s"


def test_a_machine_whose_datagrams_do_not_come_through() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    node.membership.members["n-shelf"].by_link = True
    assert "open UDP port 5000 in its firewall" in _why(node, "shelf")


def test_an_agent_that_runs_on_another_timing_than_its_file_names_says_so_until_it_is_started_anew() -> None:
    # Given an agent that was started on the wired timing
    node = _node()
    assert "timing" not in _why(node, "door")
    # When a revision names the other
    node.handle(DeploymentRead(replace(ROOM, timing="wireless"), (2, "next")), 0.1)
    # Then it says so, and one that was started with that does not
    assert "another timing" in _why(node, "door") and "start it anew" in _why(node, "door")
    anew = Node(record("door"), 0.0, WIRELESS)
    anew.handle(DeploymentRead(replace(ROOM, timing="wireless"), (2, "next")), 0.0)
    assert "timing" not in _why(anew, "door")


def test_a_machine_that_was_seen_but_never_reached() -> None:
    node = _node()
    node.handle(PeerFound(record("shelf")), 0.1)
    assert _machine(node, "shelf")["health"] == "seen"
    assert _why(node, "shelf") == "seen, but not reached yet"
    assert "firewall" in _why(node, "shelf", shelf=("unreachable", ""))
    assert record("shelf").addresses[0] in _why(node, "shelf", shelf=("unreachable", ""))


def test_another_installation_and_another_protocol_are_strangers_with_a_reason() -> None:
    node = _node()
    node.handle(PeerFound(record("shelf", installation="next-door")), 0.1)
    node.handle(PeerFound(record("left", installation="next-door", protocol=99)), 0.1)
    assert _machine(node, "shelf")["health"] == "stranger"
    assert "another installation" in _why(node, "shelf")
    assert "protocol version 99" in _why(node, "left") and "same version" in _why(node, "left")


def test_a_machine_that_the_file_names_and_nobody_has_seen() -> None:
    words = _why(_node(), "right")
    assert "never seen" in words and "`roomful agent --name right`" in words


def test_two_machines_of_one_name_are_both_shown_and_alarmed() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    _arrives(node, "twin", 0.1, state=said(), name="shelf")
    seen = status(node, {})
    assert {"shelf", "shelf (2)"} <= set(seen["machines"])
    assert seen["alarms"]


# ---- the roles


def _role(node: Node, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = status(node, {})["roles"][instance]
    return found


def test_a_room_that_is_down_says_how_to_start_it() -> None:
    node = _node(up=False)
    _pass(node, 25.0)
    assert _role(node, "eye")["why"] == "the room is down: `roomful up`"
    assert status(node, {})["order"] == "down"


def test_what_cannot_be_placed_carries_its_reason() -> None:
    node = _node()
    _pass(node, 25.0)
    assert _role(node, "wall@left") == {**_role(node, "wall@left"), "machine": None, "state": "unplaced"}
    assert _role(node, "wall@left")["why"]


def test_a_role_goes_from_loading_over_waiting_to_playing_in_words() -> None:
    node = _node(name="left")
    _pass(node, 25.0)
    assert _role(node, "presence")["why"] == "its process is loading"
    generation = node.cast.generations["presence"]
    node.handle(RoleReady("presence", generation, 1, 2, 77), 25.1)
    assert _role(node, "presence")["why"] == "loaded; waits for the roles it hears"
    node.handle(RoleReady("eye", node.cast.generations["eye"], 3, 4, 78), 25.2)
    assert (_role(node, "presence")["why"], _role(node, "presence")["state"]) == ("", "playing")
    assert _role(node, "presence")["machine"] == "left" and _role(node, "presence")["pid"] == 77
    node.handle(RoleEnded("presence", generation, "exit code 3"), 25.3)
    assert _role(node, "presence")["why"] == "starting again after: exit code 3"
    assert _role(node, "presence")["restarts"] == 1


def test_a_role_that_was_faulty_is_said_to_be_until_it_has_shown_that_it_works() -> None:
    node = _node(name="left")
    _pass(node, 25.0)
    node.handle(RoleReady("eye", node.cast.generations["eye"], 1, 2, 77), 25.1)
    node.handle(RoleEnded("eye", node.cast.generations["eye"], "the picture stands still", faulty=True), 60.0)
    node.handle(RoleReady("eye", node.cast.generations["eye"], 1, 2, 78), 60.5)
    assert _role(node, "eye")["state"] == "playing"
    assert _role(node, "eye")["why"] == "started again and not known to work yet, after: the picture stands still"
    node.handle(RoleWorks("eye", node.cast.generations["eye"]), 61.0)
    assert _role(node, "eye")["why"] == ""


def test_an_instance_that_nobody_has_claimed_yet() -> None:
    node = _node()
    _arrives(node, "left", 0.1, state=said(settled=False))
    _pass(node, 1.3, "left")
    node.placement = replace(node.placement, unplaced={})
    assert _role(node, "wall@left")["why"] == "waits for a machine to claim it"


def test_standbys_that_are_ready_are_named() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said(claim("presence", part="standby", state="ready")))
    _arrives(node, "left", 0.1, state=said(claim("presence")))
    node.handle(Tick(), 1.2)
    assert _role(node, "presence")["standby"] == ["shelf"]
    assert _role(node, "presence")["machine"] == "left"


def test_a_broken_link_is_no_change_of_health() -> None:
    node = _node()
    _arrives(node, "shelf", 0.1, state=said())
    node.handle(LinkHint("n-shelf"), 0.15)
    assert _machine(node, "shelf")["health"] == "alive"


def test_a_machine_says_which_revision_is_on_its_way_and_why_it_cannot_have_it() -> None:
    node = _node()
    to_play = Signed(3, "c" * 64, b"")
    _arrives(node, "shelf", 0.1, state=said(revision=node.state.revision, offered=to_play))
    _arrives(node, "left", 0.1, state=said(revision=(2, "ab" * 32), ordered=to_play, cannot=(("c" * 64, "its disk is full"),)))
    assert _why(node, "shelf") == "it is sent revision 3 (cccccccc), which is on its way"
    assert "another revision" in _why(node, "left")
    assert _why(node, "left").endswith("it is to play revision 3 (cccccccc) and cannot: its disk is full")


def test_of_a_flood_of_strangers_a_few_are_shown_and_those_with_a_name_of_the_file_before_all() -> None:
    # Given somebody on the network who announces machines without end, after one that the file names and that has another key
    node = _node()
    node.handle(PeerFound(record("shelf", installation="next-door")), 0.1)
    for number in range(200):
        node.handle(PeerFound(record(f"ghost-{number}", installation="next-door")), 0.2)
    # When it is asked who is here, then the answer can still be read
    shown = [name for name, machine in status(node, {})["machines"].items() if machine["health"] == "stranger"]
    assert len(shown) == 8 and "shelf" in shown and "ghost-199" in shown
