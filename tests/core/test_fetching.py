"""What is asked of whom: a crowd has a revision little later than one machine, whatever is slow, lost or wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.core.fetching import DEAF_S, FLIGHT_MAX, LATE_S, WINDOW, WRONG_MAX, Fetching
from mesh.core.parcels import KINDS, Parcel, decode, encode
from mesh.errors import WireError

FIRST = "first"
TICK_S = 0.08  # in which one machine sends one chunk


@dataclass
class Crowd:
    """Machines that fetch from one another, each sending a chunk a tick. `slow`: machine -> ticks a chunk takes it."""

    count: int
    machines: list[str]
    slow: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    ticks: int = 0
    sent: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fetching = {name: Fetching(name, self.count) for name in self.machines}
        self.queues: dict[str, list[tuple[str, int]]] = {name: [] for name in [FIRST, *self.machines]}

    def tick(self) -> None:
        for name, each in self.fetching.items():
            each.heard(FIRST, each.all, self.now)
            for other, there in self.fetching.items():
                if other != name:
                    each.heard(other, there.have, self.now)
            for node, index in [] if each.done else each.next(self.now):
                self.queues[node].append((name, index))
        self.now += TICK_S
        self.ticks += 1
        for node, queue in self.queues.items():
            if queue and self.ticks % self.slow.get(node, 1) == 0:
                name, index = queue.pop(0)
                self.sent[node] = self.sent.get(node, 0) + 1
                if name in self.fetching:
                    self.fetching[name].got(node, index, self.now)

    def finish(self, within: int) -> None:
        while not all(each.done for each in self.fetching.values()):
            assert self.ticks < within, f"not within {within} ticks: {[bin(each.have).count('1') for each in self.fetching.values()]}"
            self.tick()


@pytest.mark.parametrize("machines", [1, 2, 4, 8, 16])
def test_a_crowd_takes_little_longer_than_one(machines: int) -> None:
    crowd = Crowd(400, [f"m{number}" for number in range(machines)])
    crowd.finish(within=int(400 * 1.1) + 10)
    # Since what leaves the first machine leaves it once
    assert crowd.sent[FIRST] <= 400 * 1.1
    assert sum(each.repeated for each in crowd.fetching.values()) == 0


def test_a_slow_machine_and_one_that_is_lost_delay_the_others_little() -> None:
    crowd = Crowd(200, ["a", "b", "c", "slow"], slow={"slow": 10})
    for _ in range(60):
        crowd.tick()
    del crowd.fetching["c"]  # with a quarter of everything still in its share
    for each in crowd.fetching.values():
        each.lost("c")
    crowd.finish(within=330)


def test_each_chunk_is_asked_once_while_it_is_on_its_way_and_again_when_it_is_late() -> None:
    each = Fetching("me", 4)
    each.heard("one", each.all, 0.0)
    each.heard("other", each.all, 0.0)
    asked = each.next(0.0)
    assert sorted(index for _, index in asked) == [0, 1, 2, 3]
    assert each.next(LATE_S / 2) == []
    assert each.got(*asked[0], LATE_S) and not each.got(*asked[0], LATE_S)
    assert each.repeated == 1
    again = each.next(LATE_S + 0.1)
    assert {index for _, index in again} == {index for _, index in asked[1:]}
    assert all(dict((index, node) for node, index in asked)[index] != node for node, index in again)


def test_a_source_that_sends_wrong_chunks_is_asked_no_more() -> None:
    each = Fetching("me", 10)
    each.heard("bad", each.all, 0.0)
    barred = False
    for _ in range(WRONG_MAX):
        (node, index), *_ = each.next(0.0)
        barred = each.wrong(node, index)
    assert barred and each.next(0.0) == []
    each.heard("good", each.all, 0.0)
    assert {node for node, _ in each.next(0.0)} == {"good"}


def test_a_source_that_has_fallen_silent_is_asked_nothing_until_it_speaks() -> None:
    each = Fetching("me", 10)
    each.heard("one", each.all, 0.0)
    assert each.next(DEAF_S + 1) == []
    each.heard("one", each.all, DEAF_S + 2)
    assert each.next(DEAF_S + 2)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 39), st.sampled_from(["heard", "got", "wrong", "lost", "next"]))))
def test_whatever_happens_nothing_is_asked_that_is_here_or_not_there(story: list[tuple[str, int, str]]) -> None:
    each, now = Fetching("me", 40), 0.0
    for node, number, what in story:
        now += 0.3
        if what == "heard":
            each.heard(node, (1 << 40) - 1 if number % 3 else number * 977, now)
        elif what == "got":
            each.got(node, number, now)
        elif what == "wrong":
            each.wrong(node, number)
        elif what == "lost":
            each.lost(node)
        else:
            for asked, index in each.next(now):
                assert each.sources[asked].bits >> index & 1 and not each.have >> index & 1
                assert index not in each.sources[asked].wrong
        assert all(len(source.asked) <= WINDOW for source in each.sources.values())
        assert sum(len(source.asked) for source in each.sources.values()) <= FLIGHT_MAX
    # And with one good source left it comes to its end
    each.sources.clear()
    while not each.done:
        now += 1.0
        each.heard("good", each.all, now)
        asked = each.next(now)
        assert asked
        for node, index in asked:
            each.got(node, index, now)


@given(st.sampled_from(KINDS), st.integers(-1, 1 << 30), st.integers(0, 1 << 90), st.text(max_size=40))
def test_a_parcel_says_the_same_after_it_has_travelled(kind: str, number: int, bits: int, words: str) -> None:
    parcel = Parcel(kind, "a" * 64, number, bits, words)
    assert decode(encode(parcel)) == parcel


@given(st.binary(max_size=120))
def test_any_bytes_are_a_parcel_or_a_wire_error(data: bytes) -> None:
    try:
        decode(data)
    except WireError:
        return
