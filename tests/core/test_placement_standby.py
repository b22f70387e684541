"""Stories of succession: who takes over, and what a loaded standby costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.core.placement import place
from mesh.core.spec import Machine
from tests.core.placement_rooms import SCREEN, after, machine, plays, role, room, where


def names(order: tuple[str, ...]) -> list[str]:
    return [node.removeprefix("n-") for node in order]


def test_the_order_names_every_other_machine_that_may_play_it_best_liked_first() -> None:
    deployment = room(role("eye", on=("a", "c", "any")), machines=["a", "b", "c", "d"])
    found = place(deployment, [machine(name) for name in "abcd"])
    assert names(found.standby["eye"]) == ["c", "b", "d"]


def test_nobody_stands_by_for_copies_displays_and_roles_that_want_none() -> None:
    deployment = room(role("poet", copies=2), role("wall", each=("a",), kind=SCREEN), role("eye", standby="none"), machines=["a", "b"])
    found = place(deployment, [machine("a"), machine("b"), machine("c")])
    assert set(found.standby.values()) == {()}
    assert set(found.standby) == set(found.holders)


def test_a_display_has_no_successor_though_two_machines_have_its_machines_name() -> None:
    deployment = room(role("wall", each=("a",), kind=SCREEN, standby="cold"), machines=["a"])
    found = place(deployment, [machine("a"), replace(machine("a"), node="n-z")])
    assert found.standby == {"wall@a": ()}


def test_a_machine_without_the_memory_for_it_is_no_successor() -> None:
    found = place(room(role("eye", memory=2), machines=["a", "b", "c"]), [machine("a", 4), machine("b", 1), machine("c", 2)])
    assert names(found.standby["eye"]) == ["c"]


def test_who_has_the_memory_now_comes_before_who_would_have_to_make_room() -> None:
    deployment = room(role("lamp", memory=1, on=("b",)), role("eye", memory=2, on=("a", "b", "c")), machines=["a", "b", "c"])
    found = place(deployment, [machine("a", 2), machine("b", 2), machine("c", 2)])
    assert names(found.standby["eye"]) == ["c", "b"]
    found = place(deployment, [machine("a", 2), machine("b", 3), machine("c", 2)])
    assert names(found.standby["eye"]) == ["b", "c"]


def test_at_most_eight_are_named() -> None:
    deployment = room(role("eye", on=("label:x", "any")), machines=[Machine(f"m{number:02}", ("x",)) for number in range(6)])
    found = place(deployment, [machine(f"m{number:02}") for number in range(20)])
    assert names(found.standby["eye"]) == [f"m{number:02}" for number in range(1, 9)]


# ---- who plays `with` another


def test_who_shares_a_machine_is_followed_by_where_the_other_goes_as_far_as_it_can_go_there() -> None:
    deployment = room(role("eye", on=("a", "any")), role("lamp", with_="eye", on=("a", "c")), machines=["a", "b", "c"])
    found = place(deployment, [machine(name) for name in "abc"])
    assert names(found.standby["eye"]) == ["b", "c"]
    assert names(found.standby["lamp"]) == ["c"]


def test_who_shares_a_machine_with_a_copy_goes_to_where_another_copy_plays() -> None:
    deployment = room(role("poet", copies=2), role("lamp", with_="poet", standby="cold"), machines=["a", "b", "c"])
    found = place(deployment, [machine(name) for name in "abc"])
    assert where(found) == {"poet/1": "a", "poet/2": "b", "lamp": "a"}
    assert names(found.standby["lamp"]) == ["b"]


def test_a_chain_of_those_who_share_a_machine_moves_as_one_whatever_their_order_in_the_file() -> None:
    wanted = [role("cup", with_="lamp"), role("lamp", with_="eye"), role("eye", on=("a", "c", "b"))]
    for roles in permutations(wanted):
        found = place(room(*roles, machines=["a", "b", "c"]), [machine(name) for name in "abc"])
        assert [names(found.standby[name]) for name in ("cup", "lamp", "eye")] == [["c", "b"]] * 3
        assert found.loaded == {}, "for they are cold"


def test_a_warm_standby_of_who_shares_a_machine_needs_its_memory_too() -> None:
    deployment = room(
        role("eye", on=("a", "b")), role("lamp", memory=2, with_="eye", standby="warm"), role("roof", memory=1, on=("b",)),
        machines=["a", "b"],
    )
    assert place(deployment, [machine("a", 2), machine("b", 3)]).loaded == {"lamp": "n-b"}
    found = place(deployment, [machine("a", 2), machine("b", 2.5)])
    assert found.loaded == {} and names(found.standby["lamp"]) == ["b"]


# ---- what standbys cost


def test_a_drained_machine_is_no_successor() -> None:
    found = place(room(role("eye", on=("a", "any")), machines=["a", "b"]), [machine("a"), machine("b", drained=True), machine("c")])
    assert names(found.standby["eye"]) == ["c"]


def test_what_one_machine_carried_is_spread_over_those_that_are_left() -> None:
    deployment = room(*[role(f"r{number}", on=("a", "any")) for number in range(4)], machines=["a", "b", "c"])
    found = place(deployment, [machine(name) for name in "abc"])
    assert set(where(found).values()) == {"a"}
    assert sorted(names(order)[0] for order in found.standby.values()) == ["b", "b", "c", "c"]


def test_a_warm_standby_takes_memory_that_nobody_plays_in() -> None:
    """Given two machines of 3 GB that play 2 GB each; then neither can keep the other's standby loaded, though each is named."""
    deployment = room(role("one", memory=2, standby="warm", on=("a", "b")), role("two", memory=2, on=("b", "a")), machines=["a", "b"])
    found = place(deployment, [machine("a", 3), machine("b", 3)])
    assert names(found.standby["one"]) == ["b"]
    assert found.loaded == {}
    found = place(deployment, [machine("a", 3), machine("b", 4)])
    assert found.loaded == {"one": "n-b"}


def test_two_warm_standbys_do_not_share_the_same_memory() -> None:
    deployment = room(
        role("one", memory=2, standby="warm", on=("a", "any")), role("two", memory=2, standby="hot", on=("a", "any")),
        machines=["a", "b", "c"],
    )
    found = place(deployment, [machine("a", 4), machine("b", 2), machine("c", 2)])
    assert set(found.loaded.values()) == {"n-b", "n-c"}
    found = place(deployment, [machine("a", 4), machine("b", 2)])
    assert found.loaded == {"one": "n-b"}, "the more important one is kept loaded"


def test_a_standby_yields_to_a_role_that_wants_to_play() -> None:
    """Given a standby loaded in the last memory of b; when a later role needs that memory; then it plays, and the standby is cold."""
    deployment = room(role("one", memory=2, standby="warm", on=("a", "b")), role("two", memory=2, on=("b",)), machines=["a", "b"])
    both = [machine("a", 2), machine("b", 2)]
    found = place(deployment, both, [plays("one", "a"), *after(place(room(deployment.roles[0], machines=["a", "b"]), both))])
    assert where(found) == {"one": "a", "two": "b"}
    assert found.loaded == {}


def test_a_pair_has_the_same_successor() -> None:
    deployment = room(role("voice", standby="warm"), role("lamp", with_="voice", standby="warm"), machines=["a", "b", "c"])
    found = place(deployment, [machine(name) for name in "abc"])
    assert found.standby["lamp"] == found.standby["voice"]
    assert found.loaded["lamp"] == found.loaded["voice"]


def test_who_must_sit_beside_copies_that_share_a_machine_has_no_successor() -> None:
    """For they have none, and it could sit nowhere without them."""
    deployment = room(role("poet", copies=2), role("lamp", with_="poet"), machines=["a", "b"])
    found = place(deployment, [machine("a"), machine("b")], [plays("poet/1", "a"), plays("poet/2", "a")])
    assert found.standby["lamp"] == ()


@st.composite
def light_rooms(draw: st.DrawFn) -> tuple[object, list[str]]:
    """Rooms where memory is no question: roles of any standby, some in copies, on up to six machines."""
    machines = list("abcdef"[: draw(st.integers(2, 6))])
    roles = []
    for number in range(draw(st.integers(1, 8))):
        on = (*draw(st.lists(st.sampled_from(machines), max_size=2, unique=True)), "any")
        copies = draw(st.sampled_from([1, 1, 1, 2]))
        standby = draw(st.sampled_from(["cold", "warm", "hot"])) if copies == 1 else "none"
        roles.append(role(f"r{number}", on=on, copies=copies, standby=standby))
    return room(*roles, machines=machines), machines


@settings(max_examples=150, deadline=None)
@given(light_rooms(), st.data())
def test_when_a_machine_goes_its_roles_go_where_their_standby_is_loaded(case: tuple[object, list[str]], data: st.DataObject) -> None:
    deployment, machines = case
    before = place(deployment, [machine(name) for name in machines])  # type: ignore[arg-type]
    lost = data.draw(st.sampled_from(machines))
    found = place(deployment, [machine(name) for name in machines if name != lost], after(before, lost))  # type: ignore[arg-type]
    for instance, node in before.holders.items():
        if node != f"n-{lost}":
            assert found.holders[instance] == node
        elif before.standby[instance]:
            assert found.holders[instance] == before.standby[instance][0]
            assert before.loaded.get(instance, before.standby[instance][0]) == before.standby[instance][0]
