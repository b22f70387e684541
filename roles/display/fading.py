"""Levels that move: every channel on its way from where it is to where it was sent.

Pure. A new order takes a channel up where it is at that moment, so that a change of mind in the middle of a fade is no jump.
Levels are 0 to 1; a channel of two bytes moves in 65,536 steps, which shows in slow fades near black.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Place = int | str


@dataclass(slots=True)
class _Way:
    begin: float = 0.0
    end: float = 0.0
    began_s: float = 0.0
    for_s: float = 0.0

    def at(self, now_s: float) -> float:
        part = 1.0 if self.for_s <= 0 else min(1.0, max(0.0, (now_s - self.began_s) / self.for_s))
        return self.begin + (self.end - self.begin) * part


def places_of(channels: Place | Sequence[Place]) -> list[tuple[int, int | None]]:
    """(coarse, fine or None) of each channel, counted from 0: 5 is one channel, "5+6" one of two bytes, [5, 6] are two.
    ValueError for what is none."""
    found = []
    for channel in channels if isinstance(channels, list | tuple) else [channels]:
        match = re.fullmatch(r"(\d{1,6})(?:\+(\d{1,6}))?", str(channel).replace(" ", ""))
        numbers = [int(number) for number in match.groups() if number] if match else []
        if not numbers or min(numbers) < 1:
            raise ValueError(f"{channel!r} is not a channel")
        found.append((numbers[0] - 1, numbers[1] - 1 if len(numbers) > 1 else None))
    return found


@dataclass
class Fading:
    """The levels of all channels. `places` are the channels of each name, `gamma` bends them to the eye."""

    places: Mapping[str, list[tuple[int, int | None]]]
    gamma: float = 1.0
    ways: dict[tuple[int, int | None], _Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for places in self.places.values():  # what has a name is sent from the start
            for place in places:
                self.ways[place] = _Way()

    def send(self, name: str, levels: Sequence[float], now_s: float, for_s: float) -> None:
        """The channels of `name` to `levels`: one level for all of them, or one for each in turn."""
        places = self.places[name]
        for number, place in enumerate(places):
            if len(levels) == 1 or number < len(levels):
                self.go(place, levels[0 if len(levels) == 1 else number], now_s, for_s)

    def go(self, place: tuple[int, int | None], level: float, now_s: float, for_s: float) -> None:
        """One channel to one level."""
        level = min(1.0, max(0.0, level)) if level == level else 0.0
        way = self.ways.setdefault(place, _Way())
        if way.end == level and now_s < way.began_s + way.for_s:
            return  # on its way already: the same order again must not slow it down
        self.ways[place] = _Way(way.at(now_s), level, now_s, for_s)

    def moving(self, now_s: float) -> bool:
        """Whether any channel is still on its way."""
        return any(way.begin != way.end and now_s <= way.began_s + way.for_s for way in self.ways.values())

    def universes(self, now_s: float) -> list[bytes]:
        """The levels now as bytes, 512 of each universe; at least one universe."""
        last = max([number for place in self.ways for number in place if number is not None], default=0)
        values = bytearray(512 * (last // 512 + 1))
        for (coarse, fine), way in self.ways.items():
            level = way.at(now_s) ** self.gamma
            if fine is None:
                values[coarse] = round(level * 255)
            else:
                values[coarse], values[fine] = divmod(round(level * 65535), 256)
        return [bytes(values[start : start + 512]) for start in range(0, len(values), 512)]
