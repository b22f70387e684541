"""What a rehearsed room did, gathered from its nodes' reports: who plays where, frames, requests, take-overs and their gaps.

A take-over's gap is what its consumers measured (`mesh/core/gaps.py`), never a difference of the agents' clocks: of several
consumers, the longest. A gap is told a second after the change was heard; one that comes much later belongs to another change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mesh.core.names import role_name

GAP_WITHIN_S = 6.0  # after the take-over and the gap itself: the second that is measured, and time to be told


@dataclass(slots=True)
class Tally:
    """What the room did, gathered from its nodes' reports. `wired` are the streams that some role hears."""

    wired: tuple[str, ...] = ()
    roles: dict[str, dict[str, Any]] = field(default_factory=dict)  # instance -> what its holder last said
    standbys: dict[str, dict[str, Any]] = field(default_factory=dict)
    pulses: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)  # (instance, machine, generation)
    takeovers: list[dict[str, Any]] = field(default_factory=list)
    health: dict[str, str] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    _taken_s: list[float] = field(default_factory=list)  # when each take-over was told
    _played: set[str] = field(default_factory=set)

    def take(self, event: dict[str, Any], now: float = 0.0) -> None:
        """One event of one node, at this moment."""
        match event["event"]:
            case "report":
                self._report(event["machine"], event["roles"])
            case "takeover":
                before = event.get("from") or self.roles.get(event["instance"], {}).get("machine")
                row = {"instance": event["instance"], "from": before, "to": event["to"], "cause": event["cause"], "gap_ms": None}
                self.takeovers.append(row)
                self._taken_s.append(now)
            case "role_gap":
                self._gap(event, now)

    def _report(self, machine: str, roles: dict[str, dict[str, Any]]) -> None:
        self.health[machine] = "alive"
        for name, said in list(self.standbys.items()):
            if said["machine"] == machine and roles.get(name, {}).get("part") != "standby":
                del self.standbys[name]
        for name, said in self.roles.items():
            if said["machine"] == machine and roles.get(name, {}).get("part") != "holder":
                said["state"] = "ended"
        for name, said in roles.items():
            where = self.roles if said["part"] == "holder" else self.standbys
            known = where.get(name)
            if known is None or (said["epoch"], machine == known["machine"]) >= (known["epoch"], False):
                where[name] = {"machine": machine, **said}
            if said["pulse"]:
                self.pulses[(name, machine, said["generation"])] = said["pulse"]

    def _gap(self, event: dict[str, Any], now: float) -> None:
        """To the last take-over of what the consumer hears; of several consumers the longest counts."""
        gap_ms = float(event["gap_ms"])
        self.gaps.append({"instance": event["source"], "heard_by": event["instance"], "gap_ms": gap_ms})
        for takeover, taken_s in zip(reversed(self.takeovers), reversed(self._taken_s), strict=True):
            if event["source"] in (takeover["instance"], takeover["instance"].partition("/")[0]):  # copies that answer are measured as one
                if now - taken_s <= gap_ms / 1000 + GAP_WITHIN_S:
                    takeover["gap_ms"] = max(gap_ms, takeover["gap_ms"] or 0.0)
                return

    def all_played(self, instances: Iterable[str]) -> bool:
        """Whether each of these has played at some moment."""
        self._played |= {name for name, said in self.roles.items() if said["state"] == "playing"}
        return self._played >= set(instances)

    def page_addresses(self) -> dict[str, str]:
        """Where the room's pages are: instance -> address."""
        found = {}
        for (name, _, _), pulse in sorted(self.pulses.items()):
            if pulse.get("facts", {}).get("page"):
                found[name] = str(pulse["facts"]["page"])
        return found

    def summary(self) -> dict[str, Any]:
        """The last line of `rehearse --json`."""
        frames = dict.fromkeys(self.wired, 0)
        requests = dict.fromkeys(("asked", "answered", "cancelled", "lost", "open", "retried"), 0)
        for (name, _, _), pulse in self.pulses.items():
            role = role_name(name)
            for stream, count in pulse.get("frames", {}).items() if pulse.get("playing") else ():
                full = stream if "." in stream else f"{role}.{stream}"
                if count or full in frames:
                    frames[full] = frames.get(full, 0) + count
            for key, count in pulse.get("requests", {}).items():
                if key in requests:
                    requests[key] += count
        roles = {
            name: {key: said[key] for key in ("machine", "state", "restarts", "pid")} for name, said in sorted(self.roles.items())
        }
        return {"event": "summary", "frames": frames, "roles": roles, "requests": requests, "takeovers": self.takeovers,
                "faults": self.faults, "gaps": self.gaps}
