"""Render visitors.mp4, the looped clip that the rehearsal's camera sees: an afternoon in a small gallery, in 54 seconds.

Nobody, then one, a few, many, and nobody again, so that the loop has no seam and the piece has something to say about each. The room and
its people share the renderer with the training set but none of its seeds. Decided against: footage of real people.

    python visitors.py             writes ../visitors.mp4, then asks ../models/presence.onnx what it sees and compares with the truth
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import rooms
from figures import clothe

RATE, LENGTH_S, WIDE, HIGH = 15, 54.0, 640, 360
PACE = 1.0  # metres a second
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stroll:
    """One visitor's way: comes in at `enters_s`, walks from point to point (x in picture heights, depth in metres), pausing at each."""

    seed: int
    enters_s: float
    points: tuple[tuple[float, float, float], ...]  # x, depth, pause in seconds

    def at(self, now_s: float) -> tuple[float, float, float, float, float] | None:
        """x, depth, metres walked, facing, walking (0..1) at `now_s`; None before and after."""
        clock, walked = self.enters_s, 0.0
        for (x0, d0, _), (x1, d1, pause) in zip(self.points, self.points[1:], strict=False):
            mean = (d0 + d1) / 2
            length = float(np.hypot((x1 - x0) * mean, d1 - d0))
            takes = length / PACE + 0.6
            sideways = (x1 - x0) * mean / length
            if clock <= now_s < clock + takes:
                t = (now_s - clock) / takes
                eased, speed = t + 0.09 * np.sin(2 * np.pi * (t - 0.5)) * 0.9, min(1.0, 5 * min(t, 1 - t) + 0.15)
                return x0 + (x1 - x0) * eased, d0 + (d1 - d0) * eased, walked + length * eased, float(sideways), speed
            clock, walked = clock + takes, walked + length
            if clock <= now_s < clock + pause:
                return x1, d1, walked, 0.12 * float(np.sign(sideways)), 0.0
            clock += pause
        return None


STROLLS = (
    Stroll(7001, 3.2, ((-0.2, 4.6, 0), (0.50, 5.3, 4.5), (0.98, 5.5, 6.0), (1.42, 4.4, 3.0), (2.0, 4.0, 0))),
    Stroll(7002, 12.0, ((2.0, 4.9, 0), (1.46, 5.4, 5.5), (0.62, 4.8, 4.0), (-0.25, 4.2, 0))),
    Stroll(7013, 12.9, ((2.0, 4.6, 0), (1.60, 5.2, 6.0), (1.12, 5.5, 8.5), (2.0, 4.8, 0))),
    Stroll(7004, 16.0, ((-0.2, 3.9, 0), (0.28, 5.2, 9.0), (0.52, 5.4, 6.0), (-0.2, 4.8, 0))),
    Stroll(7005, 22.0, ((-0.2, 3.4, 0), (0.70, 3.6, 5.0), (1.25, 3.9, 4.0), (2.05, 3.5, 0))),
    Stroll(7006, 22.8, ((-0.25, 4.9, 0), (0.42, 4.6, 7.0), (0.16, 5.0, 2.0), (-0.25, 4.7, 0))),
    Stroll(7007, 23.5, ((2.0, 3.7, 0), (1.55, 4.3, 7.5), (2.05, 3.9, 0))),
    Stroll(7018, 24.6, ((2.05, 5.3, 0), (1.30, 5.5, 9.0), (1.68, 5.0, 1.0), (2.05, 4.6, 0))),
    Stroll(7009, 26.0, ((-0.25, 4.3, 0), (0.86, 5.0, 9.0), (1.28, 5.5, 3.5), (2.0, 4.9, 0))),
)


def gallery() -> rooms.Room:
    """The one room of the clip: slate walls, warm boards, a window to the left that is never seen."""
    return rooms.Room(
        aspect=16 / 9,
        horizon=0.3,
        camera_m=1.85,
        far_m=6.3,
        wall=np.array([0.42, 0.40, 0.38]),
        floor=np.array([0.27, 0.38, 0.50]),
        lamps=[(x, 0.22, 0.26, 0.62) for x in (0.29, 0.72, 1.12, 1.5)],
        window=(0.30, 0.34, 0.55, 0.75),
        pictures=[(0.17, 0.19, 0.23, 0.18, 41), (0.60, 0.15, 0.26, 0.25, 108), (1.04, 0.2, 0.16, 0.2, 77), (1.37, 0.17, 0.27, 0.2, 59)],
        furniture=[("bench", 0.92, 4.35, 12)],
        ambient=0.55,
    )


def people(now_s: float) -> list[rooms.Visitor]:
    """Everybody who is in the gallery, or just outside the frame, at `now_s`."""
    out = []
    for stroll in STROLLS:
        here = stroll.at(now_s)
        if here is not None:
            x, depth, walked, facing, walking = here
            figure = clothe(np.random.default_rng(stroll.seed))
            out.append(rooms.Visitor(figure, x, depth, walked / 1.45 * 2 * np.pi, facing, walking, turned=walking == 0.0))
    return out


def _beam(h: int, w: int) -> np.ndarray:
    """The shaft of daylight between the unseen window and its patch on the floor, 0..1."""
    veil = np.zeros((h, w), np.float32)
    quad = np.array([(-0.25, -0.2), (0.12, -0.2), (1.43, 1.05), (0.85, 1.05)]) * h
    cv2.fillPoly(veil, [quad.astype(np.int32)], 1.0)
    fade = np.linspace(1.0, 0.25, h, dtype=np.float32)[:, None]
    return cv2.GaussianBlur(veil, (0, 0), h * 0.05) * fade


def _landscape(empty: np.ndarray, picture: tuple[float, float, float, float, int], h: int) -> None:
    """Hang a small painted coast over the frame's contents: sky, a low sun, water, in muted colours and the wall's own light."""
    x, y, w, t, seed = picture
    rng = np.random.default_rng(seed)
    light = empty[int((y + t / 2) * h), max(0, int((x - 0.03) * h))].mean() / 0.40
    top, left, high, wide = int(y * h), int(x * h), int(t * h), int(w * h)
    border = max(3, int(0.014 * h))
    empty[top : top + high, left : left + wide] = np.array([0.07, 0.10, 0.14]) * light
    ys, xs = np.mgrid[0 : high - 2 * border, 0 : wide - 2 * border].astype(np.float32) / (high - 2 * border)
    skies = np.array(
        [[[0.52, 0.44, 0.36], [0.56, 0.68, 0.78]], [[0.44, 0.40, 0.40], [0.40, 0.56, 0.80]], [[0.60, 0.56, 0.48], [0.70, 0.76, 0.80]]]
    )
    high_sky, low_sky = skies[rng.integers(3)]
    line = rng.uniform(0.55, 0.72)
    paint = high_sky + (low_sky - high_sky) * np.clip(ys / line, 0, 1)[..., None]
    water = np.array([0.34, 0.32, 0.26]) * (1.15 - 0.5 * (ys - line))[..., None]
    ripple = 0.04 * np.sin(ys * 90 + 3 * np.sin(xs * 9 + seed))[..., None]
    paint = np.where((ys > line)[..., None], water + ripple, paint)
    sun = np.exp(-(((xs - rng.uniform(0.3, 0.8) * wide / high) / 0.09) ** 2 + ((ys - line + 0.12) / 0.09) ** 2))[..., None]
    paint = paint + sun * np.array([0.10, 0.25, 0.35])
    hills = (ys > line - 0.07 - 0.05 * np.sin(xs * 4 + seed) * np.cos(xs * 2.3)) & (ys <= line)
    paint[hills] = np.array([0.30, 0.30, 0.27])
    empty[top + border : top + high - border, left + border : left + wide - border] = np.clip(
        cv2.GaussianBlur(paint, (0, 0), 1.2) * light * 0.85, 0, 1
    )


class Film:
    """Frames of the clip by number; the same number is always the same picture."""

    def __init__(self) -> None:
        self.h, self.w = HIGH * 2, WIDE * 2
        self.room = gallery()
        self.empty = rooms.paint(self.room, self.h)
        for picture in self.room.pictures:
            _landscape(self.empty, picture, self.h)
        self.beam = _beam(self.h, self.w)
        ys, xs = np.mgrid[0 : self.h, 0 : self.w].astype(np.float32) / self.h
        self.vignette = (1.04 - 0.34 * ((xs / (16 / 9) - 0.5) ** 2 * 1.8 + (ys - 0.45) ** 2))[..., None]
        rng = np.random.default_rng(70_000)
        self.motes = rng.random((46, 5))

    def frame(self, number: int) -> tuple[np.ndarray, rooms.Truth]:
        """One picture, uint8 [360, 640, 3] blue, green, red, and who is in it."""
        turn = number / (RATE * LENGTH_S)
        picture, truth, owners = rooms.populate(self.room, self.empty, people(number / RATE))
        image = picture.astype(np.float32) / 255
        self._rim(image, owners)
        breath = 0.5 + 0.5 * np.sin(2 * np.pi * turn - np.pi / 2)
        image += (self.beam * (0.03 + 0.035 * breath))[..., None] * np.array([0.72, 0.88, 1.0], np.float32)
        self._dust(image, turn)
        image *= self.vignette * (0.94 + 0.08 * breath)
        image = np.clip(image, 0, 1) ** np.array([0.98, 1.0, 1.03], np.float32)
        small = cv2.resize(image, (WIDE, HIGH), interpolation=cv2.INTER_AREA)
        grain = np.random.default_rng(80_000 + number).normal(0, 0.006, (HIGH, WIDE, 1)).astype(np.float32)
        return (np.clip(small + grain, 0, 1) * 255).astype(np.uint8), truth

    def _rim(self, image: np.ndarray, owners: np.ndarray) -> None:
        """A thin edge of daylight on the side of each body that faces the window; the whole body a little darker away from it."""
        body = (owners > 0).astype(np.float32)
        if not body.any():
            return
        shifted = np.roll(owners, (3, 5), (0, 1))
        edge = cv2.GaussianBlur(((owners > 0) & (shifted != owners)).astype(np.float32), (0, 0), 1.6) * body
        image *= (1 - 0.1 * body)[..., None]
        image += edge[..., None] * np.array([0.09, 0.12, 0.15], np.float32)

    def _dust(self, image: np.ndarray, turn: float) -> None:
        """Motes that drift through the beam and are back where they began when the clip ends."""
        for x, y, size, speed, start in self.motes:
            angle = 2 * np.pi * (turn * (1 + int(speed * 3)) + start)
            px = int((0.1 + x * 1.2 + 0.06 * np.sin(angle)) * self.h)
            py = int((y * 0.9 + 0.05 * np.cos(angle * 1.0 + 1.3)) * self.h)
            if 2 <= px < self.w - 2 and 2 <= py < self.h - 2:
                glow = self.beam[py, px] * (0.10 + 0.16 * size) * (0.6 + 0.4 * np.sin(2 * angle))
                image[py : py + 2, px : px + 2] += np.array([0.7, 0.9, 1.0]) * glow * 1.6


def write(path: Path, frames: list[np.ndarray]) -> str:
    """H.264 if PyAV is here (the training extra), else OpenCV's MPEG-4. Returns which."""
    try:
        import av
    except ImportError:
        tape = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDE, HIGH))
        for frame in frames:
            tape.write(frame)
        tape.release()
        return "mp4v"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as box:
        stream = box.add_stream("libx264", rate=RATE, options={"crf": "24", "preset": "slow", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for frame in frames:
            box.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        box.mux(stream.encode(None))
    return "h264"


def judge(path: Path, model: Path, truths: list[rooms.Truth]) -> dict[str, object]:
    """What the presence model says of each frame as read back from the file, against the renderer's truth."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    tape, matrix, off = cv2.VideoCapture(str(path)), np.zeros((4, 4), int), []
    clear = np.zeros(2, int)
    for truth in truths:
        read, frame = tape.read()
        if not read:
            raise SystemExit(f"{path} ends before its last frame; write it again")
        grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (96, 72), interpolation=cv2.INTER_AREA)
        count, place = session.run(["count", "place"], {"image": grey[None, None].astype(np.float32) / 255})
        matrix[truth.label, int(count.argmax())] += 1
        if not truth.half_seen:
            clear += (int(count.argmax() == truth.label), 1)
        if truth.places:
            off.append(np.abs(place[0] - np.mean(truth.places, 0)))
    return {
        "frames": len(truths),
        "accuracy": round(float(np.trace(matrix) / matrix.sum()), 4),
        "accuracy_nobody_half_seen": round(clear[0] / clear[1], 4),
        "confusion": matrix.tolist(),
        "place_error_percent": np.round(np.mean(off, 0) * 100, 2).tolist(),
    }


def main() -> None:
    """Render, write, read back, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE.parent / "visitors.mp4")
    parser.add_argument("--model", type=Path, default=HERE.parent / "models" / "presence.onnx")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    film = Film()
    frames, truths = zip(*(film.frame(n) for n in range(int(RATE * LENGTH_S))), strict=True)
    print(f"{write(chosen.out, list(frames))}, {chosen.out.stat().st_size / 1e6:.2f} MB, {len(frames)} frames")
    shares = np.bincount([t.label for t in truths], minlength=4) / RATE
    print("seconds of", dict(zip(rooms.LABELS, shares.round(1).tolist(), strict=True)))
    if chosen.model.exists():
        print("presence on the clip:", json.dumps(judge(chosen.out, chosen.model, list(truths))))


if __name__ == "__main__":
    main()
