"""What routes are drawn from, as one node sees it: the deployment, who holds what, and at which addresses each node is reached."""

from __future__ import annotations

from collections.abc import Iterable

from mesh.core.claims import Ledger
from mesh.core.instances import Instance
from mesh.core.members import Member
from mesh.core.routes import Reach, Scene
from mesh.core.spec import Deployment


def scene_of(deployment: Deployment, instances: Iterable[Instance], ledger: Ledger, me: str, present: Iterable[Member]) -> Scene:
    """The scene on which the node `me` tells its processes whom to hear and ask."""
    names: dict[str, tuple[str, ...]] = {}
    for instance in instances:
        names[instance.role.name] = (*names.get(instance.role.name, ()), instance.name)
    reach = {me: Reach(("127.0.0.1",)), **{each.record.node: _reach(each) for each in present}}
    return Scene(deployment, names, ledger, reach)


def _reach(member: Member) -> Reach:
    others = tuple(address for address in member.record.addresses if address != member.address)
    return Reach((member.address, *others) if member.address else others, member.health == "suspect")
