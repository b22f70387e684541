"""What `roomful status` says: who is here, who plays what, and, in plain words, what is wrong and what to do.

Pure, so that every sentence can be tested. "Not here" is never enough: a machine that was seen or is
expected gets the reason that fits, of those that are known on this node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.core.claims import HOLDER, PLAYING, READY, STARTING
from mesh.core.members import Member
from mesh.core.messages import PROTOCOL, Claim, NodeRecord, NodeState
from mesh.core.node import Node
from mesh.core.timing import PRESETS

# What the transport found at a peer's addresses, by its hint, in words.
HINTS = {
    "unreachable": "its address {address} does not answer: check the cable, the switch, or a firewall on it",
    "refused": "its computer answers at {address}, but no Roomful agent listens there: start it with `roomful agent`",
    "wrong-key": "it has another installation's key: give it this one's with `roomful key add`",
    "unknown": "it answers at {address}, but has shown no certificate of this installation: give it the key with `roomful key add`; if it "
    "has it, install the same version of Roomful on both, and open UDP port 47600",
    "stranger": "another node answers at its address {address}: two machines may share one address",
    "lost": "its connection broke a moment ago",
}
DRAINED = "drained: it plays nothing until `roomful undrain`"
ASIDE = "put aside: it came and went too often, so it plays only what nobody else can"
GAVE_UP_SHOWN = 3
STRANGERS_SHOWN = 8


def status(node: Node, hints: Mapping[str, tuple[str, str]], now: float = 0.0) -> dict[str, Any]:
    """The room as this node sees it, in the shape of DESIGN.md section 7. `hints` holds the transport's last word on
    each peer that is not linked: (hint, address); `now` is this node's own clock."""
    machines = {node.me.name or node.me.node[:8]: _myself(node, now)}
    for member in sorted(node.membership.members.values(), key=lambda each: each.record.name):
        machines[_free(member.record.name or member.record.node[:8], machines)] = {
            "health": member.health, "why": _why(node, member, hints),
            "roles": _roles(member.state) if member.here else [], "node": member.record.node,
            "addresses": list(member.record.addresses), "revision": list(member.state.revision) if member.state else None,
            "drained": member.state is not None and member.state.drained,
        }
    for peer in node.peers.records():
        if peer.node not in node.membership.members:
            machines[_free(peer.name or peer.node[:8], machines)] = _absent("seen", _unmet(node, peer, hints), peer)
    named = {machine.name for machine in node.deployment.machines} if node.deployment else set()
    shown = sorted(node.peers.strangers.values(), key=lambda each: each.name in named)[-STRANGERS_SHOWN:]
    for stranger in shown:  # anybody can announce hundreds: the last of them, and before all those that have a name of the file's
        machines[_free(stranger.name or stranger.node[:8], machines)] = _absent("stranger", _strange(node, stranger), stranger)
    for machine in node.deployment.machines if node.deployment else ():
        if machine.name not in machines:
            why = "never seen: is it switched on, on this network, and started as `roomful agent --name " + machine.name + "`?"
            machines[machine.name] = {"health": "expected", "why": why, "roles": []}
    return {
        "installation": node.deployment.installation if node.deployment else "",
        "order": node.state.order.state, "machines": machines, "roles": _who_plays(node), "revision": list(node.state.revision),
        "kept": [list(each) for each in node.distribution.others()],
        "alarms": sorted([*node.membership.alarms, *node.contacts.others.alarms(node.me)]),
    }


def _myself(node: Node, now: float) -> dict[str, Any]:
    return {
        "health": "alive", "why": _why_myself(node, now), "roles": _roles(node.state), "node": node.me.node,
        "addresses": list(node.me.addresses), "revision": list(node.state.revision), "self": True,
        "drained": node.state.drained,
        "clock": node.clock.described(now, names(node)),
    }


def names(node: Node) -> dict[str, str]:
    """What each node that was ever met calls itself."""
    return {node.me.node: node.me.name, **{each.record.node: each.record.name for each in node.membership.members.values()}}


def _why_myself(node: Node, now: float) -> str:
    if node.deployment is None:
        return _on_its_way(node.state) or "it holds no deployment: send it one, `roomful up DIR`"
    said = []
    if node.judge.held_since_s is not None:
        said.append("cut off: half of the others fell silent together, so the fault may be here; it holds its verdicts for "
                    f"{node.timing.hold_s:g} s, then plays on")
    elif node.membership.lost() and not node.membership.present():
        said.append("cut off: it hears none of the others and plays on alone")
    elif not node.standing.start.settled:
        said.append("waits for the machines that the file names, at most the boot grace")
    wanted = node.deployment.timing
    if node.timing in PRESETS.values() and PRESETS[wanted] != node.timing:
        said.append(f"its agent was started with another timing than its file now names ({wanted}): start it anew")
    if not node.judge.carrier:
        said.append("its network cable is out, or the switch is off")
    steadiness = node.standing.steadiness
    if steadiness.put_aside:
        said.append(f"{ASIDE} for {max(1, round(steadiness.aside_until_s - now))} s more")
    said += [coming] if (coming := _on_its_way(node.state)) else []
    return "; ".join([*said, *_in_service(node.state)])


def _on_its_way(state: NodeState) -> str:
    """What a machine says of a revision that it should have, and does not play yet."""
    for purpose, wanted in (("is to play", state.ordered), ("is sent", state.offered)):
        if not wanted.hash or (wanted.number, wanted.hash) <= state.revision:
            continue
        why = dict(state.cannot).get(wanted.hash)
        if why is not None:
            return f"it {purpose} revision {wanted.number} ({wanted.hash[:8]}) and cannot: {why}"
        if wanted.hash not in state.ready:
            return f"it {purpose} revision {wanted.number} ({wanted.hash[:8]}), which is on its way"
    return ""


def _in_service(state: NodeState) -> list[str]:
    """What a machine says of itself that keeps roles away from it."""
    said = [DRAINED] if state.drained else []
    said += [f"gave up on {instance} here and tries again later: {why}" for instance, why in state.gave_up[:GAVE_UP_SHOWN]]
    if len(state.gave_up) > GAVE_UP_SHOWN:
        said.append(f"and on {len(state.gave_up) - GAVE_UP_SHOWN} more")
    return said


def _absent(health: str, why: str, record: NodeRecord) -> dict[str, Any]:
    return {"health": health, "why": why, "roles": [], "node": record.node, "addresses": list(record.addresses)}


def _why(node: Node, member: Member, hints: Mapping[str, tuple[str, str]]) -> str:
    record, health, state = member.record, member.health, member.state
    if health == "left":
        return "it was stopped by hand"
    if health in ("dead", "suspect"):
        hint, address = hints.get(record.node, ("", ""))
        found = HINTS.get(hint, "").format(address=address)
        return found or "it fell silent: power, cable, or a crash"
    if state is None:
        return "it has just arrived"
    mine, other = node.state.revision, state.revision
    if not other[1]:
        return _on_its_way(state) or "it holds no deployment, so it plays nothing: send it one, `roomful up DIR`"
    if mine[1] and other[1] != mine[1]:
        coming = _on_its_way(state)
        named = f"its deployment is another revision ({other[1][:8]}, this room plays {mine[1][:8]})"
        return f"{named}; {coming}" if coming else f"{named}: send both the same, `roomful up DIR`"
    named_machines = {machine.name for machine in node.deployment.machines} if node.deployment else set()
    said = [coming] if (coming := _on_its_way(state)) else []
    if member.by_link:
        said.append("its datagrams do not come through, so its heartbeats come over the link and a fault is noticed only after "
                    f"{node.timing.link_suspect_s + node.timing.link_dead_s:.1f} s: open UDP port {record.beat_port} in its firewall")
    if state.put_aside:
        said.append(f"{ASIDE}{f', for {state.aside_s} s' if state.aside_s else ''}")
    said += _in_service(state)
    if named_machines and record.name not in named_machines:
        said.append(f"a spare: the file names no machine {record.name!r}")
    return "; ".join(said)


def _unmet(node: Node, peer: NodeRecord, hints: Mapping[str, tuple[str, str]]) -> str:
    hint, address = hints.get(peer.node, ("", ""))
    return HINTS.get(hint, "seen, but not reached yet").format(address=address or ", ".join(peer.addresses))


def _strange(node: Node, record: NodeRecord) -> str:
    other = node.contacts.others.met.get(record.node)
    if other is not None:
        return f"it plays another work, {other.work or 'without a name'}, with the same key: give one of the two a key of its own"
    if record.protocol != PROTOCOL:
        return f"it speaks protocol version {record.protocol}, this room {PROTOCOL}: install the same version of Roomful on both"
    return "it belongs to another installation: another name in its deployment file, or another key"


def _roles(state: NodeState | None) -> list[str]:
    claims = state.claims if state else ()
    return [claim.instance if claim.part == HOLDER else f"{claim.instance} (standby)" for claim in claims]


def _who_plays(node: Node) -> dict[str, Any]:
    """Every instance that the deployment asks for: where it is, in what state, and if not playing, why."""
    names = {node.me.node: node.me.name, **{m.record.node: m.record.name for m in node.membership.members.values()}}
    found: dict[str, Any] = {}
    homes = node.placing.homes()
    for instance in node.instances:
        believed = node.ledger.believed(instance.name)
        standbys = [names.get(each.node, "") for each in node.ledger.standbys.get(instance.name, ()) if each.claim.state == READY]
        if believed is None:
            why = node.placement.unplaced.get(instance.name, "")
            idle = "the room is down: `roomful up`" if node.state.order.state != "up" else "waits for a machine to claim it"
            found[instance.name] = {"machine": None, "state": "unplaced", "why": why or idle, "standby": standbys}
        else:
            found[instance.name] = {
                "machine": names.get(believed.node, believed.node[:8]), "state": believed.claim.state,
                "why": _waiting(believed.claim), "standby": standbys, "epoch": believed.claim.epoch,
                "restarts": believed.claim.restarts, "pid": believed.claim.pid,
                "home": names.get(homes.get(instance.name, believed.node), believed.node[:8]),
                **({"model": believed.claim.model} if believed.claim.model else {}),
            }
    return found


def _waiting(claim: Claim) -> str:
    if claim.state == PLAYING:
        return f"started again and not known to work yet, after: {claim.trouble}" if claim.trouble else ""
    if claim.state == STARTING:
        return f"starting again after: {claim.trouble}" if claim.trouble else "its process is loading"
    return "loaded; waits for the roles it hears"


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Two machines of one name are both shown."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
