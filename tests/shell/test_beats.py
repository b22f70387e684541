"""Heartbeats leave at once, arrive as they were, and nothing the network does stops the heart."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import pytest

from mesh.shell import sorting
from mesh.shell.beats import CROWD, DATAGRAM_BYTES_MAX, Beats, TransportError
from mesh.shell.sorting import SO_TIMESTAMPNS, STAMP, Stamps
from tests.shell.until import until

HERE = "127.0.0.1"


MARK = (2, b"ab")
A_BEAT = b"--abc"


class _Node:
    """A socket and what it heard."""

    def __init__(self, aside: tuple[int, bytes] | None = None) -> None:
        self.heard: list[tuple[bytes, tuple[str, int]]] = []
        self.ages_s: list[float] = []
        self.beats = Beats(self._hear, aside)
        self.port = self.beats.bind(HERE)

    def _hear(self, data: bytes, sender: tuple[str, int], age_s: float) -> None:
        self.heard.append((data, sender))
        self.ages_s.append(age_s)

    def words(self) -> list[bytes]:
        return [data for data, _ in self.heard]


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

        def receive(data: bytes, sender: tuple[str, int], age_s: float) -> None:
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


@pytest.mark.parametrize("aside", [None, MARK])
def test_a_port_that_is_taken_is_told_with_what_to_do(aside: tuple[int, bytes] | None) -> None:
    async def story() -> None:
        node = _Node(aside)

        with pytest.raises(TransportError, match=f"UDP port {node.port} .*Address already in use") as raised:
            Beats(lambda data, sender, age_s: None, aside).bind(HERE, node.port)

        assert "roomful status" in raised.value.instead
        node.beats.close()

    asyncio.run(story())


def test_a_closed_socket_sends_nothing_and_leaves_no_descriptor() -> None:
    async def story() -> None:
        before = len(os.listdir("/dev/fd"))
        node = _Node(MARK)

        node.beats.close()
        node.beats.close()

        assert not node.beats.send(HERE, node.port, b"late")
        assert node.beats.drain() == 0
        assert len(os.listdir("/dev/fd")) == before

    asyncio.run(story())


def test_what_carries_the_mark_wakes_nobody_and_is_handed_on_before_what_does() -> None:
    async def story() -> None:
        # Given a node that puts marked datagrams aside
        one, other = _Node(), _Node(MARK)

        # When marked ones come, and then one that is not
        for data in (A_BEAT, A_BEAT[:4]):
            one.beats.send(HERE, other.port, data)
        one.beats.send(HERE, other.port, b"--aBc")

        # Then the last wakes the node, which has heard the others first; all come from the address of their sender
        await until(lambda: b"--aBc" in other.words())
        assert other.words() == [A_BEAT, A_BEAT[:4], b"--aBc"]
        assert {sender for _, sender in other.heard} == {(HERE, one.port)}
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


def test_what_was_put_aside_is_read_on_demand_with_the_time_that_it_has_waited() -> None:
    async def story() -> None:
        one, other = _Node(), _Node(MARK)
        sent_s = time.monotonic()
        one.beats.send(HERE, other.port, A_BEAT)
        one.beats.send(HERE, other.port, b"")
        await until(lambda: b"" in other.words())  # the loop had every chance to read
        other.heard.clear()
        other.ages_s.clear()
        one.beats.send(HERE, other.port, A_BEAT)

        assert other.beats.drain() == 1

        assert other.words() == [A_BEAT]
        assert 0.0 <= other.ages_s[0] <= time.monotonic() - sent_s
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


@pytest.mark.parametrize("data", [b"", b"-", b"ab", b"--a", b"--ba", b"ab--", bytes(1400)])
def test_what_does_not_carry_the_mark_at_its_place_wakes_at_once(data: bytes) -> None:
    async def story() -> None:
        one, other = _Node(), _Node(MARK)

        one.beats.send(HERE, other.port, data)

        await until(lambda: other.words() == [data])
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


def test_a_crowd_that_carries_the_mark_wakes_its_reader_until_it_is_over() -> None:
    async def story() -> None:
        one, other = _Node(), _Node(MARK)
        for _ in range(CROWD + 1):
            one.beats.send(HERE, other.port, A_BEAT)
        assert other.beats.drain() == CROWD + 1

        one.beats.send(HERE, other.port, A_BEAT)
        await until(lambda: len(other.heard) == CROWD + 2)  # nobody drained

        other.beats.drain()
        one.beats.send(HERE, other.port, A_BEAT)
        assert other.beats.drain() == 1
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


def test_where_the_system_cannot_put_aside_everything_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "SO_ATTACH_REUSEPORT_CBPF", 0x7FFF)  # an option that no system has

    async def story() -> None:
        one, other = _Node(), _Node(MARK)

        one.beats.send(HERE, other.port, A_BEAT)

        await until(lambda: other.words() == [A_BEAT])
        with pytest.raises(TransportError):
            Beats(lambda data, sender, age_s: None, MARK).bind(HERE, other.port)
        one.beats.close()
        other.beats.close()

    asyncio.run(story())


def test_the_age_of_a_datagram_is_not_told_while_the_wall_clock_is_being_set(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = Stamps()
    now_s = time.time()
    stamp = (socket.SOL_SOCKET, SO_TIMESTAMPNS, STAMP.pack(int(now_s) - 1, 0))
    assert stamps.age_s([stamp]) > 0.9

    monkeypatch.setattr(sorting.time, "time", lambda: now_s + 3600.0)

    assert stamps.age_s([stamp]) == 0.0
    assert stamps.age_s([]) == 0.0
