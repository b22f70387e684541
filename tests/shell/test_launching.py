"""What a role's process is started with."""

from __future__ import annotations

from pathlib import Path

from mesh.shell.folder import load
from mesh.shell.launching import niceness_of

ROOM = Path(__file__).resolve().parents[2] / "deployments" / "whispering-room"


def test_what_visitors_see_gives_way_to_the_agent_alone_and_models_to_both() -> None:
    room = load(ROOM)
    niceness = {role.name: niceness_of(role, room) for role in room.roles}
    assert 0 < niceness["wall"] < min(niceness["eye"], niceness["poet"])
