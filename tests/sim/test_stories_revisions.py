"""Stories of a room that is sent another revision of its deployment while it plays."""

from __future__ import annotations

from dataclasses import replace

from mesh.core.distribution import FETCH, PLAY
from mesh.core.events import Offered
from mesh.core.spec import Deployment
from tests.sim.checks import everyone_plays_the_same_revision, everyone_sees_everyone_alive
from tests.sim.rooms import whispering
from tests.sim.sending import FIRST, another, sign
from tests.sim.story import FOUR, Story

ROOM = replace(whispering(FOUR), boot_grace_s=20.0)


def edited(role: str, number: int = 1) -> Deployment:
    return another(ROOM, role, number)


def test_a_revision_that_changes_one_role_restarts_that_role_alone_everywhere_and_at_once() -> None:
    story = Story(*FOUR, room=ROOM).start()
    before = story.pids()
    # When a revision is offered, all fetch it and nothing changes
    offered = story.world.sending.offer("door", edited("mood"))
    story.until(lambda: story.world.sending.all_ready(offered.hash), 3.0)
    assert set(story.world.sending.played().values()) == {(1, FIRST)} and story.pids() == before
    # When it is ordered, all play it within a moment
    story.world.sending.order("door", offered)
    took_s = story.until(lambda: set(story.world.sending.played().values()) == {(2, offered.hash)}, 1.0)
    assert took_s < 0.2
    story.agree()
    # And only the role that changed has another process
    after = story.pids()
    assert after.keys() == before.keys()
    assert {instance for (_, instance), pid in after.items() if before[_, instance] != pid} == {"mood"}


def test_the_machine_that_gave_the_order_may_die_at_once() -> None:
    story = Story(*FOUR, room=ROOM).start()
    offered = story.world.sending.offer("door", edited("mood"))
    story.until(lambda: story.world.sending.all_ready(offered.hash), 3.0)
    # Given that only one other machine can hear it, and it dies as soon as that one has
    story.world.cut("door shelf", "left right")
    story.world.sending.order("door", offered)
    story.until(lambda: story.world.sending.played()["shelf"][0] == 2, 1.0)
    story.world.cut_power("door")
    story.world.heal()
    story.until(lambda: set(story.world.sending.played().values()) == {(2, offered.hash)}, 10.0)
    # And it itself, when it returns
    story.world.boot("door")
    story.until(lambda: story.world.sending.played().get("door") == (2, offered.hash), 10.0)
    story.agree()


def test_the_order_may_be_given_while_a_machine_is_off_and_twice() -> None:
    story = Story(*FOUR, room=ROOM).start()
    story.world.cut_power("shelf", lose_last_write=True)
    story.wait(2.0)
    for number in (1, 2):
        offered = story.world.sending.offer("left", edited("poet", number))
        story.until(lambda: story.world.sending.all_ready(offered.hash), 3.0)  # noqa: B023 - used at once
        story.world.sending.order("left", offered)
        story.wait(1.0)
    # The machines that have it are the only ones now: who sent it is gone
    story.world.boot("shelf")
    story.until(lambda: story.world.sending.played().get("shelf") == (3, offered.hash), 10.0)
    story.agree()


def test_two_sides_that_were_given_different_revisions_agree_on_the_higher_and_keep_the_other() -> None:
    story = Story(*FOUR, room=ROOM).start()
    story.world.cut("door shelf", "left right")
    story.wait(12.0)
    given = {}
    for at, side, role in (("door", ("door", "shelf"), "mood"), ("left", ("left", "right"), "poet")):
        offered = given[at] = story.world.sending.offer(at, edited(role))
        story.until(lambda: story.world.sending.all_ready(offered.hash, *side), 3.0)  # noqa: B023 - used at once
        story.world.sending.order(at, offered)
    story.wait(2.0)
    assert len(set(story.world.sending.played().values())) == 2
    # When they meet
    story.world.heal()
    higher = max(each.hash for each in given.values())
    lower = min(each.hash for each in given.values())
    story.until(lambda: set(story.world.sending.played().values()) == {(2, higher)}, 12.0)
    story.agree()
    # Then whoever had the other names it, and has it still
    loser = next(name for name, each in given.items() if each.hash == lower)
    assert story.said("revisions_met", kept=lower)
    agent = story.world.machines[loser].agent
    assert agent is not None and (2, lower) in agent.distribution.others()


def test_nothing_changes_while_one_cannot_and_its_reason_is_known_to_all() -> None:
    story = Story(*FOUR, room=ROOM).start()
    story.world.sending.failing["shelf"] = "its disk is full"
    offered = story.world.sending.offer("door", edited("mood"))
    story.wait(3.0)
    assert set(story.world.sending.played().values()) == {(1, FIRST)}
    door = story.world.machines["door"].agent
    assert door is not None
    state = door.membership.members[story.world.machines["shelf"].node].state
    assert state is not None and state.cannot == ((offered.hash, "its disk is full"),)
    # When it is ordered all the same, the others turn, and that machine follows once it can
    story.world.sending.order("door", offered)
    story.wait(2.0)
    assert story.world.sending.played() == {**dict.fromkeys(FOUR, (2, offered.hash)), "shelf": (1, FIRST)}
    story.world.sending.failing.clear()
    story.until(lambda: story.world.sending.played()["shelf"] == (2, offered.hash), 40.0)
    story.agree()


def test_a_rollback_is_an_order_like_any_and_needs_no_fetching() -> None:
    story = Story(*FOUR, room=ROOM).start()
    offered = story.world.sending.offer("door", edited("mood"))
    story.until(lambda: story.world.sending.all_ready(offered.hash), 3.0)
    story.world.sending.order("door", offered)
    story.wait(2.0)
    story.agree()
    agent = story.world.machines["door"].agent
    assert agent is not None and agent.distribution.previous() == FIRST
    story.world.sending.order("door", sign(FETCH, 3, FIRST))
    story.until(lambda: set(story.world.sending.played().values()) == {(3, FIRST)}, 1.0)
    story.agree()
    assert agent.distribution.previous() == offered.hash


def test_what_the_owner_of_the_key_did_not_sign_is_neither_fetched_nor_played() -> None:
    story = Story(*FOUR, room=ROOM).start()
    before = story.pids()
    for purpose in (FETCH, PLAY):
        story.world.feed(story.world.machines["door"], Offered(purpose, sign(purpose, 9, "f" * 64, key="stranger")))
    # Nor is what was signed for something else
    story.world.feed(story.world.machines["door"], Offered(PLAY, sign(FETCH, 9, "f" * 64)))
    story.wait(3.0)
    assert set(story.world.sending.played().values()) == {(1, FIRST)} and story.pids() == before
    assert all(each.agent is not None and not each.agent.distribution.fetching for each in story.world.running())
    assert len(story.alarms()) == 3 and all("not signed" in words for words in story.alarms())


def test_everything_may_lose_power_between_the_order_and_its_effect() -> None:
    story = Story(*FOUR, room=ROOM).start()
    for number in range(12):
        offered = story.world.sending.offer("door", edited("mood", number))
        story.until(lambda: story.world.sending.all_ready(offered.hash), 5.0)  # noqa: B023 - used at once
        story.world.sending.order("door", offered)
        story.world.run_for(story.rng.uniform(0.0, 0.06))
        for name in FOUR:
            story.world.cut_power(name, lose_last_write=story.rng.random() < 0.3)
        for name in FOUR:
            story.world.boot(name)
        story.agree(within_s=30.0)
        assert len(set(story.world.sending.played().values())) == 1


def test_at_a_hundred_random_moments_of_an_up_a_power_cut_leaves_one_revision_soon_after_all_have_met() -> None:
    story = Story("door", "left", "right", room=replace(whispering(("door", "left", "right")), boot_grace_s=4.0)).start()
    world, names, reached = story.world, ("door", "left", "right"), set[int]()
    for number in range(100):
        at = story.rng.choice(names)
        offered = world.sending.offer(at, another(world.deployment, "mood", number))
        cut_t = world.t + story.rng.uniform(0.0, 1.5)
        world.run_until(lambda: world.sending.all_ready(offered.hash) or world.t >= cut_t, 2.0, 0.01)  # noqa: B023 - used at once
        if world.t < cut_t:
            world.sending.order(at, offered)
            world.run(cut_t)
        for name in names:
            world.cut_power(name, lose_last_write=story.rng.random() < 0.3)
        for name in names:
            world.after(story.rng.uniform(0.05, 1.0), world.boot, name)
        story.until(lambda: not list(everyone_sees_everyone_alive(world)) and len(world.running()) == 3, 20.0)
        story.until(lambda: not list(everyone_plays_the_same_revision(world)), 10.0)
        reached.add(int(next(iter(world.sending.played().values()))[1] == offered.hash))
    # Both ends were met with: the new one, and the one before
    assert reached == {0, 1}
    story.agree(within_s=30.0)
