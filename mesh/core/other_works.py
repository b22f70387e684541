"""Another work on this network that was, by mistake, given the same key.

Two works are told apart by the hash of name and key, and one by itself is a mistake that mDNS shows: an announcement under this
installation's key, and of another hash. What mDNS says anybody can have said, so nobody is alarmed by it: the other is called over the
control plane's encrypted line, and each side says who it is and which work it plays, and nothing else. From then on both say so in
`status`, as an alarm, for as long as that line holds; whoever gets a key of its own breaks it.

Nothing that the other says is taken in, above all no revision: it is signed with the very key that is trusted here, and the higher
number would win. A machine that was of this room, and comes back as one of the other work, is no member any more either.

Decided against: the work's name in mDNS (it is to identify no work), and letting the two meet as one room (their roles would be
placed on each other's machines).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.effects import Dial, Effect, HangUp, Report
from mesh.core.messages import NodeRecord

CALLED_MAX = 16  # machines of other works; what announces more of them than that is a flood


@dataclass(slots=True)
class OtherWorks:
    """What one node knows of them. `called`: whom it keeps a line to; `met`: who has said over such a line that it is of another
    work. A line that comes back proves the same key again; a machine that was started anew says anew what it plays."""

    called: dict[str, NodeRecord] = field(default_factory=dict)
    met: dict[str, NodeRecord] = field(default_factory=dict)
    lost: dict[str, NodeRecord] = field(default_factory=dict)  # met, and the line has broken since

    def announced(self, record: NodeRecord) -> list[Effect]:
        """mDNS names a machine with this key and another installation: ask it. One that has said so itself is not looked for elsewhere."""
        if record.node in self.met or self.called.get(record.node) == record or record.control_port == 0 or not record.addresses:
            return []
        effects: list[Effect] = []
        unproven = [node for node in self.called if node not in self.met]
        if record.node not in self.called and len(self.called) >= CALLED_MAX:
            if not unproven:
                return []
            del self.called[unproven[0]]
            self.lost.pop(unproven[0], None)
            effects.append(HangUp(unproven[0]))
        self.called[record.node] = record
        return [*effects, Dial(record)]

    def introduced(self, record: NodeRecord, me: NodeRecord) -> list[Effect]:
        """It said so itself, over an encrypted line."""
        new = record.node not in self.met
        self.lost.pop(record.node, None)
        effects = self.announced(record) if new else []
        if record.node not in self.called:
            return effects
        self.met[record.node] = record
        return [*effects, Report("alarm", {"what": words(record, me)})] if new else effects

    def unlinked(self, node: str) -> None:
        """The line to it broke."""
        if node in self.met:
            self.lost[node] = self.met.pop(node)

    def linked(self, node: str) -> bool:
        """A line stands. Whether it is one to another work, as far as is known."""
        if node in self.lost:
            self.met[node] = self.lost.pop(node)
        return node in self.called

    def joins(self, node: str) -> None:
        """It is of this work now."""
        for each in (self.met, self.lost, self.called):
            each.pop(node, None)

    def alarms(self, me: NodeRecord) -> list[str]:
        """What is to be said of it in `status`."""
        return [words(record, me) for record in self.met.values()]


def words(record: NodeRecord, me: NodeRecord) -> str:
    """Which two works share a key, on which machines, and what to do."""
    where = f" at {record.addresses[0]}" if record.addresses else ""
    return (
        f"two works share one key: {me.work or 'this one'} (here, on {me.name or me.node[:8]}) and {record.work or 'another'} "
        f"(on {record.name or record.node[:8]}{where}). Neither takes anything from the other. Give one of them a key of its own: on its "
        f"machines move the key's file away, then `roomful key new` on the first and `roomful key add` on the others. If "
        f"{record.name or 'it'} belongs to this work, start its agent without a folder"
    )
