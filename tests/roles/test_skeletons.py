"""Several people from maps of joints and of limbs: the maps are drawn from figures that the test knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from roles.inference.onnx import Onnx
from tests.roles.public_models import play, public
from tests.roles.small_models import FLOAT

HIGH, WIDE, STEP = 40, 60, 8  # of the maps; pixels from place to place
LIMBS = {
    "openpose": [(1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7),
                 (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)],
    "a hand of four": [(0, 1), (0, 2), (2, 3)],
}  # fmt: skip


def body(x: float, y: float) -> np.ndarray:
    """Eighteen joints of somebody whose neck is there, in places of the map; arms held out to the sides."""
    offsets = [(0, -4), (0, 0), (-3, 0), (-6, 2), (-9, 0), (3, 0), (6, 2), (9, 0), (-2, 9), (-2, 16), (-2, 23), (2, 9), (2, 16),
               (2, 23), (-1, -5), (1, -5), (-2, -4.5), (2, -4.5)]  # fmt: skip
    return np.array([(x + right, y + down) for right, down in offsets])


def maps(people: list[np.ndarray], limbs: list[tuple[int, int]], missing: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """(joints + 1, h, w) and (2 * limbs, h, w); `missing` joints of the first figure are not seen."""
    rows, columns = np.mgrid[0:HIGH, 0:WIDE]
    heat, fields = np.zeros((len(people[0]) + 1, HIGH, WIDE)), np.zeros((2 * len(limbs), HIGH, WIDE))
    for number, joints in enumerate(people):
        for joint, (x, y) in enumerate(joints):
            if number or joint not in missing:
                heat[joint] = np.maximum(heat[joint], 0.9 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2))
        for limb, (one, other) in enumerate(limbs):
            way = joints[other] - joints[one]
            length = np.hypot(*way)
            along = ((columns - joints[one][0]) * way[0] + (rows - joints[one][1]) * way[1]) / length
            athwart = abs((columns - joints[one][0]) * way[1] - (rows - joints[one][1]) * way[0]) / length
            on = (along >= -0.5) & (along <= length + 0.5) & (athwart <= 1)
            fields[2 * limb][on], fields[2 * limb + 1][on] = way / length
    heat[-1] = 1 - heat[:-1].max(axis=0)
    return heat, fields


def figures(tmp_path: Path, outputs: dict[str, np.ndarray], **options: Any) -> list[dict[str, Any]]:
    model = public(tmp_path / "m.onnx", ("image", FLOAT, [1, 3, HIGH * STEP, WIDE * STEP]), outputs)
    _, stage = play(model, np.zeros((HIGH * STEP, WIDE * STEP, 3), np.uint8), decode="keypoints", **options)
    return list(stage.values("found")[0]["figures"])


def placed(joints: np.ndarray) -> np.ndarray:
    return (joints + 0.5) / [WIDE, HIGH]


@pytest.mark.parametrize("how", ["apart", "joined", "channels last", "in stages"])
def test_each_person_has_their_own_arms_although_hands_nearly_touch(tmp_path: Path, how: str) -> None:
    # Given two people side by side, the left hand of one beside the right hand of the other
    people = [body(15, 9), body(34, 9.5)]
    heat, fields = (value[None] for value in maps(people, LIMBS["openpose"]))
    outputs = {
        "apart": {"paf": fields, "heat": heat}, "joined": {"net_output": np.concatenate([heat, fields], axis=1)},
        "channels last": {"a": heat.transpose(0, 2, 3, 1), "b": fields.transpose(0, 2, 3, 1)},
        "in stages": {"h0": np.full_like(heat, 0.5), "p0": fields * 0, "h1": heat, "p1": fields},
    }[how]  # fmt: skip
    found = figures(tmp_path, outputs)
    assert len(found) == 2
    for figure, joints in zip(sorted(found, key=lambda each: each["points"][1][0]), people, strict=True):
        assert np.abs((np.array(figure["points"])[:, :2] - placed(joints)) * [WIDE, HIGH]).max() < 0.35
        assert figure["score"] == pytest.approx(0.85, abs=0.06)


def test_a_joint_that_is_not_seen_is_nowhere_and_the_rest_stays_together(tmp_path: Path) -> None:
    heat, fields = (value[None] for value in maps([body(15, 9)], LIMBS["openpose"], missing=(4, 10)))
    (figure,) = figures(tmp_path, {"heat": heat, "paf": fields})
    assert figure["points"][4] == [0, 0, 0] and figure["points"][10] == [0, 0, 0]
    assert all(point[2] > 0.5 for joint, point in enumerate(figure["points"]) if joint not in (4, 10))


def test_a_skeleton_of_one_s_own_is_told_by_its_limbs(tmp_path: Path) -> None:
    hands = [np.array([(10.0, 10), (16, 10), (10, 18), (12, 25)]), np.array([(40.0, 12), (48, 13), (42, 20), (42, 28)])]
    heat, fields = maps(hands, LIMBS["a hand of four"])
    outputs = {"heat": heat[None, :4], "fields": fields[None]}  # without a map for none
    found = figures(tmp_path, outputs, limbs=LIMBS["a hand of four"])
    assert sorted(figure["points"][0][0] * WIDE for figure in found) == [pytest.approx(10.5, abs=0.2), pytest.approx(40.5, abs=0.2)]
    with pytest.raises(RoleError) as fault:
        figures(tmp_path, outputs, limbs="openpose")
    assert "limbs" in (fault.value.where or "") and "heat" in fault.value.what


def test_nobody_is_no_figure_and_noise_is_nobody(tmp_path: Path) -> None:
    noise = np.random.default_rng(2)
    for heat, fields in ((np.zeros((1, 19, HIGH, WIDE)), np.zeros((1, 38, HIGH, WIDE))),
                         (noise.uniform(0, 0.3, (1, 19, HIGH, WIDE)), noise.uniform(-0.3, 0.3, (1, 38, HIGH, WIDE)))):  # fmt: skip
        assert figures(tmp_path, {"heat": heat, "paf": fields}) == []


def test_such_a_model_is_known_by_its_maps(tmp_path: Path) -> None:
    heat, fields = (value[None] for value in maps([body(15, 9)], LIMBS["openpose"]))
    model = public(tmp_path / "m.onnx", ("image", FLOAT, [1, 3, HIGH * STEP, WIDE * STEP]), {"paf": fields, "heat": heat})
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "keypoints"}
