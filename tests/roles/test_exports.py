"""Folders as the exports of transformers and timm leave them: what the files beside a model say becomes options, and these are played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mesh.cli.models import command
from mesh.shell.looking import look_at
from roles.inference.beside import ready_as_told
from roles.inference.onnx import Onnx
from tests.roles.public_models import PICTURE, play
from tests.roles.small_models import FLOAT, INT64, node, write_onnx

OPEN = ["batch_size", "num_channels", "height", "width"]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def brightness(path: Path) -> Path:
    """A picture of any size, and which of its pixels count -> logits [1, 3]: its mean, that of the pixels that count, and 0."""
    nodes = [
        node("Cast", ["pixel_mask"], ["counts"], to=FLOAT),
        node("ReduceMean", ["pixel_values"], ["bright"], keepdims=0),
        node("ReduceSum", ["counts"], ["count"], keepdims=0),
        node("ReduceMean", ["counts"], ["share"], keepdims=0),
        node("Mul", ["bright", "share"], ["seen"]),
        node("Mul", ["bright", "nothing"], ["none"]),
        *(node("Unsqueeze", [name, "first"], [f"{name}_row"]) for name in ("bright", "seen", "none", "count")),
        node("Concat", ["bright_row", "seen_row", "none_row"], ["row"], axis=0),
        node("Unsqueeze", ["row", "first"], ["logits"]),
    ]
    return write_onnx(
        path, {"pixel_values": (FLOAT, OPEN), "pixel_mask": (INT64, ["b", "h", "w"])},
        {"logits": (FLOAT, [1, 3]), "count_row": (FLOAT, [1])}, nodes, {"first": np.array([0], np.int64), "nothing": np.float32(0)},
    )  # fmt: skip


def test_an_export_with_all_sides_open_is_played_by_what_lies_beside_it(tmp_path: Path) -> None:
    # Given a model as optimum exports it, which also wants to know which pixels count
    (tmp_path / "onnx").mkdir()
    model = brightness(tmp_path / "onnx" / "model.onnx")
    said = {"size": {"shortest_edge": 60, "longest_edge": 100}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "light", "1": "dark", "2": "none"}}))
    # When `roomful models` says how to play it
    options = Onnx.inspect_model(model)["fits"][0]["options"]
    assert options == {"decode": "classes", "size": "60..100", "mean": 0.5, "std": 0.25, "sampling": "smooth_cubic"}
    # Then it plays so: 120 of 255, less a half, by a quarter; and all pixels count
    _, stage = play(model, PICTURE, **options)
    logit = (120 / 255 - 0.5) / 0.25
    right = np.exp([logit, logit, 0]) / np.exp([logit, logit, 0]).sum()
    assert list(stage.values("found")[0]["scores"].values()) == pytest.approx(right, abs=1e-4)
    assert stage.values("found")[0]["count_row"] == 60 * 80


def test_what_lies_above_a_folder_of_exports_or_behind_links_is_seen_by_who_looks_at_it_apart(tmp_path: Path) -> None:
    # Given an export as a download keeps it: files elsewhere, links to them, the model in a folder of its own
    blobs, there = tmp_path / "blobs", tmp_path / "snapshots" / "one"
    (there / "onnx").mkdir(parents=True)
    blobs.mkdir()
    brightness(blobs / "1.onnx")
    (blobs / "2").write_text(json.dumps({"size": {"shortest_edge": 60, "longest_edge": 100}, "image_mean": [0.5] * 3}))
    (there / "onnx" / "model.onnx").symlink_to(Path("..", "..", "..", "blobs", "1.onnx"))
    (there / "preprocessor_config.json").symlink_to(Path("..", "..", "blobs", "2"))
    # When it is looked at in a process that may read little
    seen = look_at([there / "onnx" / "model.onnx"])[there / "onnx" / "model.onnx"]
    # Then that has read both
    assert seen["fits"][0]["options"] == {"decode": "classes", "size": "60..100", "mean": 0.5, "sampling": "smooth"}
    assert seen["beside"] == ["preprocessor_config.json"], "so that whoever copies the model knows what belongs to it"
    # And it is shown with the lines for a folder of its own, called after the download
    shown = CliRunner().invoke(command, [str(there / "onnx" / "model.onnx")]).output
    assert "file: models/one/model.onnx" in shown and "Copy with it into models/one" in shown and "preprocessor_config.json" in shown


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
         {"size": "224x224", "resize": "crop", "crop_share": 0.875, "sampling": "smooth_cubic"}),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "resample": 3},
         {"size": "384x384", "sampling": "smooth_cubic"}),
        ({"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "resample": 3},
         {"size": "224x224", "crop_share": 0.875, "sampling": "smooth_cubic"}),
        ({"feature_extractor_type": "MobileViTFeatureExtractor", "size": 288, "crop_size": 256, "do_center_crop": True,
          "do_flip_channel_order": True},
         {"size": "256x256", "resize": "crop", "crop_share": 0.8889, "colour": "bgr", "sampling": "smooth"}),
        ({"size": {"height": 518, "width": 518}, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3},
         {"size": "~518", "multiple": 14, "sampling": "smooth_cubic"}),
        ({"size": {"shortest_edge": 800, "longest_edge": 1333}, "image_mean": MEAN, "image_std": STD},
         {"size": "800..1333", "mean": MEAN, "std": STD, "sampling": "smooth"}),
        ({"size": {"shortest_edge": 512}, "image_processor_type": "YolosImageProcessor", "resample": 1},
         {"size": "512..", "multiple": 16, "sampling": "smooth_lanczos"}),
        ({"size": {"height": 960, "width": 960}, "image_processor_type": "Owlv2ImageProcessor"},
         {"size": "960x960", "resize": "letterbox", "place": "corner", "pad": 128, "sampling": "smooth"}),
        ({"size": {"height": 64, "width": 64}, "do_rescale": False, "do_normalize": False, "image_mean": MEAN},
         {"size": "64x64", "scale": 1.0, "sampling": "smooth"}),
    ],
)  # fmt: skip
def test_what_is_said_of_pictures_becomes_options(tmp_path: Path, said: dict[str, Any], options: dict[str, Any]) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    assert ready_as_told(tmp_path / "m.onnx") == options
    Onnx.Options(**options)


def test_timm_s_own_words_become_options(tmp_path: Path) -> None:
    said = {"input_size": [3, 288, 256], "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "center", "mean": MEAN, "std": STD}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": said}))
    right = {"size": "256x288", "mean": MEAN, "std": STD, "sampling": "smooth_cubic", "resize": "crop", "crop_share": 0.9505}
    assert ready_as_told(tmp_path / "m.onnx") == right  # 288 of 303
