"""Gallery rooms as a fixed camera sees them, with the truth of who is in them.

A room is a wall, a floor, light, pictures and furniture on a ground plane; visitors stand on the same plane, nearer ones before
farther ones. A visitor counts when at least `COUNTED` of the body can be seen, in the frame and not behind others; a body seen between
`UNSEEN` and `COUNTED` is nobody's fault, and training sends such visitors out (the card gives figures with and without them).
Decided against: a 3D engine. Flat painted light is enough to learn presence from, and renders 100 pictures a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from figures import Figure, Pose, clothe, draw

COUNTED, UNSEEN = 0.45, 0.08
LABELS = ("nobody", "one", "few", "many")


@dataclass
class Room:
    """A camera and what stands before it. Lengths in picture heights, depths in metres, colours blue, green, red in 0 to 1."""

    aspect: float
    horizon: float
    camera_m: float
    far_m: float
    wall: np.ndarray
    floor: np.ndarray
    lamps: list[tuple[float, float, float, float]]  # x, y, radius, strength
    window: tuple[float, float, float, float] | None  # x, width, slant, strength of its patch of light on the floor
    pictures: list[tuple[float, float, float, float, int]]  # x, y, width, height, seed of what is painted
    furniture: list[tuple[str, float, float, int]] = field(default_factory=list)  # what, x on the picture, depth, seed
    ambient: float = 0.6
    boards: bool = True

    @property
    def floor_line(self) -> float:
        return self.horizon + self.camera_m / self.far_m


@dataclass(frozen=True)
class Visitor:
    """A figure on the ground plane: x in picture heights from the left edge, depth in metres."""

    figure: Figure
    x: float
    depth_m: float
    phase: float
    facing: float
    walking: float
    turned: bool = False


@dataclass(frozen=True)
class Truth:
    """Who could be seen: their centres (x, y in 0..1), and the indices of visitors who were only half there."""

    places: list[tuple[float, float]]
    half_seen: tuple[int, ...]

    @property
    def label(self) -> int:
        """Index into `LABELS`."""
        return int(np.searchsorted([1, 2, 5], len(self.places), side="right"))


def furnish(rng: np.random.Generator) -> Room:
    """A room that nobody has seen before."""
    aspect = float(rng.choice([4 / 3, 16 / 9], p=[0.4, 0.6]))
    tone, tint = rng.uniform(0.12, 0.9), rng.normal(0, 0.03, 3)
    floor_tone = rng.uniform(0.1, 0.75)
    room = Room(
        aspect=aspect,
        horizon=rng.uniform(0.22, 0.42),
        camera_m=rng.uniform(1.5, 2.3),
        far_m=rng.uniform(4.6, 6.4),
        wall=np.clip(tone + tint, 0.05, 0.95),
        floor=np.clip(floor_tone + np.array([-0.06, 0, 0.06]) * rng.random() + tint, 0.05, 0.9),
        lamps=[
            (rng.uniform(0, aspect), rng.uniform(0, 0.6), rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.7)) for _ in range(rng.integers(0, 5))
        ],
        window=(rng.uniform(0, aspect), rng.uniform(0.15, 0.5), rng.uniform(-0.6, 0.6), rng.uniform(0.1, 0.8))
        if rng.random() < 0.45
        else None,
        pictures=[],
        ambient=rng.uniform(0.35, 0.9),
        boards=bool(rng.random() < 0.6),
    )
    x = rng.uniform(0.0, 0.3)
    while x < aspect - 0.1 and rng.random() < 0.85:
        width, height = rng.uniform(0.06, 0.4), rng.uniform(0.08, 0.34)
        room.pictures.append(
            (x, max(0.02, room.floor_line * rng.uniform(0.15, 0.6) - height / 2), width, height, int(rng.integers(1 << 30)))
        )
        x += width + rng.uniform(0.04, 0.4)
    kinds = ["bench", "plinth", "doorway", "column", "plant", "chair", "curtain"]
    for _ in range(rng.integers(0, 4)):
        what = str(rng.choice(kinds))
        depth = room.far_m if what in ("doorway", "curtain") else rng.uniform(room.far_m * 0.45, room.far_m * 0.98)
        room.furniture.append((what, rng.uniform(0, aspect), depth, int(rng.integers(1 << 30))))
    return room


def gather(rng: np.random.Generator, room: Room, number: int) -> list[Visitor]:
    """`number` visitors somewhere on the floor, some half out of the picture, some in small groups."""
    knot = (rng.uniform(0.15, room.aspect - 0.15), rng.uniform(0.5, 1.0))
    out = []
    near = max(2.2, room.camera_m / (1.12 - room.horizon))
    for _ in range(number):
        x, t = rng.uniform(0.02, room.aspect - 0.02), rng.random()
        if rng.random() < 0.3:
            x, t = knot[0] + rng.normal(0, 0.2), np.clip(knot[1] + rng.normal(0, 0.15), 0, 1)
        depth = 1 / (1 / room.far_m * 1.03 + t * (1 / near - 1 / room.far_m) * 0.9)
        facing = float(np.clip(rng.choice([-1, 1]) * rng.random() ** 0.5, -1, 1))
        walking = float(rng.random() if rng.random() < 0.6 else 0)
        out.append(
            Visitor(clothe(rng), x, depth, rng.uniform(0, 2 * np.pi), facing, walking, turned=walking == 0 and bool(rng.random() < 0.4))
        )
    return out


def _box(canvas: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour: np.ndarray | tuple[float, ...], h: int) -> None:
    full = 255.0 if canvas.dtype == np.uint8 else 1.0
    corners = np.round(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) * h * 16).astype(np.int32)
    cv2.fillPoly(canvas, [corners], tuple(float(c) * full for c in np.clip(colour, 0, 1)), cv2.LINE_AA, 4)


def _muted(colour: np.ndarray) -> np.ndarray:
    return np.clip(0.6 * colour.mean() + 0.4 * colour, 0, 1)


def _hang(canvas: np.ndarray, picture: tuple[float, float, float, float, int], h: int) -> None:
    """A framed picture: abstract fields, or (one in three) a portrait, which must not be counted as a visitor."""
    x, y, w, t, seed = picture
    rng = np.random.default_rng(seed)
    edge = 0.012 + 0.015 * rng.random()
    _box(canvas, x + 0.012, y + 0.016, x + w + 0.014, y + t + 0.02, canvas.mean((0, 1)) * 0.45, h)
    _box(canvas, x, y, x + w, y + t, _muted(rng.random(3)) * 0.35 * rng.choice([0.3, 1, 2.4]), h)
    base = rng.random() * 0.7 + rng.normal(0, 0.1, 3)
    _box(canvas, x + edge, y + edge, x + w - edge, y + t - edge, np.clip(base, 0, 1), h)
    if rng.random() < 0.33:
        cx, r, ink = x + w / 2, min(w, t) * 0.13, _muted(rng.random(3)) * rng.random()
        _box(canvas, cx - 2 * r, y + t - edge - 2.2 * r, cx + 2 * r, y + t - edge, ink, h)
        cv2.circle(
            canvas, (int(cx * h), int((y + t - edge - 3 * r) * h)), max(1, int(r * h)), tuple(np.clip(ink + 0.3, 0, 1)), -1, cv2.LINE_AA
        )
        return
    for _ in range(rng.integers(1, 6)):
        a, b = np.sort(rng.uniform(edge, max(edge + 0.001, w - edge), 2)), np.sort(rng.uniform(edge, max(edge + 0.001, t - edge), 2))
        _box(canvas, x + a[0], y + b[0], x + a[1], y + b[1], _muted(base + rng.normal(0, 0.2, 3)), h)


def _stand(canvas: np.ndarray, room: Room, what: str, x: float, depth: float, seed: int, h: int) -> None:
    """One piece of furniture, standing on the floor at `depth` metres."""
    rng = np.random.default_rng(seed)
    full = 255.0 if canvas.dtype == np.uint8 else 1.0
    s, y = 1 / depth, room.horizon + room.camera_m / depth
    ink = np.clip(rng.choice([0.1, 0.3, 0.6, 0.9]) * room.ambient + rng.normal(0, 0.04, 3), 0.02, 1)
    if what == "bench":
        w, t = rng.uniform(0.5, 0.9) * s, 0.42 * s
        _box(canvas, x - w, y - t, x + w, y - t + 0.09 * s, ink, h)
        for side in (-0.9, 0.8):
            _box(canvas, x + side * w, y - t, x + (side + 0.1) * w, y, ink * 0.7, h)
    elif what in ("plinth", "chair"):
        w, t = 0.2 * s, rng.uniform(0.5, 1.1) * s
        _box(canvas, x - w, y - t, x + w * 0.5, y, ink, h)
        _box(canvas, x + w * 0.5, y - t, x + w, y, ink * 0.75, h)
        size = (int(rng.uniform(0.1, 0.18) * s * h), int(rng.uniform(0.1, 0.28) * s * h))
        cv2.ellipse(canvas, (int(x * h), int((y - t) * h) - size[1]), size, 0, 0, 360, tuple(_muted(rng.random(3)) * full), -1, cv2.LINE_AA)
    elif what == "doorway":
        _box(canvas, x - 0.5 * s, y - 2.1 * s, x + 0.5 * s, y, ink * 0.4, h)
    elif what == "column":
        _box(canvas, x - 0.18 * s, -0.1, x + 0.04 * s, y, room.wall * room.ambient * 0.95, h)
        _box(canvas, x + 0.04 * s, -0.1, x + 0.18 * s, y, room.wall * room.ambient * 0.7, h)
    elif what == "curtain":
        for fold in range(7):
            _box(canvas, x + (fold - 3.5) * 0.2 * s, 0, x + (fold - 2.5) * 0.2 * s, y, ink * (0.7 + 0.3 * (fold % 2)), h)
    else:
        _box(canvas, x - 0.14 * s, y - 0.35 * s, x + 0.14 * s, y, ink, h)
        for angle in rng.uniform(-1.1, 1.1, 9):
            tip = (int((x + np.sin(angle) * 0.6 * s) * h), int((y - 0.35 * s - np.cos(angle) * 0.9 * s) * h))
            cv2.line(
                canvas,
                (int(x * h), int((y - 0.35 * s) * h)),
                tip,
                (0.1 * full, 0.25 * full, 0.12 * full),
                max(1, int(0.05 * s * h)),
                cv2.LINE_AA,
            )


def paint(room: Room, height: int) -> np.ndarray:
    """The empty room with its light but without furniture that stands free. Float32 [height, width, 3], 0 to 1, blue, green, red."""
    h, w = height, round(height * room.aspect)
    canvas = np.empty((h, w, 3), np.float32)
    canvas[:] = room.wall
    line = min(h, int(room.floor_line * h))
    canvas[line:] = room.floor
    if room.boards:
        for k in range(-12, 13):
            start = (int((room.aspect / 2 + k * 0.11) * h), line)
            end = (int((room.aspect / 2 + k * 0.11 * (1.25 - room.horizon) / (room.floor_line - room.horizon)) * h), int(1.25 * h))
            cv2.line(canvas, start, end, tuple(float(c) for c in room.floor * 0.86), 1, cv2.LINE_AA)
    _box(canvas, 0, room.floor_line - 0.022, room.aspect, room.floor_line, room.wall * 0.8, h)
    for picture in room.pictures:
        _hang(canvas, picture, h)
    for what, x, depth, seed in room.furniture:
        if depth >= room.far_m:
            _stand(canvas, room, what, x, depth, seed, h)
    return np.clip(canvas * _light(room, h, w)[..., None], 0, 1)


def _light(room: Room, h: int, w: int) -> np.ndarray:
    """Light that falls on each pixel, 1 being full. Pools of lamps, a window's slanted patch on the floor, darker corners."""
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32) / h
    light = np.full((h, w), room.ambient, np.float32)
    for x, y, radius, strength in room.lamps:
        light += strength * np.exp(-(((xs - x) / radius) ** 2 + ((ys - y) / (radius * 1.3)) ** 2))
    if room.window is not None:
        x, width, slant, strength = room.window
        top, bottom = room.floor_line, 1.05
        patch = np.zeros((h, w), np.float32)
        quad = [(x, top), (x + width, top), (x + slant + width * 1.7, bottom), (x + slant, bottom)]
        cv2.fillPoly(patch, [np.round(np.array(quad) * h).astype(np.int32)], strength)
        light += cv2.GaussianBlur(patch, (0, 0), 0.012 * h + 0.5)
    middle = np.abs(xs / room.aspect - 0.5)
    return light * (1.05 - 0.5 * middle**2 - 0.12 * np.maximum(0, ys - 0.8))


def _shadow(canvas: np.ndarray, x: float, y: float, s: float, slant: float, h: int) -> None:
    """Darken the floor of the uint8 `canvas` around feet at (x, y); `slant` draws the shadow to one side."""
    reach = int((0.9 + abs(slant)) * s * h) + 3
    left, top = max(0, int(x * h) - reach), max(0, int((y - 0.2 * s) * h))
    part = canvas[top : int((y + 0.2 * s) * h) + 1, left : int(x * h) + reach]
    if not part.size:
        return
    veil = np.zeros(part.shape[:2], np.float32)
    centre = (int((x + slant * 0.5 * s) * h) - left, int(y * h) - top)
    cv2.ellipse(veil, centre, (max(1, int((0.28 + abs(slant) * 0.5) * s * h)), max(1, int(0.075 * s * h))), 0, 0, 360, 0.45, -1)
    part[:] = part * (1 - cv2.GaussianBlur(veil, (0, 0), 0.03 * s * h + 0.6)[..., None])


def populate(room: Room, empty: np.ndarray, visitors: list[Visitor]) -> tuple[np.ndarray, Truth, np.ndarray]:
    """Fill the picture that `paint` made with furniture and visitors.

    Returns the picture (uint8 [height, width, 3], blue, green, red), what is true of it, and who owns each pixel (uint8
    [height, width]: 0 nobody, n the n-th visitor).
    """
    canvas = (empty * 255).astype(np.uint8)
    h, w = canvas.shape[:2]
    margin = w // 2  # bodies are measured whole, also where they leave the picture
    owners = np.zeros((h + margin, w + 2 * margin), np.uint8)
    seen = owners[:h, margin : margin + w]
    whole = np.zeros(len(visitors) + 1)
    things: list[tuple[float, int, Visitor | None]] = [(v.depth_m, i, v) for i, v in enumerate(visitors)]
    things += [(depth, i, None) for i, (_, _, depth, _) in enumerate(room.furniture) if depth < room.far_m]
    for depth, index, visitor in sorted(things, key=lambda thing: -thing[0]):
        if visitor is None:
            before = canvas.copy()
            what, x, _, seed = room.furniture[index]
            _stand(canvas, room, what, x, depth, seed, h)
            seen[(canvas != before).any(2)] = 0
        else:
            whole[index + 1] = _enter(canvas, owners, room, empty, visitor, index + 1)
    return canvas, _truth(seen, whole), seen


def _enter(canvas: np.ndarray, owners: np.ndarray, room: Room, empty: np.ndarray, visitor: Visitor, number: int) -> float:
    """Draw one visitor with a shadow, sign the pixels with `number`, and say how many the whole body would have."""
    h, w = canvas.shape[:2]
    s, y = 1 / visitor.depth_m, room.horizon + room.camera_m / visitor.depth_m
    _shadow(canvas, visitor.x, y, s, 0.0 if room.window is None else float(np.sign(room.window[2])) * 0.8, h)
    foot = empty[min(h - 1, int(y * h)), min(w - 1, max(0, int(visitor.x * h)))]
    light = float(np.clip(foot.mean() / (room.floor.mean() + 0.01), 0.35, 1.15))
    pose = Pose(visitor.x * h, y * h, s * h, visitor.phase, visitor.facing, visitor.walking, visitor.turned)
    mask = np.zeros_like(owners)
    draw(mask, visitor.figure, replace(pose, x=pose.x + (owners.shape[1] - w) // 2), flat=1)
    owners[mask > 0] = number
    draw(canvas, visitor.figure, pose, light=light)
    return float(np.count_nonzero(mask))


def _truth(seen: np.ndarray, whole: np.ndarray) -> Truth:
    places: list[tuple[float, float]] = []
    half_seen = []
    for index in range(1, len(whole)):
        ys, xs = np.nonzero(seen == index)
        share = len(xs) / max(1.0, whole[index])
        if share >= COUNTED:
            places.append((float(xs.mean() / seen.shape[1]), float(ys.mean() / seen.shape[0])))
        elif share > UNSEEN:
            half_seen.append(index - 1)
    return Truth(places, tuple(half_seen))


def photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """What a cheap camera makes of it: a grey uint8 picture, 72 by 96, with its own exposure, blur, tones and noise."""
    grey = cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    if rng.random() < 0.4:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.1))
    small = cv2.resize(grey, (96, 72), interpolation=int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR])))
    small = small * rng.uniform(0.26, 0.56) / (small.mean() + 0.02)
    small = np.clip((small - 0.5) * rng.uniform(0.8, 1.25) + 0.5, 0, 1) ** rng.uniform(0.75, 1.3)
    small = small + rng.normal(0, rng.uniform(0, 0.025), small.shape)
    return np.clip(small * 255, 0, 255).astype(np.uint8)
