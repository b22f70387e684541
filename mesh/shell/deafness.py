"""The cut cable of a rehearsal: all its machines share one network, so a cut is made by not hearing.

Both sides drop what comes from the other, which is what a pulled cable does to each of them; nothing is told to the mind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mesh.core.messages import Hello, Message, NodeRecord


@dataclass(slots=True)
class Deafness:
    """Which machines are not heard, and the nodes and ports that are theirs."""

    machines: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)

    def turn(self, machines: Iterable[str], on: bool, peers: Iterable[NodeRecord]) -> None:
        """Hear no more of these machines, or hear them again."""
        self.machines = self.machines | set(machines) if on else self.machines - set(machines)
        deaf = [peer for peer in peers if peer.name in self.machines]
        self.nodes = {peer.node for peer in deaf}
        self.ports = {peer.beat_port for peer in deaf}

    def drops(self, message: Message) -> bool:
        """Whether a control message comes from one of them."""
        speaker = message.record.node if isinstance(message, Hello) else getattr(message, "node", "")
        return speaker in self.nodes
