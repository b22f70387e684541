"""Who was turned away, why and how often, by address: so that a technician reads in `status` what knocks, in place of a silent counter.

Bounded: the addresses heard of last are kept, since anybody can send from any. Time is an argument.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ADDRESSES_MAX = 64
SHOWN, SHOWN_S = 8, 120.0


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
