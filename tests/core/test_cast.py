"""What a node plays, and what it does next about each instance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.core.cast import Cast, View
from mesh.core.claims import HOLDER, PLAYING, READY, STANDBY, STARTING, Ledger
from mesh.core.effects import Effect, End, Halt, Launch, Report, Tell
from mesh.core.events import RoleEnded, RoleTooLarge
from mesh.core.instances import Instance, instances
from mesh.core.messages import Claim, NodeState
from mesh.core.parts import OUTGROWN_S, Part
from mesh.core.placement import Placement
from mesh.core.restart import ALONE_S
from mesh.core.timing import WIRED
from tests.core.cases import ROOM, claim, said

EVERY = {each.name: each for each in instances(ROOM)}
NAMES = {"me": "door", "b": "shelf", "c": "left"}


class Stage:
    """One node's cast, what the others say, and where placement wants the instance."""

    def __init__(self, instance: str = "eye", **others: NodeState) -> None:
        self.cast = Cast(WIRED)
        self.ledger = Ledger()
        self.instance: Instance = EVERY[instance]
        self.others = others
        self.placed: str | None = "me"
        self.order: tuple[str, ...] = ()
        self.loaded = ""
        self.settled = frozenset(NAMES)
        self.may_start = self.needs_ready = True
        self.names = dict(NAMES)
        self.more: dict[str, Any] = {}

    def view(self) -> View:
        claims = tuple(part.claim for part in self.cast.parts.values())
        self.ledger.read({**self.others, "me": said(*claims)})
        name = self.instance.name
        placement = Placement(
            {name: self.placed} if self.placed else {}, {name: self.order}, {}, loaded={name: self.loaded} if self.loaded else {},
        )
        return View(
            "me", (self.instance,), placement, self.ledger, self.names, self.settled, lambda instance: self.may_start,
            lambda instance: self.needs_ready, side=3, **self.more,
        )

    def decide(self, now: float = 10.0) -> list[Effect]:
        return self.cast.decide(self.view(), now)

    def bide(self, since_s: float = 10.0) -> list[Effect]:
        """What is done once it has been wished for long enough, and not before."""
        assert not self.decide(since_s) and self.cast.next_look_s == since_s + WIRED.bide_s
        return self.decide(since_s + WIRED.bide_s)

    def mine(self) -> Claim:
        return self.cast.parts[self.instance.name].claim

    def holds(self, state: str = PLAYING, epoch: int = 1, part: str = HOLDER, **more: Any) -> Stage:
        """This node already has the instance."""
        made = claim(self.instance.name, epoch, part=part, state=state, **{"heard": 3, "first": epoch, **more})
        self.cast.parts[self.instance.name] = Part(made, "none" if part == HOLDER else "warm")
        self.cast.generations[self.instance.name] = 1
        return self


def _kinds(effects: list[Effect]) -> list[str]:
    return [each.event if isinstance(each, Report) else type(each).__name__ for each in effects]


# ---- starting


def test_what_is_placed_here_and_held_by_nobody_is_started_at_an_epoch_above_all() -> None:
    stage = Stage(b=said(epochs={"eye": 4}))
    stage.ledger.seen["eye"] = (4, "b")
    (launch, *_) = stage.decide()
    assert launch == Launch("eye", 1, 5, "none")
    assert (stage.mine().part, stage.mine().state, stage.mine().epoch, stage.mine().first) == (HOLDER, STARTING, 5, 5)
    assert stage.mine().heard == 3


def test_deciding_again_changes_nothing() -> None:
    stage = Stage()
    stage.decide()
    assert stage.decide() == []


def test_what_is_placed_elsewhere_is_left_alone() -> None:
    stage = Stage()
    stage.placed = "b"
    assert stage.decide() == []


def test_what_this_node_may_not_start_yet_waits() -> None:
    stage = Stage()
    stage.may_start = False
    assert stage.decide() == []


def test_while_somebodys_words_are_on_their_way_nothing_cold_is_claimed() -> None:
    stage = Stage()
    stage.more = {"waits": True}
    assert stage.decide() == []
    stage.more = {"waits": False}
    assert "Launch" in _kinds(stage.decide())


def test_a_hidden_claim_is_given_a_second_to_show_itself() -> None:
    stage = Stage(b=said(epochs={"eye": 4}))
    assert stage.decide(10.0) == []
    assert stage.cast.next_look_s == 11.0
    assert "Launch" in _kinds(stage.decide(11.0))


def test_a_claim_made_while_the_room_starts_is_provisional_until_that_is_over() -> None:
    stage = Stage()
    stage.more = {"provisional": True}
    stage.decide()
    assert stage.mine().provisional
    stage.more = {"provisional": False}
    stage.decide()
    assert not stage.mine().provisional


def test_what_grew_too_large_is_handed_over_where_another_is_loaded_and_ended_where_none_is() -> None:
    # Given a holder with a standby that is loaded elsewhere
    stage = Stage("presence", b=said(claim("presence", part=STANDBY, state=READY))).holds()
    stage.decide()
    # When it has grown too large, then this machine gives it up for a while, and nothing ends yet
    effects = stage.cast.outgrown(RoleTooLarge("presence", 1, "it used 9 MB"), stage.view(), 10.0)
    assert [type(each) for each in effects] == [Report] and stage.cast.gave_up == {"presence": "it used 9 MB"}
    # When the other has taken over, then it ends here; and later this machine may stand by again
    stage.placed, stage.others = "b", {"b": said(claim("presence", 2, planned=True))}
    assert any(isinstance(each, Halt) for each in stage.decide(10.1))
    stage.decide(10.0 + OUTGROWN_S)
    assert stage.cast.gave_up == {}
    # But where nobody is loaded, then it is ended now, as if by itself, so that it is started again here
    alone = Stage("presence").holds()
    alone.decide()
    assert alone.cast.outgrown(RoleTooLarge("presence", 1, "big"), alone.view(), 10.0) == [End("presence", 1, "big")]
    assert alone.cast.outgrown(RoleTooLarge("presence", 7, "of another life"), alone.view(), 10.0) == []


def test_on_a_person_s_word_what_is_held_here_may_go_home_for_a_while() -> None:
    # Given an instance that plays here, long after the room started
    stage = Stage().holds()
    stage.decide()
    assert not stage.mine().provisional
    # When somebody asks that it be restored, then its claim is provisional, until the time for that is over
    stage.cast.restore("eye", 10.0)
    stage.decide(11.0)
    assert stage.mine().provisional and stage.cast.next_look_s <= 10.0 + WIRED.provisional_s
    stage.decide(10.0 + WIRED.provisional_s)
    assert not stage.mine().provisional


def test_what_is_not_held_here_is_not_restored() -> None:
    stage = Stage().holds(part=STANDBY, state=READY)
    stage.cast.restore("eye", 10.0)
    stage.cast.restore("nothing", 10.0)
    assert not stage.mine().provisional and not stage.cast.restoring_s


def test_a_first_start_is_no_take_over() -> None:
    assert "takeover" not in _kinds(Stage().decide())


@pytest.mark.parametrize(("still_here", "cause"), [(True, "failed"), (False, "lost")])
def test_a_take_over_names_whom_it_relieves_and_why(still_here: bool, cause: str) -> None:
    stage = Stage(b=said(claim("eye", 2)))
    stage.placed = "b"
    stage.decide()
    stage.others = {"b": said()} if still_here else {}
    if not still_here:
        del stage.names["b"]
    stage.placed = "me"
    taken = next(each for each in stage.decide() if isinstance(each, Report) and each.event == "takeover")
    assert taken.fields == {"instance": "eye", "from": "shelf", "to": "door", "cause": cause}


# ---- playing


def test_a_process_that_is_set_up_plays_when_what_it_needs_is_ready() -> None:
    stage = Stage()
    stage.decide()
    stage.cast.ready("eye", 1, (7, 8), 99, 10.5)
    stage.needs_ready = False
    assert stage.decide() == []
    assert stage.mine().state == READY
    stage.needs_ready = True
    assert Tell("eye", 1, {"type": "play", "epoch": 1}) in stage.decide()
    assert (stage.mine().state, stage.mine().frames_port, stage.mine().requests_port, stage.mine().pid) == (PLAYING, 7, 8, 99)


def test_words_of_a_past_generation_are_not_believed() -> None:
    stage = Stage().holds(STARTING)
    assert not stage.cast.ready("eye", 0, (7, 8), 99, 10.5)
    assert not stage.cast.ready("unheard-of", 1, (7, 8), 99, 10.5)
    stage.cast.started("eye", 0, 55)
    assert stage.cast.ended(RoleEnded("eye", 0, "crashed"), stage.view(), 11.0) == []
    assert stage.mine().state == STARTING and stage.mine().pid == 0


def test_a_holder_says_how_large_its_side_is_now() -> None:
    stage = Stage().holds(heard=8)
    stage.decide()
    assert stage.mine().heard == 3


def test_a_hand_over_is_no_longer_one_when_the_other_has_stopped() -> None:
    stage = Stage(b=said(claim("eye", 1))).holds(epoch=2, planned=True)
    stage.decide()
    assert stage.mine().planned
    stage.others = {"b": said()}
    stage.decide()
    assert not stage.mine().planned


def test_a_role_that_is_no_longer_wanted_ends() -> None:
    stage = Stage().holds()
    stage.placed = None
    assert Halt("eye", 1) in stage.decide()
    assert stage.cast.parts == {}


def test_when_the_whole_work_rests_its_roles_are_told_so() -> None:
    stage = Stage().holds()
    assert Halt("eye", 1, rests=True) in stage.cast.decide(replace(stage.view(), instances=()), 10.0)


def test_an_instance_that_the_file_no_longer_has_ends() -> None:
    stage = Stage().holds()
    stage.cast.parts["old"] = Part(claim("old"))
    assert Halt("old", 1) in stage.decide()
    assert set(stage.cast.parts) == {"eye"}


# ---- two holders


def test_the_winner_claims_above_the_other_without_a_restart() -> None:
    stage = Stage(b=said(claim("eye", 5, heard=1))).holds(epoch=2)
    effects = stage.decide()
    assert Tell("eye", 1, {"type": "play", "epoch": 6}) in effects
    assert not {"Halt", "Launch"} & set(_kinds(effects))
    assert (stage.mine().epoch, stage.mine().first) == (6, 2)


def test_a_winner_that_stands_above_already_does_nothing() -> None:
    stage = Stage(b=said(claim("eye", 2, heard=1))).holds(epoch=5)
    assert stage.decide() == []


def test_the_loser_does_not_claim_above_an_epoch_that_somebody_knows() -> None:
    """Given a holder of the smaller side that consumers still believe; then the winner claims above what is known, and not this one."""
    stage = Stage(b=said(claim("eye", 3, heard=9, first=3), epochs={"eye": 7})).holds(epoch=5)
    for now in (10.0, 10.0 + WIRED.unclaimed_s + 0.1):
        assert stage.decide(now) == []
    assert stage.mine().epoch == 5


def test_the_loser_stops_only_when_the_winner_has_claimed_above_it() -> None:
    stage = Stage(b=said(claim("eye", 2, heard=5))).holds(epoch=4)
    stage.placed = "b"
    assert stage.decide() == []
    stage.others = {"b": said(claim("eye", 5, heard=5))}
    assert Halt("eye", 1) in stage.decide()


def test_a_holder_claims_above_an_epoch_that_somebody_knows_but_not_at_once() -> None:
    stage = Stage(b=said(epochs={"eye": 9})).holds(epoch=2)
    assert stage.decide(10.0) == []
    assert stage.cast.next_look_s == 11.0
    assert Tell("eye", 1, {"type": "play", "epoch": 10}) in stage.decide(11.0)


def test_a_known_epoch_whose_holder_shows_itself_in_time_is_not_raced() -> None:
    stage = Stage(b=said(epochs={"eye": 9})).holds(epoch=2)
    stage.decide(10.0)
    stage.others = {"b": said(claim("eye", 9, heard=5))}
    stage.placed = "b"
    assert Halt("eye", 1) in stage.decide(10.5)


def test_a_node_that_still_listens_settles_only_what_two_hold() -> None:
    # Given adopted roles, one of which somebody else holds above it
    stage = Stage(b=said(claim("eye", 5, heard=5))).holds(epoch=4, heard=1)
    stage.placed = None
    assert Halt("eye", 1) in stage.cast.agree(stage.view(), 10.0)
    # Given one that nobody else holds, Then it goes on although placement does not have it yet
    alone = Stage().holds()
    alone.placed = None
    assert alone.cast.agree(alone.view(), 10.0) == []
    assert alone.mine().state == PLAYING


def test_a_node_that_still_listens_begins_nothing_with_what_only_it_holds() -> None:
    stage = Stage().holds(READY, heard=1)
    assert stage.cast.agree(stage.view(), 10.0) == []
    assert stage.mine().state == READY and stage.mine().heard == 1


def test_a_node_that_still_listens_claims_above_whom_it_beats() -> None:
    stage = Stage(b=said(claim("eye", 5, heard=1, first=5))).holds(epoch=4)
    stage.placed = None
    assert Tell("eye", 1, {"type": "play", "epoch": 6}) in stage.cast.agree(stage.view(), 10.0)


def test_a_node_that_still_listens_leaves_the_standbys_of_two_holders_alone() -> None:
    stage = Stage("presence", b=said(claim("presence", 3)), c=said(claim("presence", 4))).holds(READY, 3, STANDBY)
    assert stage.cast.agree(stage.view(), 10.0) == []
    assert stage.mine().part == STANDBY
    assert Stage(b=said(claim("eye", 3)), c=said(claim("eye", 4))).cast.agree(stage.view(), 10.0) == []


# ---- standbys


def test_no_standby_loads_while_nobody_holds_the_role() -> None:
    stage = Stage("presence")
    stage.placed, stage.order, stage.loaded = "b", ("me",), "me"
    assert stage.decide(10.0) == []


def _standby(state: str = READY, **others: NodeState) -> Stage:
    stage = Stage("presence", b=said(claim("presence", 3)), **others).holds(state, 3, STANDBY)
    stage.placed, stage.order, stage.loaded = "b", ("me", "c"), "me"
    return stage


def test_the_next_in_order_loads_a_standby_as_the_file_wants_it() -> None:
    stage = _standby()
    stage.cast.parts.clear()
    (launch, *_) = stage.bide()
    assert isinstance(launch, Launch) and launch.standby == "warm"
    assert (stage.mine().part, stage.mine().state) == (STANDBY, STARTING)


def test_a_role_without_memory_for_a_standby_has_none() -> None:
    stage = _standby()
    stage.cast.parts.clear()
    stage.loaded = ""
    assert stage.decide() == []


def test_a_cold_role_has_no_standby_process() -> None:
    stage = Stage("eye", b=said(claim("eye", 3)))
    stage.placed, stage.order, stage.loaded = "b", ("me",), "me"
    assert stage.decide() == []


def test_a_loaded_standby_plays_at_once_when_the_holder_is_gone() -> None:
    stage = _standby()
    assert stage.decide() == []
    stage.others, stage.placed = {}, "me"
    assert Tell("presence", 1, {"type": "play", "epoch": 4}) in stage.decide()
    assert (stage.mine().part, stage.mine().state, stage.mine().epoch) == (HOLDER, PLAYING, 4)


def test_a_loaded_standby_waits_neither_for_a_grace_nor_for_words_on_their_way() -> None:
    stage = _standby()
    stage.decide()
    stage.others, stage.placed, stage.may_start = {}, "me", False
    stage.more = {"waits": True}
    assert "Tell" in _kinds(stage.decide())


def test_a_standby_that_still_loads_takes_over_and_plays_when_it_is_ready() -> None:
    stage = _standby(STARTING)
    assert stage.decide() == []
    stage.others, stage.placed = {}, "me"
    assert "Tell" not in _kinds(stage.decide())
    assert (stage.mine().part, stage.mine().state) == (HOLDER, STARTING)


def test_a_standby_waits_when_somebody_else_has_already_claimed_above_the_holder_that_stopped() -> None:
    stage = _standby()
    stage.decide()
    stage.others, stage.placed = {"b": said(epochs={"presence": 4})}, "me"
    assert "Tell" not in _kinds(stage.decide(10.0))
    assert "Tell" in _kinds(stage.decide(11.0))


def test_a_standby_stays_until_its_successor_is_loaded() -> None:
    stage = _standby(c=said(claim("presence", 3, part=STANDBY, state=STARTING)))
    stage.loaded = "c"
    assert stage.decide() == []
    stage.others["c"] = said(claim("presence", 3, part=STANDBY, state=READY))
    assert Halt("presence", 1) in stage.bide()


def test_a_standby_that_is_wanted_for_a_moment_only_is_not_begun_nor_one_that_is_unwanted_as_briefly_ended() -> None:
    """Given a standby here, or none; when the wish comes and goes; then each time it must last anew."""
    for ready in (True, False):
        stage = _standby()
        if not ready:
            stage.cast.parts.clear()
        for now in (10.0, 10.4):
            stage.loaded, stage.order = ("c", ()) if ready else ("me", ("me",))
            assert stage.decide(now) == [] and stage.decide(now + WIRED.bide_s * 0.9) == []
            stage.loaded, stage.order = ("me", ("me",)) if ready else ("c", ())
            assert stage.decide(now + WIRED.bide_s) == []
        stage.loaded, stage.order = ("c", ()) if ready else ("me", ("me",))
        assert isinstance(stage.bide(11.0)[0], Halt if ready else Launch)
        assert not stage.cast.bides_since_s


def test_a_standby_makes_room_at_once_for_what_starts_here_and_ends_at_once_where_its_role_does() -> None:
    stage = _standby()
    stage.loaded, stage.order = "c", ()
    stage.cast.parts["mood"] = Part(claim("mood", state=STARTING), "none")
    both = Placement({"presence": "b", "mood": "me"}, {}, {}, loaded={"presence": "c"})
    effects = stage.cast.decide(replace(stage.view(), instances=(EVERY["presence"], EVERY["mood"]), placement=both), 10.0)
    assert Halt("presence", 1) in effects
    stage = _standby()
    stage.placed, stage.loaded, stage.order = None, "c", ()
    assert Halt("presence", 1) in stage.decide()


def test_a_standby_that_starts_makes_no_room_for_another() -> None:
    stage = _standby()
    stage.loaded, stage.order = "c", ()
    stage.cast.parts["presence"] = Part(claim("presence", 3, part=STANDBY, state=STARTING), "warm")
    assert Halt("presence", 1) in stage.bide()


def test_a_holder_never_waits_for_its_start_or_its_end() -> None:
    stage = Stage("presence")
    assert "Launch" in _kinds(stage.decide())
    stage = Stage("presence", b=said(claim("presence", 9, heard=9))).holds()
    stage.placed = "b"
    assert "Halt" in _kinds(stage.decide())


def test_a_planned_successor_loads_first_and_then_takes_over() -> None:
    stage = Stage("eye", b=said(claim("eye", 3)))
    stage.placed = "me"
    (launch, *_) = stage.bide()
    assert isinstance(launch, Launch) and launch.standby == "warm"
    stage.cast.ready("eye", 1, (7, 8), 99, 10.5)
    effects = stage.decide()
    assert Tell("eye", 1, {"type": "play", "epoch": 4}) in effects
    assert stage.mine().planned and stage.mine().part == HOLDER


# ---- unclaimed


def test_what_its_first_choice_leaves_unclaimed_falls_to_the_next_one_step_a_rank() -> None:
    stage = Stage("presence")
    stage.placed, stage.order = "b", ("c", "me")
    assert stage.decide(10.0) == []
    assert stage.cast.next_look_s == 12.0
    assert stage.decide(11.9) == []
    assert "Launch" in _kinds(stage.decide(12.0))


def test_a_machine_that_still_starts_is_given_its_grace() -> None:
    stage = Stage("presence")
    stage.placed, stage.order, stage.settled = "b", ("me",), frozenset({"me"})
    stage.decide(10.0)
    assert stage.decide(99.0) == []


def test_the_wait_begins_anew_when_somebody_has_claimed_it_meanwhile() -> None:
    stage = Stage("presence")
    stage.placed, stage.order = "b", ("me",)
    stage.decide(10.0)
    stage.others = {"b": said(claim("presence", 1))}
    stage.decide(10.5)
    stage.others = {"b": said()}
    assert stage.decide(11.2) == []
    assert "Launch" in _kinds(stage.decide(12.2))


# ---- processes that end


def test_a_crash_is_followed_by_a_start_at_once_under_the_same_claim() -> None:
    stage = Stage().holds(epoch=4, pid=77)
    report, launch = stage.cast.ended(RoleEnded("eye", 1, "exit code 1"), stage.view(), 20.0)
    assert launch == Launch("eye", 2, 4, "none", 0.0)
    assert isinstance(report, Report) and report.fields["why"] == "exit code 1"
    assert (stage.mine().state, stage.mine().pid, stage.mine().trouble, stage.mine().restarts) == (STARTING, 0, "exit code 1", 1)


def test_a_crash_leaves_the_role_to_a_standby_that_is_ready() -> None:
    stage = Stage("presence", c=said(claim("presence", 3, part=STANDBY, state=READY))).holds(epoch=3)
    assert _kinds(stage.cast.ended(RoleEnded("presence", 1, "crashed"), stage.view(), 20.0)) == ["role_state"]
    assert stage.cast.parts == {}


def test_a_standby_that_still_loads_is_no_reason_to_leave_the_role() -> None:
    stage = Stage("presence", c=said(claim("presence", 3, part=STANDBY, state=STARTING))).holds(epoch=3)
    assert "Launch" in _kinds(stage.cast.ended(RoleEnded("presence", 1, "crashed"), stage.view(), 20.0))


def test_a_start_that_always_fails_is_given_up_here_with_the_reason_and_tried_again_later() -> None:
    stage = Stage().holds(STARTING)
    said_so: list[str] = []
    for failure in range(5):
        said_so += _kinds(stage.cast.ended(RoleEnded("eye", stage.cast.generations["eye"], "no camera"), stage.view(), 20.0 + failure))
    assert said_so[-1] == "gave_up"
    assert stage.cast.gave_up == {"eye": "no camera"}
    assert "eye" not in stage.cast.parts
    stage.placed = None
    stage.decide(25.0)
    assert stage.cast.next_look_s < 10_000
    stage.decide(stage.cast.next_look_s)
    assert stage.cast.gave_up == {}


def test_a_process_that_outlived_its_agent_goes_on_as_it_was() -> None:
    stage = Stage()
    stage.cast.adopt(replace(claim("eye", 7, pid=5), generation=9), "none")
    assert stage.decide() == [] or "Launch" not in _kinds(stage.decide())
    assert (stage.mine().epoch, stage.mine().pid) == (7, 5)
    assert stage.cast.ended(RoleEnded("eye", 9, "crashed"), stage.view(), 30.0)[-1] == Launch("eye", 10, 7, "none", 0.0)


def test_a_change_that_the_table_does_not_have_is_refused() -> None:
    stage = Stage().holds()
    with pytest.raises(AssertionError, match="not in the table"):
        stage.cast._move("eye", Part(claim("eye", part=STANDBY, state=READY)))


# ---- roles that run and do not work


def _faulty(stage: Stage, worked_s: float | None = 0.0) -> RoleEnded:
    name = stage.instance.name
    return RoleEnded(name, stage.cast.generations[name], "the picture stands still", faulty=True, worked_s=worked_s)


def test_a_faulty_role_says_what_was_wrong_until_it_has_shown_that_it_works() -> None:
    stage = Stage().holds()
    assert "Launch" in _kinds(stage.cast.ended(_faulty(stage), stage.view(), 50.0))
    assert stage.cast.ready("eye", 2, (7, 8), 99, 51.0)
    stage.decide(51.0)
    assert (stage.mine().state, stage.mine().trouble) == (PLAYING, "the picture stands still")
    stage.cast.works("eye", 1)  # a word of its past life
    assert stage.mine().trouble
    stage.cast.works("eye", 2)
    assert stage.mine().trouble == ""


def test_a_role_that_is_faulty_twice_is_left_to_another_machine() -> None:
    stage = Stage().holds()
    stage.order = ("b",)
    stage.cast.ended(_faulty(stage), stage.view(), 50.0)
    stage.cast.ready("eye", 2, (7, 8), 99, 51.0)
    assert _kinds(stage.cast.ended(_faulty(stage), stage.view(), 150.0)) == ["role_state", "gave_up"]
    assert stage.cast.gave_up == {"eye": "the picture stands still"}
    assert stage.cast.try_again_s["eye"] == 210.0


def test_where_no_other_machine_could_play_it_it_is_tried_again_soon() -> None:
    stage = Stage().holds()
    for now in (50.0, 150.0):
        stage.cast.ended(_faulty(stage), stage.view(), now)
    assert stage.cast.try_again_s["eye"] == 150.0 + ALONE_S
