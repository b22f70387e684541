"""What was dropped is told, and said in words where it matters."""

from __future__ import annotations

from mesh.core.drops import drops, in_words

PULSES = {
    "wall@left": {
        "received": {"line": 828, "image": 100}, "dropped": {"line": 12, "image": 50}, "rules": {"line": "queue", "image": "latest"},
    },
    "eye": {"frames": {"eye.image": 900}, "unsent": {"eye.image": 3}, "dropped": {}},
    "mood": {"received": {"people": 4}, "dropped": {"people": 0}, "rules": {"people": "queue"}},
}  # fmt: skip


def test_each_input_and_output_with_a_loss_is_told_and_no_other() -> None:
    assert drops(PULSES) == [
        {"instance": "eye", "output": "eye.image", "unsent": 3, "sent": 900},
        {"instance": "wall@left", "input": "image", "dropped": 50, "received": 100, "rule": "latest"},
        {"instance": "wall@left", "input": "line", "dropped": 12, "received": 828, "rule": "queue"},
    ]


def test_what_passes_over_by_design_is_no_trouble_in_words() -> None:
    assert in_words(drops(PULSES)) == [
        "eye had no shared memory for 3 of 900 frames of eye.image",
        "wall@left dropped 12 of 840 frames on line: it is too slow for them",
    ]


def test_a_process_that_says_less_or_something_else_does_no_harm() -> None:
    assert drops({"old": {}, "odd": {"dropped": {"line": 2}, "rules": {"line": "sideways"}}}) == [
        {"instance": "odd", "input": "line", "dropped": 2, "received": 0, "rule": ""}
    ]
