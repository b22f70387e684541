"""Stories of `place`, one sentence each: who plays what, who must yield, and what the technician reads."""

from __future__ import annotations

import pytest

from mesh.core.instances import Candidate, Held, instances
from mesh.core.placement import place
from mesh.core.spec import Deployment, Machine, Needs
from tests.core.placement_rooms import GB, LLM, SCREEN, after, machine, plays, role, room, where


def whispering_room() -> Deployment:
    return room(
        role("eye", on=("door", "label:camera", "any")),
        role("presence", of=("eye",), standby="warm"),
        role("mood", of=("presence",), standby="hot"),
        role("poet", of=("mood",), kind=LLM, memory=0.3, copies=2),
        role("wall", of=("poet",), kind=SCREEN, each=("left-wall", "right-wall")),
        machines=[Machine("door", ("camera",)), Machine("shelf"), Machine("left-wall", ("screen",)), Machine("right-wall", ("screen",))],
    )


def four_machines() -> list[Candidate]:
    return [machine(name) for name in ("door", "shelf", "left-wall", "right-wall")]


# ---- instances


def test_instances_are_named_and_ordered_as_in_the_file() -> None:
    names = [each.name for each in instances(whispering_room())]
    assert names == ["eye", "presence", "mood", "poet/1", "poet/2", "wall@left-wall", "wall@right-wall"]


def test_each_with_a_label_means_every_machine_of_the_file_that_carries_it() -> None:
    machines = [Machine("a", ("screen",)), Machine("b"), Machine("c", ("screen",))]
    names = [each.name for each in instances(room(role("wall", each=("b", "label:screen", "c")), machines=machines))]
    assert names == ["wall@b", "wall@a", "wall@c"]


# ---- everyday


def test_the_first_room_is_shared_out_as_its_artist_would() -> None:
    found = place(whispering_room(), four_machines())
    seats = where(found)
    assert found.complete is True
    assert seats["eye"] == "door"
    assert {seats["wall@left-wall"], seats["wall@right-wall"]} == {"left-wall", "right-wall"}
    assert seats["poet/1"] != seats["poet/2"]
    assert seats["presence"] == "shelf"


def test_an_empty_deployment_and_an_empty_room_are_answered() -> None:
    assert place(room(), []).complete is True
    assert place(room(role("eye")), []).unplaced == {"eye": "no machine is here"}


def test_wishes_are_met_in_their_order() -> None:
    eye = role("eye", on=("door", "label:camera", "any"))
    deployment = room(eye, machines=[Machine("door"), Machine("shelf"), Machine("gate", ("camera",))])
    assert where(place(deployment, [machine("shelf"), machine("gate"), machine("door")])) == {"eye": "door"}
    assert where(place(deployment, [machine("shelf"), machine("gate")])) == {"eye": "gate"}
    assert where(place(deployment, [machine("shelf")])) == {"eye": "shelf"}


def test_a_spare_plays_what_asks_for_any_machine() -> None:
    assert where(place(room(role("eye"), machines=["door"]), [machine("spare-1")])) == {"eye": "spare-1"}


def test_roles_without_a_wish_are_shared_out_evenly_by_cores() -> None:
    deployment = room(*[role(f"r{number}") for number in range(6)], machines=["small", "large"])
    seats = where(place(deployment, [machine("small", cores=2), machine("large", cores=4)]))
    assert sorted(seats.values()) == ["large"] * 4 + ["small"] * 2


# ---- holders stay


def test_a_holder_stays_when_a_machine_it_likes_better_comes_back() -> None:
    deployment = room(role("eye", on=("door", "any")), machines=["door", "shelf"])
    both = [machine("door"), machine("shelf")]
    assert where(place(deployment, both, [plays("eye", "shelf")])) == {"eye": "shelf"}


def test_a_holder_that_may_fail_back_returns_to_the_machine_it_likes_better() -> None:
    deployment = room(role("eye", on=("door", "any")), machines=["door", "shelf"])
    both = [machine("door"), machine("shelf")]
    found = place(deployment, both, [plays("eye", "shelf")], may_fail_back=frozenset({"eye"}))
    assert where(found) == {"eye": "door"}


def test_a_holder_that_may_move_does_not_move_between_equals() -> None:
    deployment = room(role("eye"), role("ear"), machines=["a", "b"])
    held = [plays("eye", "a"), plays("ear", "a")]
    either = frozenset({"eye", "ear"})
    assert set(where(place(deployment, [machine("a"), machine("b")], held, may_fail_back=either, provisional=either)).values()) == {"a"}


def test_copies_claimed_while_the_room_started_part_when_another_machine_arrives() -> None:
    deployment = room(role("poet", copies=2), machines=["a", "b"])
    held = [plays("poet/1", "a"), plays("poet/2", "a")]
    both = [machine("a"), machine("b")]
    assert set(where(place(deployment, both, held)).values()) == {"a"}
    assert set(where(place(deployment, both, held, provisional=frozenset({"poet/1", "poet/2"}))).values()) == {"a", "b"}


def test_the_loss_of_a_machine_moves_only_what_it_played() -> None:
    before = place(whispering_room(), four_machines())
    left = [each for each in four_machines() if each.name != "shelf"]
    found = place(whispering_room(), left, after(before, "shelf"))
    for instance, name in where(before).items():
        assert name == "shelf" or where(found)[instance] == name
    assert found.complete is True


def test_of_two_holders_the_higher_epoch_then_the_higher_node_counts() -> None:
    deployment = room(role("eye"), machines=["a", "b"])
    both = [machine("a"), machine("b")]
    assert where(place(deployment, both, [plays("eye", "a", 3), plays("eye", "b", 2)])) == {"eye": "a"}
    assert where(place(deployment, both, [plays("eye", "a", 2), plays("eye", "b", 2)])) == {"eye": "b"}


def test_claims_of_nodes_that_are_not_here_and_of_unknown_instances_are_passed_over() -> None:
    held = [plays("eye", "gone", 9), plays("ghost", "a", 9)]
    assert where(place(room(role("eye"), machines=["a"]), [machine("a")], held)) == {"eye": "a"}


def test_a_drained_machine_hands_over_all_it_plays() -> None:
    deployment = room(role("eye"), role("wall", each=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", drained=True), machine("b")], [plays("eye", "a"), plays("wall@a", "a")])
    assert where(found) == {"eye": "b"}
    assert found.unplaced == {"wall@a": "a is drained"}


def test_a_machine_put_aside_keeps_only_its_own_display() -> None:
    """Nobody else can show that picture: stopping it would be a black wall for nothing."""
    deployment = room(role("eye"), role("wall", of=("eye",), kind=SCREEN, each=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", put_aside=True), machine("b")], [plays("eye", "a"), plays("wall@a", "a")])
    assert where(found) == {"eye": "b", "wall@a": "a"}


# ---- making room


def test_a_later_role_moves_to_make_room_for_an_earlier_one() -> None:
    deployment = room(role("big", memory=3, on=("a",)), role("small", memory=1), machines=["a", "b"])
    both = [machine("a", 3), machine("b", 2)]
    assert where(place(deployment, both, [plays("small", "a")])) == {"big": "a", "small": "b"}


def test_a_later_role_stays_out_to_make_room_for_an_earlier_one() -> None:
    deployment = room(role("big", memory=3), role("small", memory=1), machines=["a"])
    found = place(deployment, [machine("a", 3)], [plays("small", "a")])
    assert where(found) == {"big": "a"}
    assert found.complete is False
    assert found.unplaced == {"small": "needs 1.0 GB of memory; a has 0 MB free"}


def test_an_earlier_holder_moves_so_that_a_later_role_can_play_at_all() -> None:
    deployment = room(role("first", memory=1), role("second", memory=2, on=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", 2), machine("b", 1)], [plays("first", "a")])
    assert where(found) == {"first": "b", "second": "a"}


def test_one_of_everything_comes_before_a_second_copy() -> None:
    deployment = room(role("poet", memory=1, copies=2), role("voice", memory=1), machines=["a"])
    assert set(place(deployment, [machine("a", 2)]).holders) == {"poet/1", "voice"}


def test_copies_go_apart_even_where_both_wish_for_one_machine() -> None:
    deployment = room(role("poet", copies=2, on=("shelf", "any")), machines=["shelf", "door"])
    assert where(place(deployment, [machine("shelf"), machine("door")])) == {"poet/1": "shelf", "poet/2": "door"}


def test_copies_share_a_machine_unless_spread_forbids_it() -> None:
    for spread in (False, True):
        found = place(room(role("poet", copies=2, spread=spread)), [machine("a")])
        assert len(found.holders) == (1 if spread else 2)
    assert found.unplaced == {"poet/2": "its copies must be on different machines, and only a could play it"}


def test_who_plays_with_a_role_moves_with_it() -> None:
    deployment = room(role("voice"), role("lamp", with_="voice"), machines=["a", "b", "c"])
    found = place(deployment, [machine(name) for name in "abc"])
    assert where(found)["voice"] == where(found)["lamp"]
    gone = where(found)["voice"]
    again = place(deployment, [machine(name) for name in "abc" if name != gone], after(found, gone))
    assert where(again)["voice"] == where(again)["lamp"] != gone


def test_a_pair_goes_where_both_fit() -> None:
    deployment = room(role("voice", memory=1), role("lamp", memory=2, with_="voice"), machines=["a", "b"])
    assert where(place(deployment, [machine("a", 2), machine("b", 3)])) == {"voice": "b", "lamp": "b"}


# ---- nobody plays for nobody


def test_what_feeds_only_an_absent_wall_does_not_play() -> None:
    deployment = whispering_room()
    found = place(deployment, [machine("shelf")], [plays("eye", "shelf")])
    assert found.holders == {}
    assert found.unplaced["wall@left-wall"] == "left-wall is not here"
    assert found.unplaced["eye"] == "would play for nobody: wall is not playing here"
    assert found.complete is False


def test_one_wall_of_two_keeps_the_room_playing() -> None:
    found = place(whispering_room(), [machine("shelf"), machine("left-wall")])
    assert set(found.unplaced) == {"wall@right-wall"}


def test_a_role_that_nobody_listens_to_is_an_output_of_its_own() -> None:
    found = place(room(role("eye"), role("lights", of=("eye",))), [machine("a")])
    assert set(found.holders) == {"eye", "lights"}


def test_roles_that_only_feed_each_other_play_for_themselves() -> None:
    found = place(room(role("call", of=("answer",)), role("answer", of=("call",))), [machine("a")])
    assert set(found.holders) == {"call", "answer"}


def test_no_more_important_role_takes_the_memory_of_the_only_output_it_has() -> None:
    """Given room for two of eye, brain and screen; when the screen is last; then eye and screen play, not eye and brain for nobody."""
    deployment = room(
        role("eye", memory=1), role("brain", memory=1, of=("eye",)), role("screen", memory=1, kind=SCREEN, of=("eye", "brain"))
    )
    found = place(deployment, [machine("a", 2)])
    assert set(found.holders) == {"eye", "screen"}


# ---- in plain words


@pytest.mark.parametrize(
    ("wanted", "here", "words"),
    [
        (role("poet", memory=3), [machine("shelf", 1.2), machine("door", 0.5)],
         "needs 3.0 GB of memory; the most any machine has free is 1.2 GB (shelf)"),
        (role("poet", memory=0.3), [machine("shelf", 0.1)], "needs 300 MB of memory; shelf has 100 MB free"),
        (role("poet", memory=3, on=("shelf", "door")), [machine("shelf", 1.2), machine("door", 0.5), machine("gate")],
         "needs 3.0 GB of memory; the most any machine that may play it has free is 1.2 GB (shelf)"),
        (role("eye", needs=Needs(camera=True)), [machine("a"), machine("b")], "no machine here has a camera"),
        (role("eye", needs=Needs(camera=True), on=("a",)), [machine("a"), machine("b", camera=True)], "a has no camera"),
        (role("ear", needs=Needs(microphone=True), on=("a", "b")), [machine("a"), machine("b"), machine("c")],
         "a and b have no microphone"),
        (role("poet", kind=LLM), [machine("a", extras=())], "the part “llm” of Roomful is not installed on any machine here"),
        (role("poet", kind=LLM, on=("a",)), [machine("a", extras=()), machine("b")], "the part “llm” of Roomful is not installed on a"),
        (role("wall", each=("left-wall",)), [machine("shelf")], "left-wall is not here"),
        (role("wall", each=("left-wall",), needs=Needs(screen=True)), [machine("left-wall"), machine("b")], "left-wall has no screen"),
        (role("eye", on=("door",)), [machine("shelf")], "door is not here"),
        (role("eye", on=("door", "gate")), [machine("shelf")], "door and gate are not here"),
        (role("eye", on=("door", "label:camera")), [machine("shelf")], "door is not here; no machine here has the label camera"),
        (role("eye"), [machine("shelf", drained=True)], "shelf is drained; nowhere else to go"),
        (role("eye"), [machine("a", put_aside=True), machine("b", put_aside=True)],
         "a and b are put aside for coming and going; nowhere else to go"),
        (role("poet"), [machine("shelf", gave_up={"poet"})],
         "gave up on shelf after it failed to start again and again; nowhere else to go"),
        (role("poet"), [machine("shelf", gave_up={"poet"}, why_gave_up=(("poet", "the model does not load"),))],
         "gave up on shelf (the model does not load); nowhere else to go"),
        (role("poet", memory=3), [machine("shelf", gave_up={"poet"}), machine("door", 1)],
         "needs 3.0 GB of memory; door has 1.0 GB free; gave up on shelf after it failed to start again and again"),
        (role("eye", needs=Needs(camera=True)), [machine("a"), machine("b", drained=True, camera=True)], "a has no camera; b is drained"),
        (role("lamp", with_="voice"), [machine("a")], "must share a machine with voice, which is not playing here"),
    ],
)
def test_what_cannot_be_placed_says_why_in_plain_words(wanted: object, here: list[Candidate], words: str) -> None:
    found = place(room(wanted, role("voice", on=("elsewhere",))), here)  # type: ignore[arg-type]
    assert next(iter(found.unplaced.values())) == words
    assert found.complete is False


def test_a_label_in_the_file_stands_for_what_was_not_measured() -> None:
    deployment = room(role("eye", needs=Needs(camera=True)), machines=[Machine("a"), Machine("b", ("camera",))])
    assert where(place(deployment, [machine("a"), machine("b")])) == {"eye": "b"}


def test_a_room_too_large_to_be_sure_of_says_not_found() -> None:
    """Given 40 instances of odd sizes on 10 machines that are full; then what is left out is not called impossible."""
    deployment = room(*[role(f"r{number}", needs=Needs((5 + number * 7 % 11) * GB // 10)) for number in range(40)])
    memory = sum(each.role.needs.memory_bytes for each in instances(deployment)) / GB / 10
    found = place(deployment, [machine(f"m{number}", memory * 0.97) for number in range(10)])
    assert found.complete is None
    assert all("bounded search found no way" in why for why in found.unplaced.values())


# ---- who takes over


def test_the_loaded_standby_is_the_one_that_takes_over() -> None:
    before = place(whispering_room(), four_machines())
    for instance in ("presence", "mood"):
        holder = where(before)[instance]
        left = [each for each in four_machines() if each.name != holder]
        found = place(whispering_room(), left, after(before, holder))
        assert found.holders[instance] == before.loaded[instance] == before.standby[instance][0]


def test_a_loaded_standby_stays_where_it_is_loaded() -> None:
    deployment = room(role("mood", standby="warm", on=("a", "b", "c")), machines=["a", "b", "c"])
    held = [plays("mood", "a"), Held("mood", "n-c", 0, "standby")]
    found = place(deployment, [machine(name) for name in "abc"], held)
    assert found.loaded == {"mood": "n-c"}
    assert found.standby["mood"] == ("n-c", "n-b")
