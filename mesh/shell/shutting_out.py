"""What an agent does when the owner has shut a machine out: its lines are cut, here and in every role's process, and all are told.

The mind hears it as a goodbye that the owner said in the machine's place: it has left, and what it played goes to the next in order at
once. Nothing that it says reaches the mind from then on (`Vouching.bars`), nor what others say for it who have not heard of the list
yet; its roles' frames, also those that are on their way, are thrown away by whoever listens to them. Decided against: to wait until it
falls silent (its datagrams are understood for three seconds, for the sake of those who are late to hear of the new key, and for so
long its roles were believed).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mesh.core.codec import encode
from mesh.core.events import Heard
from mesh.core.members import LEFT
from mesh.core.messages import ShutOut, Verdict
from mesh.errors import RoomfulError
from mesh.shell.certificates import OWNER, Certificate
from mesh.shell.keys import fingerprint

if TYPE_CHECKING:
    from mesh.shell.agent import Agent

WHY = "it was shut out with `roomful key revoke`: `roomful key add --renew` there lets it in again"
WHY_MYSELF = "this machine was shut out with `roomful key revoke` and plays alone: `roomful key add --renew` lets it in again"
CUT_AFTER_S = 0.2  # so that the goodbye arrives, and the answer to a command that was typed on that very machine


class ShuttingOut:
    """One agent's part in it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def greet(self, node: str) -> None:
        """A line to a node stands: it may have been off when somebody was shut out."""
        notice = self._agent.vouching.notice()
        if notice is not None:
            self._agent.control.send(node, encode(notice))

    def hear(self, message: ShutOut) -> bool:
        """Another node, or the owner's command, tells the list. Whether it was new."""
        agent = self._agent
        gone = agent.vouching.obey(message.signed, message.group_key, agent.now())
        if gone is None:
            return False
        agent.save_later(self._keep)
        for each in gone:
            self._farewell(each)
        cut = [key for each in gone for key in agent.vouching.processes_of(each, agent.node)]
        keys = [each.curve for each in gone]
        asyncio.get_running_loop().call_later(CUT_AFTER_S, agent.control.cut, keys)
        if agent.distributing.transfer is not None:
            asyncio.get_running_loop().call_later(CUT_AFTER_S, agent.distributing.transfer.cut, keys)
        names = {each.record.node: each.record.name for each in agent.node.membership.members.values()}
        for each in gone:
            self._part_with(each.node)
        agent.vouching.guests(agent.node)
        agent.processes.set_guests(agent.vouching.admitted, cut, [each.node for each in gone if agent.vouching.is_barred(each.node)])
        for node in agent.control.peers():
            self.greet(node)
        if agent.vouching.register.am_shut_out:
            agent.report("trouble", {"what": WHY_MYSELF})
        for each in gone:
            agent.report("shut_out", {"node": each.node, "machine": names.get(each.node, "")})
        return True

    def _part_with(self, node: str) -> None:
        member = self._agent.node.membership.members.get(node)
        if member is None or not self._agent.vouching.is_barred(node):
            return
        record = member.record
        self._agent.feed(Heard(Verdict(node, node, record.incarnation, member.evidence.sequence + 1, LEFT, record.boot)))

    def _farewell(self, gone: Certificate) -> None:
        """It is told why, so that its own `status` can say so, and is dialled no more."""
        notice = self._agent.vouching.notice(inside=False)
        if notice is not None:
            self._agent.control.send(gone.node, encode(notice))
        self._agent.control.disconnect(gone.node)

    def _keep(self) -> None:
        with contextlib.suppress(RuntimeError):
            try:
                self._agent.vouching.keep_shut_out()
            except RoomfulError as fault:
                self._agent.report_later("trouble", {"what": str(fault)})

    # ---- what the command line asks

    def described(self) -> dict[str, Any]:
        """Who is vouched for, and who is shut out: for `roomful key list` and `roomful key revoke`. "commands": those that the whole key
        vouched for, each with secrets of its own for as long as it ran, as this machine remembers them."""
        agent = self._agent
        register, node = agent.vouching.register, agent.node
        records = [node.me, *node.peers.records(), *(each.record for each in node.membership.members.values())]
        names = {record.node: record.name for record in records}
        return {
            "fingerprint": fingerprint(register.mine.verify_key), "number": register.revocations.number,
            "signed": register.revocations.signed.hex(),
            "machines": [
                {
                    "node": each.node, "name": names.get(each.node, ""), "issue": each.issue, "owner": each.kind == OWNER,
                    "shut_out": register.is_shut_out(each) or (each == register.mine.certificate and register.am_shut_out),
                }
                for each in register.certificates()
            ],
            "commands": [{"node": each.node, "issue": each.issue, "shut_out": register.is_shut_out(each)} for each in register.commands()],
        }  # fmt: skip

    def mark(self, machines: dict[str, dict[str, Any]]) -> None:
        """Says in a `status` who is shut out."""
        register = self._agent.vouching.register
        shut = {each.node for each in register.certificates() if register.is_shut_out(each)}
        for said in machines.values():
            if said.get("node") in shut:
                said.update(health="shut out", why=WHY, roles=[])
            elif said.get("self") and register.am_shut_out:
                said["why"] = WHY_MYSELF
