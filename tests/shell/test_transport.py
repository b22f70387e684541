"""The control plane over real sockets: who is let in, who is reached, and what is told when not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from mesh.errors import NoRoomError
from mesh.shell import curve
from mesh.shell.credentials import let_in
from mesh.shell.keys import InstallationKey, throwaway_key
from mesh.shell.register import Register
from mesh.shell.sockets import MESSAGE_BYTES_MAX
from mesh.shell.transport import Caller, Control, Reply, TransportError
from tests.ports import free_port
from tests.shell.calling import HERE, CallingNode, Story, command, play
from tests.shell.until import until

NOWHERE = "192.0.2.254"  # RFC 5737: for examples
ROOT = Path(__file__).resolve().parents[2]


def test_messages_arrive_whole_in_order_and_also_those_sent_before_the_peer_was_reached() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        sent = [b"%d" % number for number in range(200)]

        one.control.connect(other.id, [HERE], other.port)
        assert all(one.control.send(other.id, data) for data in sent[:100])
        await until(lambda: one.control.address(other.id) == HERE)
        assert all(one.control.send(other.id, data) for data in sent[100:])

        await until(lambda: len(other.heard) == 200)
        assert other.heard == sent
        assert one.hints == [(other.id, "reached", HERE)]

    play(story)


def test_each_of_two_nodes_speaks_over_its_own_line() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        one.control.connect(other.id, [HERE], other.port)
        other.control.connect(one.id, [HERE], one.port)

        one.control.send(other.id, b"to b")
        other.control.send(one.id, b"to a")

        await until(lambda: one.heard and other.heard)
        assert (one.heard, other.heard) == ([b"to a"], [b"to b"])

    play(story)


def test_the_address_that_serves_is_found_among_those_that_do_not() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")

        one.control.connect(other.id, [NOWHERE, "127.0.0.9", HERE], other.port)

        await until(lambda: one.told("reached"))
        assert one.told("reached") == [(other.id, "reached", HERE)]
        assert one.control.address(other.id) == HERE

    play(story)


def test_a_name_serves_as_an_address() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")

        one.control.connect(other.id, ["no-such-machine.invalid", "localhost"], other.port)

        await until(lambda: one.control.address(other.id) == HERE)

    play(story)


def test_a_node_of_another_installation_shows_no_certificate_and_is_not_called() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b", throwaway_key())

        one.control.connect(other.id, [HERE], other.port)
        one.control.send(other.id, b"let me in")

        await until(lambda: one.told("unknown"))
        assert other.heard == []
        assert one.told("unknown")[0][2] == f"{HERE}:{other.port}"
        assert one.register.public(other.id) is None and other.register.public(one.id) is None

    play(story)


def test_who_knows_the_public_key_but_not_the_secret_is_refused() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one = node("a", key)
        public, secret = zmq.curve_keypair()
        context = zmq.Context()
        intruder = context.socket(zmq.DEALER)
        intruder.linger = 0
        intruder.curve_serverkey, intruder.curve_publickey, intruder.curve_secretkey = one.register.mine.public, public, secret
        intruder.connect(f"tcp://{HERE}:{one.port}")
        intruder.send_multipart([b"", b"let me in"])

        await until(lambda: one.control.refused)
        assert one.heard == []
        context.destroy(linger=0)

    play(story)


@pytest.mark.parametrize("garbage", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48), bytes(10_000)])
def test_garbage_on_the_port_harms_nothing(garbage: bytes) -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        _, writer = await asyncio.open_connection(HERE, other.port)
        writer.write(garbage)
        one.control.connect(other.id, [HERE], other.port)

        one.control.send(other.id, b"still heard")

        await until(lambda: other.heard == [b"still heard"])
        writer.close()

    play(story)


def test_a_message_for_another_node_at_the_same_address_is_not_handed_on() -> None:
    """A container bridge has the same address on two machines: dialling it may lead back to ourselves."""

    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one, found_there = node("a", key), node("b", key)
        one.register.learn(let_in(key, "c" * 32).certificate.pack())

        one.control.connect("c" * 32, [HERE], found_there.port)
        one.control.send("c" * 32, b"for c only")

        await until(lambda: one.told("stranger"))
        assert one.told("stranger") == [("c" * 32, "stranger", f"{HERE}:{found_there.port}")]
        assert found_there.heard == []
        assert one.control.address("c" * 32) is None

    play(story)


def test_the_right_one_of_two_nodes_is_found_behind_a_shared_address() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one, other = node("a", key), node("b", key)

        # Ourselves at one of its addresses, on the same port, as with a bridge; here on a second loopback address.
        one_again = Control(one.register, receive=one.receive, on_hint=lambda *hint: None)
        one_again.bind("127.0.0.2", other.port)
        one.register.learn(other.register.mine.certificate.pack())
        one.control.connect(other.id, ["127.0.0.2", HERE], other.port)
        one.control.send(other.id, b"for b")

        await until(lambda: other.heard == [b"for b"])
        assert one.control.address(other.id) == HERE
        assert one.heard == []
        await one_again.close()

    play(story)


def test_a_refused_connection_is_told_apart_from_silence() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one = node("a")

        one.control.connect("b" * 32, [HERE], free_port())
        one.control.connect("c" * 32, ["no-such-machine.invalid"], 9)

        await until(lambda: one.told("refused") and one.told("unreachable"))
        assert one.told("refused")[0][0] == "b" * 32
        assert one.told("unreachable")[0][0] == "c" * 32

    play(story)


def test_a_killed_peer_is_told_as_lost_and_refused_and_is_reached_when_it_returns(tmp_path: Path) -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one, port = node("a", key), free_port()
        peer = _peer_process(key, port)
        one.control.connect("b" * 32, [HERE], port)
        await until(lambda: one.told("reached"))

        peer.send_signal(signal.SIGKILL)
        peer.wait()
        await until(lambda: one.told("lost") and one.told("refused"))
        assert one.control.address("b" * 32) is None

        returned = node("b", key, port)
        one.control.send("b" * 32, b"welcome back")
        await until(lambda: returned.heard == [b"welcome back"])

    play(story)


def _peer_process(key: InstallationKey, port: int) -> subprocess.Popen[bytes]:
    code = (
        "import asyncio, sys\n"
        "from mesh.shell.keys import parse_key\n"
        "from tests.shell.calling import CallingNode\n"
        "async def main():\n"
        "    node = CallingNode('b', parse_key(sys.argv[1]), int(sys.argv[2]))\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, key.text, str(port)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_peer_that_moves_to_another_port_is_followed() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, first = node("a"), node("b")
        one.control.connect(first.id, [HERE], first.port)
        await until(lambda: one.told("reached"))
        second = node("b", first.register.mine)

        one.control.connect(first.id, [HERE], second.port)
        await until(lambda: len(one.told("reached")) == 2)
        one.control.send(first.id, b"there")

        await until(lambda: second.heard == [b"there"])
        assert first.heard == []

    play(story)


def test_dialling_again_with_what_is_known_disturbs_nothing() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        for _ in range(50):
            one.control.connect(other.id, [HERE], other.port)
            one.control.connect(other.id, [NOWHERE, HERE], other.port)
        await until(lambda: one.told("reached"))
        one.control.connect(other.id, [NOWHERE], other.port)

        one.control.send(other.id, b"on the same line")

        await until(lambda: other.heard)
        assert len(one.hints) == 1
        assert one.control.peers() == [other.id]

    play(story)


def test_a_machine_out_of_sockets_dials_again_when_it_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        refusals = [zmq.ZMQError(24, "Too many open files")] * 3

        def client(*arguments: bytes) -> None:
            if refusals:
                raise refusals.pop()
            real(*arguments)

        real = curve.client
        monkeypatch.setattr(curve, "client", client)
        one.control.connect(other.id, [HERE], other.port)

        await until(lambda: one.told("reached"))
        assert "Too many open files" in one.told("unreachable")[0][2]

    play(story)


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_a_port_that_is_none_is_unreachable(port: int) -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one = node("a")

        one.control.connect("b" * 32, [HERE, ""], port)

        await until(lambda: one.told("unreachable") or one.told("refused"))

    play(story)


def test_a_peer_let_go_is_dialled_no_more() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        one.control.connect(other.id, [HERE], other.port)
        await until(lambda: one.told("reached"))

        one.control.disconnect(other.id)
        one.control.disconnect(other.id)

        assert not one.control.send(other.id, b"late")
        assert one.control.address(other.id) is None
        assert one.control.peers() == []

    play(story)


def test_what_waits_for_an_absent_peer_is_bounded_and_the_oldest_goes() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, port = node("a"), free_port()
        one.control.connect("b" * 32, [HERE], port)
        for number in range(300):
            assert one.control.send("b" * 32, b"%d" % number)
        assert one.control.dropped == 300 - 256

        late = node("b", port=port)

        await until(lambda: len(late.heard) == 256)
        assert late.heard[0] == b"44"

    play(story)


def test_sending_to_a_peer_that_does_not_read_never_blocks_and_is_counted() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        one.control.connect(other.id, [HERE], other.port)
        await until(lambda: one.told("reached"))

        # No await: the other node, in this same loop, cannot read meanwhile.
        taken = sum(one.control.send(other.id, bytes(100_000)) for _ in range(3_000))

        assert taken < 3_000
        assert one.control.dropped == 3_000 - taken
        assert not one.control.send(other.id, bytes(MESSAGE_BYTES_MAX + 1))
        assert one.control.oversized == 1
        await until(lambda: len(other.heard) == taken)

    play(story)


def test_a_goodbye_said_just_before_closing_arrives() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        one.control.connect(other.id, [HERE], other.port)
        await until(lambda: one.told("reached"))

        one.control.send(other.id, b"goodbye")
        await one.control.close()

        await until(lambda: other.heard == [b"goodbye"])

    play(story)


def test_a_receiver_that_fails_loses_its_message_and_no_other() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        one, other = node("a"), node("b")
        heard: list[bytes] = []

        def receive(data: bytes, reply: Reply) -> None:
            if data == b"bad":
                raise ValueError("a mistake in the mind")
            heard.append(data)

        other.control._receive = receive
        one.control.connect(other.id, [HERE], other.port)
        for _ in range(10):
            one.control.send(other.id, b"bad")
        one.control.send(other.id, b"good")

        await until(lambda: heard == [b"good"])

    play(story)


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        one = node("a")
        with pytest.raises(TransportError, match=f"TCP port {one.port} .*in use") as raised:
            node("b", port=one.port)
        assert "ss -tlpn" in raised.value.instead

    asyncio.run(_with_unbound(story))


async def _with_unbound(story: Story) -> None:
    """As `_play`, where a control socket that could not be bound must be closed as well."""
    key, controls = throwaway_key(), []

    def node(name: str, port: int = 0) -> CallingNode:
        made = CallingNode.__new__(CallingNode)
        made.control = Control(Register(let_in(key, name * 32)), receive=lambda *a: None, on_hint=lambda *a: None)
        controls.append(made.control)
        made.port = made.control.bind(HERE, port)
        return made

    try:
        await story(node)
    finally:
        for control in controls:
            await control.close()


def test_closing_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/dev/fd"))

    async def story(node: Callable[..., CallingNode]) -> None:
        one, other = node("a"), node("b")
        one.control.connect(other.id, [HERE, NOWHERE], other.port)
        one.control.connect("c" * 32, [NOWHERE], other.port)
        await until(lambda: one.told("reached"))

    play(story)

    assert len(os.listdir("/dev/fd")) == before


def test_a_command_asks_and_is_answered() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one = node("a", key)

        answer = await asyncio.to_thread(Caller(command(key)).ask, ["127.0.0.9", HERE], one.port, b"ask")
        answers = await asyncio.to_thread(lambda: list(Caller(command(key)).stream([HERE], one.port, b"ask much")))

        assert answer == b"answer to ask"
        assert answers == [b"answer to ask much", b"and more"]
        assert one.control.misdirected == 0

    play(story)


def test_a_command_with_another_key_or_nobody_to_ask_says_so() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one = node("a", key)

        with pytest.raises(NoRoomError, match="another key"):
            await asyncio.to_thread(Caller(command(throwaway_key())).ask, [HERE], one.port, b"ask")
        with pytest.raises(NoRoomError, match="no agent answers") as raised:
            await asyncio.to_thread(Caller(command(key)).ask, [HERE, "127.0.0.9"], free_port(), b"ask")
        with pytest.raises(NoRoomError, match="did not answer in time"):
            await asyncio.to_thread(Caller(command(key)).ask, [HERE], one.port, b"no answer", 0.2)

        assert "127.0.0.9" in raised.value.where
        assert raised.value.exit_code == 3

    play(story)


def test_a_caller_that_left_is_answered_in_vain_without_harm() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key, replies = throwaway_key(), []
        one = node("a", key)
        one.control._receive = lambda data, reply: replies.append(reply)

        with pytest.raises(NoRoomError):
            await asyncio.to_thread(Caller(command(key)).ask, [HERE], one.port, b"ask", 0.2)

        await until(lambda: replies and not replies[0](b"too late"))

    play(story)


def test_a_node_that_ends_while_a_command_listens_is_told() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        key = throwaway_key()
        one = node("a", key)
        answers = Caller(command(key)).stream([HERE], one.port, b"ask")

        assert await asyncio.to_thread(next, answers) == b"answer to ask"
        await one.control.close()

        with pytest.raises(NoRoomError, match="stopped answering"):
            await asyncio.to_thread(next, answers)

    play(story)


def test_a_guard_stands_before_the_first_socket() -> None:
    """Where no guard answers, ZeroMQ lets everybody in; so there is none without."""

    async def story(node: Callable[..., CallingNode]) -> None:
        one = node("a")
        assert isinstance(one.control._guard, curve.Guard)

    play(story)
