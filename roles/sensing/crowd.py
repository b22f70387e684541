"""A simulated crowd: who comes, how long each stays, where they walk. Pure: the same seed gives the same people, for ever.

    crowd = Crowd(Habits(seed=1)); crowd.step(0.1); crowd.people

Visitors arrive in small groups by a day's rhythm (a thinned Poisson process), walk from one thing to look at to the next,
stand before it for a while, keep together with their group and apart from strangers, and leave by the door they came in.
Numbers from studies of museum visitors: about half come in pairs; time at one exhibit is log-normal with a long tail.
Decided against: recorded tracks (whose?), and a model of crowds in panic, which is what most libraries simulate.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

GROUPS = ((1, 0.35), (2, 0.45), (3, 0.12), (4, 0.08))  # size of a group, and how often
PACE_M_S = 0.8  # people in a gallery stroll
APART_M = 0.7  # what strangers keep between them
REACHED_M = 0.5
STANDING_SPREAD = 0.8  # of the logarithm of the time before one thing
# How busy each hour of an open day is, relative to its busiest: quiet mornings, a dip at lunch, a full afternoon.
RHYTHM = (0.25, 0.45, 0.7, 0.6, 0.8, 1.0, 0.9, 0.5)


@dataclass(frozen=True, slots=True)
class Habits:
    """What kind of day it is. Metres, seconds; the room lies from (0, 0) to (width_m, depth_m), its door at the middle of y = 0."""

    seed: int = 1
    width_m: float = 8.0
    depth_m: float = 6.0
    per_hour: float = 60.0  # groups an hour when it is busiest
    stay_s: float = 120.0  # median time in the room
    most: int = 40  # nobody enters a room that is so full
    opens_s: float = 10 * 3600.0  # seconds after midnight
    closes_s: float = 18 * 3600.0
    things: int = 5  # that people stop at


@dataclass(slots=True)
class Person:
    """One visitor: where, of which group, since when standing still, and when they mean to leave."""

    id: int
    group: int
    x: float
    y: float
    leaves_s: float
    goal: tuple[float, float]
    pace: float
    stands_until_s: float = 0.0
    still_s: float = 0.0
    leaving: bool = False


@dataclass(slots=True)
class Crowd:
    """The room's people. `step` moves time on; `came` and `left` are those of the last step."""

    habits: Habits
    time_s: float = 0.0  # after midnight, and on
    people: list[Person] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    _chance: random.Random = field(init=False)
    _things: list[tuple[float, float]] = field(init=False)
    _next_id: int = 1
    _next_group: int = 1

    def __post_init__(self) -> None:
        self._chance = random.Random(self.habits.seed)
        self._things = [self._along_the_walls(number) for number in range(self.habits.things)]

    def _along_the_walls(self, number: int) -> tuple[float, float]:
        """A thing to look at, on one of the three walls that have no door, seen from a metre away."""
        w, d = self.habits.width_m, self.habits.depth_m
        along = (number + self._chance.uniform(0.3, 0.7)) / self.habits.things * (w + 2 * d)
        near = min(1.0, w / 4, d / 4)
        x, y = (near, along) if along < d else (along - d, d - near) if along < d + w else (w - near, 2 * d + w - along)
        return min(w - near, max(near, x)), min(d - near, max(near, y))

    # ---- time

    def step(self, by_s: float) -> None:
        """Move on by `by_s` seconds (up to a second at once moves people believably)."""
        self.came, self.left = [], []
        self.time_s += by_s
        if self._chance.random() < self.busy() * self.habits.per_hour / 3600.0 * by_s:
            self._arrive()
        for person in self.people:
            self._move(person, by_s)
        gone = [each for each in self.people if each.leaving and _distance(each, self._door()) < REACHED_M]
        self.left = [each.id for each in gone]
        self.people = [each for each in self.people if each.id not in set(self.left)]

    def busy(self) -> float:
        """0 while the room is closed, 1 at its busiest; between the hours it changes evenly."""
        habits, day_s = self.habits, self.time_s % 86_400.0
        if not habits.opens_s <= day_s < habits.closes_s:
            return 0.0
        place = (day_s - habits.opens_s) / (habits.closes_s - habits.opens_s) * len(RHYTHM) - 0.5
        before = min(len(RHYTHM) - 1, max(0, math.floor(place)))
        after = min(len(RHYTHM) - 1, before + 1)
        part = min(1.0, max(0.0, place - before))
        return RHYTHM[before] * (1 - part) + RHYTHM[after] * part

    def _door(self) -> tuple[float, float]:
        return self.habits.width_m / 2, 0.0

    def _arrive(self) -> None:
        size = self._chance.choices([each for each, _ in GROUPS], [weight for _, weight in GROUPS])[0]
        if len(self.people) + size > self.habits.most:
            return
        stay_s = self.habits.stay_s * math.exp(self._chance.gauss(0.0, 0.6))
        goal, pace = self._chance.choice(self._things), PACE_M_S * self._chance.uniform(0.7, 1.3)
        x, y = self._door()
        for number in range(size):
            beside = (number - (size - 1) / 2) * 0.5
            person = Person(self._next_id, self._next_group, x + beside, y + 0.6, self.time_s + stay_s, goal, pace)
            self.people.append(person)
            self.came.append(person.id)
            self._next_id += 1
        self._next_group += 1

    # ---- walking

    def _move(self, person: Person, by_s: float) -> None:
        if not person.leaving and (self.time_s >= person.leaves_s or self.busy() == 0.0):
            person.leaving, person.goal, person.stands_until_s = True, self._door(), 0.0
        if person.stands_until_s > self.time_s:
            person.still_s += by_s
            return
        if not person.leaving and _distance(person, person.goal) < REACHED_M + 0.3 * (person.id % 3):
            self._stop_or_go(person)
            return
        ahead = math.atan2(person.goal[1] - person.y, person.goal[0] - person.x)
        push_x, push_y = self._keep_apart(person)
        reach = person.pace * by_s
        person.x = min(self.habits.width_m, max(0.0, person.x + reach * (math.cos(ahead) + push_x)))
        person.y = min(self.habits.depth_m, max(0.0, person.y + reach * (math.sin(ahead) + push_y)))
        person.still_s = 0.0

    def _stop_or_go(self, person: Person) -> None:
        """At a thing: look at it, or, having looked, go on to another; the group goes together."""
        if person.stands_until_s == 0.0:
            person.stands_until_s = self.time_s + 12.0 * math.exp(self._chance.gauss(0.0, STANDING_SPREAD))
            return
        goal = self._chance.choice([thing for thing in self._things if thing != person.goal] or self._things)
        for other in self.people:
            if other.group == person.group and not other.leaving:
                other.goal, other.stands_until_s = goal, 0.0

    def _keep_apart(self, person: Person) -> tuple[float, float]:
        push_x = push_y = 0.0
        for other in self.people:
            apart = _distance(person, (other.x, other.y))
            if other is not person and 0.0 < apart < APART_M:
                weight = (APART_M - apart) / APART_M * (0.4 if other.group == person.group else 1.0) / apart
                push_x += (person.x - other.x) * weight
                push_y += (person.y - other.y) * weight
        length = math.hypot(push_x, push_y)
        return (push_x, push_y) if length <= 0.8 else (push_x / length * 0.8, push_y / length * 0.8)


def _distance(person: Person, place: tuple[float, float]) -> float:
    return math.hypot(person.x - place[0], person.y - place[1])
