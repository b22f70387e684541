"""The watcher: a net that looks at two pictures of the floor and says, cell by cell, whether the air was moved, and which way.

    python training/stir.py         about two minutes on one core; writes models/stir.onnx and prints its figures

It is shown patches of made-up floors with a soft shadow going over them (or none), under light that flickers and a camera that
hums: what changes because the light changed is not movement. It never sees a person; a shadow is all it knows of one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from net import Net

ROOM = Path(__file__).resolve().parent.parent
SIDE, STEP = 8, 4  # a cell of the picture, and from one to the next
HEIGHT, WIDTH = 36, 64
STEPS, BATCH = 5000, 768


def floors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Smooth grey cells (count, 8, 8): the middle of a floor of 24 by 24, so that something can come in from outside."""
    y, x = np.mgrid[SIDE : 2 * SIDE, SIDE : 2 * SIDE].astype(np.float32)
    floor = np.full((count, SIDE, SIDE), 0.0, np.float32)
    for _ in range(3):
        across, down = rng.normal(0, 0.35, (2, count, 1, 1))
        floor += rng.uniform(0, 0.09, (count, 1, 1)) * np.sin(across * x + down * y + rng.uniform(0, 6.28, (count, 1, 1)))
    return floor + rng.uniform(0.2, 0.8, (count, 1, 1))


def lesson(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of cells (count, 128) and what is true of them (count, 3): moved, dx, dy (in cells a picture, right and down)."""
    floor = floors(rng, count)
    y, x = np.mgrid[SIDE : 2 * SIDE, SIDE : 2 * SIDE].astype(np.float32)
    there = rng.random(count) < 0.6
    still = rng.random(count) < 0.25
    speed = np.where(still, 0.0, rng.uniform(0.4, 4.0, count))
    way = rng.uniform(0, 2 * np.pi, count)
    dx, dy = speed * np.cos(way), speed * np.sin(way)
    cx, cy = rng.uniform(5, 19, (2, count))
    wide, tall, turn = rng.uniform(2.0, 7.0, count), rng.uniform(2.0, 7.0, count), rng.uniform(0, np.pi, count)
    depth = np.where(there, rng.uniform(0.12, 0.45, count) * np.where(rng.random(count) < 0.8, -1, 1), 0.0)
    pictures, covers = [], []
    light = 1 + rng.normal(0, 0.03, (2, count, 1, 1)) * (rng.random((1, count, 1, 1)) < 0.5)
    for moment in range(2):
        mx, my = (cx + moment * dx)[:, None, None], (cy + moment * dy)[:, None, None]
        u = (x - mx) * np.cos(turn)[:, None, None] + (y - my) * np.sin(turn)[:, None, None]
        v = -(x - mx) * np.sin(turn)[:, None, None] + (y - my) * np.cos(turn)[:, None, None]
        cover = 1 / (1 + np.exp(2.2 * (np.sqrt((u / wide[:, None, None]) ** 2 + (v / tall[:, None, None]) ** 2) - 1) * 3))
        picture = (floor * (1 + depth[:, None, None] * cover)) * light[moment]
        pictures.append(np.clip(picture + rng.normal(0, 0.008, picture.shape), 0, 1))
        covers.append(np.abs(depth)[:, None, None] * cover)
    change = np.abs(covers[1] - covers[0]).mean((1, 2))
    moved = (change > 0.012).astype(np.float32)
    given = np.stack(pictures, 1).reshape(count, -1).astype(np.float32)
    return given, np.stack([moved, dx / SIDE * moved, dy / SIDE * moved], 1).astype(np.float32)


def loss(out: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The slope of cross-entropy for `moved` and of squares for the way, where there is one."""
    chance = 1 / (1 + np.exp(-out[:, 0]))
    slope = np.zeros_like(out)
    slope[:, 0] = chance - wanted[:, 0]
    slope[:, 1:] = 12 * (out[:, 1:] - wanted[:, 1:]) * wanted[:, :1]
    return slope / len(out)


def main() -> None:
    rng = np.random.default_rng(3)
    net = Net([2 * SIDE * SIDE, 48, 32, 3], "relu", seed=4)
    for step in range(STEPS):
        given, wanted = lesson(rng, BATCH)
        flow = net.run(given - 0.5)
        net.learn(flow, loss(flow[-1], wanted), 2e-3 * 0.5 * (1 + np.cos(np.pi * step / STEPS)) + 1e-5)
        if step % 500 == 0:
            print(step, f"{((flow[-1][:, 0] > 0) == (wanted[:, 0] > 0.5)).mean():.3f}", flush=True)
    given, wanted = lesson(np.random.default_rng(77), 20_000)
    out = net.run(given - 0.5)[-1]
    right = ((out[:, 0] > 0) == (wanted[:, 0] > 0.5)).mean()
    there = wanted[:, 0] > 0.5
    way = [float(np.corrcoef(out[there, place], wanted[there, place])[0, 1]) for place in (1, 2)]
    print(f"held out: moved or not {right:.3f} right ({there.mean():.3f} moved), way r = {way[0]:.3f} / {way[1]:.3f}")
    print(f"{net.parameters} parameters")
    save(net, ROOM / "models" / "stir.onnx")


def save(net: Net, path: Path) -> None:
    """`pair` (1, 4608): two pictures of 36 by 64, grey 0 to 1, before and now -> `stirring` (1, 3, 8, 15): chance of
    movement, right, down (in cells a picture)."""
    first, second, third = net.weights
    parts = {
        "k0": first.T.reshape(-1, 2, SIDE, SIDE).copy(), "c0": net.biases[0],
        "k1": second.T[:, :, None, None].copy(), "c1": net.biases[1], "k2": third.T[:, :, None, None].copy(), "c2": net.biases[2],
        "half": np.array(0.5, np.float32), "cuts": np.array([1, 2], np.int64),
        "shape": np.array([1, 2, HEIGHT, WIDTH], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["pair", "shape"], ["pictures"]),
        helper.make_node("Sub", ["pictures", "half"], ["x"]),
        helper.make_node("Conv", ["x", "k0", "c0"], ["s0"], strides=[STEP, STEP]),
        helper.make_node("Relu", ["s0"], ["x1"]),
        helper.make_node("Conv", ["x1", "k1", "c1"], ["s1"]),
        helper.make_node("Relu", ["s1"], ["x2"]),
        helper.make_node("Conv", ["x2", "k2", "c2"], ["s2"]),
        helper.make_node("Split", ["s2", "cuts"], ["raw", "way"], axis=1),
        helper.make_node("Sigmoid", ["raw"], ["chance"]),
        helper.make_node("Concat", ["chance", "way"], ["stirring"], axis=1),
    ]
    rows, columns = (HEIGHT - SIDE) // STEP + 1, (WIDTH - SIDE) // STEP + 1
    graph = helper.make_graph(
        nodes, "stir", [helper.make_tensor_value_info("pair", TensorProto.FLOAT, [1, 2 * HEIGHT * WIDTH])],
        [helper.make_tensor_value_info("stirring", TensorProto.FLOAT, [1, 3, rows, columns])],
        [numpy_helper.from_array(value, name) for name, value in parts.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="slow-weather")
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    main()
