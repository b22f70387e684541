"""People as articulated silhouettes: the only living things in the rendered rooms.

Both the training pictures and the looped clip draw their visitors here, so that a figure means the same in both; they differ in
seeds, clothes and gaits. Decided against: photographs of people (no licence worry, no faces, nobody's likeness is in this work).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

SHIFT = 4  # OpenCV's fixed-point fraction bits: positions are exact to 1/16 pixel
Colour = tuple[float, float, float]  # blue, green, red; 0 to 1
Point = tuple[float, float]
CIRCLE = np.stack([np.cos(np.arange(14) * np.pi / 7), np.sin(np.arange(14) * np.pi / 7)], 1)


@dataclass(frozen=True)
class Figure:
    """One visitor's body and clothes. Lengths in metres, colours as blue, green, red in 0 to 1."""

    height_m: float
    build: float
    coat_m: float  # how far the coat hangs below the hip; 0 is none
    skirt: bool
    hat: bool
    bag: bool
    long_hair: bool
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    stride_rad: float
    swing: float


@dataclass(frozen=True)
class Pose:
    """Where a figure stands: feet in pixels, pixels per metre, gait phase, facing (-1 left, 0 towards us, 1 right), 0..1 walking."""

    x: float
    y: float
    scale: float
    phase: float
    facing: float
    walking: float
    turned: bool = False  # seen from behind, as those who look at pictures are


def clothe(rng: np.random.Generator) -> Figure:
    """Dress one visitor at random."""
    muted = rng.choice([0.12, 0.25, 0.45, 0.75], p=[0.35, 0.3, 0.25, 0.1])
    hue = rng.normal(0, 0.07, 3)
    top = tuple(np.clip(muted + hue + rng.choice([0, 0.12], p=[0.6, 0.4]) * rng.random(3), 0.03, 0.95))
    legs = tuple(np.clip(rng.choice([0.08, 0.18, 0.4, 0.6]) + rng.normal(0, 0.04, 3), 0.02, 0.9))
    skin = np.array([0.55, 0.66, 0.86]) * rng.uniform(0.35, 1.05)
    return Figure(
        height_m=float(np.clip(rng.normal(1.7, 0.11), 1.15, 2.0)),
        build=float(rng.uniform(0.85, 1.3)),
        coat_m=float(rng.choice([0, 0.18, 0.42, 0.6])),
        skirt=bool(rng.random() < 0.2),
        hat=bool(rng.random() < 0.15),
        bag=bool(rng.random() < 0.3),
        long_hair=bool(rng.random() < 0.4),
        skin=tuple(np.clip(skin, 0, 1)),
        hair=tuple(np.clip(np.array([0.1, 0.13, 0.18]) * rng.choice([0.5, 1, 2, 5]), 0, 0.9)),
        top=top,
        legs=legs,
        stride_rad=float(rng.uniform(0.3, 0.55)),
        swing=float(rng.uniform(0.4, 1.0)),
    )


class Brush:
    """Paints in a person's own metres (x right, y up from the feet) on a uint8 picture; one flat colour makes a mask."""

    def __init__(self, picture: np.ndarray, pose: Pose, light: float, flat: int | None = None) -> None:
        self.picture, self.pose, self.light, self.flat = picture, pose, light, flat

    def _pixels(self, points: list[Point] | np.ndarray) -> np.ndarray:
        pose, fixed = self.pose, 1 << SHIFT
        return (np.asarray(points) * (pose.scale * fixed, -pose.scale * fixed) + (pose.x * fixed, pose.y * fixed)).astype(np.int32)

    def _ink(self, colour: Colour, shade: float) -> tuple[float, ...] | int:
        if self.flat is not None:
            return self.flat
        return tuple(min(255.0, float(c) * shade * self.light * 255) for c in colour)

    def polygon(self, points: list[Point] | np.ndarray, colour: Colour, shade: float = 1.0) -> None:
        line = cv2.LINE_8 if self.flat is not None else cv2.LINE_AA
        cv2.fillPoly(self.picture, [self._pixels(points)], self._ink(colour, shade), line, SHIFT)

    def oval(self, centre: Point, rx: float, ry: float, colour: Colour, shade: float = 1.0) -> None:
        self.polygon(CIRCLE * (rx, ry) + centre, colour, shade)

    def limb(self, a: Point, b: Point, ra: float, rb: float, colour: Colour, shade: float = 1.0) -> None:
        length = math.hypot(b[0] - a[0], b[1] - a[1]) + 1e-6
        nx, ny = (a[1] - b[1]) / length, (b[0] - a[0]) / length
        quad = [
            (a[0] + nx * ra, a[1] + ny * ra),
            (b[0] + nx * rb, b[1] + ny * rb),
            (b[0] - nx * rb, b[1] - ny * rb),
            (a[0] - nx * ra, a[1] - ny * ra),
        ]
        self.polygon(quad, colour, shade)
        self.oval(a, ra, ra, colour, shade)
        self.oval(b, rb, rb, colour, shade)


def _reach(start: Point, angle: float, length: float) -> Point:
    return start[0] + np.sin(angle) * length, start[1] - np.cos(angle) * length


def _leg(brush: Brush, who: Figure, hip: Point, phase: float, shade: float) -> None:
    h, pose = who.height_m, brush.pose
    side = abs(pose.facing)
    thigh_angle = who.stride_rad * np.sin(phase) * pose.walking
    bend = (0.15 + 0.75 * max(0.0, np.cos(phase))) * pose.walking
    forward = np.sign(pose.facing) if pose.facing else 1.0
    knee = _reach(hip, forward * thigh_angle * side, 0.255 * h * (1 - 0.06 * bend * (1 - side)))
    ankle = _reach(knee, forward * (thigh_angle - bend) * side, 0.245 * h * (1 - 0.25 * bend * (1 - side)))
    brush.limb(hip, knee, 0.085 * who.build, 0.06 * who.build, who.legs, shade)
    brush.limb(knee, ankle, 0.06 * who.build, 0.042, who.legs, shade)
    toe = (ankle[0] + forward * (0.05 + 0.11 * side), ankle[1] - 0.045)
    brush.limb((ankle[0], ankle[1] - 0.03), toe, 0.045, 0.035, (0.06, 0.06, 0.07), shade)


def _arm(brush: Brush, who: Figure, shoulder: Point, phase: float, shade: float) -> None:
    h, pose = who.height_m, brush.pose
    side = abs(pose.facing)
    forward = np.sign(pose.facing) if pose.facing else 1.0
    spread = np.sign(shoulder[0]) * 0.12 * (1 - side)
    angle = forward * who.swing * 0.6 * np.sin(phase) * pose.walking * side + spread
    elbow = _reach(shoulder, angle, 0.17 * h)
    hand = _reach(elbow, angle + forward * (0.2 + 0.25 * pose.walking) * side, 0.155 * h)
    brush.limb(shoulder, elbow, 0.058 * who.build, 0.048 * who.build, who.top, shade)
    brush.limb(elbow, hand, 0.048 * who.build, 0.036, who.top, shade)
    brush.oval(hand, 0.042, 0.05, who.skin, shade)


def _trunk(brush: Brush, who: Figure, broad: float, lean: float) -> None:
    h = who.height_m
    hip, chest = 0.5 * h, 0.83 * h
    hem = hip - who.coat_m if who.coat_m else hip - 0.03
    flare = 1.0 + 0.35 * min(who.coat_m, 0.5)
    cloth = [
        (-0.215 * broad + lean, chest - 0.1),
        (-0.2 * broad + lean, chest - 0.04),
        (-0.15 * broad + lean, chest),
        (-0.07 * broad + lean, chest + 0.035),
        (0.07 * broad + lean, chest + 0.035),
        (0.15 * broad + lean, chest),
        (0.2 * broad + lean, chest - 0.04),
        (0.215 * broad + lean, chest - 0.1),
        (0.17 * broad, hip + 0.16),
        (0.19 * broad * flare, hem),
        (-0.19 * broad * flare, hem),
        (-0.17 * broad, hip + 0.16),
    ]
    if who.skirt and not who.coat_m:
        brush.polygon(
            [(-0.16 * broad, hip + 0.1), (0.16 * broad, hip + 0.1), (0.26 * broad, 0.27 * h), (-0.26 * broad, 0.27 * h)], who.legs, 1.15
        )
    brush.polygon(cloth, who.top, 0.85)
    lit = [(x * 0.62 + 0.045 * broad, y) for x, y in cloth]  # a lighter flank gives the flat cloth a side to the light
    brush.polygon(lit, who.top, 1.1)
    if who.bag:
        brush.polygon(
            [(0.13 * broad, hip + 0.16), (0.3 * broad, hip + 0.14), (0.31 * broad, hip - 0.16), (0.14 * broad, hip - 0.16)], who.legs, 0.9
        )


def _head(brush: Brush, who: Figure, lean: float) -> None:
    h, facing = who.height_m, brush.pose.facing
    centre = (lean * 1.3 + 0.02 * facing, 0.925 * h)
    brush.limb((lean, 0.84 * h), centre, 0.05, 0.05, who.skin, 0.8)
    if who.long_hair:
        brush.limb((centre[0] - 0.03 * facing, centre[1] + 0.02), (centre[0] - 0.06 * facing, centre[1] - 0.17), 0.1, 0.075, who.hair)
    brush.oval(centre, 0.082, 0.108, who.hair if brush.pose.turned else who.skin)
    brush.oval((centre[0] - 0.028 * facing, centre[1] + 0.04), 0.09, 0.082, who.hair)
    if who.hat:
        brush.polygon(
            [
                (centre[0] - 0.15, centre[1] + 0.06),
                (centre[0] + 0.15, centre[1] + 0.06),
                (centre[0] + 0.09, centre[1] + 0.16),
                (centre[0] - 0.09, centre[1] + 0.16),
            ],
            who.top,
            0.7,
        )


def draw(picture: np.ndarray, who: Figure, pose: Pose, light: float = 1.0, flat: int | None = None) -> None:
    """Paint `who` on `picture` in place. With `flat` (0..255) every stroke has that one value and no smoothing: a mask."""
    brush = Brush(picture, pose, light, flat)
    side = abs(pose.facing)
    broad = who.build * (0.58 + 0.42 * (1 - side))
    lean = 0.03 * pose.facing * pose.walking
    gap, reach = 0.085 * (1 - 0.75 * side), 0.195 * broad
    _arm(brush, who, (-reach * (1 - 0.8 * side) - 0.001, 0.785 * who.height_m), pose.phase, 0.65)
    _leg(brush, who, (-gap, 0.5 * who.height_m), pose.phase + np.pi, 0.75)
    _leg(brush, who, (gap, 0.5 * who.height_m), pose.phase, 1.0)
    _trunk(brush, who, broad, lean)
    _head(brush, who, lean)
    _arm(brush, who, (reach * (1 - 0.8 * side) + lean, 0.785 * who.height_m), pose.phase + np.pi, 0.95)
