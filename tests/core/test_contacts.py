"""What nodes tell one another besides heartbeats: who lacks what, and how a lost message is mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.core.contacts import Contacts
from mesh.core.effects import Dial, Effect, HangUp, Save, SendControl
from mesh.core.events import Heard, LinkUp
from mesh.core.members import DEAD, SUSPECT
from mesh.core.messages import BeatsWanted, Digest, Hello, Message, State, StateWanted, Verdict
from mesh.core.peers import Peers
from mesh.core.timing import WIRED
from tests.core.cases import beat, claim, membership, record, said


class Post:
    """One node's contacts, with everybody named already met and linked."""

    def __init__(self, *names: str) -> None:
        self.table = membership(*names)
        self.peers = Peers("n-me", "house", WIRED)
        self.contacts = Contacts(WIRED, self.table, self.peers)
        self.told = State("n-me", 1, said(), "boot-me")
        for name in names:
            self.peers.found(record(name), 0.0)
            self.peers.linked(f"n-{name}", "10.0.0.1")
        self.contacts.follow(self.told, 0.0)
        self.contacts.news = False

    def hear(self, message: Message, now: float = 1.0) -> list[Effect]:
        return [*self.contacts.heard(Heard(message), self.told, now), *self.contacts.follow(self.told, now)]

    def learn(self, name: str, version: int, now: float = 1.0) -> list[Effect]:
        return self.hear(State(f"n-{name}", 1, said(claim("eye", version)).__class__(version, {}, (1, "rev")), f"boot-{name}"), now)


def _wanted(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(each.node, each.message.of) for each in effects if isinstance(each, SendControl) and isinstance(each.message, StateWanted)]


def test_a_line_that_answers_is_greeted_with_who_this_is_and_what_it_plays() -> None:
    post = Post("door", "shelf")
    hello, state = post.contacts.link_up(LinkUp("n-door", "10.0.0.9"), post.told)
    assert isinstance(hello, SendControl) and isinstance(hello.message, Hello)
    assert {each.name for each in hello.message.known} == {"door", "shelf"}
    assert isinstance(state, SendControl) and state.message is post.told


def test_a_greeting_of_somebody_new_dials_it_and_keeps_it_on_disk() -> None:
    post = Post()
    effects = post.hear(Hello(record("door"), (record("shelf"),)))
    assert [each.record.name for each in effects if isinstance(each, Dial)] == ["door", "shelf"]
    assert [each.key for each in effects if isinstance(each, Save)] == ["peers"]
    assert ("n-door", "") in _wanted(effects)


def test_a_heartbeat_that_names_a_newer_state_asks_for_it_but_not_at_every_beat() -> None:
    post = Post("door")
    asked = [bool(_wanted(post.hear(beat("door", number), 2.0 + number / 10))) for number in range(10)]
    assert asked[0] and 3 <= sum(asked) <= 4
    post.learn("door", 1)
    assert not _wanted(post.hear(beat("door", 50), 9.0))


def test_what_does_not_come_from_the_node_itself_is_asked_of_another() -> None:
    post = Post("door", "shelf")
    post.hear(beat("door", 1), 2.0)
    assert set(_wanted(post.hear(beat("door", 5), 2.5))) == {("n-door", ""), ("n-shelf", "n-door")}


def test_who_asks_for_beats_over_the_link_gets_them_for_a_while() -> None:
    post = Post("door")
    post.hear(BeatsWanted("n-door"), 7.0)
    post.hear(BeatsWanted("n-nobody"), 7.0)
    assert post.table.members["n-door"].wants_beats_s == 7.0 + 2 * WIRED.link_ask_s


def test_a_state_is_only_ever_replaced_by_a_newer_one() -> None:
    post = Post("door")
    for version, expected in ((2, 2), (1, 2), (2, 2), (3, 3)):
        post.learn("door", version)
        state = post.table.members["n-door"].state
        assert state is not None and state.version == expected


def test_a_state_of_an_earlier_life_or_another_boot_is_passed_over() -> None:
    post = Post()
    post.hear(Hello(record("door", incarnation=3)))
    post.hear(State("n-door", 2, said(), "boot-door"))
    post.hear(State("n-door", 3, said(), "another"))
    assert post.table.members["n-door"].state is None


def test_a_state_at_a_higher_incarnation_is_a_new_life() -> None:
    post = Post("door")
    post.hear(State("n-door", 4, said(), "boot-door"))
    assert post.table.members["n-door"].record.incarnation == 4
    assert post.table.members["n-door"].state is not None


def test_a_state_wanted_of_another_is_passed_on_with_its_record() -> None:
    post = Post("door", "shelf")
    post.learn("door", 2)
    greeting, state = post.hear(StateWanted("n-shelf", "n-door"))
    assert isinstance(greeting, SendControl) and greeting.message == Hello(record("door"))
    assert isinstance(state, SendControl) and isinstance(state.message, State) and state.message.node == "n-door"
    assert post.hear(StateWanted("n-shelf", "n-nobody")) == []


def test_two_nodes_that_cannot_reach_each_other_learn_of_each_other_through_a_third() -> None:
    # Given a digest that names somebody never met
    post = Post("shelf")
    asked = post.hear(Digest("n-shelf", (("n-shelf", 1, 1, 0), ("n-far", 1, 5, 20))))
    assert ("n-shelf", "n-far") in _wanted(asked)
    # When the third passes on what it knows
    post.hear(Hello(record("far")))
    post.hear(State("n-far", 1, said(claim("eye")), "boot-far"))
    # Then that one's claims count here
    member = post.table.members["n-far"]
    assert member.here and member.state is not None and member.state.claims


MANY = tuple(f"m{number}" for number in range(14))


def test_a_digest_carries_how_lately_each_was_heard_that_only_others_watch() -> None:
    post = Post(*MANY)
    far = next(each for each in post.table.present() if not post.table.watches(each.record.node))
    post.hear(Digest("n-m1", ((far.record.node, 1, 0, 100),)), 5.0)
    assert far.evidence.freshest_s == 4.9
    post.hear(Digest("n-m1", ((far.record.node, 7, 0, 0),)), 6.0)
    assert far.evidence.freshest_s == 4.9


@pytest.mark.parametrize("by_link", [False, True])
def test_a_digest_whose_line_may_have_stalled_makes_nobody_fresher_whose_beats_come(by_link: bool) -> None:
    post = Post("door", "shelf")
    door = post.table.members["n-door"]
    door.by_link = by_link
    post.hear(Digest("n-shelf", (("n-door", 1, 0, 100),)), 5.0)
    assert door.evidence.freshest_s == (4.9 if by_link else 0.0)


def test_the_digest_of_a_node_held_dead_is_answered_with_that_verdict() -> None:
    post = Post("door")
    member = post.table.members["n-door"]
    post.table.change(member, SUSPECT, 1.0)
    post.table.change(member, DEAD, 1.0)
    told = [each.message for each in post.hear(Digest("n-door", (("n-door", 1, 1, 0),))) if isinstance(each, SendControl)]
    assert [each.health for each in told if isinstance(each, Verdict)] == [DEAD]


def test_who_tells_of_a_dead_node_as_living_hears_that_it_is_dead_unless_it_hears_it() -> None:
    # Given a death that no word of has reached the shelf
    post = Post("door", "shelf")
    post.table.change(post.table.members["n-door"], SUSPECT, 1.0)
    post.table.change(post.table.members["n-door"], DEAD, 1.5)
    # When its digest still names the dead one, whom it heard of some time ago, Then it is told
    verdicts = [each.message for each in post.hear(Digest("n-shelf", (("n-door", 1, 1, 900),)), 2.0) if isinstance(each, SendControl)]
    assert [(each.subject, each.health) for each in verdicts if isinstance(each, Verdict)] == [("n-door", DEAD)]
    # But not about another life of it, nor when it hears it: then the two do not reach each other, and that is all
    for entry in (("n-door", 2, 1, 900), ("n-door", 1, 1, 50)):
        effects = post.hear(Digest("n-shelf", (entry,)), 3.0)
        assert not [each for each in effects if isinstance(each, SendControl) and isinstance(each.message, Verdict)]


def test_a_lost_members_link_is_dropped_once() -> None:
    post = Post("door")
    member = post.table.members["n-door"]
    post.table.change(member, SUSPECT, 1.0)
    assert not [each for each in post.contacts.follow(post.told, 1.0) if isinstance(each, HangUp)]
    post.table.change(member, DEAD, 1.5)
    assert post.contacts.follow(post.told, 1.5) == [HangUp("n-door")]
    assert post.contacts.follow(post.told, 1.6) == []


def test_under_a_new_life_the_line_is_dialled_anew() -> None:
    post = Post("door")
    effects = post.hear(beat("door", 1, incarnation=2))
    kinds = [type(each).__name__ for each in effects]
    assert kinds[kinds.index("HangUp"):] == ["HangUp", "Dial", "SendControl", "SendControl"]


def test_whoever_held_this_node_dead_is_dialled_anew_but_not_at_every_word() -> None:
    post = Post("door")
    accusation = Verdict("n-door", "n-me", 1, 0, DEAD, "boot-me")
    assert [type(each) for each in post.hear(accusation, 5.0) if isinstance(each, (HangUp, Dial))] == [HangUp, Dial]
    assert not [each for each in post.hear(accusation, 5.1) if isinstance(each, (HangUp, Dial))]


def test_a_line_that_was_silent_for_long_is_dialled_anew_when_the_peer_is_heard_again() -> None:
    post = Post("door")
    post.table.change(post.table.members["n-door"], SUSPECT, 1.0)
    assert HangUp("n-door") in post.hear(beat("door", 1), 3.0)


def test_words_on_their_way_are_waited_for_only_so_long() -> None:
    post = Post("door")
    post.learn("door", 1)
    assert not post.contacts.behind(1.0)
    post.hear(Digest("n-door", (("n-door", 1, 9, 0),)), 2.0)
    assert post.contacts.behind(2.5)
    assert not post.contacts.behind(2.0 + WIRED.listen_s)
    post.learn("door", 9)
    assert not post.contacts.behind(2.5)


def test_an_agent_that_restarts_before_it_is_found_dead_keeps_its_claims_until_it_speaks() -> None:
    post = Post("door")
    post.hear(State("n-door", 1, said(claim("eye", 3)), "boot-door"))
    post.hear(Hello(record("door", incarnation=2, boot="later")))
    member = post.table.members["n-door"]
    assert member.state is not None and [each.instance for each in member.state.claims] == ["eye"]
    post.hear(State("n-door", 2, said(), "later"))
    assert member.state is not None and member.state.claims == ()


def test_a_node_that_was_found_dead_comes_back_without_its_old_claims() -> None:
    post = Post("door")
    post.hear(State("n-door", 1, said(claim("eye", 3)), "boot-door"))
    member = post.table.members["n-door"]
    post.table.change(member, SUSPECT, 1.0)
    post.table.change(member, DEAD, 1.0)
    post.hear(beat("door", 1, incarnation=2))
    assert post.table.members["n-door"].state is None


# ---- who is asked for what


def test_the_first_word_of_a_newer_state_asks_the_node_itself_and_nobody_else() -> None:
    post = Post("door", "shelf")
    assert _wanted(post.hear(beat("door", 1), 2.0)) == [("n-door", "")]


def test_nobody_is_asked_when_there_is_nobody_else() -> None:
    # Given a room of two, or one whose third is doubted
    for names in (("door",), ("door", "shelf")):
        post = Post(*names)
        for name in names[1:]:
            post.table.change(post.table.members[f"n-{name}"], SUSPECT, 1.0)
        # When the state of the other does not come, Then only that one is asked, again
        post.hear(beat("door", 1), 2.0)
        assert _wanted(post.hear(beat("door", 5), 2.5)) == [("n-door", "")]


def test_what_another_said_of_a_node_is_asked_of_that_other_alone() -> None:
    post = Post("door", "shelf", "left")
    for now in (2.0, 3.0):
        assert _wanted(post.hear(Digest("n-shelf", (("n-door", 1, 9, 0),)), now)) == [("n-shelf", "n-door")]


def test_a_heartbeat_of_a_stranger_is_answered_by_asking_who_it_is() -> None:
    post = Post()
    assert _wanted(post.hear(beat("ghost", 1), 2.0)) == [("n-ghost", "")]


def test_nothing_is_asked_about_this_node_itself() -> None:
    post = Post("shelf")
    assert not _wanted(post.hear(Digest("n-shelf", (("n-me", 1, 99, 0),)), 2.0))


def test_of_a_dead_node_only_a_new_life_is_asked_for() -> None:
    post = Post("door", "shelf")
    _bury(post, "door")
    assert not _wanted(post.hear(Digest("n-shelf", (("n-door", 1, 9, 0),)), 2.0))
    assert _wanted(post.hear(Digest("n-shelf", (("n-door", 2, 1, 0),)), 2.0)) == [("n-shelf", "n-door")]


def _bury(post: Post, name: str) -> None:
    post.table.change(post.table.members[f"n-{name}"], SUSPECT, 1.0)
    post.table.change(post.table.members[f"n-{name}"], DEAD, 1.0)
    post.contacts.follow(post.told, 1.0)


def test_who_asks_for_this_nodes_state_gets_it_also_by_its_name() -> None:
    post = Post("door")
    for of in ("", "n-me"):
        assert post.hear(StateWanted("n-door", of)) == [SendControl("n-door", post.told)]


def test_of_the_dead_and_of_those_who_have_said_nothing_no_state_is_passed_on() -> None:
    post = Post("door", "shelf")
    assert post.hear(StateWanted("n-shelf", "n-door")) == []
    post.learn("door", 2)
    _bury(post, "door")
    assert post.hear(StateWanted("n-shelf", "n-door")) == []


# ---- words of strangers and of other boots


def test_a_digest_and_a_state_of_a_stranger_change_nothing() -> None:
    post = Post("door")
    assert not [each for each in post.hear(Digest("n-ghost", ())) if isinstance(each, SendControl)]
    post.hear(State("n-ghost", 1, said(), "boot-ghost"))
    assert set(post.table.members) == {"n-door"} and not post.contacts.news


def test_a_digest_of_another_boot_of_a_member_is_noted_and_not_believed() -> None:
    post = Post("door", "shelf")
    post.hear(Digest("n-shelf", (("n-door", 1, 0, 0),), "another"), 0.3)
    assert post.table.members["n-shelf"].double is not None
    assert post.table.members["n-door"].evidence.freshest_s == 0.0


def test_a_state_that_comes_says_nothing_of_when_its_node_spoke() -> None:
    """For it may have been passed on by another."""
    post = Post("door")
    post.learn("door", 1, 5.0)
    assert post.table.members["n-door"].spoke_s == 0.0


def test_a_later_life_counts_only_with_its_boot() -> None:
    post = Post("door")
    post.hear(State("n-door", 4, said(), ""))
    assert post.table.members["n-door"].record.incarnation == 1


# ---- lines


def test_where_a_line_answers_is_where_datagrams_go_until_one_comes() -> None:
    post = Post("door")
    post.table.members["n-door"].address = ""
    for address in ("10.0.0.9", "10.0.0.10"):
        post.contacts.link_up(LinkUp("n-door", address), post.told)
        assert post.table.members["n-door"].address == "10.0.0.9"
    assert post.contacts.link_up(LinkUp("n-ghost", "10.0.0.11"), post.told)


def test_no_news_is_no_news() -> None:
    post = Post("door")
    assert post.contacts.follow(post.told, 1.0) == []
    assert not post.contacts.news


@pytest.mark.parametrize(
    ("changes", "news"),
    [
        ({"hears": 7}, False),
        ({"epochs": {"eye": 3}}, False),
        ({"epochs": {}}, False),
        ({"epochs": {"eye": 4}}, True),
        ({"epochs": {"mood": 1}}, True),
        ({"steady": True}, True),
        ({"claims": ()}, True),
        ({"claims": (), "hears": 7}, True),
    ],
)
def test_what_everybody_repeats_after_a_claim_or_a_death_is_no_news(changes: dict[str, Any], news: bool) -> None:
    """Given one who said what it plays, and an epoch that is known here; when it says more; then only what is new is decided by."""
    post = Post("door")
    post.contacts.epochs = {"eye": 3}
    before = said(claim("eye"), epochs={"eye": 2})
    post.hear(State("n-door", 1, before, "boot-door"))
    assert post.contacts.news
    post.contacts.news = False
    after = replace(before, version=2, **changes)
    post.hear(State("n-door", 1, after, "boot-door"))
    assert post.contacts.news is news
    assert post.table.members["n-door"].state is after


def test_what_was_missed_is_news_when_it_comes_whatever_it_says() -> None:
    """Given a heartbeat that names a newer state, for which this node waits; when it comes, the wait is over."""
    post = Post("door")
    post.hear(State("n-door", 1, said(), "boot-door"))
    post.contacts.news = False
    post.hear(replace(beat("door", 1), version=2))
    assert post.contacts.behind(1.0)
    post.hear(State("n-door", 1, replace(said(), version=2), "boot-door"))
    assert post.contacts.news and not post.contacts.behind(1.0)


def test_news_stays_news_until_it_is_acted_upon() -> None:
    post = Post("door")
    for version in (1, 2):
        post.hear(State("n-door", 1, replace(said(), version=version), "boot-door"))
    assert post.contacts.news


def test_the_line_of_a_node_that_was_dead_is_not_dropped_when_it_comes_back() -> None:
    post = Post("door")
    _bury(post, "door")
    assert HangUp("n-door") not in post.hear(beat("door", 1, incarnation=2), 2.0)


# ---- joining a room


def test_who_waits_for_a_deployment_joins_the_first_room_that_speaks_to_it() -> None:
    post = _waiting()
    effects = post.hear(Hello(record("door")))
    assert Save("installation", "house") in effects
    assert post.table.me.installation == post.peers.installation == "house"
    # And it stays there, whoever speaks next
    post.hear(Hello(record("shelf", installation="garden")))
    assert post.table.me.installation == post.peers.installation == "house"


def test_who_waits_does_not_join_those_who_wait_too_or_belong_nowhere() -> None:
    for elsewhere in ("waiting", ""):
        post = _waiting()
        assert not [each for each in post.hear(Hello(record("door", installation=elsewhere))) if getattr(each, "key", "") == "installation"]
        assert post.table.me.installation == "waiting"


def test_who_does_not_wait_joins_nobody() -> None:
    post = Post()
    post.table.me = replace(post.table.me, installation="")
    post.hear(Hello(record("door", installation="garden")))
    assert post.table.me.installation == ""


def test_who_joins_dials_those_of_that_room_alone() -> None:
    post = _waiting()
    for name, installation in (("shelf", "house"), ("left", "garden")):
        post.peers.strangers[f"n-{name}"] = record(name, installation=installation)
    effects = post.hear(Hello(record("door")))
    assert {each.record.name for each in effects if isinstance(each, Dial)} == {"door", "shelf"}


def _waiting() -> Post:
    """A node that has a key and waits for its first deployment."""
    post = Post()
    post.table.me = replace(post.table.me, installation="waiting")
    post.peers.installation = post.peers.waiting = "waiting"
    return post


def test_a_heartbeat_counts_from_its_arrival_not_from_when_it_was_read() -> None:
    post = Post("door", "shelf")
    shelf = post.table.members["n-shelf"].evidence

    post.contacts.heard(Heard(beat("door", 1, ages=(("n-shelf", 50),)), "10.0.0.1", 0.08), post.told, 1.0)

    assert post.table.members["n-door"].evidence.direct_s == pytest.approx(0.92)
    assert shelf.freshest_s == pytest.approx(0.87)
    assert shelf.direct_s == 0.0


def test_a_heartbeat_that_waited_for_long_counts_as_heard_now_since_its_reader_stood_still() -> None:
    post = Post("door")
    post.contacts.heard(Heard(beat("door", 1), "10.0.0.1", WIRED.dead_s), post.told, 9.0)
    assert post.table.members["n-door"].evidence.direct_s == 9.0
