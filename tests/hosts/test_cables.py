"""A call between roles while nothing gets through: it is made anew soon, and not only when TCP's own, ever longer pauses are over."""

from __future__ import annotations

from typing import Any

import zmq

from mesh.shell import curve
from mesh.shell.streams import bounded, endpoint
from tests.hosts.network import Network

BOUND_S = 30.0
TRIES = 3


def test_a_line_between_roles_is_called_anew_while_nothing_gets_through_and_stands_when_it_does() -> None:
    # Given a writer on one machine that hears nothing of the other
    keys = zmq.curve_keypair()
    with Network(["reader", "writer"]) as network:
        network.deafens("writer", "reader")
        writers, readers = _context(), _context()
        with network.within("writer"):
            guard = curve.guard(writers, curve.Guests([keys[0].decode()]).admits)
            writer = bounded(writers.socket(zmq.XPUB), 10)
            curve.server(writer, *keys)
            port = writer.bind_to_random_port(f"tcp://{network.addresses['writer']}")
        # When a reader calls there
        with network.within("reader"):
            reader = bounded(readers.socket(zmq.SUB), 10)
            monitor = reader.get_monitor_socket(zmq.EVENT_CONNECT_RETRIED)
            curve.client(reader, keys[0], *keys)
            reader.subscribe(b"")
            reader.connect(endpoint(network.addresses["writer"], port))
        try:
            # Then the call is made anew again and again: a packet that waits for TCP's next pause holds nothing up
            for _ in range(TRIES):
                assert monitor.poll(BOUND_S * 1000), "the call was not made anew"
                monitor.recv_multipart()
            # And when the writer hears again, it is heard
            network.mends("writer")
            assert writer.poll(BOUND_S * 1000), "nobody listens"
            writer.recv()
            writer.send(b"a frame")
            assert reader.poll(BOUND_S * 1000) and reader.recv() == b"a frame"
        finally:
            reader.disable_monitor()
            for socket in (monitor, reader, writer):
                socket.close(linger=0)
            guard.close()
            for context in (writers, readers):
                context.destroy(linger=0)


def _context() -> Any:
    return zmq.Context()
