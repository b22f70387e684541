"""Which model of a ladder a machine plays."""

from __future__ import annotations

import pytest

from mesh.core.ladder import BESIDE_BYTES, Rungs, memory_for
from mesh.core.spec import RoleSpec

MB = 1024 * 1024
POET = RoleSpec("poet", "inference.llm", ladder=("large", "middle", "small"))
SIZES = {"large": 800 * MB, "middle": 200 * MB, "small": 10 * MB}


@pytest.mark.parametrize(
    ("memory_mb", "sizes", "model"),
    [
        (4096, SIZES, "large"), (1048, SIZES, "large"), (1000, SIZES, "middle"), (100, SIZES, "small"),
        (10, SIZES, "small"), (0, SIZES, "large"),
        (4096, {"middle": MB, "small": MB}, "middle"), (100, {"large": 800 * MB}, "large"), (100, {}, "small"),
    ],
)  # fmt: skip
def test_a_machine_plays_the_best_that_is_here_and_fits_else_the_smallest(memory_mb: int, sizes: dict[str, int], model: str) -> None:
    assert Rungs().choose("poet", POET, sizes, memory_mb * MB) == model


def test_a_model_that_fails_gives_way_to_the_next_on_this_machine_and_for_this_instance_alone() -> None:
    rungs = Rungs()
    assert rungs.failed("poet/1", POET, "large") == "middle"
    assert rungs.choose("poet/1", POET, SIZES, 0) == "middle" and rungs.choose("poet/2", POET, SIZES, 0) == "large"
    assert rungs.failed("poet/1", POET, "middle") == "small" and rungs.failed("poet/1", POET, "small") == ""
    assert rungs.choose("poet/1", POET, SIZES, 0) == "small"


def test_a_model_takes_more_memory_than_its_file() -> None:
    assert memory_for(100 * MB) == 125 * MB + BESIDE_BYTES
