"""Calls that come to nothing before a key is shown are counted, by kind of port, and none of a friend's is."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator

import pytest
import zmq

from mesh.shell import curve
from mesh.shell.knocks import LOOK_S, Knocks
from tests.shell.until import until

SETTLES_S = 2.0
FRIEND = zmq.curve_keypair()


def _event(number: int) -> list[bytes]:
    return [number.to_bytes(2, sys.byteorder) + bytes(4), b"tcp://127.0.0.1:1"]


def test_noise_is_what_is_left_of_all_calls_when_their_time_is_up() -> None:
    # Given three calls: one is let in, one fails, of one nothing is heard
    knocks = Knocks(SETTLES_S)
    for number in (zmq.EVENT_ACCEPTED,) * 3:
        knocks.heard(_event(number), 10.0)
    knocks.heard(_event(zmq.EVENT_HANDSHAKE_SUCCEEDED), 10.1)
    knocks.heard(_event(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL), 10.2)
    # Then what failed counts at once, and what is silent after its time, once
    assert knocks.broken(10.3) == 1
    assert knocks.broken(10.0 + SETTLES_S + LOOK_S) == 2
    assert knocks.broken(1000.0) == 2


def test_a_call_that_is_being_let_in_is_no_noise_and_a_refused_key_is_counted_elsewhere() -> None:
    knocks = Knocks(SETTLES_S)
    for second in range(10):
        knocks.heard(_event(zmq.EVENT_ACCEPTED), float(second))
        knocks.heard(_event(zmq.EVENT_HANDSHAKE_FAILED_AUTH if second % 2 else zmq.EVENT_HANDSHAKE_SUCCEEDED), second + 0.5)
        assert knocks.broken(second + 0.9) == 0
    assert knocks.broken(1000.0) == 0


def test_what_is_remembered_of_a_flood_is_bounded() -> None:
    knocks = Knocks(SETTLES_S)
    for number in range(10_000):
        knocks.heard(_event(zmq.EVENT_ACCEPTED), number / 100)
    assert len(knocks._called_by) < 2 * SETTLES_S / LOOK_S
    assert knocks.broken(1000.0) == 10_000


@pytest.fixture
def guarded() -> Iterator[tuple[curve.Guard, int, bytes]]:
    """A server that lets in one friend: its guard, its port, its public key."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guard = curve.guard(context, lambda key: key == curve.raw(FRIEND[0].decode()) or None, hold_s=0.05)
    public, secret = zmq.curve_keypair()
    server = context.socket(zmq.ROUTER)
    server.linger = 0
    curve.server(server, public, secret)
    guard.watch(server)
    yield guard, server.bind_to_random_port("tcp://127.0.0.1"), public
    server.close()
    guard.close()
    context.destroy(linger=0)


def test_noise_another_protocol_and_a_call_for_another_server_are_counted_and_friends_are_not(
    guarded: tuple[curve.Guard, int, bytes]
) -> None:
    guard, port, public = guarded

    async def story() -> None:
        # Given a friend who has been let in, and a stranger
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        friend, lost, stranger = (context.socket(zmq.DEALER) for _ in range(3))
        curve.client(friend, public, *FRIEND)
        friend.connect(f"tcp://127.0.0.1:{port}")
        curve.client(stranger, public, *zmq.curve_keypair())
        stranger.connect(f"tcp://127.0.0.1:{port}")
        await until(lambda: guard.refused == 1)
        # When others speak HTTP, noise, nothing
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"a" + os.urandom(64), b""):
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.send(words)
        # Then these three are counted when there was time enough, and who calls somebody else at once
        await until(lambda: guard.broken == 3)
        lost.setsockopt(zmq.RECONNECT_IVL, -1)
        curve.client(lost, zmq.curve_keypair()[0], *FRIEND)
        lost.connect(f"tcp://127.0.0.1:{port}")
        await until(lambda: guard.broken == 4)
        assert guard.refused == 1
        context.destroy(linger=0)

    asyncio.run(story())
