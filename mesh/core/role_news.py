"""What the processes of a node's roles report, handed to its cast: one place that knows which event means which change."""

from __future__ import annotations

from collections.abc import Callable

from mesh.core.cast import Cast
from mesh.core.effects import Effect
from mesh.core.events import Event, RoleEnded, RoleFound, RoleReady, RoleRenewed, RoleStarted, RoleTooLarge, RoleWorks
from mesh.core.view import View


def take_in(cast: Cast, event: Event, view: Callable[[float], View], now: float) -> list[Effect]:
    """Change the cast as the event says. `view` is asked for only where the change depends on what the others play."""
    match event:
        case RoleReady() | RoleRenewed():
            ports = (event.frames_port, event.requests_port)
            if isinstance(event, RoleReady):
                cast.ready(event.instance, event.generation, ports, event.pid, now)
            else:
                cast.renewed(event.instance, event.generation, ports, event.pid, event.key, event.vouch)
        case RoleStarted():
            cast.started(event.instance, event.generation, event.pid, event.model, event.key, event.vouch)
        case RoleFound():
            cast.adopt(event.claim, event.standby)
        case RoleEnded(clean=False):
            return cast.ended(event, view(now), now)
        case RoleTooLarge():
            return cast.outgrown(event, view(now), now)
        case RoleWorks():
            cast.works(event.instance, event.generation)
    return []
