"""Every time constant of the control plane: its formula, its unit, why it is so, and a preset for wired and wireless rooms.

One frozen value, handed to whoever decides: no module reads a constant of its own, so the simulator can run any room at any
preset. The thresholds are calibrated on traces of heartbeats between network namespaces, idle and with every core busy, on a clean
network and on one that loses 5 % with 20 to 70 ms of delay (`python -m benchmarks.traces`, kept in benchmarks/results/traces.json);
below, "trace" means those. Decided against: deriving the presets from measured loss at run time. A room whose thresholds drift
by themselves cannot be rehearsed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds (`_s`) and counts. The values are those of `WIRED`; see `WIRELESS` for what differs there."""

    # ---- heartbeats and verdicts

    beat_s: float = 0.1
    """s between two heartbeats. Half of suspect_s at most, so that one lost beat is no suspicion; at 0.2 it already would be."""
    suspect_s: float = 0.22
    """s of silence until suspect = 2 x beat_s + 20 ms. One lost beat, and what 99.9 % of beats are late at most on a wired network
    with every core busy (trace: 17 ms). What is silent is the freshest evidence of all observers."""
    dead_s: float = 0.45
    """s from suspect to dead = 4 x probe_s + 50 ms. Four rounds of direct and indirect probes, and the way of the last one's answer."""
    probe_s: float = 0.1
    """s between two rounds of probes of one suspect = beat_s: an answer takes two delays, which are shorter (trace)."""
    lag_cap_s: float = 0.1
    """s of own lag that are forgiven in one silence = beat_s. A loop is late by less with every core busy (trace: 38 ms); uncapped,
    forgiveness delayed true alarms to 1 s."""
    hold_s: float = 2.0
    """s for which verdicts are held when half of three or more peers fall silent together = 4 x dead_s, rounded up. A switch port or
    an access point that has a short fit is back within that; a room that was really split plays on after it."""
    together_s: float = 0.3
    """s within which silences count as one = suspect_s + beat_s, rounded down. Peers cut off in one moment were last heard up to
    one beat apart, and are judged up to one beat apart."""
    observers_max: int = 5
    """nodes that watch one node. Its beats cost observers_max datagrams each, whatever the size of the room; the chance that all of
    five lose the same beat at 5 % loss is 3 in 10 million."""
    helpers_max: int = 3
    """peers asked to probe on one's behalf. At 5 % loss on each of four ways, all three fail in 0.6 % of rounds, and there are four."""

    # ---- where datagrams do not pass

    link_suspect_s: float = 1.5
    """s of silence until suspect over ZeroMQ = link_every x beat_s + TCP's retransmission of 0.2 + 0.4 s, x 1.6. One lost packet, and
    the loss of what was sent again for it, are no suspicion."""
    link_dead_s: float = 2.0
    """s from there to dead = TCP's third to fourth retransmission (0.2 s x 2^n): a line that stalls for longer is as good as cut."""
    link_every: int = 3
    """beats to each that goes over the link. At 3.3 a second they cost less than a third of what beats over ZeroMQ would."""
    link_ask_s: float = 5.0
    """s between two requests for beats over the link, each of which holds for two such times, so that one lost request changes nothing."""

    # ---- meeting

    listen_s: float = 1.0
    """s that a starting node listens before it plays = 3 x the time until a node is known by all (0.3 s), rounded up."""
    join_s: float = 0.5
    """s from meeting a node past its grace to joining its room = listen_s / 2: whoever that one has just met is then known here, too."""
    meet_s: float = 3.0
    """s after meeting until silence counts = TCP's first four retransmissions (0.2 s x (1 + 2 + 4 + 8)): the peer's own line to
    here may still be in a stall, and then it does not know whom to beat to."""
    dial_s: float = 1.0
    """s between two attempts to reach a peer that does not answer, growing by half each time. A machine that boots is found within
    that of its first word; a line to nowhere costs one packet a second."""
    dial_max_s: float = 10.0
    """s to which that grows. Last-known peers are dialled for ever, so a partition without mDNS heals within that."""
    stalled_s: float = 0.6
    """s without a word, in either direction, after which the line to a peer is made anew when words come again = TCP's first two
    retransmissions (0.2 + 0.4 s). A line that was cut for longer may stall for as long again, one that was cut for less for no longer."""
    knock_s: float = 0.25
    """s between two rounds in which the dead are told that they are held dead = suspect_s, rounded up. Two sides that can talk again
    know it after one such step, and two holders of one instance are gone within a second."""
    knocks_max: int = 8
    """of the dead told in one round: bounds what a room of 256 that lost half of itself sends to 32 datagrams a second a node."""
    settle_s: float = 2.0
    """s after sides have met until a node counts the others as its own side = 8 x knock_s. All pairs have met by then, and who
    won a claim has claimed it anew."""
    sync_s: float = 0.25
    """s between two digests, each to one other node in turn, of what this one has heard of all. In a room of four each other node is
    told once in 0.75 s, so that what a broken line lost is asked for within about a second."""
    sync_nodes: int = 16
    """nodes up to which digests go out every sync_s. In larger rooms they go out more slowly by as much as the room is larger, since
    each is longer by as much: the traffic of a node stays flat."""
    stale_s: float = 1.0
    """s until a member that only others watch, and of whom nothing was heard, is probed; without an answer it is suspect dead_s later.
    Its observers tell of its death at once; this is for the case that all of them were lost with it. Grows with the room (see Judge):
    in a room of 16 what is heard of such a member is 0.4 s old, and never older than 1.5 s; it is probed when that is 3 s old."""

    # ---- playing

    unclaimed_s: float = 1.0
    """s that an instance may stay unclaimed by its first choice until the next in order takes it, for each rank once more = listen_s. A
    claim is on its way for less than 0.1 s, or, with its line in a stall, 0.6 s."""
    bide_s: float = 0.3
    """s for which a standby's start or end must have been wished = 3 x beat_s. The words of sides that meet, and of machines that turn to
    another revision, come within that; nobody waits for a standby."""
    provisional_s: float = 180.0
    """s within which claims made while a whole room starts may be handed over once: longer than the slowest boot (120 s) and the
    boot_grace (20 s), with some to spare."""
    steady_s: float = 60.0
    """s without a break until a machine may be failed back to: a computer that dies of heat or of a bad supply dies within that."""
    aside_s: float = 30.0
    """s for which a machine that came back too often is put aside; doubles each time."""
    aside_max_s: float = 600.0
    """s to which that grows, and as long without a break until its returns are forgotten: ten minutes are a visit."""
    returns_max: int = 3
    """times that a machine may come back before that: a technician who tries a plug twice is no flapping machine."""


WIRED = Timing()
# What a radio changes. 5 % lost beside 20 to 70 ms of delay must not even be a suspicion, and a burst of 0.4 s in which nothing passes
# must be no more than one:
#   suspect_s  = 4 x beat_s + 150 ms: that burst, the beat that is due after it, and a delay at its worst (50 ms of jitter)
#   dead_s     = 2 x 0.4 s + 100 ms. A burst that follows upon another; six rounds of probes
#   probe_s    = 2 x (20 + 50 ms) + 10 ms. Two delays at their worst: an earlier second probe would learn nothing
#   hold_s     = 3 x dead_s, rounded up;   together_s = suspect_s - 50 ms: one burst is one silence
WIRELESS = Timing(suspect_s=0.55, dead_s=0.9, probe_s=0.15, hold_s=3.0, together_s=0.5)
PRESETS = {"wired": WIRED, "wireless": WIRELESS}
WAITING_TIMING = "wired"  # of an agent that was started without a deployment
