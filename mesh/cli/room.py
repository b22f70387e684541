"""The room at a glance: a line for each machine, what it plays and how that goes, and where the pages are."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

STATES = {"playing": ("●", "green"), "ready": ("◐", "yellow"), "starting": ("○", "yellow")}


def room_view(deployment: Any, rehearsal: Any, lines: list[str]) -> Group:
    """What the terminal shows during a rehearsal."""
    tally = rehearsal.tally
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("machine", "plays", "standing by", "frames"):
        table.add_column(column, no_wrap=column == "machine")
    for machine in rehearsal.machines:
        table.add_row(*_row(machine, tally))
    title = Text.assemble((deployment.installation, "bold"), ("  ·  rehearsal, Ctrl-C ends it", "dim"))
    pages = [
        Text.assemble((f"  {name}  ", ""), (address, f"underline cyan link {address}"))
        for name, address in tally.page_addresses().items()
    ]
    heading = [Text("\nOpen in a browser", "dim")] if pages else []
    said = [Text("")] + [Text(line, "dim") for line in lines] if lines else []
    return Group(title, Text(""), table, *heading, *pages, *said)


def _row(machine: str, tally: Any) -> tuple[Text, Text, Text, Text]:
    gone = tally.health.get(machine) == "dead"
    name = Text(f"{machine}  gone" if gone else machine, "red" if gone else "bold")
    holds = {role: said for role, said in sorted(tally.roles.items()) if said["machine"] == machine and not gone}
    stands = [role for role, said in sorted(tally.standbys.items()) if said["machine"] == machine and not gone]
    plays = Text("  ").join(_played(role, said) for role, said in holds.items())
    frames = sum(sum(said["pulse"].get("frames", {}).values()) for said in holds.values() if said["pulse"])
    return name, plays or Text("–", "dim"), Text(", ".join(stands), "dim"), Text(f"{frames:,}" if frames else "", "dim")


def _played(role: str, said: dict[str, Any]) -> Text:
    mark, colour = STATES.get(said["state"], ("○", "red"))
    return Text.assemble((mark, colour), f" {role}")
