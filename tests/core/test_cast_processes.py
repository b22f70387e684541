"""What processes say to the cast that is no longer, or not yet, its business."""

from __future__ import annotations

from dataclasses import replace

from mesh.core.claims import HOLDER, PLAYING, READY, STANDBY, STARTING
from mesh.core.effects import Effect, End, Halt, Launch, Report
from mesh.core.events import RoleEnded, RoleTooLarge
from mesh.core.instances import instances
from mesh.core.parts import Part
from mesh.core.placement import Placement
from tests.core.cases import ROOM, claim, said
from tests.core.test_cast import Stage


def kinds(effects: list[Effect]) -> list[str]:
    return [each.event if isinstance(each, Report) else type(each).__name__ for each in effects]


def state_told(effects: list[Effect]) -> str:
    return next(str(each.fields["state"]) for each in effects if isinstance(each, Report) and each.event == "role_state")


# ---- another deployment, edited code


def test_only_the_roles_that_changed_are_started_anew_and_only_while_the_file_has_them() -> None:
    stage = Stage("presence").holds(pid=7)
    eye = claim("eye", 3, pid=8)
    stage.cast.parts["eye"] = Part(eye, "none")
    stage.cast.gave_up["presence"] = "broken"
    view = replace(stage.view(), instances=instances(ROOM))
    # When a role that is not played here changes, Then nothing is started anew, but what was given up is forgiven
    assert stage.cast.renew(frozenset({"mood"}), view) == []
    assert not stage.cast.gave_up
    # When one of two changes, Then that one is
    effects = stage.cast.renew(frozenset({"presence"}), view)
    assert effects[:2] == [Halt("presence", 1), Launch("presence", 2, 1, "none")]
    assert (stage.mine().state, stage.mine().pid, stage.mine().generation) == (STARTING, 0, 2)
    assert stage.cast.parts["eye"].claim == eye
    # When the file no longer has the instance, Then it is not
    assert stage.cast.renew(frozenset({"presence", "eye"}), replace(view, instances=(stage.instance,)))[0] == Halt("presence", 2)
    assert stage.cast.parts["eye"].claim == eye


def test_edited_code_takes_the_place_of_what_plays_and_of_nothing_else() -> None:
    stage = Stage().holds(pid=7, trouble="no picture")
    assert stage.cast.renewed("eye", 5, (1, 2), 9)
    assert (stage.mine().state, stage.mine().generation, stage.mine().pid, stage.mine().trouble) == (READY, 5, 9, "")
    assert not stage.cast.renewed("wall@left", 5, (1, 2), 9)


# ---- words of what is no longer there


def test_words_about_what_is_not_played_here_change_nothing() -> None:
    stage = Stage()
    stage.cast.works("eye", 1)
    stage.cast.started("eye", 1, 77)
    assert stage.cast.ended(RoleEnded("eye", 1, "gone"), stage.view(), 10.0) == []
    assert stage.cast.outgrown(RoleTooLarge("eye", 1, "too large"), stage.view(), 10.0) == []
    assert not stage.cast.ready("eye", 1, (1, 2), 77, 10.0)
    assert stage.cast.parts == {}


def test_words_of_a_past_process_change_nothing() -> None:
    stage = Stage().holds(trouble="no picture", pid=7)
    before = stage.mine()
    stage.cast.works("eye", 9)
    stage.cast.started("eye", 9, 77)
    assert stage.cast.ended(RoleEnded("eye", 9, "gone"), stage.view(), 10.0) == []
    assert stage.cast.outgrown(RoleTooLarge("eye", 9, "too large"), stage.view(), 10.0) == []
    assert stage.mine() == before
    stage.cast.works("eye", 1)
    stage.cast.started("eye", 1, 77, "small")
    assert (stage.mine().trouble, stage.mine().pid, stage.mine().model) == ("", 77, "small")


def test_what_still_starts_has_not_shown_that_it_works() -> None:
    stage = Stage().holds(STARTING, trouble="no picture")
    stage.cast.works("eye", 1)
    assert stage.mine().trouble == "no picture"


def test_a_standby_that_ends_is_started_again_although_another_is_loaded() -> None:
    stage = Stage("presence", b=said(claim("presence")), c=said(claim("presence", part=STANDBY, state=READY)))
    stage.placed, stage.loaded = "b", "me"
    stage.holds(READY, part=STANDBY)
    assert kinds(stage.cast.ended(RoleEnded("presence", 1, "gone"), stage.view(), 10.0)) == ["role_state", "Launch"]


def test_a_standby_that_grew_too_large_ends_at_once_although_another_is_loaded() -> None:
    stage = Stage("presence", b=said(claim("presence")), c=said(claim("presence", part=STANDBY, state=READY)))
    stage.placed, stage.loaded = "b", "me"
    stage.holds(READY, part=STANDBY)
    assert stage.cast.outgrown(RoleTooLarge("presence", 1, "too large"), stage.view(), 10.0) == [End("presence", 1, "too large")]
    assert not stage.cast.gave_up


# ---- what is told


def test_a_state_is_told_as_that_of_a_standby_or_of_a_holder() -> None:
    stage = Stage("presence")
    assert state_told(stage.decide()) == STARTING
    stage = Stage("presence", b=said(claim("presence")))
    stage.placed, stage.loaded = "b", "me"
    assert state_told(stage.bide()) == "warm standby, starting"


def test_a_claim_above_another_names_that_one_if_it_is_known() -> None:
    """Given a holder of the larger side, and another at a higher epoch; or only somebody who knows of one, for a second."""
    for others, above in ((said(claim("eye", 2, heard=1)), "shelf"), (said(epochs={"eye": 2}), "")):
        stage = Stage(b=others).holds()
        told = [each for now in (10.0, 11.0) for each in stage.decide(now) if isinstance(each, Report) and each.event == "claimed_anew"]
        assert (told[0].fields["above"], told[0].fields["epoch"]) == (above, 3)


# ---- who falls to whom


def test_a_node_that_has_not_settled_takes_nothing_that_its_first_choice_leaves() -> None:
    stage = Stage()
    stage.placed, stage.order = "b", ("me",)
    stage.settled = frozenset({"b"})
    for now in (10.0, 11.0, 20.0):
        assert stage.decide(now) == []


def test_a_planned_successor_that_still_loads_does_not_take_over() -> None:
    stage = Stage(b=said(claim("eye")))
    stage.bide()
    assert (stage.mine().part, stage.mine().state) == (STANDBY, STARTING)
    assert stage.decide(20.0) == []
    assert stage.mine().part == STANDBY


def test_a_holder_whose_screens_are_out_of_reach_goes_on() -> None:
    stage = Stage().holds()
    stage.placed = None
    view = stage.view()
    alone = replace(view, placement=Placement({}, {}, {"eye": "would play for nobody"}, for_nobody=frozenset({"eye"})))
    assert stage.cast.wish(stage.instance, alone, 10.0) == "hold"
    assert stage.cast.wish(stage.instance, view, 10.0) == "nothing"


def test_a_holder_that_is_not_the_winner_claims_nothing_anew() -> None:
    """Given a winner of a larger side that stands below; then the loser waits until that one has claimed above it."""
    stage = Stage(b=said(claim("eye", 1, heard=9))).holds(epoch=2)
    for now in (10.0, 11.0, 12.0):
        assert "claimed_anew" not in kinds(stage.decide(now))
    assert (stage.mine().epoch, stage.mine().part, stage.mine().state) == (2, HOLDER, PLAYING)
