"""Heartbeats leave at once, arrive as they were, and nothing the network does stops the heart."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from mesh.shell.beats import DATAGRAM_BYTES_MAX, Beats, TransportError
from tests.shell.until import until

HERE = "127.0.0.1"


class _Node:
    """A socket and what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, tuple[str, int]]] = []
        self.beats = Beats(lambda data, sender: self.heard.append((data, sender)))
        self.port = self.beats.bind(HERE)


def test_a_beat_arrives_whole_with_the_address_it_came_from() -> None:
    async def story() -> None:
        one, other = _Node(), _Node()

        assert one.beats.send(HERE, other.port, b"beat")
        await until(lambda: other.heard)

        assert other.heard == [(b"beat", (HERE, one.port))]
        assert (one.beats.sent, other.beats.received) == (1, 1)
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


def test_what_waits_is_read_on_demand_before_the_loop_gets_to_it() -> None:
    async def story() -> None:
        one, other = _Node(), _Node()
        for number in range(100):
            one.beats.send(HERE, other.port, b"%d" % number)

        # No await since: the loop had no chance to read.
        assert other.beats.drain() == 100

        assert [data for data, _ in other.heard] == [b"%d" % number for number in range(100)]
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("255.255.255.255", 9),  # broadcast is not allowed
        (HERE, 0),
        (HERE, 70_000),
        (HERE, -1),
        ("", 9),
        ("no such host.invalid", 9),
        ("é" * 300, 9),
        ("1.2.3.4\0", 9),
    ],
)
def test_an_address_that_leads_nowhere_is_counted_and_harms_nothing(host: str, port: int) -> None:
    async def story() -> None:
        node = _Node()

        sent = node.beats.send(host, port, b"beat")

        assert sent is (node.beats.failed == 0)
        assert node.beats.send(HERE, node.port, b"still here")
        await until(lambda: (b"still here", (HERE, node.port)) in node.heard)
        node.beats.close()

    asyncio.run(story())


def test_a_peer_whose_socket_is_closed_does_not_deafen_us() -> None:
    async def story() -> None:
        node, gone, peer = _Node(), _Node(), _Node()
        gone.beats.close()

        for _ in range(20):
            node.beats.send(HERE, gone.port, b"anyone?")
        peer.beats.send(HERE, node.port, b"I am")

        await until(lambda: node.heard)
        for each in (node, peer):
            each.beats.close()

    asyncio.run(story())


def test_a_datagram_too_large_is_neither_sent_nor_handed_on() -> None:
    async def story() -> None:
        node = _Node()
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        assert not node.beats.send(HERE, node.port, bytes(DATAGRAM_BYTES_MAX + 1))
        for size in (DATAGRAM_BYTES_MAX + 1, 60_000, 0, DATAGRAM_BYTES_MAX):
            stranger.sendto(bytes(size), (HERE, node.port))
        await until(lambda: len(node.heard) == 2)

        assert [len(data) for data, _ in node.heard] == [0, DATAGRAM_BYTES_MAX]
        assert node.beats.oversized == 3
        stranger.close()
        node.beats.close()

    asyncio.run(story())


def test_a_receiver_that_fails_loses_its_datagram_and_no_other() -> None:
    async def story() -> None:
        heard: list[bytes] = []

        def receive(data: bytes, sender: tuple[str, int]) -> None:
            if data == b"bad":
                raise ValueError("a mistake in the mind")
            heard.append(data)

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        beats = Beats(receive)
        port = beats.bind(HERE)
        for data in (b"bad", b"good"):
            beats.send(HERE, port, data)

        await until(lambda: heard == [b"good"])
        beats.close()

    asyncio.run(story())


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    async def story() -> None:
        node = _Node()

        with pytest.raises(TransportError, match=f"UDP port {node.port} .*Address already in use") as raised:
            Beats(lambda data, sender: None).bind(HERE, node.port)

        assert "roomful status" in raised.value.instead
        node.beats.close()

    asyncio.run(story())


def test_a_closed_socket_sends_nothing_and_leaves_no_descriptor() -> None:
    async def story() -> None:
        before = len(os.listdir("/dev/fd"))
        node = _Node()

        node.beats.close()
        node.beats.close()

        assert not node.beats.send(HERE, node.port, b"late")
        assert node.beats.drain() == 0
        assert len(os.listdir("/dev/fd")) == before

    asyncio.run(story())
