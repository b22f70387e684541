"""Rooms as large as the exact search takes, against a search that shares nothing with it; and larger ones, which must come to rest.

The first: for 6 machines and 12 instances trying every placement is out of the question, but those that leave the same memory free, and
the same roles on the same machines, need to be followed only once. That tells the best of the first three promises of `place`.
"""

from __future__ import annotations

from random import Random

import pytest

from mesh.core.instances import Candidate, Held, instances
from mesh.core.placement import place
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec
from tests.core.placement_rooms import GB, LLM, PLAIN, SCREEN, Judge, machine, role, room, where_it_may_play

ROOMS = 120
WENT_ROUND = (895, 1196, 1786, 2541, 2784, 2942, 3910, 4108)  # seeds of rooms in which holders once moved to and fro, or for nobody
Cost = tuple[int, int, int]  # who stays out, as bits, the most important highest; holders moved by force; pairs of copies together
State = tuple[tuple[int, ...], frozenset[tuple[tuple[str, str], int]], frozenset[str]]  # memory left; role and node -> how many; who plays


# ---- as large as the exact search takes


def a_role(draw: Random, names: str, earlier: list[RoleSpec]) -> RoleSpec:
    """Any sort of role, wired to earlier ones."""
    shape = draw.choice(["single", "single", "copies", "each"])
    keys: dict[str, object] = {"standby": "none"}
    keys |= where_it_may_play(draw, shape, names)
    if earlier and draw.random() < 0.25:
        keys["with_"] = draw.choice(earlier).name
    keys["needs"] = Needs(int(draw.choice([0, 0.5, 1, 1.5, 2, 3]) * GB), camera=draw.random() < 0.1)
    sources = tuple([each.name for each in earlier if draw.random() < 0.25][:2])
    return role(f"r{len(earlier)}", of=sources, kind=draw.choice([PLAIN, PLAIN, SCREEN, LLM]), **keys)


def full_room(seed: int) -> Judge:
    """4 to 6 machines, up to 12 instances, and what was claimed before, by anybody."""
    draw = Random(seed)
    names = "abcdef"[: draw.randint(4, 6)]
    wanted: list[RoleSpec] = []
    while sum(max(each.copies, len(each.each)) for each in wanted) < 10:
        wanted.append(a_role(draw, names, wanted))
    draw.shuffle(wanted)
    deployment = room(*wanted, machines=[Machine(name, draw.choice([(), ("x",)])) for name in names])
    every = [each.name for each in instances(deployment)]
    here = [
        machine(
            name, draw.choice([1, 2, 3, 4, 5]), camera=draw.random() < 0.5, drained=draw.random() < 0.1, put_aside=draw.random() < 0.1,
            extras=draw.choice([(), ("llm",), ("llm",)]),
        )
        for name in names
    ]
    held = [Held(draw.choice(every), f"n-{draw.choice(names)}", draw.randint(1, 2)) for _ in range(draw.randint(0, 10))]
    return Judge(deployment, here, held, frozenset(draw.sample(every, 3)), frozenset(draw.sample(every, 2)))


def steps_to(judge: Judge, name: str) -> int:
    """How many roles stand between one and the one that goes where it likes: whoever is followed is seated first."""
    followed = judge.deployment.role(name).with_
    return 0 if followed is None else 1 + steps_to(judge, followed)


def best_cost(judge: Judge) -> Cost:
    """The least that any lawful placement costs."""
    ordered, deployment = judge.ordered, judge.deployment
    nodes = [each.node for each in judge.candidates]
    counted = {each.with_ for each in deployment.roles} | {each.name for each in deployment.roles if each.copies > 1}
    empty = tuple(each.capabilities.memory_bytes for each in judge.candidates)
    states: dict[State, Cost] = {(empty, frozenset(), frozenset()): (0, 0, 0)}
    for place_of in sorted(range(len(ordered)), key=lambda at: (steps_to(judge, ordered[at].role.name), at)):
        each, after = ordered[place_of], dict[State, Cost]()
        wanted = each.role
        for (free, seen, playing), (out, moved, pairs) in states.items():
            stays_out = (out + (1 << len(ordered) - 1 - place_of), moved, pairs)
            after[free, seen, playing] = min(stays_out, after.get((free, seen, playing), stays_out))
            there = dict(seen)
            for at, node in enumerate(nodes):
                beside = there.get((wanted.name, node), 0)
                if node not in judge.eligible[each.name] or free[at] < wanted.needs.memory_bytes or (wanted.spread and beside):
                    continue
                if wanted.with_ and (wanted.with_, node) not in there:
                    continue
                forced = each.name in judge.holder and node != judge.holder[each.name] and not judge.is_free(each, node)
                left = (*free[:at], free[at] - wanted.needs.memory_bytes, *free[at + 1 :])
                now = frozenset({**there, (wanted.name, node): beside + 1}.items()) if wanted.name in counted else seen
                key, cost = (left, now, playing | {wanted.name}), (out, moved + forced, pairs + beside)
                after[key] = min(cost, after.get(key, cost))
        states = after
    feeds = {each.name: judge.fed_by(each.name) & {other.name for other in deployment.roles if judge.is_output(other.name)}
             for each in deployment.roles}
    return min(cost for (_, _, playing), cost in states.items() if all(feeds[name] & playing for name in playing))


@pytest.mark.parametrize("first", range(0, ROOMS, 20))
def test_up_to_6_machines_and_12_instances_no_better_choice_of_who_plays_moves_fewer_holders(first: int) -> None:
    for seed in range(first, first + 20):
        judge = full_room(seed)
        found = place(
            judge.deployment, judge.candidates, judge.held, may_fail_back=judge.may_fail_back, provisional=judge.provisional,
        )
        assert judge.lawful(found.holders), seed
        placed, moved, pairs, *_ = judge.score(found.holders)
        assert isinstance(placed, tuple)
        assert found.complete is not None, "the exact search takes a room of this size"
        out = sum(1 << len(placed) - 1 - at for at, missing in enumerate(placed) if missing)
        assert (out, moved, pairs) == best_cost(judge), seed


# ---- larger


def crowd(seed: int) -> tuple[Deployment, list[Candidate]]:
    """3 to 8 machines with about half as much to twice as much memory as some 30 instances need."""
    draw = Random(seed)
    names = "abcdefgh"[: draw.randint(3, 8)]
    wanted: list[RoleSpec] = []
    count, most = 0, draw.randint(18, 40)
    while count < most:
        keys: dict[str, object] = {}
        shape = draw.choice(["single", "single", "single", "copies", "each"])
        keys |= where_it_may_play(draw, shape, names)
        keys["standby"] = "none" if shape != "single" else draw.choice(["none", "cold", "warm", "hot"])
        if wanted and draw.random() < 0.15:
            keys["with_"] = draw.choice(wanted).name
        keys["needs"] = Needs(int(draw.choice([0.5, 1, 1.5, 2, 3]) * GB))
        sources = tuple([each.name for each in wanted if draw.random() < 0.1][:2])
        wanted.append(role(f"r{len(wanted)}", of=sources, kind=draw.choice([PLAIN, PLAIN, SCREEN]), **keys))
        count += max(wanted[-1].copies, len(wanted[-1].each))
    draw.shuffle(wanted)
    deployment = room(*wanted, machines=[Machine(name, draw.choice([(), ("x",)])) for name in names])
    needed = sum(max(each.copies, len(each.each)) * each.needs.memory_bytes for each in wanted) / GB
    return deployment, [machine(name, needed / len(names) * draw.uniform(0.5, 1.5)) for name in names]


@pytest.mark.parametrize("seed", [*WENT_ROUND, *range(60)])
def test_beyond_the_exact_search_holders_move_only_so_that_somebody_more_important_plays_and_come_to_rest(seed: int) -> None:
    deployment, here = crowd(seed)
    judge = Judge(deployment, here)
    found = place(deployment, here).holders
    for _ in range(8):
        assert judge.lawful(found)
        again = place(deployment, here, [Held(instance, node, 1) for instance, node in found.items()]).holders
        if again == found:
            return
        assert judge.score(again)[0] < judge.score(found)[0]  # type: ignore[operator]
        found = again
    pytest.fail("eight times somebody better was found")
