"""Graphs with the names, shapes and number types of public models, which say what a test has them say, whatever they see.

The layouts are those of the models' own publications, named at each test. The numbers are encoded there by the publication's formula,
turned round, so that nothing of the decoder under test is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from mesh.role import Frame
from roles.inference.onnx import Onnx
from tests.roles.small_models import FLOAT, node, write_onnx
from tests.roles.stage import Recorder, put_on

PICTURE = np.full((240, 320, 3), 120, np.uint8)
BOX = (0.25, 0.25, 0.75, 0.5)  # of the picture: x0, y0, x1, y1
TYPES = {np.dtype(key): value for key, value in {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8,
    "int32": TensorProto.INT32, "int64": TensorProto.INT64, "float64": TensorProto.DOUBLE,
}.items()}  # fmt: skip


def public(
    path: Path, input: tuple[str, int, list[Any]], outputs: dict[str, np.ndarray], metadata: dict[str, str] | None = None
) -> Path:
    """A model whose input is (name, element type, shape) and which gives these arrays, float64 as float32."""
    name, kind, shape = input
    nodes = [
        node("Cast", [name], ["as_float"], to=FLOAT),
        node("ReduceMean", ["as_float"], ["mean_of_all"], keepdims=0),
        node("Mul", ["mean_of_all", "zero_of_all"], ["nothing_at_all"]),
    ]
    constants: dict[str, Any] = {"zero_of_all": np.float32(0)}
    given = {}
    for at, (output, value) in enumerate(outputs.items()):
        said = value.astype(np.float32) if value.dtype == np.float64 else value
        constants[f"said_{at}"] = said
        nodes.append(node("Cast", ["nothing_at_all"], [f"nothing_{at}"], to=TYPES[said.dtype]))
        nodes.append(node("Add", [f"said_{at}", f"nothing_{at}"], [output]))
        given[output] = (TYPES[said.dtype], list(said.shape))
    return write_onnx(path, {name: (kind, shape)}, given, nodes, constants, metadata)


def play(model: Path, *frames: Any, to: str = "image", **options: Any) -> tuple[Any, Recorder]:
    """The role with these options, after these frames."""
    role, stage = put_on(Onnx, model.parent, model=model, **options)
    role.setup()
    for number, value in enumerate(frames):
        getattr(role, f"on_{to}")(Frame(value, captured_s=1.0 + number))
    return role, stage


def pixels(size: tuple[int, int], box: tuple[float, float, float, float] = BOX) -> tuple[float, float, float, float]:
    """A box's middle and sides in the model's pixels."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2 * size[0], (y0 + y1) / 2 * size[1], (x1 - x0) * size[0], (y1 - y0) * size[1]


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


def bins(distance: float, count: int) -> np.ndarray:
    """Logits of a distribution over whole numbers whose mean is `distance`: two neighbours share it."""
    low = int(distance)
    share = np.full(count, -40.0)
    share[low], share[min(low + 1, count - 1)] = np.log(1 - (distance - low) + 1e-12), np.log(distance - low + 1e-12)
    return share


