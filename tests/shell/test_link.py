"""The line between an agent and its roles' processes."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from mesh.shell import curve
from mesh.shell.link import Link, routing_id
from mesh.shell.transport import TransportError
from tests.shell.until import until

Heard = tuple[str, int, dict[str, Any]]
AGENT, HOST, STRANGER = (zmq.curve_keypair() for _ in range(3))


def _link(receive: Any = lambda *message: None) -> Link:
    """An agent's end that lets in whoever has the key `HOST`."""
    link = Link(AGENT, receive)
    link.admit("x", 1, HOST[0].decode())
    return link


@contextmanager
def _host(endpoint: str, instance: str, generation: int, keys: tuple[bytes, bytes] | None = HOST) -> Iterator[zmq.Socket[bytes]]:
    """What a role's process opens; None: without keys."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.routing_id = routing_id(instance, generation, AGENT[1])
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    if keys is not None:
        curve.client(socket, AGENT[0], *keys)
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


def _reads(socket: zmq.Socket[bytes]) -> Any:
    return msgpack.unpackb(socket.recv(zmq.NOBLOCK)) if socket.poll(0) else None


def test_an_agent_and_its_roles_hear_each_other_by_instance_and_generation(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "run" / "link")
        with _host(endpoint, "poet/1", 3) as poet, _host(endpoint, "wall@left-wall", 1) as wall:
            poet.send(msgpack.packb({"type": "hello", "pid": 7}))
            wall.send(msgpack.packb({"type": "hello", "pid": 8}))
            await until(lambda: len(heard) == 2)

            assert ("poet/1", 3, {"type": "hello", "pid": 7}) in heard
            assert ("wall@left-wall", 1, {"type": "hello", "pid": 8}) in heard
            assert link.send("poet/1", 3, {"type": "play", "epoch": 2})
            assert not link.send("poet/1", 2, {"type": "stop"})
            assert link.unheard == 1
            await until(lambda: poet.poll(0))
            assert _reads(poet) == {"type": "play", "epoch": 2}
            assert _reads(wall) is None
        link.close()

    asyncio.run(story())


def test_an_agent_can_hear_out_its_roles_before_it_judges_them(tmp_path: Path) -> None:
    async def story() -> None:
        # Given an agent whose loop is kept from reading by something else, and a role that speaks meanwhile
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        with _host(link.bind(tmp_path / "link"), "eye", 1) as eye:
            eye.send(msgpack.packb({"type": "pulse"}))
            # When it hears out what waits, then it has heard the role, though the loop had no turn
            until_s = time.monotonic() + 10.0
            while not heard and time.monotonic() < until_s:
                link.hear_out()
        assert heard == [("eye", 1, {"type": "pulse"})]
        link.close()
        link.hear_out()

    asyncio.run(story())


def test_an_agent_started_again_hears_the_roles_that_outlived_it_without_asking(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[Heard] = []
        first = _link()
        endpoint = first.bind(tmp_path / "link")
        with _host(endpoint, "eye", 5) as eye:
            eye.send(msgpack.packb({"type": "hello"}))
            first.close()
            second = _link(lambda *message: heard.append(message))
            assert second.bind(tmp_path / "link") == endpoint

            def pulse() -> object:
                eye.send(msgpack.packb({"type": "pulse"}))
                return heard

            await until(pulse)
            assert heard[-1][:2] == ("eye", 5)
            assert second.send("eye", 5, {"type": "still_here"})
            second.close()

    asyncio.run(story())


def test_a_role_that_connects_again_under_its_name_is_answered_there(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "link")
        for expected in (1, 2):
            with _host(endpoint, "eye", 1) as eye:
                eye.send(msgpack.packb({"type": "hello"}))
                await until(lambda expected=expected: len(heard) == expected)
                assert link.send("eye", 1, {"type": "play"})
                await until(lambda eye=eye: eye.poll(0))
        link.close()

    asyncio.run(story())


def test_a_process_can_speak_as_no_other_and_have_no_others_line_put_aside(tmp_path: Path) -> None:
    async def story() -> None:
        # Given two roles' processes, both let in
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "link")
        with _host(endpoint, "poet/1", 1) as poet, _host(endpoint, "eye", 1) as eye:
            eye.send(msgpack.packb({"type": "hello"}))
            await until(lambda: len(heard) == 1)
            # When one calls itself by the other's name, with no seal, its own, or one that it made
            for number, seal in enumerate((b"", b"#" + bytes(eye.routing_id).rpartition(b"#")[2][:-1] + b"x", b"#" + b"0" * 32), 1):
                poet.disconnect(endpoint)
                poet.routing_id = routing_id("eye", 1) + seal
                poet.connect(endpoint)
                poet.send(msgpack.packb({"type": "failed", "what": "I give up"}))
                await until(lambda number=number: link.broken == number)
            # Then it is not believed, and the other is heard and spoken to as before
            eye.send(msgpack.packb({"type": "pulse"}))
            await until(lambda: len(heard) == 2)
            assert [message["type"] for _, _, message in heard] == ["hello", "pulse"]
            assert link.send("eye", 1, {"type": "play"})
            await until(lambda: eye.poll(0))
        link.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"eye#1", [b"\xc1"]),
        (b"eye#1", [b""]),
        (b"eye#1", [b"\x81\xa1"]),
        (b"eye#1", [msgpack.packb([1, 2])]),
        (b"eye#1", [msgpack.packb({}), b"more"]),
        (b"eye#1", [b"\x91" * 5000]),
        (b"eye", [msgpack.packb({})]),
        (b"eye#one", [msgpack.packb({})]),
        (b"#1", [msgpack.packb({})]),
        (b"\xff\xfe#1", [msgpack.packb({})]),
    ],
)
def test_what_is_no_message_is_counted_and_ignored(tmp_path: Path, name: bytes, parts: list[bytes]) -> None:
    async def story() -> None:
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "link")
        with _host(endpoint, "x", 1) as bad, _host(endpoint, "poet/1", 1) as poet:
            bad.disconnect(endpoint)
            bad.routing_id = routing_id("eye", 1, AGENT[1]) if name == b"eye#1" else name
            bad.connect(endpoint)
            bad.send_multipart(parts)
            await until(lambda: link.broken == 1)
            poet.send(msgpack.packb({"type": "hello"}))
            await until(lambda: heard)
        assert heard == [("poet/1", 1, {"type": "hello"})]
        link.close()

    asyncio.run(story())


@pytest.mark.parametrize("keys", [None, STRANGER], ids=["without a key", "a stranger's key"])
def test_who_is_no_process_of_the_agent_s_is_not_heard_puts_nobody_aside_and_is_counted(
    tmp_path: Path, keys: tuple[bytes, bytes] | None
) -> None:
    async def story() -> None:
        # Given an agent and its role
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "link")
        with _host(endpoint, "eye", 1) as eye:
            eye.send(msgpack.packb({"type": "hello"}))
            await until(lambda: heard)
            # When somebody else of the same user says that it is that role
            with _host(endpoint, "eye", 1, keys) as stranger:
                stranger.send(msgpack.packb({"type": "failed"}))
                await until(lambda: link.refused)
                # Then the role's line is still the role's, and the other says and hears nothing
                assert link.send("eye", 1, {"type": "play"})
                await until(lambda: eye.poll(0))
                assert _reads(eye) == {"type": "play"} and _reads(stranger) is None
        assert heard == [("eye", 1, {"type": "hello"})]
        link.close()

    asyncio.run(story())


def test_noise_at_the_link_is_hung_up_on_counted_and_leaves_no_descriptor(tmp_path: Path) -> None:
    async def story() -> None:
        link = _link()
        link.bind(tmp_path / "link")
        before = len(os.listdir("/dev/fd"))
        # Given lines that all say the same name in a ZeroMQ that knew no keys, and are ended on their side
        lines = []
        for _ in range(20):
            lines.append(line := socket.socket(socket.AF_UNIX))
            line.connect(str(tmp_path / "link"))
            line.send(b"\x05\0eye1\x03\0ab")
            line.shutdown(socket.SHUT_WR)
        # Then each is hung up on, and counted once there was time for a handshake
        for line in lines:
            line.settimeout(5.0)
            while line.recv(4096):
                continue
            line.close()
        await until(lambda: link.refused == 20)
        assert len(os.listdir("/dev/fd")) == before
        link.close()

    asyncio.run(story())


def test_a_process_that_has_ended_leaves_no_key_behind(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[Heard] = []
        link = _link(lambda *message: heard.append(message))
        endpoint = link.bind(tmp_path / "link")
        link.forget("x", 1)
        with _host(endpoint, "x", 1) as late:
            late.send(msgpack.packb({"type": "hello"}))
            await until(lambda: link.refused)
        assert not heard
        link.close()

    asyncio.run(story())


def test_only_the_owner_can_enter_the_sockets_folder(tmp_path: Path) -> None:
    async def story() -> None:
        link = _link()
        link.bind(tmp_path / "run" / "link")

        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
        link.close()
        link.close()
        assert os.listdir(tmp_path / "run") == []
        assert not link.send("eye", 1, {})

    asyncio.run(story())


@pytest.mark.parametrize("path", ["x" * 120, "file/link"])
def test_a_path_that_cannot_be_a_socket_is_told_in_words(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()

    async def story() -> None:
        link = _link()
        with pytest.raises(TransportError, match=r"too long for a socket|no socket can be made") as raised:
            link.bind(tmp_path / path)
        assert "ROOMFUL_HOME" in raised.value.instead
        link.close()

    asyncio.run(story())
