"""The benchmark's own plot: a well-formed picture whose bars are as long as they say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks.plot import BAR, Bar, plot

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar("there & back", "roomful", 0.9, "90 us"), Bar("there & back", "pyzmq", 1.0, "81 us"),
    Bar("pictures <1080p>", "roomful", 4.0, "1400 frames/s"), Bar("pictures <1080p>", "pyzmq", 1.0, "350 frames/s"),
]  # fmt: skip


def test_the_bars_of_a_group_are_to_scale_and_a_line_marks_one() -> None:
    drawn = ET.fromstring(plot(BARS, "on this machine"))
    bars = [rect for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == str(BAR)]
    wide = [float(rect.get("width", "0")) for rect in bars]
    assert wide[0] / wide[1] == pytest.approx(0.9, rel=0.01)
    assert wide[2] / wide[3] == pytest.approx(4.0, rel=0.01)
    lines = [float(line.get("x1", "0")) for line in drawn.iter(f"{SVG}line")]
    assert lines == pytest.approx([float(bars[1].get("x", "0")) + wide[1], float(bars[3].get("x", "0")) + wide[3]], abs=0.2)


def test_everything_is_written_and_nothing_outside_the_picture() -> None:
    drawn = ET.fromstring(plot(BARS, "2 cores & load 0.1"))
    written = ["".join(text.itertext()) for text in drawn.iter(f"{SVG}text")]
    assert "pictures <1080p>" in written and "4.00 x · 1400 frames/s" in written
    assert written[-1].startswith("2 cores & load 0.1")
    height = float(drawn.get("height", "0"))
    assert all(float(text.get("y", "0")) < height for text in drawn.iter(f"{SVG}text"))
