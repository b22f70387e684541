"""What an agent does when the owner has shut a machine out: its lines are cut, here and in every role's process, and all are told.

The mind is told nothing of it: the machine falls silent, is held dead as any other that does, and what it played goes to
the next in order. `status` says why.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mesh.core.codec import encode
from mesh.core.messages import ShutOut
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
        agent.vouching.guests(agent.node)
        agent.processes.set_guests(agent.vouching.admitted, cut)
        for node in agent.control.peers():
            self.greet(node)
        if agent.vouching.register.am_shut_out:
            agent.report("trouble", {"what": WHY_MYSELF})
        names = {each.record.node: each.record.name for each in agent.node.membership.members.values()}
        for each in gone:
            agent.report("shut_out", {"node": each.node, "machine": names.get(each.node, "")})
        return True

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
        """Who is vouched for, and who is shut out: for `roomful key list` and `roomful key revoke`."""
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
