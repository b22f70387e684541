"""Which chunk to ask of whom next, while a revision is fetched: one machine's part in a crowd that helps itself.

Everybody who fetches also serves what it has, so that a room of eight has a new model little later than a room of one: each
chunk has to leave the machine that had it first only once. For that, those who fetch must not ask the same of it. They need
not speak of it: whoever fetches is known by all, chunk i is first asked for by fetcher number i (mod their number), and passes
from it to the others. What a fetcher has asked for its own share of, it takes from the others, the rarest first; when nothing
else is left it helps itself to anybody's share, one chunk at a time, so that a slow or lost machine delays nobody for long.

Pure: time is an argument, sets of chunks are bits of a number. Decided against: a plan made by one (it may die), and choosing at
random alone (towards the end, half of what is asked of the first machine would be asked twice).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mesh.core.manifest import bits_of

WINDOW = 3  # chunks asked of one source and not yet come
FLIGHT_MAX = 24  # in all: bounds memory, and what a busy network has to carry at once
LOOK_AT = 64  # candidates among which the rarest is chosen
LATE_S = 6.0  # a chunk that has not come by then may be asked of another
DEAF_S = 15.0  # a source that has said nothing for so long is asked nothing until it speaks
WRONG_MAX = 3  # chunks that were not what their hash says: then it is asked no more


@dataclass(slots=True)
class Source:
    """A machine that may have chunks. `bits` is what it said it has."""

    bits: int = 0
    asked: dict[int, float] = field(default_factory=dict)  # chunk -> when
    heard_s: float = 0.0
    wrong: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Fetching:
    """One revision on its way to this machine. `count` chunks, of which `have` are here."""

    me: str
    count: int
    have: int = 0
    sources: dict[str, Source] = field(default_factory=dict)
    received: int = 0  # chunks that came, right or wrong
    repeated: int = 0  # of these, what was here already
    _order: list[int] = field(default_factory=list)
    _shares: tuple[str, ...] = ()

    @property
    def all(self) -> int:
        """The bits of the whole."""
        return (1 << self.count) - 1

    @property
    def done(self) -> bool:
        """Whether every chunk is here."""
        return self.have == self.all

    # ---- what is heard

    def heard(self, node: str, bits: int, now: float) -> None:
        """A machine says which chunks it has."""
        source = self.sources.setdefault(node, Source())
        source.bits, source.heard_s = bits & self.all, now

    def lost(self, node: str) -> None:
        """A machine is gone; what it was asked for is asked of others."""
        self.sources.pop(node, None)

    def got(self, node: str, index: int, now: float) -> bool:
        """A chunk came that is what its hash says. False when it was here already."""
        self.received += 1
        source = self.sources.get(node)
        if source is not None:
            source.asked.pop(index, None)
            source.heard_s = now
        new = not self.have >> index & 1
        self.have |= 1 << index
        self.repeated += not new
        return new

    def wrong(self, node: str, index: int) -> bool:
        """A chunk came that is not what its hash says, or was refused. True when that source is asked no more."""
        source = self.sources.setdefault(node, Source())
        source.asked.pop(index, None)
        source.wrong.add(index)
        return len(source.wrong) >= WRONG_MAX

    # ---- what is asked

    def next(self, now: float) -> list[tuple[str, int]]:
        """What to ask now, as (node, chunk); it counts as asked from here on."""
        self._share_out()
        asked: list[tuple[str, int]] = []
        flying = self._flying(now)
        usable = sorted(
            (len(each.asked), node) for node, each in self.sources.items()
            if len(each.wrong) < WRONG_MAX and now - each.heard_s < DEAF_S
        )
        progress = True
        while progress and self._in_flight() < FLIGHT_MAX:
            progress = False
            for _, node in usable:
                source = self.sources[node]
                if len(source.asked) >= WINDOW or self._in_flight() >= FLIGHT_MAX:
                    continue
                index = self._choose(node, source, flying)
                if index is None:
                    continue
                source.asked[index] = now
                flying |= 1 << index
                asked.append((node, index))
                progress = True
        return asked

    def _in_flight(self) -> int:
        return sum(len(each.asked) for each in self.sources.values())

    def _flying(self, now: float) -> int:
        """What is asked and not late; what is very late is given up, so that its place in the window is free."""
        for each in self.sources.values():
            for index in [index for index, when in each.asked.items() if now - when > DEAF_S]:
                del each.asked[index]
        return bits_of(index for each in self.sources.values() for index, when in each.asked.items() if now - when < LATE_S)

    def _share_out(self) -> None:
        """Who fetches shares the whole out among them; each goes through its own in an order of its own."""
        fetchers = tuple(sorted({self.me, *(node for node, each in self.sources.items() if each.bits != self.all)}))
        if fetchers == self._shares:
            return
        self._shares = fetchers
        mine, count = fetchers.index(self.me), len(fetchers)
        self._order = sorted(range(self.count), key=lambda index: (index % count != mine, _dice(self.me, index)))

    def _choose(self, node: str, source: Source, flying: int) -> int | None:
        """The chunk to ask of this source, or None."""
        open_bits = source.bits & ~self.have & ~flying & ~bits_of(source.wrong) & ~bits_of(source.asked)
        if not open_bits:
            return None
        if source.bits != self.all or len(self._shares) == 1:
            return self._rarest(open_bits)
        mine, count = self._shares.index(self.me), len(self._shares)
        own = next((index for index in self._in_order(open_bits) if index % count == mine), None)
        if own is not None:
            return own
        if source.asked:
            return None
        with_fetchers = 0
        for each in self.sources.values():
            if each.bits != self.all:
                with_fetchers |= each.bits
        return self._rarest(open_bits & ~with_fetchers or open_bits)

    def _in_order(self, bits: int) -> Iterator[int]:
        return (index for index in self._order if bits >> index & 1)

    def _rarest(self, bits: int) -> int | None:
        """Of the first candidates in this machine's own order, the one that the fewest have."""
        best: tuple[int, int] | None = None
        for seen, index in enumerate(self._in_order(bits)):
            if seen >= LOOK_AT:
                break
            held = sum(each.bits >> index & 1 for each in self.sources.values())
            if best is None or held < best[0]:
                best = (held, index)
        return best[1] if best is not None else None


def _dice(node: str, index: int) -> bytes:
    return hashlib.blake2b(f"{node} {index}".encode(), digest_size=8).digest()
