"""`place` against brute force in rooms that were hard to get right: each seed drew a room in which one changed guard of placement gave
a worse answer, and which no other test had told from the right one."""

from __future__ import annotations

from random import Random

import pytest

from mesh.core.instances import Candidate, Held, instances
from mesh.core.placement import place
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec
from tests.core.placement_rooms import GB, LLM, PLAIN, SCREEN, Judge, machine, role, room, where_it_may_play

SEEDS = (169, 573, 576, 1222, 2983, 3047, 4558, 7350)
Drawn = tuple[Deployment, list[Candidate], list[Held], frozenset[str], frozenset[str]]


def drawn_role(rng: Random, names: str, earlier: list[RoleSpec]) -> RoleSpec:
    """A role of any sort, wired to earlier ones."""
    shape = rng.choice(["single", "single", "copies", "each"])
    keys: dict[str, object] = {"standby": rng.choice(["none", "cold", "warm", "hot"]) if shape == "single" else "none"}
    keys |= where_it_may_play(rng, shape, names)
    if earlier and rng.random() < 0.25:
        keys["with_"] = rng.choice(earlier).name
    keys["needs"] = Needs(int(rng.choice([0, 0, 0.5, 1, 1.5, 2, 3]) * GB), camera=rng.random() < 0.1)
    sources = [each.name for each in earlier if rng.random() < 0.25][:2]
    return role(f"r{len(earlier)}", of=tuple(sources), kind=rng.choice([PLAIN, PLAIN, SCREEN, LLM]), **keys)


def drawn(seed: int) -> Drawn:
    """A room of up to 4 machines and 6 instances: as it was found, or after some of its machines were lost."""
    rng = Random(seed)
    names = "abcd"[: rng.randint(1, 4)]
    wanted: list[RoleSpec] = []
    for _ in range(rng.randint(1, 6)):
        wanted.append(drawn_role(rng, names, wanted))
        if sum(max(each.copies, len(each.each)) for each in wanted) > 6:
            wanted.pop()
    rng.shuffle(wanted)
    deployment = room(*wanted, machines=[Machine(name, rng.choice([(), ("x",)])) for name in names])
    every = [each.name for each in instances(deployment)]

    def some() -> frozenset[str]:
        return frozenset(rng.sample(every, min(len(every), rng.randint(0, 3)))) if rng.random() < 0.5 else frozenset()

    here = [
        machine(
            name, rng.choice([1, 2, 3, 4, 5]), cores=rng.randint(1, 4), camera=rng.random() < 0.5, drained=rng.random() < 0.1,
            put_aside=rng.random() < 0.1, extras=rng.choice([(), ("llm",), ("llm",)]), gave_up=some() if rng.random() < 0.1 else (),
        )
        for name in names
    ]
    held: list[Held] = []
    story = rng.random()
    if story < 0.5:
        for _ in range(rng.randint(0, 6)):
            state = rng.choice(["playing", "playing", "starting", "standby"])
            held.append(Held(rng.choice(every), f"n-{rng.choice(names)}", rng.randint(1, 2), state))
    elif story < 0.8:
        before = place(deployment, here)
        gone = {f"n-{name}" for name in names if rng.random() < 0.25}
        held = [Held(instance, node, 1) for instance, node in before.holders.items() if node not in gone]
        held += [Held(instance, node, 0, "standby") for instance, node in before.loaded.items() if node not in gone]
        here = [each for each in here if each.node not in gone or rng.random() < 0.5] or here
    return deployment, here, held, some(), some()


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_hard_room_no_lawful_placement_is_better(seed: int) -> None:
    deployment, here, held, may_fail_back, provisional = drawn(seed)
    found = place(deployment, here, held, may_fail_back=may_fail_back, provisional=provisional)
    judge = Judge(deployment, here, held, may_fail_back, provisional)
    assert judge.lawful(found.holders)
    assert judge.score(found.holders) == judge.best_score()
