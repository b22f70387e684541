"""Nodes find each other over real mDNS on loopback, and nothing on the network or off it stops a node."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from mesh.shell import discovery as module
from mesh.shell.discovery import Discovery, NodeRecord
from mesh.shell.interfaces import LOOPBACK, WIRED, Interface
from mesh.shell.machine import host_mark
from mesh.shell.record import LOCALHOST, SERVICE_TYPE, from_properties, instance_name, to_properties
from tests.shell.until import until

ROOT = Path(__file__).resolve().parents[2]
LO = Interface("lo", LOCALHOST, LOOPBACK, 20, 1, True, False)


def _record(name: str = "door", room: str = "", **changes: Any) -> NodeRecord:
    made = NodeRecord(uuid.uuid4().hex, secrets.token_hex(4), name, 1, 1, 47600, 47601, room or secrets.token_hex(8))
    return replace(made, **changes)


class _Node:
    """A node's discovery, and what it told. Only records of its own room count: other tests may run beside."""

    def __init__(self, room: str, loopback_only: bool = True) -> None:
        self.room = room
        self.found: list[NodeRecord] = []
        self.addresses: list[tuple[str, ...]] = []
        self.troubles: list[str] = []
        self.discovery = Discovery(self._on_found, self.addresses.append, self.troubles.append, loopback_only=loopback_only)

    def _on_found(self, record: NodeRecord) -> None:
        if record.installation_hash == self.room:
            self.found.append(record)

    def names(self) -> set[str]:
        return {record.name for record in self.found}


Begin = Callable[..., Awaitable[_Node]]


def _play(story: Callable[[Begin, str], Awaitable[None]]) -> None:
    async def whole() -> None:
        nodes: list[_Node] = []
        room = secrets.token_hex(8)

        async def begin(name: str = "door", *, loopback_only: bool = True, **changes: Any) -> _Node:
            nodes.append(_Node(room, loopback_only))
            await nodes[-1].discovery.start(_record(name, room, **changes))
            return nodes[-1]

        try:
            await story(begin, room)
        finally:
            await asyncio.gather(*(node.discovery.stop() for node in nodes))

    asyncio.run(whole())


def test_nodes_on_loopback_find_each_other() -> None:
    async def story(begin: Begin, room: str) -> None:
        one, two, three = await begin("one"), await begin("two"), await begin("three")

        await until(lambda: one.names() == {"two", "three"})
        await until(lambda: two.names() == {"one", "three"} and three.names() == {"one", "two"})

        mine = two.discovery.record
        assert mine is not None
        assert mine in one.found
        assert mine.addresses == (LOCALHOST,)
        assert one.troubles == []

    _play(story)


def test_a_newcomer_is_known_at_once_without_the_probing_of_mdns() -> None:
    """The bound is generous: probing takes 1.5 s, an announcement some milliseconds."""

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        began_s = time.monotonic()

        await begin("newcomer")
        await until(lambda: one.names() == {"newcomer"})

        assert time.monotonic() - began_s < 1.2

    _play(story)


def test_a_node_in_another_process_is_found_and_finds_us() -> None:
    code = (
        "import asyncio, sys\n"
        "from mesh.shell.discovery import Discovery, NodeRecord\n"
        "async def main():\n"
        "    found = asyncio.Event()\n"
        "    def on_found(record):\n"
        "        if record.installation_hash == sys.argv[1]: found.set()\n"
        "    discovery = Discovery(on_found, print, print, loopback_only=True)\n"
        "    await discovery.start(NodeRecord(sys.argv[2], 'b' * 8, 'other', 3, 1, 5000, 5001, sys.argv[1]))\n"
        "    await found.wait()\n"
        "    print('found', flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        id_ = uuid.uuid4().hex
        command = [sys.executable, "-c", code, room, id_]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as other:
            assert other.stdout and other.stdin
            try:
                await until(lambda: one.names() == {"other"})
                assert (one.found[0].node, one.found[0].incarnation) == (id_, 3)
                assert await asyncio.to_thread(other.stdout.readline) == b"found\n"
            finally:
                other.kill()

    _play(story)


def test_a_changed_record_is_told_again_and_the_same_one_is_not() -> None:
    async def story(begin: Begin, room: str) -> None:
        one, two = await begin("one"), await begin("two", incarnation=4)
        await until(lambda: one.found)
        mine = two.discovery.record
        assert mine is not None

        two.discovery.update(mine)
        two.discovery.update(replace(mine, incarnation=5, boot="0" * 8))

        await until(lambda: len(one.found) == 2)
        assert [record.incarnation for record in one.found] == [4, 5]

    _play(story)


def test_a_change_is_told_also_where_the_old_record_has_stood_for_a_while() -> None:
    """From a second on, mDNS gives a replaced record a fresh date (RFC 6762, section 10.2): not the newest is new."""

    async def story(begin: Begin, room: str) -> None:
        one, two = await begin("one"), await begin("two", incarnation=4)
        await until(lambda: one.found)
        stood_from_s = time.monotonic()
        await until(lambda: time.monotonic() - stood_from_s > 1.6)
        assert two.discovery.record is not None

        two.discovery.update(replace(two.discovery.record, incarnation=5))

        await until(lambda: [record.incarnation for record in one.found] == [4, 5])

    _play(story)


def test_two_machines_of_one_id_are_both_told_to_everyone_and_to_themselves() -> None:
    """A disk image copied from machine to machine."""

    async def story(begin: Begin, room: str) -> None:
        watcher = await begin("watcher")
        shared = uuid.uuid4().hex
        one = await begin("door", node=shared, boot="1" * 8)
        await until(lambda: "1" * 8 in {record.boot for record in watcher.found})

        two = await begin("shelf", node=shared, boot="2" * 8)

        await until(lambda: {"1" * 8, "2" * 8} <= {record.boot for record in watcher.found})
        await until(lambda: "2" * 8 in {record.boot for record in one.found})
        assert "1" * 8 not in {record.boot for record in one.found}
        assert "2" * 8 not in {record.boot for record in two.found}

    _play(story)


def test_records_that_are_not_ours_to_read_are_counted_and_ignored() -> None:
    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        stranger = AsyncZeroconf(interfaces=[LOCALHOST])
        for number, properties in enumerate(
            ({}, b"\xff\xfe\xfd", {"node": "x"}, {b"\xff": b"\xff"}, {**to_properties(_record()), "control": "0"})
        ):
            name = f"{number:032x}.{SERVICE_TYPE}"
            info = ServiceInfo(SERVICE_TYPE, name, port=1, properties=properties, parsed_addresses=[LOCALHOST])
            await stranger.async_register_service(info, cooperating_responders=True)

        await until(lambda: one.discovery.bad_records >= 5)
        await begin("two")

        await until(lambda: one.names() == {"two"})
        await stranger.async_close()

    _play(story)


def test_garbage_on_the_mdns_port_harms_nothing() -> None:
    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOCALHOST))
            for length in (0, 1, 11, 12, 13, 500, 8000):
                stranger.sendto(secrets.token_bytes(length), ("224.0.0.251", 5353))
                stranger.sendto(b"\0\0\x84\0\0\0\0\xff\0\0\0\0" + bytes(length), ("224.0.0.251", 5353))

        await begin("two")

        await until(lambda: one.names() == {"two"})
        assert all(trouble.startswith("mDNS: ") for trouble in one.troubles)

    _play(story)


@pytest.mark.parametrize("error", [OSError(errno.EADDRINUSE, "Address already in use"), RuntimeError("no interfaces")])
def test_where_mdns_cannot_start_it_says_so_and_goes_on_trying(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    failures = [error, error]

    def sometimes(*arguments: Any, **named: Any) -> AsyncZeroconf:
        if failures:
            raise failures.pop()
        return AsyncZeroconf(*arguments, **named)

    monkeypatch.setattr(module, "RETRY_S", 0.02)

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        monkeypatch.setattr(module, "AsyncZeroconf", sometimes)

        two = await begin("two")

        assert len(two.troubles) == 1
        assert "seeds" in two.troubles[0]
        await until(lambda: one.names() == {"two"} and two.names() == {"one"})
        assert two.discovery.trouble is None

    _play(story)


def test_a_network_that_comes_and_goes_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second address stands for a cable plugged in later; loopback's whole network is ours to use for it."""
    cable = Interface("eth0", "127.0.0.2", WIRED, 0, 1, True, True)
    present: list[Interface] = []
    monkeypatch.setattr(module, "all_interfaces", lambda: list(present))

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one", loopback_only=False)
        assert "no network interface" in one.troubles[0]
        assert one.discovery.record is not None
        assert one.discovery.record.addresses == ()

        present[:] = [cable, LO]
        one.discovery._kick()
        await until(lambda: one.addresses == [("127.0.0.2",)] and one.discovery.trouble is None)
        two = await begin("two", loopback_only=False)
        await until(lambda: one.names() == {"two"} and two.names() == {"one"})

        present[:] = [LO]
        one.discovery._kick()
        await until(lambda: one.addresses[-1] == ())
        present[:] = [replace(cable, index=7), LO]
        one.discovery._kick()
        await until(lambda: one.addresses[-1] == ("127.0.0.2",))
        three = await begin("three", loopback_only=False)
        await until(lambda: "three" in one.names() and "one" in three.names())

    _play(story)


def test_an_interface_without_multicast_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Interface("eth0", "127.0.0.2", WIRED, 0, 1, True, False)
    monkeypatch.setattr(module, "all_interfaces", lambda: [deaf, LO])

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one", loopback_only=False)

        assert one.troubles == [
            "eth0 (127.0.0.2) carries no multicast, so mDNS finds nobody there; machines are still found by seeds and from memory"
        ]

    _play(story)


def test_stopping_says_goodbye_and_leaves_no_descriptor() -> None:
    before = len(os.listdir("/dev/fd"))

    async def story(begin: Begin, room: str) -> None:
        one = await begin("one")
        await one.discovery.stop()
        await one.discovery.stop()
        late = await begin("late")
        await begin("last")
        await until(lambda: late.names() == {"last"})

    _play(story)

    assert len(os.listdir("/dev/fd")) == before


@given(
    name=st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=60).filter(str.isprintable),
    incarnation=st.integers(0, 2**40),
    addresses=st.lists(st.ip_addresses(v=4).filter(lambda a: a.is_private and not a.is_loopback), max_size=15),
)
def test_a_record_survives_its_way_over_the_network(name: str, incarnation: int, addresses: list[Any]) -> None:
    ranked = tuple(dict.fromkeys(str(address) for address in addresses if not address.is_unspecified))
    record = _record(name, incarnation=incarnation, addresses=ranked, host="0" * 8)

    info = ServiceInfo(SERVICE_TYPE, instance_name(record.node), properties=to_properties(record))

    assert from_properties(info.name, info.properties, "1" * 8) == record


def test_loopback_is_offered_to_nobody_but_this_computer() -> None:
    record = _record(addresses=("192.168.1.7", "127.0.0.1", "127.9.9.9"), host=host_mark())
    properties = {key.encode(): value.encode() for key, value in to_properties(record).items()}
    name = instance_name(record.node)

    here = from_properties(name, properties, host_mark())
    elsewhere = from_properties(name, properties, "0" * 8)

    assert here is not None and here.addresses == (LOCALHOST, "192.168.1.7")
    assert elsewhere is not None and elsewhere.addresses == ("192.168.1.7",)


@given(st.dictionaries(st.binary(max_size=10), st.none() | st.binary(max_size=40), max_size=12), st.text(max_size=50))
def test_any_bytes_are_a_record_or_none(properties: dict[bytes, bytes | None], name: str) -> None:
    assert from_properties(name, properties, "0" * 8) is None


@given(st.sampled_from(sorted(to_properties(_record()))), st.none() | st.binary(max_size=300))
def test_one_bad_field_spoils_the_record_or_changes_only_itself(key: str, value: bytes | None) -> None:
    record = _record(addresses=("10.0.0.1",), host="0" * 8)
    properties: dict[bytes, bytes | None] = {k.encode(): v.encode() for k, v in to_properties(record).items()}
    properties[key.encode()] = value

    read = from_properties(instance_name(record.node), properties, "1" * 8)

    assert read is None or sum(getattr(read, name) != getattr(record, name) for name in record.__slots__) <= 1
