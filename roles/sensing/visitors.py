"""Visitors who are not there: a believable crowd for rehearsals, for tests, and for nights at the studio.

The crowd moves by steps of its own and never looks at a clock, so that a seed gives the same afternoon each time, on any
machine, however late a tick comes. Pictures, where they are wanted, look down on the room: dark floor, soft figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import RoleError
from mesh.role import Event, Image, Options, Role
from roles.sensing.crowd import Crowd, Habits

STEP_S_MAX = 0.5
WARM_UP_S = 1800.0  # of the crowd's time before the first frame, so that the room is not empty at the start


class VisitorsOptions(Options):
    seed: int = Field(1, description="the same seed gives the same people")
    rate: float = Field(10.0, gt=0, le=60, description="frames a second")
    at: str = Field("14:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="the time of day at which it begins")
    speed: float = Field(1.0, gt=0, le=1000, description="how many times faster than life; 60: an hour a minute")
    room: tuple[float, float] = Field((8.0, 6.0), description="width and depth in metres; the door is in the middle of the width")
    per_hour: float = Field(60.0, ge=0, le=2000, description="groups that come in an hour when it is busiest")
    stay_s: float = Field(120.0, gt=0, le=36_000, description="how long half of them stay, in seconds")
    most: int = Field(40, ge=1, le=200, description="nobody enters a room that is so full")
    opens: str = Field("10:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="when the first may come")
    closes: str = Field("18:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$", description="when everybody goes")
    size: str | None = Field(
        None, pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$", description='draw pictures of this width x height, such as "320x240"; left out: none'
    )


class Visitors(Role):
    """Emits who is where: {"time": "14:03:10", "count": 2, "people": [{"id", "group", "x", "y", "still_s"}], "came": [], "left": []};
    x and y from 0 to 1. With `size` it draws them, too. They are simulated: a seed gives the same day each time."""

    outputs = {"people": Event, "image": Image}
    Options = VisitorsOptions

    def setup(self) -> None:
        options = self.options
        opens_s, closes_s = _seconds(options.opens), _seconds(options.closes)
        if not opens_s < closes_s or min(options.room) < 1.0 or max(options.room) > 200.0:
            raise RoleError("nobody could come: it closes before it opens, or the room is too small or too large", where=self.name,
                            instead="write opens before closes, and a room of 1 to 200 metres each way")
        width_m, depth_m = options.room
        habits = Habits(options.seed, width_m, depth_m, options.per_hour, options.stay_s, options.most, opens_s, closes_s)
        self._crowd = Crowd(habits)
        begins_s = _seconds(options.at)
        self._crowd.time_s = max(0.0, begins_s - WARM_UP_S)
        while self._crowd.time_s < begins_s:
            self._crowd.step(min(STEP_S_MAX, begins_s - self._crowd.time_s))
        self._brush = _Brush(options.size, options.room) if options.size else None
        self.say(f"simulates visitors from {options.at}, seed {options.seed}")

    def tick(self) -> float | None:
        now, came, left = self.now_s(), [], []
        passes_s = self.options.speed / self.options.rate
        steps = max(1, round(passes_s / STEP_S_MAX))
        for _ in range(steps):
            self._crowd.step(passes_s / steps)
            came += self._crowd.came
            left += self._crowd.left
        self.works()
        self.emit("people", self._said(came, left), captured_s=now)
        if self._brush is not None:
            self.emit("image", self._brush.draw(self._crowd), captured_s=now)
        return 1.0 / float(self.options.rate)

    def _said(self, came: list[int], left: list[int]) -> dict[str, Any]:
        width, depth = self.options.room
        seconds = int(self._crowd.time_s) % 86_400
        people = [
            {
                "id": each.id, "group": each.group, "x": round(each.x / width, 4), "y": round(each.y / depth, 4),
                "still_s": round(each.still_s, 1),
            }
            for each in self._crowd.people
        ]
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return {"time": clock, "count": len(people), "people": people, "came": came, "left": left}


class _Brush:
    """Draws the crowd from above: a dark floor that is lighter towards the door, and a soft round figure for each."""

    def __init__(self, size: str, room: tuple[float, float]) -> None:
        self._width, self._height = (int(each) for each in size.split("x"))
        self._room = room
        down = np.linspace(1.0, 0.5, self._height)[:, None, None]
        self._floor = np.broadcast_to(np.array([34.0, 32.0, 38.0]) * down, (self._height, self._width, 3)).copy()
        self._radius = max(2.0, 0.45 * min(self._width / room[0], self._height / room[1]))
        reach = int(self._radius * 2)
        across, along = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        self._reach, self._soft = reach, np.exp(-(across**2 + along**2) / self._radius**2)[..., None]

    def draw(self, crowd: Crowd) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The room now, RGB."""
        picture = self._floor.copy()
        for person in crowd.people:
            tint = np.array([150 + person.group * 37 % 90, 140 + person.group * 53 % 80, 130 + person.group * 29 % 90], float)
            self._dab(picture, person.x / self._room[0] * (self._width - 1), person.y / self._room[1] * (self._height - 1), tint)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def _dab(self, picture: Any, x: float, y: float, tint: Any) -> None:
        left, top = round(x) - self._reach, round(y) - self._reach
        columns = slice(max(0, left), min(self._width, left + 2 * self._reach + 1))
        rows = slice(max(0, top), min(self._height, top + 2 * self._reach + 1))
        if columns.start < columns.stop and rows.start < rows.stop:
            soft = self._soft[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            picture[rows, columns] = picture[rows, columns] * (1 - soft) + tint * soft


def _seconds(clock: str) -> float:
    hours, minutes = clock.split(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0
