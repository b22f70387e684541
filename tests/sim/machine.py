"""One simulated computer: its clock, its disk, its agent and the role processes on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh.core.clock import Course
from mesh.core.effects import Launch
from mesh.core.events import Event, Heard
from mesh.core.node import Node

if TYPE_CHECKING:
    from tests.sim.network import Line

GIB = 1 << 30


@dataclass(slots=True, eq=False)
class Process:
    """A role's process. `state` is "loading", "set up", "ending" or "gone"; `fence` the highest (epoch, node) it accepted of each
    instance."""

    instance: str
    generation: int
    epoch: int
    standby: str
    pid: int
    state: str = "loading"
    playing: bool = False
    orphan: bool = False
    routes: dict[str, Any] = field(default_factory=dict)
    fence: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Clock:
    """A machine's own seconds: they run a little fast or slow, and may jump ahead."""

    zero_s: float = 0.0
    rate: float = 1.0

    def read(self, t: float) -> float:
        """The machine's time at the world's time `t`."""
        return self.zero_s + t * self.rate

    def when(self, local_s: float) -> float:
        """The world's time at which the clock will show `local_s`."""
        return (local_s - self.zero_s) / self.rate


@dataclass(slots=True, eq=False)
class Machine:
    """A computer. `agent` is None while it is off or its agent is not running. `key` tells it apart in the world; `name` is what
    its node calls itself."""

    key: str
    name: str
    node: str
    address: str
    capabilities: dict[str, Any]
    installation: str = "house"
    clock: Clock = field(default_factory=Clock)
    disk: dict[str, Any] = field(default_factory=dict)
    last_write: tuple[str, Any] | None = None  # (key, what was there before)
    powered: bool = False
    paused: bool = False
    boot: str = ""
    agent: Node | None = None
    inbox: list[Event] = field(default_factory=list)
    aside: list[tuple[float, Heard]] = field(default_factory=list)  # (when, what): heartbeats that wait until it is awake anyhow
    handling: bool = False
    turning: bool = False  # to another revision, at this moment: also when it slept as that was read
    wake_t: float = float("inf")
    due_s: float = 0.0
    late_ticks: int = 0
    processes: dict[str, Process] = field(default_factory=dict)
    queued: dict[str, Launch] = field(default_factory=dict)  # waits for its predecessor to end
    lines: dict[str, Line] = field(default_factory=dict)
    lost_writes: int = 0
    wall_s: float = 1.8e9  # what its wall clock shows when its own clock shows 0
    course: Course | None = None  # of the room's time, as the roles here were told
    failing: dict[str, str] = field(default_factory=dict)  # role -> "fails" or "hangs", at each start
    load_s: dict[str, float] = field(default_factory=dict)  # role -> seconds of set-up here

    def now(self, t: float) -> float:
        """This machine's own time."""
        return self.clock.read(t)

    def write(self, key: str, value: Any) -> None:
        """Keep on disk. The latest write may still be lost with the power."""
        self.last_write = (key, self.disk.get(key))
        self.disk[key] = value

    def lose_last_write(self) -> None:
        """The power went before the disk had it."""
        if self.last_write is not None:
            key, before = self.last_write
            self.disk[key] = before
            self.last_write = None
            self.lost_writes += 1

    def claims(self) -> dict[str, Any]:
        """What the agent says it plays, by instance."""
        return {name: part.claim for name, part in self.agent.cast.parts.items()} if self.agent is not None else {}
