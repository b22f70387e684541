"""Stories of `repair`, which makes room where a part of the room is too large for the exact search: here every part is."""

from __future__ import annotations

import random

import pytest

from mesh.core import placement, placement_repair
from mesh.core.instances import Candidate, Held
from mesh.core.placement import place
from mesh.core.spec import Deployment, Needs
from tests.core.placement_rooms import GB, SCREEN, Judge, machine, plays, role, room, where


@pytest.fixture(autouse=True)
def _every_part_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "search", lambda room, part: None)


# ---- by moving others


def test_one_moves_to_let_another_in() -> None:
    deployment = room(role("small", memory=1), role("big", memory=3, on=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", 3), machine("b", 2)], [plays("small", "a")])
    assert where(found) == {"small": "b", "big": "a"}
    assert found.complete is True


def test_who_moves_may_move_one_other_but_no_further() -> None:
    """Given a row of full machines where each could only go to the next; then two may move for the newcomer, and three may not."""
    for long, seats in ((2, {"r0": "m1", "r1": "m2", "new": "m0"}), (3, {"r0": "m0", "r1": "m1", "r2": "m2"})):
        wanted = [role(f"r{number}", memory=2, on=(f"m{number}", f"m{number + 1}")) for number in range(long)]
        deployment = room(*wanted, role("new", memory=2, on=("m0",)), machines=[f"m{number}" for number in range(long + 1)])
        here = [machine(f"m{number}", 2) for number in range(long + 1)]
        found = place(deployment, here, [plays(f"r{number}", f"m{number}") for number in range(long)])
        assert where(found) == seats


def test_two_change_places_where_that_makes_room() -> None:
    deployment = room(role("three", memory=3), role("one", memory=1), role("two", memory=2, on=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", 3), machine("b", 3)], [plays("three", "a"), plays("one", "b")])
    assert where(found) == {"three": "b", "one": "a", "two": "a"}


def test_who_moved_has_left_a_seat_that_is_found_when_it_is_looked_once_more() -> None:
    """Given a lamp that lost the eye it shares a machine with, and a page in the way; when the page is put out for the eye; then the lamp,
    whose turn had passed, has its seat beside it."""
    deployment = room(
        role("lamp", memory=2, with_="eye"), role("eye", memory=3), role("page", kind=SCREEN, memory=1, copies=2, spread=True),
        machines=["a"],
    )
    found = place(deployment, [machine("a", 5)], [plays("page/2", "a"), plays("lamp", "a")])
    assert where(found) == {"lamp": "a", "eye": "a"}


def test_what_was_as_important_as_who_plays_for_it_is_so_no_longer_when_that_one_stays_out() -> None:
    """Given two who play for a page that has no seat beside its host while they play; when they stay out; then the tree plays."""
    deployment = room(
        role("one", memory=1.5), role("two", memory=2), role("tree", memory=2, of=("host",)),
        role("page", each=("a",), memory=2, with_="host", of=("two", "one")), role("host", kind=SCREEN, each=("a", "b"), memory=2),
        machines=["a", "b"],
    )
    found = place(deployment, [machine("a", 5), machine("b", 1)], [plays("tree", "a"), plays("host@a", "a")])
    assert where(found) == {"tree": "a", "host@a": "a"}


def test_nobody_has_moved_when_moving_was_in_vain() -> None:
    """Given one holder that could move, which is not enough; when the newcomer stays out; then the holder is where it was."""
    deployment = room(
        role("first", memory=1), role("fixed", memory=1, on=("a",)), role("new", memory=2, on=("a",)), machines=["a", "b"]
    )
    found = place(deployment, [machine("a", 2), machine("b", 2)], [plays("first", "a"), plays("fixed", "a")])
    assert where(found) == {"first": "a", "fixed": "a"}
    assert found.complete is None


def test_whoever_moved_another_in_vain_is_back_too() -> None:
    """Given a newcomer for whom two would have to leave: one can, if it moves a third; the other cannot. Then nobody has moved."""
    deployment = room(
        role("first", memory=1, on=("a", "b")), role("fixed", memory=1, on=("a",)), role("third", memory=1, on=("b", "c")),
        role("new", memory=2, on=("a",)), machines=["a", "b", "c"],
    )
    here = [machine("a", 2), machine("b", 1), machine("c", 1)]
    held = [plays("first", "a"), plays("fixed", "a"), plays("third", "b")]
    assert where(place(deployment, here, held)) == {"first": "a", "fixed": "a", "third": "b"}


def test_who_has_just_come_moves_before_a_holder_and_the_less_important_before_the_more() -> None:
    roles = [role("one", memory=1, on=("a", "b")), role("two", memory=1, on=("a", "b")), role("new", memory=1, on=("a",))]
    here = [machine("a", 2), machine("b", 1)]
    deployment = room(*roles, machines=["a", "b"])
    assert where(place(deployment, here, [plays("one", "a"), plays("two", "a")])) == {"one": "a", "two": "b", "new": "a"}
    assert where(place(deployment, here, [plays("two", "a")])) == {"one": "b", "two": "a", "new": "a"}


def test_no_more_move_than_must() -> None:
    wanted = [role(f"r{number}", memory=1, on=("a", "b")) for number in range(3)]
    deployment = room(*wanted, role("new", memory=1, on=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", 3), machine("b", 4)], [plays(f"r{number}", "a") for number in range(3)])
    assert where(found) == {"r0": "a", "r1": "a", "r2": "b", "new": "a"}


def test_who_takes_no_memory_is_not_moved_for_it() -> None:
    """Given an eye without a need for memory, of one part with the only screen it feeds; then the screen's place is made by others."""
    deployment = room(
        role("eye", on=("a", "b")), role("other", memory=1, on=("a", "b")),
        role("screen", memory=2, kind=SCREEN, of=("eye",), on=("a",)), machines=["a", "b"],
    )
    found = place(deployment, [machine("a", 2), machine("b", 2)], [plays("eye", "a"), plays("other", "a")])
    assert where(found) == {"eye": "a", "other": "b", "screen": "a"}


def test_who_others_must_sit_beside_is_not_moved_but_those_others_may_be() -> None:
    """Given a voice on each machine and a lamp beside one; when place is needed there; then the lamp goes to the other voice."""
    deployment = room(
        role("voice", memory=1, copies=2), role("lamp", memory=1, with_="voice"), role("new", memory=1, on=("a",)), machines=["a", "b"]
    )
    held = [plays("voice/1", "a"), plays("voice/2", "b"), plays("lamp", "a")]
    found = place(deployment, [machine("a", 2), machine("b", 3)], held)
    assert where(found) == {"voice/1": "a", "voice/2": "b", "lamp": "b", "new": "a"}


# ---- by putting others out


def test_a_less_important_one_makes_way_where_nothing_can_move() -> None:
    deployment = room(role("big", memory=2), role("small", memory=1), machines=["a"])
    found = place(deployment, [machine("a", 2)], [plays("small", "a")])
    assert where(found) == {"big": "a"}
    assert found.complete is None


def test_nobody_makes_way_for_a_less_important_one() -> None:
    deployment = room(role("one", memory=1), role("two", memory=1), machines=["a"])
    assert where(place(deployment, [machine("a", 1)], [plays("one", "a")])) == {"one": "a"}
    deployment = room(role("one", memory=1), role("two", memory=2), role("three", memory=1), machines=["a"])
    assert where(place(deployment, [machine("a", 2)], [plays("one", "a"), plays("three", "a")])) == {"one": "a", "three": "a"}


def test_those_make_way_of_whom_the_most_important_matters_least() -> None:
    """Then the first stays where it is, and the second, put out for the newcomer, takes the least important one's place."""
    deployment = room(role("new", memory=2), *[role(f"r{number}", memory=1) for number in range(4)], machines=["a", "b"])
    for one, other in (("a", "b"), ("b", "a")):
        held = [plays("r0", one), plays("r3", one), plays("r1", other), plays("r2", other)]
        found = place(deployment, [machine("a", 2), machine("b", 2)], held)
        assert where(found) == {"new": other, "r0": one, "r1": one}


def test_no_more_make_way_than_must() -> None:
    deployment = room(role("new", memory=1), *[role(f"r{number}", memory=1) for number in range(3)], machines=["a"])
    found = place(deployment, [machine("a", 3)], [plays(f"r{number}", "a") for number in range(3)])
    assert set(found.holders) == {"new", "r0", "r1"}


def test_where_room_is_made_only_those_count_who_must_leave() -> None:
    """Given the least important one beside an important one, and one in the middle elsewhere; then the least important makes way."""
    deployment = room(role("new", memory=1), *[role(f"r{number}", memory=1) for number in range(3)], machines=["a", "b"])
    for one, other in (("a", "b"), ("b", "a")):
        here = [machine(one, 2), machine(other, 1)]
        found = place(deployment, here, [plays("r0", one), plays("r2", one), plays("r1", other)])
        assert where(found) == {"r0": one, "new": one, "r1": other}


def test_who_makes_way_finds_a_seat_of_its_own_when_its_turn_comes() -> None:
    """Given small ones put out of a for a big one; when b has room for one of them that could not be asked to move; then it plays there."""
    deployment = room(role("big", memory=3, on=("a",)), role("one", memory=2), role("two", memory=1), machines=["a", "b"])
    found = place(deployment, [machine("a", 3), machine("b", 1)], [plays("one", "a"), plays("two", "a")])
    assert where(found) == {"big": "a", "two": "b"}


def test_who_takes_no_memory_is_not_put_out_for_it() -> None:
    deployment = room(
        role("screen", memory=2, kind=SCREEN, of=("eye",), on=("a",)), role("other", memory=1, on=("a",)), role("eye", on=("b", "a")),
        machines=["a", "b"],
    )
    found = place(deployment, [machine("a", 2), machine("b", 0)], [plays("eye", "a"), plays("other", "a")])
    assert where(found) == {"screen": "a", "eye": "a"}


def test_nobody_puts_out_the_one_it_must_sit_beside() -> None:
    deployment = room(role("lamp", memory=1, with_="voice"), role("other", memory=1, on=("a",)), role("voice", memory=1), machines=["a"])
    found = place(deployment, [machine("a", 2)], [plays("other", "a"), plays("voice", "a")])
    assert where(found) == {"lamp": "a", "voice": "a"}


def test_who_sits_beside_one_that_is_put_out_leaves_with_it() -> None:
    """Whichever of them stands first in the file, and also when a third sits beside the second."""
    voice, lamp = role("voice", memory=1, on=("a",)), role("lamp", memory=1, with_="voice")
    fan = role("fan", with_="lamp")
    for crowd in ((voice, lamp), (lamp, voice), (voice, lamp, fan), (fan, lamp, voice)):
        deployment = room(role("big", memory=2, on=("a",)), *crowd, machines=["a"])
        found = place(deployment, [machine("a", 2)], [plays(each.name, "a") for each in crowd])
        assert where(found) == {"big": "a"}


def test_nobody_makes_way_whom_a_more_important_one_sits_beside() -> None:
    """Given a lamp that matters most beside a voice that matters least; then another makes way."""
    deployment = room(
        role("lamp", memory=1, with_="voice"), role("new", memory=1), role("other", memory=1), role("voice", memory=1), machines=["a"]
    )
    found = place(deployment, [machine("a", 3)], [plays("lamp", "a"), plays("other", "a"), plays("voice", "a")])
    assert set(found.holders) == {"lamp", "new", "voice"}


def test_two_who_must_sit_beside_each_other_leave_together() -> None:
    deployment = room(
        role("big", memory=2, on=("a",)), role("one", memory=1, with_="two"), role("two", memory=1, with_="one"), machines=["a"]
    )
    assert where(place(deployment, [machine("a", 2)], [plays("one", "a"), plays("two", "a")])) == {"big": "a"}


def test_who_has_another_to_sit_beside_stays() -> None:
    """Given a lamp, more important than the newcomer, beside two voices of one machine; when one makes way; then it has the other."""
    deployment = room(
        role("lamp", memory=1, with_="voice"), role("new", memory=1), role("voice", memory=1, copies=2), machines=["a"]
    )
    held = [plays("voice/1", "a"), plays("voice/2", "a"), plays("lamp", "a")]
    found = place(deployment, [machine("a", 3)], held)
    assert set(found.holders) == {"new", "voice/1", "lamp"}


# ---- what the file no longer allows, and bounds


def test_a_holder_that_no_longer_keeps_the_law_sits_elsewhere() -> None:
    """Given copies that the file has since told apart, and a lamp that it has since bound to a voice; then only these move."""
    deployment = room(
        role("poet", memory=1, copies=2, spread=True), role("voice", memory=1), role("lamp", memory=1, with_="voice"), machines=["a", "b"]
    )
    held = [plays("poet/1", "a"), plays("poet/2", "a"), plays("voice", "a"), plays("lamp", "b")]
    found = place(deployment, [machine("a", 3), machine("b", 3)], held)
    assert where(found) == {"poet/1": "b", "poet/2": "a", "voice": "a", "lamp": "a"}


def test_who_sits_elsewhere_sits_where_least_is_carried() -> None:
    """Given copies that the file has since told apart; when one must go; then to the idle machine, not to the next."""
    deployment = room(role("poet", memory=1, copies=2, spread=True), role("wall", each=("b",), kind=SCREEN), machines=["a", "b", "c"])
    here = [machine("a", 3), machine("b", 3), machine("c", 3)]
    found = place(deployment, here, [plays("poet/1", "a"), plays("poet/2", "a"), plays("wall@b", "b")])
    assert where(found) == {"poet/1": "c", "poet/2": "a", "wall@b": "b"}


@pytest.mark.parametrize("looks", [0, 1])
def test_when_the_bound_is_reached_what_does_not_fit_stays_out_and_holders_stay(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a newcomer for whom two must move; when there is no time even to look, or for one of them; then nobody has moved."""
    monkeypatch.setattr(placement_repair, "LOOKS_A_PAIR", looks / 4)
    deployment = room(role("one", memory=1), role("two", memory=1), role("new", memory=2, on=("a",)), machines=["a", "b"])
    found = place(deployment, [machine("a", 2), machine("b", 2)], [plays("one", "a"), plays("two", "a")])
    assert where(found) == {"one": "a", "two": "a"}


def test_without_time_to_look_nobody_makes_way_but_open_seats_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_repair, "LOOKS_A_PAIR", 0)
    deployment = room(
        role("big", memory=3), role("voice", memory=1), role("lamp", memory=1, with_="voice"), machines=["a", "b"]
    )
    found = place(deployment, [machine("a", 2), machine("b", 2)], [plays("voice", "a"), plays("lamp", "b")])
    assert where(found) == {"voice": "a", "lamp": "a"}
    deployment = room(role("big", memory=2), role("small", memory=1), machines=["a"])
    assert where(place(deployment, [machine("a", 2)], [plays("small", "a")])) == {"small": "a"}


# ---- nobody plays for nobody


def test_outputs_come_first_when_what_feeds_them_had_taken_their_place() -> None:
    """Given room for two of eye, brain and screen, the screen last; then eye and screen play, and neither plays without the other."""
    deployment = room(
        role("eye", memory=1), role("brain", memory=1, of=("eye",)), role("screen", memory=1, kind=SCREEN, of=("eye", "brain"))
    )
    assert set(place(deployment, [machine("a", 2)]).holders) == {"eye", "screen"}
    found = place(deployment, [machine("a", 2), machine("b", 0.5)], [plays("eye", "a"), plays("brain", "a")])
    assert where(found) == {"eye": "a", "screen": "a"}


def test_what_feeds_an_output_that_can_never_fit_does_not_play() -> None:
    """Given a screen as large as its machine, and an important role there that stays; then the eye plays for nobody, and does not play."""
    deployment = room(
        role("clock", memory=1, on=("a",)), role("eye", memory=1, on=("b",)), role("screen", memory=2, kind=SCREEN, of=("eye",), on=("a",)),
        machines=["a", "b"],
    )
    found = place(deployment, [machine("a", 2), machine("b", 2)])
    assert where(found) == {"clock": "a"}
    assert found.for_nobody == {"eye"}


# ---- in the long run


def drawn(draw: random.Random) -> tuple[Deployment, list[Candidate], list[Held]]:
    """A room of every sort with about as much memory as it needs, and claims from some earlier evening."""
    names = "abcdef"[: draw.randint(2, 6)]
    wanted = []
    for number in range(draw.randint(3, 12)):
        keys: dict[str, object] = {"on": draw.choice([("any",), ("any",), (draw.choice(names), "any"), tuple(draw.sample(names, 2))])}
        if draw.random() < 0.2:
            keys |= {"copies": 2, "spread": draw.random() < 0.5}
        if wanted and draw.random() < 0.25:
            keys["with_"] = draw.choice(wanted).name
        of = (draw.choice(wanted).name,) if wanted and draw.random() < 0.4 else ()
        needs = Needs(draw.choice([0, 1, 1, 2, 3]) * GB)
        wanted.append(role(f"r{number}", of=of, kind=draw.choice(["plain", SCREEN]), needs=needs, **keys))
    draw.shuffle(wanted)
    deployment = room(*wanted, machines=names)
    candidates = [machine(name, draw.randint(2, 5)) for name in names]
    held = [Held(each.name, f"n-{draw.choice(names)}", 1) for each in deployment.roles if each.copies == 1 and draw.random() < 0.5]
    return deployment, candidates, held


def test_whatever_the_room_the_law_is_kept_and_an_empty_place_is_never_left_to_an_equal() -> None:
    """Given 400 drawn rooms; then each placement is lawful, and nobody stays out who could simply sit down."""
    draw = random.Random(11)
    for _ in range(400):
        deployment, candidates, held = drawn(draw)
        found = place(deployment, candidates, held)
        judge = Judge(deployment, candidates, held)
        assert judge.lawful(found.holders)
        for name in found.unplaced:
            for candidate in candidates:
                assert not judge.lawful({**found.holders, name: candidate.node}), f"{name} could sit on {candidate.name}"
