"""Whoever is not in the room: every way in that a stranger may try, at the control port, at a role's port, and by datagrams.

In each test a friend gets in by the same door beside the stranger: where nobody got in, nothing would be shown.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import socket as tcp
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from zmq.utils import z85

from mesh.core.parcels import Parcel
from mesh.core.parcels import encode as encode_parcel
from mesh.shell import curve
from mesh.shell.certificates import OPERATOR
from mesh.shell.credentials import Credentials, let_in, throwaway_credentials
from mesh.shell.introductions import BOXED_BYTES, box, learn_of, unbox
from mesh.shell.keys import throwaway_key
from mesh.shell.record import NodeRecord, to_properties
from mesh.shell.register import Register
from mesh.shell.revisions import Revisions
from mesh.shell.transfer import Transfer
from tests.shell.calling import HERE, CallingNode, play
from tests.shell.until import until

LOOKS_MS = 300  # for what a stranger may hear; a friend hears it in a few
BOUND_S = 15.0


@pytest.fixture
def context() -> Iterator[Any]:
    made: Any = zmq.Context()
    made.linger = 0  # also of sockets that a test lets go of
    yield made
    made.destroy(linger=0)


class Stage:
    """A role's port: an XPUB that speaks all the time to whoever is let in."""

    def __init__(self) -> None:
        self.context: Any = zmq.Context()
        public, secret = zmq.curve_keypair()
        self.public = public
        self.guests = curve.Guests()
        self.guard = curve.guard(self.context, self.guests.admits, 0.2)
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, 500)
        curve.server(self.socket, public, secret)
        self.port = self.socket.bind_to_random_port(f"tcp://{HERE}")
        self.heard: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self) -> None:
        while not self._ended.wait(0.005):
            while self.socket.poll(0):
                self.heard.append(self.socket.recv())
            self.socket.send(b"a line of the work")

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.socket.close()
        self.guard.close()
        self.context.destroy(linger=0)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def _plain(socket: Any, theirs: bytes) -> None:
    """No mechanism at all."""


def _with_password(socket: Any, theirs: bytes) -> None:
    socket.plain_username, socket.plain_password = b"roomful", b"roomful"


def _without_the_servers_key(socket: Any, theirs: bytes) -> None:
    other, _ = zmq.curve_keypair()
    socket.curve_serverkey = other
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()


def _with_a_key_of_its_own(socket: Any, theirs: bytes) -> None:
    curve.client(socket, theirs, *zmq.curve_keypair())


def _with_the_servers_key_as_its_own(socket: Any, theirs: bytes) -> None:
    """The public half is all that it can know."""
    _, secret = zmq.curve_keypair()
    curve.client(socket, theirs, theirs, secret)


def _of_another_installation(socket: Any, theirs: bytes) -> None:
    other = throwaway_credentials()
    curve.client(socket, theirs, other.public, other.curve_secret)


ATTEMPTS = [
    _plain, _with_password, _without_the_servers_key, _with_a_key_of_its_own, _with_the_servers_key_as_its_own, _of_another_installation,
]  # fmt: skip
Attempt = Callable[[Any, bytes], None]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nobody_gets_a_word_in_at_the_control_port_or_one_out_of_it(attempt: Attempt, context: Any) -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        # Given a node, and a stranger who even knows its public key
        one, friend = node("a"), node("b")
        stranger = context.socket(zmq.DEALER)
        attempt(stranger, one.register.mine.public)
        stranger.connect(f"tcp://{HERE}:{one.port}")
        # When it asks who is there, and speaks
        for data in ([one.id.encode(), b""], [b"", b"ask"], [one.id.encode(), b"let me in"]):
            stranger.send_multipart(data)
        friend.control.connect(one.id, [HERE], one.port)
        friend.control.send(one.id, b"from a friend")
        # Then only the friend is heard, and the stranger hears nothing
        await until(lambda: one.heard == [b"from a friend"])
        assert not await asyncio.to_thread(stranger.poll, LOOKS_MS)
        assert one.heard == [b"from a friend"] and one.control.misdirected == 0

    play(story)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nobody_hears_a_role_or_is_heard_by_it(attempt: Attempt, context: Any, stage: Stage) -> None:
    # Given a role that speaks, a stranger who knows its public key, and a friend
    stranger, friend = context.socket(zmq.SUB), context.socket(zmq.SUB)
    attempt(stranger, stage.public)
    public, secret = zmq.curve_keypair()
    stage.guests.tell([public.decode()])
    curve.client(friend, stage.public, public, secret)
    # When both subscribe
    for each, topic in ((stranger, b""), (friend, b"a")):
        each.subscribe(topic)
        each.connect(f"tcp://{HERE}:{stage.port}")
    # Then only the friend hears, and only its subscription arrived
    assert friend.poll(BOUND_S * 1000) and friend.recv() == b"a line of the work"
    assert not stranger.poll(LOOKS_MS)
    assert stage.heard == [b"\x01a"]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nobody_gets_anything_at_the_port_for_revisions(attempt: Attempt, context: Any, tmp_path: Path) -> None:
    # Given a machine that serves revisions, a stranger who knows its public key, and a friend
    key = throwaway_key()
    here, other = Register(let_in(key, "0" * 32)), let_in(key, "1" * 32)
    here.learn(other.certificate.pack())
    transfer = Transfer(here, Revisions(tmp_path), on_end=lambda *told: None, on_trouble=lambda words: None)
    port = transfer.bind(HERE, 0)
    stranger, friend = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    attempt(stranger, here.mine.public)
    curve.client(friend, here.mine.public, other.public, other.curve_secret)
    # When both ask for one
    for each in (stranger, friend):
        each.connect(f"tcp://{HERE}:{port}")
        each.send_multipart([encode_parcel(Parcel("manifest", "a" * 64)), b""])
    # Then only the friend is answered, and nothing of the other's is counted as a message
    assert friend.poll(BOUND_S * 1000) and not stranger.poll(LOOKS_MS)
    assert transfer.refused == 0
    transfer.close()


def test_a_key_of_which_word_comes_a_moment_later_is_let_in_without_calling_again(context: Any, stage: Stage) -> None:
    # Given a consumer whose key is not known yet
    public, secret = zmq.curve_keypair()
    early = context.socket(zmq.SUB)
    early.setsockopt(zmq.RECONNECT_IVL, -1)
    curve.client(early, stage.public, public, secret)
    early.subscribe(b"")
    # When it calls, and word of it comes while it waits
    early.connect(f"tcp://{HERE}:{stage.port}")
    _until(lambda: stage.guard._held)
    stage.guests.tell([public.decode()])
    # Then it is let in on that very call
    assert early.poll(BOUND_S * 1000)


def test_who_waits_for_long_is_let_in_at_a_later_call(context: Any, stage: Stage) -> None:
    # Given a consumer that was put off already
    public, secret = zmq.curve_keypair()
    early = context.socket(zmq.SUB)
    early.setsockopt(zmq.RECONNECT_IVL, 20)
    curve.client(early, stage.public, public, secret)
    early.subscribe(b"")
    early.connect(f"tcp://{HERE}:{stage.port}")
    _until(lambda: stage.guard.refused >= 2)
    # When word of it comes
    stage.guests.tell([public.decode()])
    # Then it has not given up
    assert early.poll(BOUND_S * 1000)


def test_those_who_wait_at_the_door_are_bounded_and_keep_nobody_else_waiting(context: Any, stage: Stage) -> None:
    # Given more strangers than may wait
    for _ in range(curve.WAITING_MAX + 20):
        stranger = context.socket(zmq.DEALER)
        stranger.setsockopt(zmq.RECONNECT_IVL, 20)
        _with_a_key_of_its_own(stranger, stage.public)
        stranger.connect(f"tcp://{HERE}:{stage.port}")
    _until(lambda: stage.guard.refused > 0)
    # When a friend calls
    public, secret = zmq.curve_keypair()
    stage.guests.tell([public.decode()])
    friend = context.socket(zmq.SUB)
    curve.client(friend, stage.public, public, secret)
    friend.subscribe(b"")
    friend.connect(f"tcp://{HERE}:{stage.port}")
    # Then it is let in
    assert friend.poll(BOUND_S * 1000)
    assert len(stage.guard._held) <= curve.WAITING_MAX


class Relay:
    """Stands between clients and a server, and writes down what each client says."""

    def __init__(self, port: int) -> None:
        self._said: list[bytearray] = []
        self._target = port
        self._lines: list[tcp.socket] = []
        self._door = tcp.create_server((HERE, 0))
        self.port = self._door.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._carry)

    def _start(self, target: Callable[..., None], *given: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=given, daemon=True))
        self._threads[-1].start()

    @property
    def said(self) -> bytes:
        """The longest conversation: others only look whether somebody is there."""
        return bytes(max(self._said, key=len, default=b""))

    def _carry(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = tcp.create_connection((HERE, self._target))
                self._lines += [client, server]
                self._said.append(bytearray())
                self._start(_pump, server, client, bytearray())
                self._start(_pump, client, server, self._said[-1])

    def close(self) -> None:
        for each in (self._door, *self._lines):
            with contextlib.suppress(OSError):
                each.shutdown(tcp.SHUT_RDWR)
        for thread in self._threads:
            thread.join(BOUND_S)
        for each in (self._door, *self._lines):
            each.close()


def _pump(source: tcp.socket, sink: tcp.socket, copy: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            copy += data
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(tcp.SHUT_RDWR)


def _replay(said: bytes, port: int) -> bytes:
    """Says a recorded conversation again, whole and then step by step; what came back."""
    back = bytearray()
    for steps in ([said], [said[:64], said[64 : 64 + 202], said[64 + 202 :]]):  # greeting, HELLO, INITIATE and messages
        with tcp.create_connection((HERE, port)) as line, contextlib.suppress(OSError):
            line.settimeout(LOOKS_MS / 1000)
            for step in steps:
                line.sendall(step)
                with contextlib.suppress(TimeoutError):
                    while data := line.recv(65536):
                        back += data
    return bytes(back)


def test_a_conversation_that_was_recorded_opens_nothing_when_it_is_said_again() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        # Given a friend's whole conversation, recorded on its way
        one, friend = node("a"), node("b")
        relay = Relay(one.port)
        friend.register.learn(one.register.mine.certificate.pack())
        one.register.learn(friend.register.mine.certificate.pack())
        friend.control.connect(one.id, [HERE], relay.port)
        friend.control.send(one.id, b"once")
        await until(lambda: one.heard == [b"once"])
        said = relay.said
        # When it is said again
        back = await asyncio.to_thread(_replay, said, one.port)
        # Then nothing of it is heard, and what comes back is a greeting and a handshake's first answer, at most
        assert len(said) > 64 + 202 and one.heard == [b"once"]
        assert one.id.encode() not in back and b"READY" not in back
        relay.close()

    play(story)


def test_a_recorded_subscription_hears_nothing(context: Any, stage: Stage) -> None:
    # Given a consumer's conversation with a role, recorded
    public, secret = zmq.curve_keypair()
    stage.guests.tell([public.decode()])
    relay = Relay(stage.port)
    friend = context.socket(zmq.SUB)
    curve.client(friend, stage.public, public, secret)
    friend.subscribe(b"")
    friend.connect(f"tcp://{HERE}:{relay.port}")
    assert friend.poll(BOUND_S * 1000)
    said = relay.said
    before = len(stage.heard)
    # When it is said again
    back = _replay(said, stage.port)
    # Then no subscription arrives, and no frame comes back
    assert len(stage.heard) == before and b"MESSAGE" not in back and b"READY" not in back
    relay.close()


# ---- datagrams


def test_a_stranger_is_not_answered_and_cannot_read_an_answer() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one = node("a")
        # Given somebody with another installation's key, and somebody with none
        other = Register(throwaway_credentials())
        for data in (box(other, ask=True), bytes(BOXED_BYTES), secrets.token_bytes(BOXED_BYTES), b"who are you?"):
            with tcp.socket(tcp.AF_INET, tcp.SOCK_DGRAM) as stranger:
                stranger.settimeout(LOOKS_MS / 1000)
                stranger.sendto(data, (HERE, one.port))
                # Then neither is answered
                with pytest.raises(TimeoutError):
                    await asyncio.to_thread(stranger.recv, 2000)
        assert one.introductions.answered == 0

    play(story)


def test_an_introduction_that_was_recorded_tells_nothing_and_is_answered_with_no_more_than_it_has() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        # Given a friend's question, recorded
        one, friend = node("a"), node("b")
        asked = box(friend.register, ask=True)
        await until(lambda: one.port)
        # When a stranger sends it again and again
        with tcp.socket(tcp.AF_INET, tcp.SOCK_DGRAM) as stranger:
            stranger.settimeout(BOUND_S)
            for _ in range(500):
                stranger.sendto(asked, (HERE, one.port))
            answer = await asyncio.to_thread(stranger.recv, 2000)
        # Then what it gets is no longer, cannot be read without the room's key, and does not come as often
        assert len(answer) == len(asked) == BOXED_BYTES
        mine = one.register.mine.certificate
        assert mine.curve not in answer and mine.signing not in answer and bytes.fromhex(mine.node) not in answer
        assert unbox(Register(throwaway_credentials()), answer) is None
        assert one.introductions.answered < 300

    play(story)


def test_only_a_certificate_that_the_owner_signed_is_believed() -> None:
    # Given a room, and one who was let in and makes certificates of its own
    key = throwaway_key()
    register, member = Register(let_in(key, "a" * 32)), let_in(key, "b" * 32)
    forged = let_in(throwaway_key(), "c" * 32).certificate
    wrong = bytearray(member.certificate.pack())
    wrong[20] ^= 1
    # When it shows them
    learnt = [register.learn(each) for each in (forged.pack(), bytes(wrong), b"", bytes(149), member.certificate.pack()[:-1])]
    # Then none is believed, and its own is
    assert learnt == [False] * 5
    assert register.learn(member.certificate.pack())
    assert register.admits(member.certificate.curve) is True
    assert register.admits(forged.curve) is None


def test_an_older_certificate_of_a_node_does_not_come_back() -> None:
    key = throwaway_key()
    register, old, new = Register(let_in(key, "a" * 32)), let_in(key, "b" * 32, 1), let_in(key, "b" * 32, 2)

    assert register.learn(new.certificate.pack()) and not register.learn(old.certificate.pack())

    assert register.public("b" * 32) == new.public
    assert register.admits(old.certificate.curve) is None


def test_a_commands_certificate_does_not_make_it_a_node() -> None:
    key = throwaway_key()
    register, command = Register(let_in(key, "a" * 32)), let_in(key, "b" * 32, kind=OPERATOR)

    register.learn(command.certificate.pack())

    assert register.admits(command.certificate.curve) is True
    assert register.public("b" * 32) is None


def test_a_command_learns_who_is_at_an_address_and_is_expected_there() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one, mine = node("a", key), Register(let_in(key, secrets.token_hex(16), kind=OPERATOR))

        found = await asyncio.to_thread(learn_of, mine, HERE, one.port, BOUND_S)

        assert found == one.id and mine.public(one.id) == one.register.mine.public
        assert one.register.admits(mine.mine.certificate.curve) is True

    play(story)


def test_what_mdns_shows_says_nothing_of_the_work_or_of_any_key() -> None:
    # Given a machine's record
    mine: Credentials = throwaway_credentials()
    shown = _shown(mine)
    record = NodeRecord(mine.node, "0" * 8, "door", 1, 1, 47600, 47600, mine.hash("whispering-room"), ("192.168.1.7",), "0" * 8, shown)
    # When a stranger reads it
    text = "\n".join(f"{key}={value}" for key, value in to_properties(record).items())
    # Then there is neither the work's name nor a key in it, and no certificate that can be read
    assert "whispering" not in text
    for raw in (mine.certificate.curve, mine.certificate.signing, mine.verify_key, mine.room_key, mine.certificate.signature):
        assert raw.hex() not in text and z85.encode(raw).decode() not in text
    assert unbox(Register(throwaway_credentials()), _raw(shown)) is None
    # And each text fits
    assert all(len(f"{key}={value}".encode()) <= 255 for key, value in to_properties(record).items())


def _shown(mine: Credentials) -> str:
    return base64.b85encode(box(Register(mine))).decode()


def _raw(text: str) -> bytes:
    return base64.b85decode(text)


def _until(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < until_s, "it did not come about"
        threading.Event().wait(0.005)
