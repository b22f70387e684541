"""A room that is made up, as a camera on its wall would see it: what stands in for a camera in a rehearsal, where there is none.

The same people as `sensing.visitors` simulates, always the same ones: near ones are large and low in the picture, and hide those behind.
They are drawn in plain shapes with soft edges; a model that knows people from photographs need not take them for any. Decided against: a
film of a real room, which would have to be somebody's, and weigh more than all else together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from roles.sensing.crowd import Crowd, Habits, Person
from roles.sensing.sources import Picture, Size, Source, finish

WIDTH, HEIGHT, RATE = 640, 480, 15.0
HORIZON = 0.3  # of the height: where the floor meets the wall behind
BEGINS_S, WARM_UP_S = 14 * 3600.0, 180.0
NEAR_M = 2.5  # from the camera to the nearest that anybody stands
SEED = 7
TINTS = ((64, 70, 92), (92, 66, 60), (58, 84, 78), (84, 80, 62), (76, 62, 84))  # of what they wear; blue, green, red


class Scene(Source):
    """Pictures of nobody's room, `RATE` a second."""

    def __init__(self, cv2: Any, size: Size) -> None:
        super().__init__()
        self._cv2, self._size = cv2, size
        self.label, self.rate = "a made-up room", RATE
        self._crowd = Crowd(Habits(seed=SEED, per_hour=150.0, stay_s=90.0, most=8))
        self._crowd.time_s = BEGINS_S - WARM_UP_S
        while self._crowd.time_s < BEGINS_S:
            self._crowd.step(0.5)
        self._empty = _room()

    def read(self, elapsed_s: float) -> Picture | None:
        self._crowd.step(min(1.0, elapsed_s))
        picture = self._empty.copy()
        for person in sorted(self._crowd.people, key=lambda each: -each.y):  # the door is where the camera hangs
            self._draw(picture, person)
        return finish(self._cv2, self._cv2.GaussianBlur(picture, (5, 5), 0), self._size)

    def _draw(self, picture: Picture, person: Person) -> None:
        habits, cv2 = self._crowd.habits, self._cv2
        scale = NEAR_M / (NEAR_M + person.y)
        feet = round(HEIGHT * (HORIZON + (0.98 - HORIZON) * scale))
        across = round(WIDTH * (0.5 + (person.x / habits.width_m - 0.5) * (0.35 + 0.75 * scale)))
        tall = HEIGHT * 0.62 * scale * (0.92 + 0.04 * (person.id % 5))
        shade = 0.75 + 0.25 * scale
        tint = tuple(round(each * shade) for each in TINTS[person.id % len(TINTS)])
        skin = tuple(round(each * shade) for each in (110, 132, 168))
        dark = tuple(each // 2 for each in tint)
        cv2.ellipse(picture, (across, feet), (round(tall * 0.2), max(2, round(tall * 0.035))), 0, 0, 360, (22, 24, 28), -1)  # its shadow
        cv2.ellipse(picture, (across, round(feet - tall * 0.24)), (round(tall * 0.11), round(tall * 0.26)), 0, 0, 360, dark, -1)
        cv2.ellipse(picture, (across, round(feet - tall * 0.6)), (round(tall * 0.145), round(tall * 0.25)), 0, 0, 360, tint, -1)
        cv2.circle(picture, (across, round(feet - tall * 0.92)), max(2, round(tall * 0.075)), skin, -1)


def _room() -> Picture:
    """A wall behind, lit from above, and a floor."""
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None, None] / HEIGHT
    wall = np.array([92.0, 98.0, 104.0]) * (0.75 + rows / HORIZON * 0.25)
    floor = np.array([46.0, 52.0, 60.0]) * (0.7 + (rows - HORIZON) * 0.7)
    return np.broadcast_to(np.where(rows < HORIZON, wall, floor), (HEIGHT, WIDTH, 3)).astype(np.uint8)
