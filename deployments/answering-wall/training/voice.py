"""Makes models/voice.onnx: says for every 32 ms whether somebody speaks. Also visitors.wav, the people of a rehearsal, and the chime.

    python training/voice.py            less than a minute on one core; the same file each time

What the model hears is fixed and stands in the graph: the energies of 16 bands, how far they stand above the room's own floor (a state
that falls at once and rises slowly), how much that moves, and how strongly the sound repeats at the pitch of a voice. What it makes
of that is learnt: 50 numbers, 24 in between, one out, by Adam on scenes that `sounds.py` makes. Written without a framework.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sounds import RATE, scene

HERE = Path(__file__).resolve().parent.parent
WINDOW, BINS, BANDS, HIDDEN = 512, 144, 16, 24
RISE, SLOW = 0.01, 0.9
FEATURES = 3 * BANDS + 2


def fixed() -> dict[str, np.ndarray]:
    """The parts that are not learnt."""
    time, bins = np.arange(WINDOW), np.arange(1, BINS + 1)
    turns = 2 * np.pi * np.outer(time, bins) / WINDOW
    shape = np.hanning(WINDOW)[:, None]
    hertz = bins * RATE / WINDOW
    edges = np.geomspace(90, 4400, BANDS + 2)
    rise, fall = (hertz[:, None] - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - hertz[:, None]) / np.diff(edges)[1:]
    bands = np.maximum(0, np.minimum(rise, fall)) + 1e-6
    lags = np.arange(int(RATE / 320), int(RATE / 75), 2)
    again = np.cos(2 * np.pi * np.outer(bins / WINDOW, lags))
    parts = {"cos": shape * np.cos(turns), "sin": shape * np.sin(turns), "bands": bands / bands.sum(axis=0), "again": again}
    return {name: value.astype(np.float32) for name, value in parts.items()}


def features(sound: np.ndarray, parts: dict[str, np.ndarray]) -> np.ndarray:
    """The same as the graph makes, for a whole scene: (windows, FEATURES)."""
    frames = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    power = (frames @ parts["cos"]) ** 2 + (frames @ parts["sin"]) ** 2
    energy = np.log(power @ parts["bands"] + 1e-5)
    total = power.sum(axis=1, keepdims=True) + 1e-4
    pitch = (power @ parts["again"] / total).max(axis=1, keepdims=True)
    floor, calm, moved, out = np.zeros(BANDS), np.zeros(BANDS), np.zeros(BANDS), []
    for now, again in zip(energy, pitch, strict=True):
        floor = np.minimum(now, floor + RISE)
        above = now - floor
        moved = SLOW * moved + (1 - SLOW) * np.abs(above - calm)
        calm = SLOW * calm + (1 - SLOW) * above
        out.append(np.concatenate([above, calm, moved, again, [above.mean()]]))
    return np.array(out)


def learnt(inputs: np.ndarray, wanted: np.ndarray, chance: np.random.Generator) -> list[np.ndarray]:
    """Two layers by Adam (Kingma and Ba 2015)."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    inputs = (inputs - mean) / spread
    weights = [
        chance.standard_normal((FEATURES, HIDDEN)) / FEATURES**0.5,
        np.zeros(HIDDEN),
        chance.standard_normal((HIDDEN, 1)) / HIDDEN**0.5,
        np.zeros(1),
    ]
    first, second = [np.zeros_like(each) for each in weights], [np.zeros_like(each) for each in weights]
    for step in range(1, 9001):
        pick = chance.integers(0, len(inputs), 512)
        x, y = inputs[pick], wanted[pick, None]
        inner = np.tanh(x @ weights[0] + weights[1])
        wrong = (1 / (1 + np.exp(-(inner @ weights[2] + weights[3]))) - y) / len(x)
        back = wrong @ weights[2].T * (1 - inner**2)
        for at, slope in enumerate((x.T @ back, back.sum(axis=0), inner.T @ wrong, wrong.sum(axis=0))):
            first[at] = 0.9 * first[at] + 0.1 * slope
            second[at] = 0.999 * second[at] + 0.001 * slope**2
            rate = 0.004 * (1 - step / 9900)
            weights[at] -= rate * (first[at] / (1 - 0.9**step)) / (np.sqrt(second[at] / (1 - 0.999**step)) + 1e-8)
    weights[1] = weights[1] - (mean / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]
    return weights


def graph(parts: dict[str, np.ndarray], weights: list[np.ndarray]) -> onnx.ModelProto:
    """The whole as an ONNX model: sound [1, 512] and the state [3, 16] in, speech [1, 1] and the next state out."""
    held = {
        **parts,
        "w0": weights[0],
        "b0": weights[1],
        "w1": weights[2],
        "b1": weights[3],
        "tiny": 1e-5,
        "small": 1e-4,
        "rise": RISE,
        "slow": SLOW,
        "quick": 1 - SLOW,
    }
    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in held.items()]
    make = helper.make_node
    nodes = [
        make("MatMul", ["sound", "cos"], ["c"]),
        make("MatMul", ["sound", "sin"], ["s"]),
        make("Mul", ["c", "c"], ["cc"]),
        make("Mul", ["s", "s"], ["ss"]),
        make("Add", ["cc", "ss"], ["power"]),
        make("MatMul", ["power", "bands"], ["in_bands"]),
        make("Add", ["in_bands", "tiny"], ["some"]),
        make("Log", ["some"], ["energy"]),
        make("ReduceSum", ["power"], ["sum"], keepdims=1),
        make("Add", ["sum", "small"], ["total"]),
        make("MatMul", ["power", "again"], ["lags"]),
        make("Div", ["lags", "total"], ["repeats"]),
        make("ReduceMax", ["repeats"], ["pitch"], axes=[1], keepdims=1),
        make("Split", ["state"], ["floor", "calm", "moved"], axis=0, num_outputs=3),
        make("Add", ["floor", "rise"], ["higher"]),
        make("Min", ["energy", "higher"], ["floor2"]),
        make("Sub", ["energy", "floor2"], ["above"]),
        make("Sub", ["above", "calm"], ["change"]),
        make("Abs", ["change"], ["step"]),
        make("Mul", ["moved", "slow"], ["m1"]),
        make("Mul", ["step", "quick"], ["m2"]),
        make("Add", ["m1", "m2"], ["moved2"]),
        make("Mul", ["calm", "slow"], ["k1"]),
        make("Mul", ["above", "quick"], ["k2"]),
        make("Add", ["k1", "k2"], ["calm2"]),
        make("ReduceMean", ["above"], ["loud"], axes=[1], keepdims=1),
        make("Concat", ["above", "calm2", "moved2", "pitch", "loud"], ["heard"], axis=1),
        make("MatMul", ["heard", "w0"], ["h0"]),
        make("Add", ["h0", "b0"], ["h1"]),
        make("Tanh", ["h1"], ["h2"]),
        make("MatMul", ["h2", "w1"], ["h3"]),
        make("Add", ["h3", "b1"], ["h4"]),
        make("Sigmoid", ["h4"], ["speech"]),
        make("Concat", ["floor2", "calm2", "moved2"], ["state_next"], axis=0),
    ]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "voice",
        [value("sound", TensorProto.FLOAT, [1, WINDOW]), value("state", TensorProto.FLOAT, [3, BANDS])],
        [value("speech", TensorProto.FLOAT, [1, 1]), value("state_next", TensorProto.FLOAT, [3, BANDS])],
        constants,
    )
    for at, node in enumerate(made.node):  # opset 18 takes axes of reductions as an input
        for attribute in list(node.attribute):
            if node.op_type in ("ReduceMax", "ReduceMean") and attribute.name == "axes":
                made.initializer.append(numpy_helper.from_array(np.array(list(attribute.ints), np.int64), f"axes{at}"))
                node.attribute.remove(attribute)
                node.input.append(f"axes{at}")
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def heard(seeds: range, parts: dict[str, np.ndarray], kinds: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Features of scenes and whether somebody speaks in most of each window."""
    made = [scene(np.random.default_rng(seed), 8.0, kinds) for seed in seeds]
    inputs = [features(sound, parts) for sound, _ in made]
    wanted = [mark[: len(mark) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1) > 0.5 for _, mark in made]
    return np.concatenate(inputs), np.concatenate(wanted).astype(float)


def written(path: Path, sound: np.ndarray) -> None:
    """A WAV of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def main() -> None:
    parts = fixed()
    inputs, wanted = heard(range(240), parts, ("hiss", "hum", "clatter", "tones"))
    weights = learnt(inputs, wanted, np.random.default_rng(5))
    onnx.save(graph(parts, weights), HERE / "models" / "voice.onnx")
    for name, kinds in (
        ("rooms like those of the training", ("hiss", "hum", "clatter", "tones")),
        ("a rumble it never heard", ("rumble",)),
    ):
        inputs, wanted = heard(range(1000, 1040), parts, kinds)
        said = 1 / (1 + np.exp(-(np.tanh(inputs @ weights[0] + weights[1]) @ weights[2] + weights[3])[:, 0])) > 0.5
        right, found, false = (said == wanted).mean(), said[wanted == 1].mean(), said[wanted == 0].mean()
        print(f"{name}: {right:.3f} of {len(wanted)} windows right, {found:.3f} of speech found, {false:.3f} of the rest taken for speech")
    sound, _ = scene(np.random.default_rng(77), 40.0, ("hiss", "hum"))
    written(HERE / "visitors.wav", sound)
    time = np.arange(2 * RATE) / RATE
    chime = sum(np.sin(2 * np.pi * f * time) * np.exp(-time * d) * a for f, d, a in ((392, 2.2, 0.5), (784, 3.1, 0.2), (1046, 4.4, 0.12)))
    written(HERE / "sounds" / "chime.wav", chime * 0.5)


if __name__ == "__main__":
    main()
