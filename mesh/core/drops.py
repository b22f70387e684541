"""What was dropped on the way to a role, from the pulses: where every frame counts, nobody should have to guess that some are missing.

An input that takes the latest passes over what it has no time for, by design; that is told among the figures and is no trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesh.core.delivery import RULES


def drops(pulses: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each input of each instance here on which frames were dropped: how many, of how many, and by which rule it takes them; and
    for each output of which frames were not sent because there was no shared memory for them."""
    rows: list[dict[str, Any]] = []
    for instance, pulse in sorted(pulses.items()):
        rules = pulse.get("rules", {})
        for input, dropped in sorted(pulse.get("dropped", {}).items()):
            if dropped:
                came = pulse.get("received", {}).get(input, 0)
                rule = rules.get(input) if rules.get(input) in RULES else ""
                rows.append({"instance": instance, "input": input, "dropped": dropped, "received": came, "rule": rule})
        for output, unsent in sorted(pulse.get("unsent", {}).items()):
            if unsent:
                sent = pulse.get("frames", {}).get(output, 0)
                rows.append({"instance": instance, "output": output, "unsent": unsent, "sent": sent})
    return rows


def in_words(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each that is no matter of course: `wall@left-wall dropped 12 of 840 frames on line: it is too slow for them`."""
    lines = []
    for row in rows:
        if "output" in row:
            lines.append(f"{row['instance']} had no shared memory for {row['unsent']} of {row['sent']} frames of {row['output']}")
        elif row["rule"] != "latest":
            whole = row["received"] + row["dropped"]
            lines.append(f"{row['instance']} dropped {row['dropped']} of {whole} frames on {row['input']}: it is too slow for them")
    return lines
