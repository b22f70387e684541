"""The painter: a net that was shown a sky written as a formula, and paints what it remembers of it.

    python training/sky.py          about three minutes on one core; writes models/sky.onnx and prints its figures

`weather` is the formula: light above a dark horizon, bands of cloud that wander, warmth that comes with movement. The net gets a
place in the panorama and the state of the weather and answers with a colour; being small, it forgets the edges, which is
why its skies are softer than the formula's, and why the work shows the net's and not the formula's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from net import Net

ROOM = Path(__file__).resolve().parent.parent
STEPS, BATCH = 9000, 4096
SIZES = [8, 64, 64, 64, 3]
INK = np.array([[0.020, 0.030, 0.055], [0.16, 0.22, 0.30], [0.50, 0.55, 0.57], [0.96, 0.84, 0.66], [0.80, 0.36, 0.20]])


def weather(place: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Colours (n, 3), 0 to 1. `place` (n, 2): x 0 to 3 over the three windows, y 0 (above) to 1. `state` (n, 6): cosine and sine
    of two slow phases, how stirred the air is (0 to 1), which way it leans (-1 to 1)."""
    x, y = place.T
    ca, sa, cb, sb, stir, lean = state.T
    turn, drift = np.arctan2(sa, ca), np.arctan2(sb, cb)
    swell = 0.05 + 0.10 * stir
    bent = y + swell * np.sin(2.1 * x + turn + 1.2 * lean * y) + 0.5 * swell * np.sin(4.7 * x - drift)
    horizon = 0.66 + 0.02 * np.sin(1.3 * x + drift)
    above = np.clip((horizon - bent) / horizon, 0, 1)
    light = np.exp(-(((above - 0.06) / (0.16 + 0.16 * stir)) ** 2))
    cloud = 0.5 + 0.5 * np.sin(9 * bent + 1.7 * np.sin(1.9 * x + turn) + 2.0 * lean * (x - 1.5))
    cloud *= 0.5 + 0.5 * np.sin(3.1 * x - 0.8 * turn + 4 * y)
    sun = np.exp(-((x - 1.5 - 0.9 * np.sin(drift)) ** 2) / (0.5 + 0.6 * stir))
    sea = 1 / (1 + np.exp(-(bent - horizon) * 38))
    tone = 0.85 + 1.15 * (1 - above) + 0.9 * light * (0.35 + 0.65 * sun) - 0.8 * cloud * (0.35 + 0.5 * stir) * (1 - light)
    tone = np.clip(tone, 0, 3.0)
    glint = 0.7 * np.exp(-(((bent - horizon) / 0.10) ** 2)) * sun * (0.6 + 0.4 * np.sin(30 * bent + 3 * turn))
    tone = tone * (1 - sea) + sea * (0.25 + 0.55 * glint + 0.5 * np.clip(1 - bent, 0, 1))
    low = np.minimum(tone.astype(int), 3)
    part = (tone - low)[:, None]
    colour = INK[low] * (1 - part) + INK[np.minimum(low + 1, 3)] * part
    warm = (stir * (1 - sea) * light * sun)[:, None] * 0.75
    return np.clip(colour * (1 - warm) + INK[4] * warm, 0, 1)


def lesson(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places with a weather each, as the net is given them, and their colours."""
    place = rng.random((count, 2)) * (3.0, 1.0)
    one, other = rng.random((2, count)) * 2 * np.pi
    stir, lean = rng.random(count), rng.random(count) * 2 - 1
    state = np.stack([np.cos(one), np.sin(one), np.cos(other), np.sin(other), stir, lean], 1)
    given = np.concatenate([place - (1.5, 0.5), state], 1).astype(np.float32)
    return given, weather(place, state).astype(np.float32)


def main() -> None:
    rng = np.random.default_rng(1)
    net = Net(SIZES, "sin", seed=2, first=1.6)
    for step in range(STEPS):
        given, wanted = lesson(rng, BATCH)
        flow = net.run(given)
        rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / STEPS)) + 1e-5
        net.learn(flow, 2 * (flow[-1] - wanted) / len(given), rate)
        if step % 1000 == 0:
            print(step, float(np.sqrt(np.mean((flow[-1] - wanted) ** 2))), flush=True)
    given, wanted = lesson(np.random.default_rng(99), 60_000)
    print(f"held out: rms {np.sqrt(np.mean((net.run(given)[-1] - wanted) ** 2)):.4f}, {net.parameters} parameters")
    save(net, ROOM / "models" / "sky.onnx")


def save(net: Net, path: Path) -> None:
    """`places` (n, 2) and `state` (6) -> `colours` uint8 (n, 3)."""
    nodes = [
        helper.make_node("Shape", ["places"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["count"]),
        helper.make_node("Concat", ["count", "six"], ["wide"], axis=0),
        helper.make_node("Expand", ["state", "wide"], ["states"]),
        helper.make_node("Sub", ["places", "middle"], ["centred"]),
        helper.make_node("Concat", ["centred", "states"], ["x0"], axis=1),
    ]
    parts = {
        "zero": np.array([0], np.int64), "one": np.array([1], np.int64), "six": np.array([6], np.int64),
        "middle": np.array([1.5, 0.5], np.float32), "full": np.array(255.0, np.float32),
        "low": np.array(0.0, np.float32), "high": np.array(255.0, np.float32),
    }  # fmt: skip
    for place, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        parts |= {f"w{place}": weight, f"b{place}": bias}
        nodes.append(helper.make_node("Gemm", [f"x{place}", f"w{place}", f"b{place}"], [f"s{place}"]))
        if place < len(net.weights) - 1:
            nodes.append(helper.make_node("Sin", [f"s{place}"], [f"x{place + 1}"]))
    nodes += [
        helper.make_node("Mul", [f"s{len(net.weights) - 1}", "full"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["colours"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes, "sky",
        [
            helper.make_tensor_value_info("places", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [6]),
        ],
        [helper.make_tensor_value_info("colours", TensorProto.UINT8, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in parts.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="slow-weather")
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    main()
