"""The stand-in for the camera on the ceiling: forty seconds of a floor that nobody, then somebody, then three people cross.

    python training/passing.py      a few seconds; writes passing.mp4

Soft shadows on boards, seen from above; the light breathes a little and the camera hums, so that the watcher has something to
pass over. It begins and ends with an empty floor and loops without a seam.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

ROOM = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, RATE, SECONDS = 320, 180, 12, 40
# (second it comes, seconds it takes, from, to (0 to 1 of the picture), how large, how it sways)
WALKS = [
    (6.0, 9.0, (-0.1, 0.55), (1.1, 0.40), 24, 0.3),
    (17.0, 7.0, (1.1, 0.75), (-0.1, 0.60), 26, 0.5),
    (19.0, 8.0, (-0.1, 0.20), (1.1, 0.70), 22, 0.2),
    (20.0, 9.0, (0.35, -0.2), (0.60, 1.2), 25, 0.4),
    (30.5, 4.0, (1.1, 0.30), (-0.1, 0.45), 27, 0.6),
]


def main() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    board = (y // 22).astype(int)
    floor = 118 + 14 * np.sin(board * 2.3) + 5 * np.sin(x / 23 + board * 1.7) + 3 * np.sin(x / 7 + board)
    floor *= 1.05 - 0.25 * ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2)
    floor[(y % 22) < 1] *= 0.82
    film = cv2.VideoWriter(str(ROOM / "passing.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for number in range(RATE * SECONDS):
        now = number / RATE
        shade = np.zeros_like(floor)
        for begins, takes, start, end, size, sway in WALKS:
            part = (now - begins) / takes
            if 0 <= part <= 1:
                mx = (start[0] + (end[0] - start[0]) * part) * WIDTH + 6 * sway * np.sin(now * 3)
                my = (start[1] + (end[1] - start[1]) * part) * HEIGHT + 6 * sway * np.cos(now * 3)
                body = np.sqrt(((x - mx) / size) ** 2 + ((y - my) / (size * 0.7)) ** 2)
                shade = np.maximum(shade, 1 / (1 + np.exp(6 * (body - 1))))
        light = 1 + 0.012 * np.sin(2 * np.pi * now / SECONDS * 3)
        picture = floor * (1 - 0.5 * shade) * light + rng.normal(0, 1.2, floor.shape)
        tinted = np.stack([picture * 0.86, picture * 0.95, picture * 1.03], -1)  # blue, green, red
        film.write(np.clip(tinted, 0, 255).astype(np.uint8))
    film.release()


if __name__ == "__main__":
    main()
