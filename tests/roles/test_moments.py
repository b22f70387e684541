"""Models that see more than this moment: clips, pictures of before, several inputs; and movement. Graphs that give back what they got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT, node, write_onnx


def mirror(path: Path, shape: list[Any]) -> Path:
    """Gives its input back."""
    return write_onnx(path, {"clip": (FLOAT, shape)}, {"same": (FLOAT, shape)}, [node("Identity", ["clip"], ["same"])])


def shades(count: int) -> list[np.ndarray]:
    """Pictures of one colour each: red 10, 20, …; green 1, blue 2."""
    return [np.tile(np.array([10 * (at + 1), 1, 2], np.uint8), (6, 8, 1)) for at in range(count)]


@pytest.mark.parametrize(
    ("shape", "options", "along"),
    [([1, 3, 4, 6, 8], {}, "ncthw"), ([1, 4, 3, 6, 8], {}, "ntchw"), ([1, 4, 6, 8, 3], {}, "nthwc"),
     ([1, "frames", 3, 6, 8], {"frames": 4}, "ntchw"),
     ([1, 3, 3, 6, 8], {"layout": "ntchw", "frames": 3}, "ntchw"), ([1, 12, 6, 8], {"frames": 4}, "nchw"),
     ([1, 6, 8, 12], {"frames": 4}, "nhwc")],
)  # fmt: skip
def test_a_clip_holds_the_last_moments_in_order_whatever_its_layout(
    tmp_path: Path, shape: list[Any], options: dict[str, Any], along: str
) -> None:
    count = 3 if shape == [1, 3, 3, 6, 8] else 4
    _, stage = play(mirror(tmp_path / "m.onnx", shape), *shades(count + 1), decode="raw", scale=1.0, size="auto", **options)
    # Then nothing is said before there are enough, and then each picture gives a clip that ends with it
    first, second = stage.values("values")
    moments = {"ncthw": (0, 2, 3, 4, 1), "ntchw": (0, 1, 3, 4, 2), "nthwc": (0, 1, 2, 3, 4)}
    for clip, newest in ((first, count), (second, count + 1)):
        if along in moments:
            seen = clip.transpose(moments[along])[0]
        else:
            seen = (clip.transpose(0, 2, 3, 1) if along == "nchw" else clip)[0].reshape(6, 8, count, 3).transpose(2, 0, 1, 3)
        assert seen.shape == (count, 6, 8, 3)
        assert seen[:, 3, 4].tolist() == [[10 * (newest - count + 1 + at), 1, 2] for at in range(count)]


def test_moments_may_lie_apart_and_the_model_need_not_run_at_each_picture(tmp_path: Path) -> None:
    model = mirror(tmp_path / "m.onnx", [1, 3, 3, 6, 8])
    _, stage = play(model, *shades(9), decode="raw", scale=1.0, layout="ncthw", every=2, hop=3)
    assert [clip[0, 0, :, 0, 0].tolist() for clip in stage.values("values")] == [[10, 30, 50], [40, 60, 80]]


@pytest.mark.parametrize(
    ("shape", "options", "where"),
    [([1, 3, 3, 6, 8], {}, "layout"), ([1, "t", 3, 6, 8], {}, "frames"), ([1, 8, 6, 8], {"frames": 3}, "frames"),
     ([2, 3, 4, 6, 8], {}, "")],
)  # fmt: skip
def test_what_a_clip_leaves_open_is_asked_for_by_the_option_s_name(
    tmp_path: Path, shape: list[Any], options: dict[str, Any], where: str
) -> None:
    with pytest.raises(RoleError) as fault:
        play(mirror(tmp_path / "m.onnx", shape), decode="raw", **options)
    assert where in (fault.value.where or "") and fault.value.instead


def test_a_picture_of_another_shape_begins_a_clip_anew(tmp_path: Path) -> None:
    model = mirror(tmp_path / "m.onnx", [1, 3, 2, "h", "w"])
    small, large = np.zeros((8, 8, 3), np.uint8), np.zeros((16, 8, 3), np.uint8)
    _, stage = play(model, small, large, large, decode="raw", size="frame", multiple=8)
    assert [clip.shape for clip in stage.values("values")] == [(1, 3, 2, 16, 8)]


def two_pictures(path: Path) -> Path:
    """Movement [1, 2, 8, 8]: how much redder this picture is than the one before, and how much greener; and once more, halved."""
    nodes = [
        node("Sub", ["image2", "image1"], ["more"]), node("Slice", ["more", "zero", "two", "one"], ["flow"]),
        node("Mul", ["flow", "half"], ["worse"]),
    ]  # fmt: skip
    picture = [1, 3, 8, 8]
    constants = {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "half": np.float32(0.5)}
    outputs = {"worse": (FLOAT, [1, 2, 8, 8]), "flow": (FLOAT, [1, 2, 8, 8])}
    return write_onnx(path, {"image1": (FLOAT, picture), "image2": (FLOAT, picture)}, outputs, nodes, constants)


def test_movement_is_seen_between_this_picture_and_the_one_before(tmp_path: Path) -> None:
    """RAFT's kind: two pictures in, several maps out, of which the last is the best."""
    options: dict[str, Any] = {"decode": "flow", "input": "image2", "earlier": {"image1": 1}, "scale": 0.4}
    _, stage = play(two_pictures(tmp_path / "m.onnx"), *(np.resize(each, (8, 8, 3)) for each in shades(3)), **options)
    events, flows = stage.values("found"), stage.values("values")
    assert len(events) == 2 and all(np.allclose(flow, np.tile([4.0, 0.0], (8, 8, 1)), atol=1e-5) for flow in flows)
    # Then it is told as shares of the picture: 4 of 8 pixels to the right
    assert events[0] == {"mean": [0.5, 0.0], "speed": 0.5, "moving": 1.0, "middle": [0.5, 0.5]}
    assert stage.values("picture")[0].tolist() == np.tile([255, 0, 0], (8, 8, 1)).tolist()


def test_movement_has_the_colours_of_its_direction_and_white_stands_still(tmp_path: Path) -> None:
    """By hand from the wheel of Baker et al.: 15 steps from red to yellow, 6 to green, 4 to cyan, 11 to blue."""
    flow = np.zeros((1, 16, 16, 2))  # channels last
    flow[0, :4], flow[0, 4:8], flow[0, 8:12] = (2, 0), (-2, 0), (0, 2)
    flow[0, 12] = (1, 0)
    model = public(tmp_path / "m.onnx", ("pair", FLOAT, [1, 6, 16, 16]), {"flow": flow})
    _, stage = play(model, *[np.zeros((16, 16, 3), np.uint8)] * 2, decode="flow", frames=2)
    (picture,), (event,) = stage.values("picture"), stage.values("found")
    assert picture[0, 0].tolist() == [255, 0, 0]  # to the right
    assert picture[5, 0].tolist() == [0, 255 - 255 * 2 // 11, 255]  # to the left: half of 54 steps on
    assert picture[9, 0].tolist() == [255, (255 * 13 // 15 + 255 * 14 // 15) // 2, 0]  # down: a quarter on
    assert picture[12, 0].tolist() == [255, 127, 127] and picture[15, 15].tolist() == [255, 255, 255]
    assert event["moving"] == pytest.approx(13 / 16, abs=1e-4) and event["middle"] == [0.5, pytest.approx(6.5 / 16, abs=1e-4)]


def test_each_input_has_options_of_its_own(tmp_path: Path) -> None:
    """A picture beside a grey one of the same moment, made ready otherwise."""
    inputs: dict[str, tuple[int, list[Any]]] = {"rgb": (FLOAT, [1, 3, 4, 4]), "grey": (FLOAT, [1, 1, 4, 4])}
    nodes = [node("Concat", ["rgb", "grey"], ["both"], axis=1)]
    model = write_onnx(tmp_path / "m.onnx", inputs, {"both": (FLOAT, [1, 4, 4, 4])}, nodes)
    options: dict[str, Any] = {"decode": "raw", "input": "rgb", "earlier": {"grey": 0}, "scale": 1.0}
    _, stage = play(model, np.full((4, 4, 3), 100, np.uint8), **options, for_input={"grey": {"mean": 60.0, "std": 2.0}})
    assert stage.values("values")[0][0, :, 0, 0].tolist() == [100, 100, 100, 20]
    for wrong, word in (({"grey": {"decode": "raw"}}, "decode"), ({"gray": {}}, "gray"), ({"grey": {"mean": "dark"}}, "mean")):
        with pytest.raises(RoleError) as fault:
            play(model, **options, for_input=wrong)
        assert word in fault.value.what and "for_input" in (fault.value.where or "")
