"""Who sits where before anything is searched for, and when that is known to be as good as it can be.

`settled` spares the search in nearly every room, so both its answers count: "yes" must be true, and "no" must not be said of a room
that sits well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mesh.core.instances import Candidate, Held
from mesh.core.placement_parts import drop_what_plays_for_nobody
from mesh.core.placement_room import read_room
from mesh.core.placement_seats import Seats, settled
from mesh.core.spec import Deployment, Needs
from tests.core.placement_rooms import SCREEN, machine, plays, role, room

Case = tuple[Any, ...]  # what `filled` takes
BOTH = [machine("a", 4), machine("b", 4)]


def loaded(instance: str, name: str) -> Held:
    return Held(instance, f"n-{name}", 0, "standby")


def filled(
    deployment: Deployment, here: Sequence[Candidate], held: Sequence[Held] = (), back: tuple[str, ...] = (), *, fill: bool = True,
) -> Seats:
    """The seats after the polite half of placement; `back` may return to where they like it better."""
    found = read_room(deployment, here, held, frozenset(back), frozenset())
    drop_what_plays_for_nobody(found)
    seats = Seats(found)
    if fill:
        seats.fill()
    return seats


def where(seats: Seats) -> dict[str, str]:
    return {item.name: seats.room.machines[seats.seat[at]].name for at, item in enumerate(seats.room.items) if seats.seat[at] >= 0}


def is_settled(seats: Seats) -> bool:
    return settled(seats, [index for index, item in enumerate(seats.room.items) if item.allowed])


# ---- who sits where


def test_who_is_waited_for_sits_where_the_other_can_sit_beside_it() -> None:
    """Given an eye for which any machine is good, and a lamp that shares its machine and fits on the larger; then the eye goes there."""
    deployment = room(role("eye", memory=1), role("lamp", memory=2, with_="eye"), machines=["a", "b"])
    assert where(filled(deployment, [machine("a", 2), machine("b", 3)])) == {"eye": "b", "lamp": "b"}


def test_who_is_waited_for_goes_to_where_the_other_sits_already() -> None:
    deployment = room(role("eye", memory=1), role("lamp", memory=2, with_="eye"), machines=["a", "b"])
    assert where(filled(deployment, BOTH, [plays("lamp", "b")])) == {"eye": "b", "lamp": "b"}


def test_who_shares_a_machine_brings_the_other_along_though_it_stands_first_in_the_file() -> None:
    assert where(filled(room(role("lamp", with_="eye"), role("eye"), machines=["a", "b"]), BOTH)) == {"lamp": "a", "eye": "a"}


def test_who_can_play_nowhere_brings_nobody_along() -> None:
    """Given a lamp that needs a camera nobody has, first in the file; then the eye it would sit beside waits for its own turn."""
    deployment = room(
        role("lamp", with_="eye", needs=Needs(camera=True)), role("big", memory=2), role("eye", memory=2), machines=["a"],
    )
    assert where(filled(deployment, [machine("a", 2)])) == {"big": "a"}


def test_a_display_that_takes_memory_waits_for_its_turn() -> None:
    deployment = room(role("big", memory=2, on=("a", "any")), role("wall", each=("a",), kind=SCREEN, memory=2), machines=["a", "b"])
    assert where(filled(deployment, [machine("a", 2), machine("b", 2)])) == {"big": "a"}


def test_a_display_that_takes_none_is_felt_by_those_who_come_after_it() -> None:
    deployment = room(role("eye"), role("wall", each=("a",), kind=SCREEN), machines=["a", "b"])
    assert where(filled(deployment, BOTH)) == {"wall@a": "a", "eye": "b"}


def test_who_may_go_back_goes_to_the_machine_liked_best_and_not_to_a_loaded_standby() -> None:
    deployment = room(role("eye", on=("a", "b", "any")), machines=["a", "b", "c"])
    held = [plays("eye", "c"), loaded("eye", "b")]
    here = [*BOTH, machine("c", 4)]
    assert where(filled(deployment, here, held)) == {"eye": "c"}
    assert where(filled(deployment, here, held, ("eye",))) == {"eye": "a"}


def test_between_machines_that_it_likes_as_well_a_holder_stays_however_loaded_its_own_is() -> None:
    deployment = room(role("eye"), role("lamp"), role("roof"), machines=["a", "b"])
    seats = filled(deployment, BOTH, [plays("eye", "b")], fill=False)
    for other in (1, 2):
        seats.put(other, 1)
    assert seats.best_of(0, 0b11) == 1
    assert seats.best_of(0, 0b01) == 0


# ---- when it cannot be better


SETTLED: dict[str, Case] = {
    "copies that share a machine and may not part": (
        room(role("poet", copies=2), machines=["a", "b"]), BOTH, [plays("poet/1", "a"), plays("poet/2", "a")],
    ),
    "copies, each alone, though one likes the other's machine better": (
        room(role("poet", copies=2, on=("a", "any")), machines=["a", "b"]), BOTH,
    ),
    "copies of which one may sit nowhere": (
        room(role("poet", copies=2, on=("a", "any")), machines=["a", "b"]), [machine(name, gave_up={"poet/2"}) for name in "ab"],
    ),
    "copies that must be apart and are": (room(role("poet", copies=2, spread=True), machines=["a", "b"]), BOTH),
    "two who like where they are": (room(role("eye", memory=1), role("lamp", memory=1), machines=["a", "b"]), BOTH),
    "two who share a machine": (room(role("eye"), role("lamp", with_="eye"), machines=["a", "b"]), BOTH),
    "a holder that must stay where it likes it less, beside a newcomer": (
        room(role("eye", on=("a", "any")), role("lamp"), machines=["a", "b"]), BOTH, [plays("eye", "b")],
    ),
    "a holder that is where it likes it best, beside a newcomer": (
        room(role("eye", on=("a", "any")), role("lamp"), machines=["a", "b"]), BOTH, [plays("eye", "a")],
    ),
    "one that has just gone back": (
        room(role("eye", on=("a", "any")), machines=["a", "b"]), BOTH, [plays("eye", "b")], ("eye",),
    ),
    "one that took its loaded standby, on a machine it likes less": (
        room(role("eye", on=("a", "any")), machines=["a", "b"]), BOTH, [loaded("eye", "b")],
    ),
}
NOT_SETTLED: dict[str, Case] = {
    "copies together, for somebody sits where one could be alone": (
        room(role("poet", memory=1, copies=2), role("big", memory=2, on=("b", "any")), machines=["a", "b"]),
        [machine("a", 4), machine("b", 2)],
    ),
    "a standby that is loaded where somebody else sits": (
        room(role("lamp", memory=2, on=("b", "any")), role("eye", memory=2), machines=["a", "b"]),
        [machine("a", 2), machine("b", 2)], [loaded("eye", "b")],
    ),
    "one who likes the other's machine better": (
        room(role("lamp", memory=2), role("eye", memory=2, on=("a", "any")), machines=["a", "b"]), [machine("a", 2), machine("b", 2)],
    ),
    "a copy that had to move, though the other would have moved to a better machine": (
        room(role("poet", memory=2, copies=2, on=("b", "any")), machines=["a", "b"]), [machine("a", 2), machine("b", 2)],
        [plays("poet/1", "a"), plays("poet/2", "a")],
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_it_is_known_at_once_that_nothing_is_better_than(name: str) -> None:
    assert is_settled(filled(*SETTLED[name]))


@pytest.mark.parametrize("name", NOT_SETTLED)
def test_it_is_not_believed_that_nothing_is_better_than(name: str) -> None:
    assert not is_settled(filled(*NOT_SETTLED[name]))
