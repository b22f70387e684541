"""What a plan comes to, in sentences: what may die, and what the gaps take for granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mesh.core.spec import Deployment
from mesh.core.timing import PRESETS, WIRED

if TYPE_CHECKING:
    from mesh.core.plan import Loss

NAMED_MAX = 6  # exceptions that the summary names


def summary(losses: Mapping[str, Loss], machines: Sequence[str]) -> str:
    """"Any one machine may die, except …", and the same of two at once where pairs were tried. "" when no single loss was."""
    ones = {key: loss for key, loss in losses.items() if "+" not in key}
    twos = {key: loss for key, loss in losses.items() if key.count("+") == 1}
    if set(ones) != set(machines):
        return ""
    if len(machines) == 1:
        return f"There is one machine, {machines[0]}: with it everything is lost."
    sentences = [_may_die("machine", ones, ones)]
    if len(twos) == len(machines) * (len(machines) - 1) // 2:
        sentences.append(_may_die("two machines at once", twos, ones))
    return " ".join(sentences)


def _may_die(what: str, losses: Mapping[str, Loss], singly: Mapping[str, Loss]) -> str:
    """One sentence. A pair is an exception only for what neither of its machines takes along alone."""
    any_ = f"Any one {what}" if what == "machine" else f"Any {what}"
    fatal = {}
    for key, loss in losses.items():
        alone = {name for part in key.split("+") for name in singly[part].lost} if losses is not singly else set()
        lost = [name for name in loss.lost if name not in alone]
        if lost:
            fatal[key] = lost
    also = " beyond what each takes with it" if losses is not singly else ""
    if not fatal:
        return f"{any_} may die: nothing is lost{also}." if also else f"{any_} may die: everything goes on."
    named = [f"{key.replace('+', ' with ')} ({_lost(lost)})" for key, lost in list(fatal.items())[:NAMED_MAX]]
    more = len(fatal) - len(named)
    if more:
        named.append(f"{more} more")
    if len(fatal) == len(losses) > 1 and losses is singly:
        return f"Each machine takes something with it: {', '.join(named)}."
    return f"{any_} may die{', and nothing more is lost' if also else ''}, except {_listed(named)}."


def _lost(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more are lost" if len(names) > 3 else f"{shown} {'is' if len(names) == 1 else 'are'} lost"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def gap_words(deployment: Deployment) -> tuple[str, ...]:
    """What the gaps stand for, for the ways of standing by that this deployment has."""
    from mesh.core.plan import GAP_AT_DEAD_MS, GAP_AT_SUSPECT_MS, MODEL_LOAD_MS, START_MS

    timing = PRESETS.get(deployment.timing, WIRED)
    suspect_ms = GAP_AT_SUSPECT_MS + round((timing.suspect_s - WIRED.suspect_s) * 1000)
    dead_ms = GAP_AT_DEAD_MS + round((timing.suspect_s + timing.dead_s - WIRED.suspect_s - WIRED.dead_s) * 1000)
    ways = {("copies" if role.copies > 1 else role.standby) for role in deployment.roles if not role.each}
    said = []
    if ways & {"copies", "hot"}:
        said.append(f"hot standbys and copies take over at the first suspicion, within {suspect_ms} ms")
    if "warm" in ways:
        said.append(f"warm ones when the machine is held dead, within {dead_ms / 1000:.1f} s")
    if "cold" in ways:
        said.append(f"cold ones start then: {START_MS / 1000:.0f} s more, and {MODEL_LOAD_MS / 1000:.0f} s for a small model (estimates)")
    if not said:
        return ()
    return (f"gaps are the longest of 99 in 100 on a {deployment.timing} network: {'; '.join(said)}",)
