"""Switching everything off and on repairs the piece: `python -m tests.sim.power --times 100`.

A room whose roles have wandered is switched off, and its machines come back in any order, up to `--apart` seconds after one another.
For each time: how soon a display showed something, how long after the last machine came every role played (0 when the others
had already begun without it), where each role ended, and how often each moved on the way. Thrashing would be a role that moves more
than once for each machine that came late; wandering, one that does not end where it belongs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.sim.rooms import whispering
from tests.sim.story import FOUR, Story

PLAYING_WITHIN_S = 30.0
WANTED = ("eye", "presence", "mood", "poet/1", "poet/2", "wall@left", "wall@right")


@dataclass(slots=True)
class Cycle:
    """One time off and on. Seconds count from when the last machine was switched on."""

    apart_s: float  # between the first machine and the last
    all_play_s: float = 0.0
    agreed_s: float = 0.0
    display_s: float = 0.0  # from when the first machine with a display was switched on until a display played
    ended: dict[str, str] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)


def cycles(times: int, apart_s: float, seed: int = 1) -> list[Cycle]:
    """The same four machines, switched off and on so often. Each time the roles have first been made to wander."""
    rng = Random(seed)
    story = Story(*FOUR, seed=seed, room=replace(whispering(FOUR), boot_grace_s=20.0)).start()
    return [_cycle(story, rng, apart_s) for _ in range(times)]


def _cycle(story: Story, rng: Random, apart_s: float) -> Cycle:
    world = story.world
    _wander(story, rng)
    for name in FOUR:
        world.cut_power(name, lose_last_write=rng.random() < 0.3)
    world.said.clear()
    story.wait(rng.uniform(0.5, 5.0))
    delays = [rng.uniform(0.0, apart_s) for _ in FOUR]
    began, last = world.t, max(delays)
    display = min(delay_s for name, delay_s in zip(FOUR, delays, strict=True) if f"wall@{name}" in WANTED)
    for name, delay_s in zip(FOUR, delays, strict=True):
        world.after(delay_s, world.boot, name)
    cycle = Cycle(last - min(delays))
    story.until(lambda: any(each.fields["instance"].startswith("wall") for each in story.said("role_state", state="playing")), 130.0, 0.1)
    cycle.display_s = world.t - began - display
    story.wait(max(0.0, began + last - world.t))
    came = world.t
    story.until(lambda: all(len(world.playing(name)) == 1 for name in WANTED), PLAYING_WITHIN_S)
    cycle.all_play_s = world.t - came
    story.agree(within_s=PLAYING_WITHIN_S)
    cycle.agreed_s = world.t - came
    cycle.ended = {name: story.holder(name) for name in WANTED}
    for said in story.said("takeover"):
        cycle.moves[said.fields["instance"]] = cycle.moves.get(said.fields["instance"], 0) + 1
    return cycle


def _wander(story: Story, rng: Random) -> None:
    """Drain one machine and let it back: what it held now plays elsewhere. Its power stays on, for who comes and goes too often is put
    aside, and rightly so."""
    name = rng.choice(FOUR)
    story.world.want(name, "drain")
    story.wait(rng.uniform(1.0, 4.0))
    story.agree(within_s=PLAYING_WITHIN_S)
    story.world.want(name, "undrain")
    story.agree(within_s=PLAYING_WITHIN_S)


def belongs(cycle: Cycle) -> list[str]:
    """What did not end where it belongs, in words: the camera at its machine, each wall on its own, the copies apart."""
    wrong = [f"{name} on {cycle.ended[name]}" for name, home in HOME.items() if cycle.ended[name] != home]
    return [*wrong, "both copies on one machine"] if cycle.ended["poet/1"] == cycle.ended["poet/2"] else wrong


HOME = {"eye": "door", "wall@left": "left", "wall@right": "right"}


def _rank(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def summary(found: Sequence[Cycle]) -> dict[str, Any]:
    """The figures of many cycles."""
    waits = {"all_play_s": [each.all_play_s for each in found], "display_s": [each.display_s for each in found]}
    moves = [sum(each.moves.values()) for each in found]
    return {
        "times": len(found), "apart_s_max": round(max(each.apart_s for each in found), 1),
        **{key: {"median": round(_rank(each, 0.5), 2), "p99": round(_rank(each, 0.99), 2)} for key, each in waits.items()},
        "moves": {
            "median": _rank(moves, 0.5), "most": max(moves),
            "most_of_one_role": max([0, *(count for each in found for count in each.moves.values())]),
        },
        "ended": {name: dict(Counter(each.ended[name] for each in found).most_common()) for name in WANTED},
        "wrong": [words for each in found for words in belongs(each)],
    }


def main() -> int:
    """Exit code 1 when a role did not end where it belongs."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.power", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--apart", type=float, default=120.0, metavar="S")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    found = cycles(wanted.times, wanted.apart, wanted.seed)
    told = summary(found)
    if wanted.json:
        print(json.dumps(told))
    else:
        _show(found, told, Console())
    return 1 if told["wrong"] else 0


def _show(found: Sequence[Cycle], told: dict[str, Any], console: Console) -> None:
    title = f"{told['times']} times off and on, up to {told['apart_s_max']} s apart"
    table = Table("role", "ended on (times)", "moves: median, most", title=title)
    for name in WANTED:
        moves = [each.moves.get(name, 0) for each in found]
        ended = ", ".join(f"{where} {times}" for where, times in told["ended"][name].items())
        table.add_row(name, ended, f"{_rank(moves, 0.5)}, {max(moves)}")
    console.print(table)
    waits = {"display_s": "from the first machine with a display until it plays", "all_play_s": "from the last machine until all play"}
    for key, words in waits.items():
        console.print(f"{words}: median {told[key]['median']} s, p99 {told[key]['p99']} s", highlight=False)
    console.print("; ".join(told["wrong"]) or "each role ended where it belongs", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
