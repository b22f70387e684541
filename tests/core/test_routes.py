"""Who listens to whom, drawn from claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.core.claims import Ledger
from mesh.core.instances import instances
from mesh.core.messages import NodeState
from mesh.core.routes import Reach, Scene, answering_inputs, answers, follows, routes_for, stream_type
from mesh.core.spec import Deployment, RoleSpec, Wire
from tests.core.cases import EYE, KINDS, MOOD, POET, PRESENCE, ROOM, WALL, claim, said

HERE = {"n-door": Reach(("10.0.0.1",)), "n-shelf": Reach(("10.0.0.2",)), "n-left": Reach(("10.0.0.3", "10.1.0.3"))}


def _scene(states: dict[str, NodeState], reach: dict[str, Reach] | None = None, room: Deployment = ROOM) -> Scene:
    ledger = Ledger()
    ledger.read(states)
    names: dict[str, tuple[str, ...]] = {}
    for instance in instances(room):
        names[instance.role.name] = (*names.get(instance.role.name, ()), instance.name)
    return Scene(room, names, ledger, HERE if reach is None else reach)


def _sources(role: RoleSpec, input: str, scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = routes_for(role, scene)["inputs"][input]["sources"]
    return found


def test_a_consumer_hears_the_one_who_plays() -> None:
    scene = _scene({"n-door": said(claim("eye", 3, frames_port=47610, requests_port=47611))})
    assert _sources(PRESENCE, "image", scene) == [{
        "instance": "eye", "node": "n-door", "epoch": 3, "generation": 1, "addresses": ["10.0.0.1"], "frames_port": 47610,
        "requests_port": 47611, "state": "playing", "rank": 0, "key": "",
    }]


def test_of_two_holders_only_the_higher_is_heard() -> None:
    scene = _scene({"n-door": said(claim("eye", 3)), "n-shelf": said(claim("eye", 4))})
    assert [each["node"] for each in _sources(PRESENCE, "image", scene)] == ["n-shelf"]


def test_a_holder_that_does_not_play_yet_is_not_heard() -> None:
    for state in ("starting", "ready"):
        assert _sources(PRESENCE, "image", _scene({"n-door": said(claim("eye", state=state))})) == []


def test_a_loaded_standby_is_offered_beside_the_holder_so_that_the_line_to_it_stands_when_it_plays() -> None:
    states = {
        "n-door": said(claim("mood"), claim("presence")),
        "n-shelf": said(claim("mood", 0, part="standby", state="ready"), claim("presence", 0, part="standby", state="ready")),
    }
    listener = replace(WALL, inputs=(Wire("tags", "mood", "tags"), Wire("people", "presence", "people")))
    scene = _scene(states)
    assert [(each["node"], each["state"], each["rank"]) for each in _sources(listener, "tags", scene)] == [
        ("n-door", "playing", 0), ("n-shelf", "standby", 1),
    ]
    assert [each["state"] for each in _sources(listener, "people", scene)] == ["playing", "standby"]


def test_a_hot_standby_that_still_loads_is_not_offered() -> None:
    states = {"n-door": said(claim("mood")), "n-shelf": said(claim("mood", 0, part="standby", state="starting"))}
    listener = replace(WALL, inputs=(Wire("tags", "mood", "tags"),))
    assert [each["node"] for each in _sources(listener, "tags", _scene(states))] == ["n-door"]


def test_a_source_on_a_suspected_machine_is_marked() -> None:
    reach = {"n-door": Reach(("10.0.0.1",), suspect=True)}
    assert _sources(PRESENCE, "image", _scene({"n-door": said(claim("eye"))}, reach))[0]["state"] == "suspect"


def test_a_source_on_a_machine_that_is_not_here_is_left_out() -> None:
    assert _sources(PRESENCE, "image", _scene({"n-door": said(claim("eye"))}, {})) == []


def test_frames_on_an_answering_input_become_requests_to_all_copies() -> None:
    states = {"n-door": said(claim("poet/1", requests_port=1)), "n-left": said(claim("poet/2", requests_port=2))}
    asks = routes_for(MOOD, _scene(states))["asks"]["tags"]
    assert [ask["role"] for ask in asks] == ["poet"]
    assert [(each["instance"], each["requests_port"]) for each in asks[0]["copies"]] == [("poet/1", 1), ("poet/2", 2)]
    assert asks[0]["when_superseded"] == "queue"
    assert asks[0]["copies"][1]["addresses"] == ["10.0.0.3", "10.1.0.3"]


def test_the_answering_role_itself_hears_no_stream_for_that_input() -> None:
    assert routes_for(POET, _scene({}))["inputs"] == {}
    assert answers(POET, POET.inputs[0], ROOM)
    assert not answers(PRESENCE, PRESENCE.inputs[0], ROOM)


def test_any_role_may_ask_one_that_answers_and_none_that_does_not() -> None:
    roles = routes_for(EYE, _scene({"n-door": said(claim("poet/1"))}))["roles"]
    assert set(roles) == {"poet"}
    assert roles["poet"]["inputs"] == ["prompt"]


def test_a_role_with_copies_answers_on_each_input_it_hears() -> None:
    copied = replace(PRESENCE, copies=2, standby="none")
    assert answering_inputs(copied, ROOM) == ("image",)
    assert answering_inputs(PRESENCE, ROOM) == ()


@pytest.mark.parametrize(("kind", "expected"), [("image", "latest"), ("event", "queue")])
def test_delivery_follows_the_type_of_the_stream_unless_written(kind: str, expected: str) -> None:
    wire = Wire("x", "eye", "image") if kind == "image" else Wire("x", "presence", "people")
    listener = replace(WALL, inputs=(wire,))
    assert routes_for(listener, _scene({}))["inputs"]["x"]["delivery"] == expected
    written = replace(WALL, inputs=(replace(wire, delivery="queue" if expected == "latest" else "latest"),))
    assert routes_for(written, _scene({}))["inputs"]["x"]["delivery"] != expected


def test_how_pictures_are_wanted_from_another_machine_goes_to_who_looks() -> None:
    wire = Wire("x", "eye", "image", "latest", "quality 75")
    assert routes_for(replace(WALL, inputs=(wire,)), _scene({}))["inputs"]["x"]["pictures"] == "quality 75"
    unsaid = replace(WALL, inputs=(replace(wire, pictures=""),))
    assert "pictures" not in routes_for(unsaid, _scene({}))["inputs"]["x"]


def test_a_stream_of_an_undescribed_kind_counts_as_events() -> None:
    assert stream_type(RoleSpec("x", "unheard-of"), "y", ROOM) == "event"
    assert stream_type(EYE, "image", ROOM) == "image"


def test_what_a_newer_request_does_is_as_written_else_as_the_kind_says() -> None:
    kind = replace(KINDS["poet"], options={"properties": {"when_superseded": {"default": "cancel"}}})
    room = replace(ROOM, kinds={**KINDS, "poet": kind})
    assert routes_for(MOOD, _scene({}, room=room))["asks"]["tags"][0]["when_superseded"] == "cancel"
    written = replace(room, roles=(*room.roles[:3], replace(POET, options={"when_superseded": "queue"}), WALL))
    assert routes_for(MOOD, _scene({}, room=written))["asks"]["tags"][0]["when_superseded"] == "queue"


def test_routes_do_not_depend_on_the_order_in_which_claims_were_read() -> None:
    one = {"n-door": said(claim("eye", 3)), "n-shelf": said(claim("eye", 4)), "n-left": said(claim("poet/1"))}
    two = dict(reversed(one.items()))
    assert routes_for(PRESENCE, _scene(one)) == routes_for(PRESENCE, _scene(two))


def test_where_nobody_plays_a_role_that_answers_its_listeners_hear_those_who_asked() -> None:
    room = replace(ROOM, roles=(*ROOM.roles[:3], replace(POET, fallback={"text": "lines.txt"}), WALL))
    states = {"n-door": said(claim("mood", 3), claim("poet/1"))}
    # Given a copy that plays: it is heard, and who asks knows what to say instead
    assert [each["instance"] for each in routes_for(WALL, _scene(states, room=room))["inputs"]["line"]["sources"]] == ["poet/1"]
    asks = routes_for(MOOD, _scene(states, room=room))["asks"]["tags"]
    assert asks[0]["fallback"] == {"stream": "poet.line", "text": "lines.txt"}
    # When none does
    alone = {"n-door": said(claim("mood", 3))}
    assert [each["instance"] for each in routes_for(WALL, _scene(alone, room=room))["inputs"]["line"]["sources"]] == ["mood"]
    # But nobody is heard in its place where nothing is laid by
    assert routes_for(WALL, _scene(alone))["inputs"]["line"]["sources"] == []


def test_a_copy_follows_the_others_and_a_standby_its_holder() -> None:
    states = {
        "n-door": said(claim("poet/1"), claim("mood", 2)), "n-left": said(claim("poet/2")),
        "n-shelf": said(claim("mood", 0, part="standby", state="ready")),
    }
    scene = _scene(states, {**HERE, "n-left": Reach(("10.0.0.3",), suspect=True)})
    followed = follows(claim("poet/1"), POET, scene)
    assert followed is not None
    assert [(each["instance"], each["state"]) for each in followed["sources"]] == [("poet/2", "suspect")]
    assert followed["here"] == ["n-door", "n-shelf"]
    assert followed["askers"] == {"mood": ["n-door", 1]}
    standing = follows(claim("mood", part="standby", state="ready"), MOOD, scene)
    assert standing is not None and [each["node"] for each in standing["sources"]] == ["n-door"]
    assert follows(claim("eye"), EYE, scene) is None
    assert follows(claim("mood"), MOOD, scene) is None, "a holder without copies has nobody to follow"
