"""Floods at a node's ports from somebody without the key: friends are heard all the same, and what is kept of the flood is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import time
from typing import Any

import pytest
import zmq
from zeroconf import DNSOutgoing, DNSPointer, DNSText
from zmq.utils import z85

from mesh.shell import crowding, curve, discovery
from mesh.shell.beats import DRAIN_MAX, Beats
from mesh.shell.crowding import descriptors
from mesh.shell.discovery import Discovery, NodeRecord
from mesh.shell.keys import throwaway_key
from mesh.shell.record import SERVICE_TYPE
from mesh.shell.transport import Caller
from tests.shell.calling import CallingNode, command
from tests.shell.until import until

STRANGERS = 1500


def test_calls_that_are_never_made_do_not_keep_a_friend_out() -> None:
    async def whole() -> None:
        # Given a node, and more half-made calls than a listening socket usually keeps, held open
        key = throwaway_key()
        node = CallingNode("a", key)
        friend, port = command(key), node.port
        strangers: list[socket.socket] = []
        for number in range(STRANGERS):
            line = socket.socket()
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
            if number % 3 == 0:
                with contextlib.suppress(OSError):
                    line.send(os.urandom(64))
            strangers.append(line)
            if number % 100 == 0:
                await asyncio.sleep(0)
        # When a friend asks, then it is answered
        assert await asyncio.to_thread(Caller(friend).ask, ["127.0.0.1"], port, b"ask me", 10.0) == b"answer to ask me"
        # And the strangers are hung up on after their time
        await until(lambda: _hung_up(strangers), within_s=20.0)
        for line in strangers:
            line.close()
        await node.close()

    asyncio.run(whole())


def _hung_up(lines: list[socket.socket]) -> bool:
    """Whether all were, by their own reading."""
    for line in list(lines):
        try:
            while line.recv(65536):
                pass
        except BlockingIOError:
            continue
        except OSError:
            pass
        line.close()
        lines.remove(line)
    return not lines


def test_a_flood_of_datagrams_gives_the_loop_its_turn_and_a_beat_is_heard_after_it() -> None:
    async def whole() -> None:
        heard: list[bytes] = []
        beats = Beats(lambda data, sender, age_s: heard.append(data) if data == b"a beat" else None)
        port = beats.bind("127.0.0.1", 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (0, 1, 100, 1400, 1401, 60_000) * 2000:
                stranger.sendto(bytes(size), ("127.0.0.1", port))
            assert beats.drain() <= DRAIN_MAX
            while beats.drain():
                continue
            stranger.sendto(b"a beat", ("127.0.0.1", port))
            await until(lambda: heard, within_s=5.0)
        assert beats.oversized > 0
        beats.close()

    asyncio.run(whole())


def test_a_reader_does_not_run_after_a_flood_that_comes_as_fast_as_it_reads() -> None:
    async def whole() -> None:
        # Given a node at whose port there is one more datagram for each that it reads
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            beats = Beats(lambda data, sender, age_s: stranger.sendto(b"and one more", ("127.0.0.1", port)) and None)
            port = beats.bind("127.0.0.1", 0)
            for _ in range(10):
                stranger.sendto(b"a datagram", ("127.0.0.1", port))
            # When it reads all that waits, then it does not read what came since for ever
            assert 10 <= beats.drain() < DRAIN_MAX // 2
        beats.close()

    asyncio.run(whole())


def test_a_flood_of_mdns_records_is_told_and_forgotten_and_a_node_is_found_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RECORDS_MAX", 500)
    monkeypatch.setattr(discovery, "ANNOUNCE_S", 0.5)
    found: list[NodeRecord] = []
    troubles: list[str] = []

    async def whole() -> None:
        here = Discovery(found.append, lambda addresses: None, troubles.append, loopback_only=True)
        await here.start(NodeRecord("0" * 32, "0" * 8, "here", 1, 1, 1, 1, "0" * 16))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            number = 0

            def flooded() -> bool:
                nonlocal number
                for _ in range(20):
                    number += 1
                    stranger.sendto(_made_up(number), ("224.0.0.251", 5353))
                return any("flooded" in words for words in troubles)

            await until(flooded, within_s=30.0)
        other = Discovery(lambda record: None, lambda addresses: None, lambda words: None, loopback_only=True)
        await other.start(NodeRecord("1" * 32, "1" * 8, "a friend", 1, 1, 1, 1, "0" * 16))
        await until(lambda: any(record.name == "a friend" for record in found), within_s=20.0)
        await other.stop()
        await here.stop()

    asyncio.run(whole())


def _made_up(number: int) -> bytes:
    out: Any = DNSOutgoing(0x8400)
    for index in range(5):
        out.add_answer_at_time(DNSPointer(SERVICE_TYPE, 12, 1, 4500, f"n{number}-{index}.{SERVICE_TYPE}"), 0)
        out.add_answer_at_time(DNSText(f"x{number}-{index}.local.", 16, 1, 4500, b"\x05a=bcd"), 0)
    return bytes(out.packets()[0])


def test_who_holds_many_connections_and_says_nothing_is_hung_up_on_before_others_are_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process that may have little more than it has, a friend who was let in, and one who is about to call
    friend, theirs = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    context: zmq.Context[Any] = zmq.Context()
    watch = curve.guard(context, lambda key: True if key == z85.decode(friend) else None, hold_s=0.0)
    server = context.socket(zmq.ROUTER)
    curve.server(server, public, secret)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    caller = context.socket(zmq.DEALER)
    caller.rcvtimeo = server.rcvtimeo = 10_000
    curve.client(caller, public, friend, theirs)
    caller.connect(f"tcp://127.0.0.1:{port}")
    caller.send(b"before")
    assert server.recv_multipart()[1] == b"before"
    few = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.3", 0)) for _ in range(3)]
    room = len(descriptors()) + 60  # what a process has is counted of both ends here: 128 of the strangers' are its own
    # When one address calls and calls and says nothing
    many = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) for _ in range(128)]
    monkeypatch.setattr(crowding.resource, "getrlimit", lambda what: ((room + len(many)) * crowding.SHARE, -1))
    watch.ports = frozenset((port,))
    # Then it loses all but a few, and it is told where from
    deadline = time.monotonic() + 20.0
    while sum(map(_is_over, many)) < 100 and time.monotonic() < deadline:
        select.select([many[-1], many[0]], [], [], 0.05)
    assert 100 <= sum(map(_is_over, many)) < 128
    assert ("127.0.0.2", curve.HOLDS) in watch.news()
    # And neither the friend nor who holds few notices
    caller.send(b"after")
    assert server.recv_multipart()[1] == b"after" and not any(map(_is_over, few))
    for line in (*many, *few):
        line.close()
    for each in (caller, server):
        each.close(0)
    watch.close()
    context.term()


def _is_over(line: socket.socket) -> bool:
    """Whether the other end has hung up. What it has said is left where it is."""
    line.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        try:
            while line.recv(65536):
                pass
        except ConnectionError:
            pass
        return True
    return False


def test_a_process_whose_descriptors_are_all_taken_still_hangs_up_on_those_who_took_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a table so full that it cannot even be listed
    def full(path: str) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        strangers = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) for _ in range(10)]
        friend = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.4", 0))
        lines = [*strangers, friend, *(door.accept()[0] for _ in range(11))]
        highest = max(line.fileno() for line in lines)
        monkeypatch.setattr(crowding.resource, "getrlimit", lambda what: (highest + 1, -1))
        monkeypatch.setattr(crowding.os, "listdir", full)
        monkeypatch.setattr(crowding.os, "dup", full)
        # When it looks, then they are hung up on, and the friend and whatever else it has is left as it was
        assert crowding.thin_out({port}, known={"127.0.0.4"}) == {"127.0.0.2": 10}
        monkeypatch.undo()
        assert all(map(_is_over, strangers)) and not _is_over(friend) and door.fileno() >= 0
        for line in lines:
            line.close()
