"""From what the nodes say to where things are placed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.core.claims import Ledger
from mesh.core.instances import STANDBY_STATE, instances
from mesh.core.messages import NodeState
from mesh.core.placement import Placement
from mesh.core.spec import Deployment, Needs
from mesh.core.view import Placing, candidate, capabilities_of, held
from tests.core.cases import EYE, POET, ROOM, WALL, claim, said

EVERY = instances(ROOM)


def _placed(states: dict[str, NodeState], room: Deployment = ROOM, placing: Placing | None = None, revision: str = "rev") -> Placement:
    ledger = Ledger()
    ledger.read(states)
    names = {node: node.removeprefix("n-") for node in states}
    return (placing or Placing()).answered(room, instances(room), states, names, revision, ledger)


def _room(*names: str, **more: Any) -> dict[str, NodeState]:
    return {f"n-{name}": said(**more) for name in names}


def test_capabilities_are_read_and_unknown_words_left_out() -> None:
    found = capabilities_of({"memory_bytes": 5, "cores": 2, "gpu": 1, "extras": ["llm", 7], "smell": True, "camera": False})
    assert (found.memory_bytes, found.cores, found.gpu, found.camera, found.extras) == (5, 2, True, False, {"llm"})
    assert capabilities_of({"memory_bytes": "much", "extras": "llm"}).memory_bytes == 0


def test_a_candidate_is_what_its_node_says_of_itself() -> None:
    state = said(drained=True, put_aside=True, gave_up=(("eye", "no camera"),))
    found = candidate(replace(ROOM, machines=(replace(ROOM.machines[0], labels=("camera",)),)), "n-door", "door", state)
    assert (found.labels, found.drained, found.put_aside, found.gave_up) == (("camera",), True, True, {"eye"})
    assert found.why_gave_up == (("eye", "no camera"),)


def test_what_the_file_says_of_a_machine_overrides_what_it_measures() -> None:
    room = replace(ROOM, machines=(replace(ROOM.machines[0], has={"memory_bytes": 7, "gpu": True, "camera": False}),))
    state = said(capabilities={"memory_bytes": 9, "cores": 2, "camera": True, "sound": True})
    found = candidate(room, "n-door", "door", state).capabilities
    assert (found.memory_bytes, found.cores, found.gpu, found.camera, found.sound) == (7, 2, True, False, True)


def test_a_role_goes_where_the_file_says_that_there_is_what_it_needs() -> None:
    needy = replace(EYE, on=("any",), needs=Needs(memory_bytes=3 << 30, camera=True), inputs=())
    room = replace(ROOM, roles=(needy,), machines=(ROOM.machines[0], replace(ROOM.machines[1], has={"camera": True})))
    assert _placed(_room("door", "shelf"), room).holders == {"eye": "n-shelf"}
    small = replace(room, machines=(room.machines[0], replace(room.machines[1], has={"camera": True, "memory_bytes": 1 << 30})))
    assert "needs 3.2 GB of memory; shelf has 1.1 GB free" in _placed(_room("door", "shelf"), small).unplaced["eye"]


def test_holders_that_stay_and_standbys_that_are_loaded_are_held() -> None:
    ledger = Ledger()
    ledger.read({
        "a": said(claim("eye", 2, heard=1), claim("presence", part="standby", state="ready")),
        "b": said(claim("eye", 1, heard=5), claim("mood", part="standby", state="starting")),
    })
    assert [(each.instance, each.node, each.state) for each in held(EVERY, ledger)] == [
        ("eye", "b", "playing"), ("presence", "a", STANDBY_STATE),
    ]


def test_only_machines_with_the_same_deployment_play() -> None:
    states = {**_room("shelf", "left"), **_room("door", revision=(2, "newer"))}
    assert _placed(states).holders["eye"] != "n-door"
    assert _placed({**states, "n-door": said()}).holders["eye"] == "n-door"


def test_a_provisional_claim_goes_to_the_machine_that_likes_it_better_and_a_firm_one_stays() -> None:
    states = _room("door", "left", "right")
    assert _placed({**states, "n-left": said(claim("eye", provisional=True))}).holders["eye"] == "n-door"
    assert _placed({**states, "n-left": said(claim("eye"))}).holders["eye"] == "n-left"


@pytest.mark.parametrize(("failback", "steady", "home"), [("auto", True, True), ("auto", False, False), ("manual", True, False)])
def test_a_role_fails_back_if_it_asks_and_all_have_been_steady(failback: str, steady: bool, home: bool) -> None:
    room = replace(ROOM, roles=(replace(EYE, failback=failback), *ROOM.roles[1:]))
    states = {**_room("door", steady=steady), **_room("right", steady=True), "n-left": said(claim("eye"), steady=True)}
    assert (_placed(states, room).holders["eye"] == "n-door") == home


def test_a_drained_or_put_aside_machine_is_no_reason_not_to_fail_back() -> None:
    room = replace(ROOM, roles=(replace(EYE, failback="auto"), *ROOM.roles[1:]))
    states = {**_room("door", "right", steady=True), "n-left": said(claim("eye"), steady=True)}
    assert _placed({**states, "n-shelf": said(drained=True)}, room).holders["eye"] == "n-door"
    assert _placed({**states, "n-shelf": said(put_aside=True)}, room).holders["eye"] == "n-door"


def test_a_machine_is_put_aside_only_while_the_others_can_play_everything() -> None:
    small = replace(ROOM, roles=(EYE, replace(POET, copies=1, inputs=()), replace(WALL, each=("left",))))
    states = _room("left", "right")
    aside = said(put_aside=True)
    assert "n-door" not in _placed({**states, "n-door": aside}, small).holders.values()
    needy = replace(small, roles=(replace(EYE, on=("door",)), *small.roles[1:]))
    assert _placed({**states, "n-door": aside}, needy).holders["eye"] == "n-door"


def test_the_same_question_is_answered_from_memory_and_another_is_not() -> None:
    placing = Placing()
    first = _placed(_room("door", "left"), placing=placing)
    assert _placed(_room("door", "left"), placing=placing) is first
    assert _placed(_room("door", "left", drained=True), placing=placing) is not first
