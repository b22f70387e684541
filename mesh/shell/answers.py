"""What a node answers the command line. Each verb is a small method; a caller holds the installation's key, as nodes do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mesh.core.distribution import FETCH, PLAY
from mesh.core.drops import drops
from mesh.core.events import Offered, Wanted
from mesh.core.latency import latencies
from mesh.core.manifest import is_hash
from mesh.core.messages import Answer, Call, ShutOut, Signed
from mesh.core.routes import streams
from mesh.core.status import names, status
from mesh.errors import RoomfulError
from mesh.shell import machine

if TYPE_CHECKING:
    from mesh.shell.agent import Agent
    from mesh.shell.transfer import Transfer

LOG_LINES_MAX = 5000
FOLLOWERS_MAX = 16
EVENTS_MAX = 1000
Reply = Callable[[Answer], bool]


class Answers:
    """The verbs of one node. An unknown verb is answered with a fault, never with silence."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._followers = 0
        self._verbs: dict[str, Callable[[dict[str, Any]], Any]] = {
            "who": self._who, "status": self._status, "order": self._order, "report": self._report, "logs": self._logs,
            "events": self._events, "restore": self._restore, "keys": self._keys, "shut_out": self._shut_out, "streams": self._streams,
            "revisions": self._revisions, "revise": self._revise,
        }

    def answer(self, call: Call, reply: Reply) -> None:
        """Answer a caller; `follow` goes on answering until the caller is gone."""
        if call.verb == "follow":
            self._follow(call, reply)
            return
        verb = self._verbs.get(call.verb)
        if verb is None:
            reply(Answer(call.id, fault=f"this node knows no verb {call.verb!r}: is its Roomful older than yours?"))
            return
        try:
            reply(Answer(call.id, verb(dict(call.arguments))))
        except (RoomfulError, KeyError, TypeError, ValueError, OSError, OverflowError, RecursionError, AttributeError) as fault:
            reply(Answer(call.id, fault=str(fault)))

    def _who(self, arguments: dict[str, Any]) -> dict[str, Any]:
        me = self._agent.node.me
        return {
            "node": me.node, "boot": me.boot, "incarnation": me.incarnation, "name": me.name, "addresses": list(me.addresses),
            "control_port": me.control_port, "beat_port": me.beat_port, "installation": me.installation, "protocol": me.protocol,
            "certificate": me.certificate,
        }

    def _status(self, arguments: dict[str, Any]) -> dict[str, Any]:
        node = self._agent.node
        said = status(node, self._agent.hints, self._agent.now())
        ports = {member.record.node: member.record.control_port for member in node.membership.members.values()}
        states = {member.record.node: member.state for member in node.membership.present() if member.state is not None}
        for each in said["machines"].values():
            each["control_port"] = ports.get(each.get("node", ""), node.me.control_port)
            each["transfer_port"] = states.get(each.get("node", ""), node.state).transfer_port
        self._agent.shutting_out.mark(said["machines"])
        said["facts"] = {instance: pulse.get("facts", {}) for instance, pulse in self._agent.processes.pulses.items()}
        for address, what in self._agent.control.news():
            self._agent.refusals.note(address, what, self._agent.now())
        for address, what in self._transfer.guard.news():
            self._agent.refusals.note(address, f"at the port for revisions: {what}", self._agent.now())
        said["turned_away"] = self._agent.refusals.described(self._agent.now())
        said["refused"] = self._refused()
        return said

    @property
    def _transfer(self) -> Transfer:
        transfer = self._agent.distributing.transfer
        assert transfer is not None  # who answers has opened its ports
        return transfer

    def _refused(self) -> dict[str, int]:
        """What was turned away at this machine's ports since its agent, and the roles that play now, began."""
        agent, roles = self._agent, [pulse.get("refused", {}) for pulse in self._agent.processes.pulses.values()]
        return {
            **agent.refused, "connections": agent.control.refused,
            "revisions": self._transfer.refused + self._transfer.guard.refused + self._transfer.guard.broken,
            "links": agent.processes.link.refused + agent.processes.link.broken,
            "roles": sum(count for each in roles for count in each.values() if isinstance(count, int)),
        }

    def _keys(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._agent.shutting_out.described()

    def _shut_out(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Of the owner only: whoever asks, it is the list's signature that counts."""
        told = ShutOut("", bytes.fromhex(arguments["signed"]), bytes.fromhex(arguments["group_key"]))
        if not told.group_key or not self._agent.shutting_out.hear(told):
            raise RoomfulError("that list is not the owner's, or not newer than the one here", instead="Ask again: roomful key list.")
        return self._agent.shutting_out.described()

    def _streams(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Every stream with who plays it, and the other nodes that could be asked the same."""
        node = self._agent.node
        scene = node.scene()
        doors = [[list(each.record.addresses), each.record.control_port] for each in node.membership.present()]
        return {"node": node.me.node, "streams": streams(scene) if scene else {}, "doors": doors}

    def _order(self, arguments: dict[str, Any]) -> dict[str, Any]:
        verb = arguments["verb"]
        if verb not in ("up", "down", "drain", "undrain"):
            raise ValueError(f"{verb!r} is no order")
        self._agent.feed(Wanted(verb))
        return {"order": self._agent.node.state.order.state}

    def _revisions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What lies here, what is on its way, and how much room there is for more."""
        agent = self._agent
        free = shutil.disk_usage(agent.settings.home).free
        return {"machine": agent.node.me.name, "free_bytes": free, "rehearsal": agent.settings.rehearsal, **agent.distributing.described()}

    def _revise(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """A revision is offered or ordered ("fetch", "play"), with the signature of the key's owner."""
        purpose, signature = str(arguments["purpose"]), arguments["signature"]
        if not isinstance(signature, bytes):
            raise TypeError("a signature is bytes")
        statement = Signed(int(arguments["number"]), str(arguments["hash"]), signature)
        if purpose not in (FETCH, PLAY) or not is_hash(statement.hash) or not self._agent.distributing.trusts(purpose, statement):
            raise RoomfulError(f"revision {statement.number} is not signed with this installation's key: it was refused")
        self._agent.feed(Offered(purpose, statement))
        return self._revisions({})

    def _restore(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let an instance that is held here go to the machine that likes it best: which one that is, this one included."""
        node, instance = self._agent.node, str(arguments["instance"])
        if not node.holds(instance):
            raise ValueError(f"{instance} is not played here")
        self._agent.feed(Wanted("restore", instance))
        target = node.placement.holders.get(instance, node.me.node)
        member = node.membership.members.get(target)
        return {"instance": instance, "to": member.record.name if member is not None else node.me.name}

    def _events(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """The last events; `age_s` is how long ago each was, which needs no clock that is right."""
        now_s = self._agent.now() - self._agent.started_s
        last = max(1, min(EVENTS_MAX, int(arguments.get("last", 200))))
        return [{**event, "age_s": round(now_s - event["t"], 3)} for event in self._agent.events[-last:]]

    def _report(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What this node's own roles do, from their last pulse."""
        node, pulses = self._agent.node, self._agent.processes.pulses
        return {
            "machine": node.me.name, "roles": pulses, "latency": latencies(node.deployment, pulses), "drops": drops(pulses),
            "clock": node.clock.described(self._agent.now(), names(node)), "agent": machine.own_cost(),
            "refused": self._refused(),
        }  # fmt: skip

    def _logs(self, arguments: dict[str, Any]) -> dict[str, list[str]]:
        lines = min(LOG_LINES_MAX, int(arguments.get("lines", 50)))
        wanted = arguments.get("role")
        names = [name for name in self._agent.logs.names() if wanted in (None, name, name.split("/")[0].split("@")[0])]
        return {name: self._agent.logs.tail(name, lines) for name in names}

    def _follow(self, call: Call, reply: Reply) -> None:
        """Every event from now on, until the caller no longer takes them."""
        if self._followers >= FOLLOWERS_MAX:
            reply(Answer(call.id, fault=f"{FOLLOWERS_MAX} callers follow this node already"))
            return
        self._followers += 1

        def tell(event: dict[str, Any]) -> None:
            if not reply(Answer(call.id, event, more=True)):
                self._agent.listeners.remove(tell)
                self._followers -= 1

        self._agent.listeners.append(tell)
        tell({"t": 0.0, "event": "following"})
