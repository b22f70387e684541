"""Who was turned away, why and how often, by address: so that a technician reads in `status` what knocks, in place of a silent counter.

Bounded: the addresses heard of last are kept, since anybody can send from any. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ADDRESSES_MAX = 64
SHOWN, SHOWN_S = 8, 120.0
PORTS = {
    "datagram": "at heartbeat ports", "connections": "at control ports", "control": "in words at control ports",
    "revisions": "at ports for revisions", "roles": "at the roles' ports", "links": "at lines between an agent and its roles",
}  # fmt: skip


class Refusal(NamedTuple):
    """The last reason, how often in all, and when last."""

    what: str
    times: int
    last_s: float


class Refusals:
    """One node's."""

    def __init__(self) -> None:
        self._by_address: dict[str, Refusal] = {}

    def note(self, address: str, what: str, now: float) -> None:
        """Something from this address was refused."""
        before = self._by_address.pop(address, None)
        self._by_address[address] = Refusal(what[:200], (before.times if before else 0) + 1, now)
        if len(self._by_address) > ADDRESSES_MAX:
            del self._by_address[next(iter(self._by_address))]

    def described(self, now: float) -> list[dict[str, Any]]:
        """Of the last two minutes, the most frequent first."""
        late = [(address, each) for address, each in self._by_address.items() if now - each.last_s <= SHOWN_S]
        late.sort(key=lambda each: -each[1].times)
        return [{"address": address, "what": each.what, "count": each.times, "ago_s": round(now - each.last_s, 1)}
                for address, each in late[:SHOWN]]


def by_port(machines: Iterable[Mapping[str, Any]]) -> str:
    """How much all machines have turned away so far, by the kind of port, in a sentence; "" where nothing was. Each of them says so
    itself, as counts by the keys of `PORTS`."""
    total = dict.fromkeys(PORTS, 0)
    for counts in machines:
        for port in PORTS:
            count = counts.get(port, 0)
            total[port] += count if isinstance(count, int) else 0
    told = [f"{count:,} {PORTS[port]}" for port, count in total.items() if count]
    return f"turned away so far: {', '.join(told)}" if told else ""
