"""Peers that mDNS need not find: those last seen, kept on disk, and the seeds, which are addresses without an identity.

A seed is asked who it is until it has answered once; from then on it is a peer like any other, remembered and dialled for
ever. So one `--seed` at the first start is enough for a network that lets no multicast pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from mesh.core.addresses import host_port
from mesh.core.codec import decode, encode
from mesh.core.messages import Answer, Call, Message, NodeRecord
from mesh.errors import RoomfulError, WireError
from mesh.shell.register import Register
from mesh.shell.transport import Caller

DELAY_S, DELAY_MAX_S = 0.5, 10.0


def remembered(rows: Any) -> Iterator[NodeRecord]:
    """The peers that a `Save` of an earlier life wrote. Rows that are no record are left out."""
    for row in rows if isinstance(rows, list) else ():
        try:
            node, boot, incarnation, name, addresses, control, beat, installation, *later = row  # its version then says nothing of now
            certificate = str(later[2]) if len(later) > 2 else ""
            yield NodeRecord(node, boot, incarnation, name, tuple(addresses), control, beat, installation, certificate=certificate)
        except (TypeError, ValueError):
            continue


async def dial_seed(seed: str, register: Register, found: Callable[[NodeRecord], None],
                    refused: Callable[[str, str], None] = lambda host, what: None) -> None:
    """Ask the machine at `seed` ("host" or "host:port") who it is, for ever more slowly, until it answers; then `found`. `refused`
    is told (host, why) where it answers in words that are none here: another version."""
    host, port = host_port(seed)
    loop = asyncio.get_running_loop()
    delay_s = DELAY_S
    while True:
        try:
            answer = await loop.run_in_executor(None, _ask, register, host, port)
            found(_record(answer, host))
            return
        except WireError as fault:
            refused(host, fault.what)
            await asyncio.sleep(DELAY_MAX_S)
        except (RoomfulError, OSError, ValueError, KeyError, TypeError):
            await asyncio.sleep(delay_s)
            delay_s = min(DELAY_MAX_S, delay_s * 2)


def _ask(register: Register, host: str, port: int) -> Message:
    return decode(Caller(register).ask([host], port, encode(Call("seed", "who")), 2.0))


def _record(answer: Message, host: str) -> NodeRecord:
    if not isinstance(answer, Answer) or not isinstance(answer.value, dict):
        raise ValueError("no answer to the question who it is")
    said = answer.value
    return NodeRecord(
        said["node"], said["boot"], said["incarnation"], said["name"], tuple(dict.fromkeys((host, *said["addresses"]))),
        said["control_port"], said["beat_port"], said["installation"], said["protocol"], "", str(said.get("certificate", "")),
    )
