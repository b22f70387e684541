"""Every time constant of the control plane, with its formula, its unit and a preset for wired and wireless rooms.

One frozen value, handed to whoever decides: no module reads a constant of its own, so the simulator can
run any room at any preset. Decided against: deriving the presets from measured loss at run time. A room
whose thresholds drift by themselves cannot be rehearsed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Time constants in seconds. `wired` values; see `WIRELESS` for the other preset."""

    beat_s: float = 0.1  # between two heartbeats; 5 Hz is too slow, one lost beat already exceeds a usable threshold
    suspect_s: float = 0.22  # silence until suspect = 2.2 beats: one lost beat, plus 0.2 beats of delay
    dead_s: float = 0.45  # from suspect to dead: room for three direct probes and two indirect ones
    probe_s: float = 0.1  # between two rounds of probes of one suspect
    lag_cap_s: float = 0.1  # own lag that is forgiven in one episode; uncapped forgiveness delayed true alarms to 1 s
    hold_s: float = 2.0  # how long verdicts are held when half of three or more peers fall silent together
    together_s: float = 0.3  # "together": silences that began within this time of one another
    listen_s: float = 1.0  # a starting node listens before it plays anything
    unclaimed_s: float = 1.0  # an instance that its first choice leaves unclaimed falls to the next, one such step a rank
    provisional_s: float = 180.0  # claims made while a room starts may be handed over once within this time
    dial_s: float = 1.0  # between two attempts to reach a peer that does not answer
    dial_max_s: float = 10.0  # …doubling to this; last-known peers are dialled for ever
    sync_s: float = 5.0  # every so often a node's whole state is told again, in case a message was lost with its link
    observers_max: int = 5  # who watches one node; bounds the traffic of a room of any size
    helpers_max: int = 3  # peers asked to probe on one's behalf
    start_stagger_s: float = 0.0  # kept for tests of staggered rooms


WIRED = Timing()
# A radio loses bursts: 0.4 s in which nothing passes must be no more than a suspicion, and one in twenty
# datagrams lost beside 50 ms of jitter must not even be that.
WIRELESS = Timing(suspect_s=0.55, dead_s=0.9, probe_s=0.15, hold_s=3.0, together_s=0.5)
PRESETS = {"wired": WIRED, "wireless": WIRELESS}
