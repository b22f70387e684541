"""A bar chart as SVG, written by hand: a picture of a few bars needs no library, and a file that can be read needs no program."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, LABELS, VALUES = 880, 90, 230
BAR, GAP, TITLE = 15, 3, 30
COLOURS = {"roomful": "#d9822b", "pyzmq": "#8a8f98", "zenoh": "#4c8dae", "dora": "#6a9f58"}
STYLE = (
    "text { font: 13px system-ui, sans-serif; fill: #555 } .head { font-weight: 600 } "
    ".small { font-size: 11px; fill: #666; paint-order: stroke; stroke: #fff; stroke-width: 4px }"
)


class Bar(NamedTuple):
    """One bar: the group it stands in, who it is, how long it is, and what is written at its end."""

    group: str
    who: str
    length: float
    words: str


def plot(bars: Sequence[Bar], caption: str) -> str:
    """The chart. A line marks the length 1; lengths are to scale within a group, and 1 is at the same place in none."""
    parts: list[str] = []
    y = 16.0
    for group, members in groupby(bars, key=lambda bar: bar.group):
        rows = list(members)
        scale = (WIDTH - LABELS - VALUES) / max(1.0, *(bar.length for bar in rows))
        parts.append(f'<text class="head" x="8" y="{y + 12:.1f}">{escape(group)}</text>')
        y += TITLE - 8
        line, low = LABELS + scale, y + len(rows) * (BAR + GAP)
        dashed = '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}" stroke="#444" stroke-dasharray="2 3"/>'
        marks = []
        for bar in rows:
            wide = max(1.0, bar.length * scale)
            colour = COLOURS.get(bar.who, "#999")
            parts.append(f'<text x="{LABELS - 8}" y="{y + 12:.1f}" text-anchor="end">{escape(bar.who)}</text>')
            parts.append(f'<rect x="{LABELS}" y="{y:.1f}" width="{wide:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
            words = f"{bar.length:.2f} x · {bar.words}"
            marks.append(f'<text class="small" x="{LABELS + wide + 6:.1f}" y="{y + 11:.1f}">{escape(words)}</text>')
            y += BAR + GAP
        parts += [dashed.format(line, low - len(rows) * (BAR + GAP) - 2, low), *marks]
        y += 12
    parts.append(f'<text class="small" x="8" y="{y + 8:.1f}">{escape(caption)}; longer is better</text>')
    height = int(y + 20)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
