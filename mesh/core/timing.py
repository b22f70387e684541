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
    link_suspect_s: float = 1.5  # where datagrams do not pass, heartbeats come over the link, in which one lost packet is a stall
    link_dead_s: float = 2.0
    link_every: int = 3  # …every third of them
    link_ask_s: float = 5.0  # …for two such times after each time that they were asked for
    lag_cap_s: float = 0.1  # own lag that is forgiven in one episode; uncapped forgiveness delayed true alarms to 1 s
    hold_s: float = 2.0  # how long verdicts are held when half of three or more peers fall silent together
    together_s: float = 0.3  # "together": silences that began within this time of one another
    listen_s: float = 1.0  # a starting node listens before it plays anything
    unclaimed_s: float = 1.0  # an instance that its first choice leaves unclaimed falls to the next, one such step a rank
    provisional_s: float = 180.0  # claims made while a room starts may be handed over once within this time
    dial_s: float = 1.0  # between two attempts to reach a peer that does not answer
    dial_max_s: float = 10.0  # …growing to this; last-known peers are dialled for ever
    meet_s: float = 3.0  # after meeting, until silence counts: its link to here may still be in a TCP stall
    knock_s: float = 0.25  # every so often the dead are told that they are held dead, so that a partition heals in one such step
    knocks_max: int = 8  # …so many at a time
    settle_s: float = 2.0  # after sides have met, until a node counts the others as its own side
    sync_s: float = 0.25  # every so often one other node, in turn, is told what this one has heard of all…
    sync_nodes: int = 16  # …more slowly in rooms larger than this, by as much as they are larger, since what is told grows with the room
    stale_s: float = 10.0  # a member that others watch, and of whom nothing was heard so long, is probed (see Judge)
    steady_s: float = 60.0  # a machine that was here so long without a break may be failed back to
    aside_s: float = 30.0  # a machine that came back too often is put aside so long, doubling
    aside_max_s: float = 600.0  # …to this; as long without a break, and its returns are forgotten
    returns_max: int = 3  # how often a machine may come back before that
    observers_max: int = 5  # who watches one node; bounds the traffic of a room of any size
    helpers_max: int = 3  # peers asked to probe on one's behalf


WIRED = Timing()
# A radio loses bursts: 0.4 s in which nothing passes must be no more than a suspicion, and one in twenty
# datagrams lost beside 50 ms of jitter must not even be that.
WIRELESS = Timing(suspect_s=0.55, dead_s=0.9, probe_s=0.15, hold_s=3.0, together_s=0.5)
PRESETS = {"wired": WIRED, "wireless": WIRELESS}
