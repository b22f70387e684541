"""A role's streams: what it sends (Outputs) and what it hears (Input), straight from process to process.

One PUB socket sends all of a process's streams; each input has a SUB socket of its own, so that a slow input holds up
no other. A publisher never waits: where a reader does not keep up, ZeroMQ drops for that reader alone.

Two rules of delivery. `queue`: every frame in order, at most 1,000 and 16 MB of them, the oldest dropped and counted.
`latest`: the newest frame of each source; ZeroMQ's own CONFLATE keeps it so in its own thread, even while the role works
for seconds. Without that a reader that comes back finds the *oldest* frames first, as many as the buffers of
both ends hold. (CONFLATE keeps one part and one subscription for each socket: hence frames of one part, and a socket
for each input.) What `latest` passed over is counted too, by the gaps in the frames' numbers.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import zmq

from mesh.core import frames
from mesh.core.frames import ARRAY, ARRAY_TYPES, FRAME_BYTES_MAX, MORE, MUTED, RUN, TOPIC_END, Header, Sender
from mesh.core.gaps import Gap, GapMeter
from mesh.core.hearing import Fence, Speaker, Utterances
from mesh.errors import WireError
from mesh.shell.arrays import fit, to_array
from mesh.shell.sources import Source
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN

QUEUE_FRAMES_MAX = 1000
QUEUE_BYTES_MAX = 16 * 1024 * 1024
SAID_PIECES_MAX = 2000
PARTING_S = 1.0  # what a source said is on its way no longer than that, or it is not worth hearing any more
LATELY_MAX = 256  # frames; far fewer than the utterances that a listener remembers (UTTERANCES_MAX), so that none is shown twice
LATELY_S = 1.0  # a listener's line to a process that has just begun to play takes that long at most to stand
LARGE_BYTES = 64 * 1024  # from here on a message is handed over without a copy
HWM = {"text": 1000, "event": 1000, "vector": 100, "audio": 100, "image": 8}


def bounded(socket: zmq.Socket[Any], hwm: int) -> zmq.Socket[Any]:
    """The limits that ZeroMQ leaves off, for a socket between roles."""
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = hwm
    socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX + 2 * 1024 * 1024)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5_000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6_000)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
    return socket


def endpoint(address: str, port: int) -> str:
    """ZeroMQ's name for a TCP port."""
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


class Output:
    """One stream of this role."""

    __slots__ = ("_lately", "_open", "_send", "_sender", "_topic", "name", "number", "type", "where")

    def __init__(self, role: str, name: str, type_: str, socket: zmq.Socket[Any]) -> None:
        self.name = name
        self.type = type_
        self.where = f"{role}.{name}"
        self.number = 0
        self._topic = self.where.encode() + TOPIC_END
        self._sender = b""
        self._open: list[bytes] = []  # the pieces of the utterance that is open, for who comes late
        self._lately: deque[tuple[float, bytes]] = deque(maxlen=LATELY_MAX)  # of answers that are over, with their time
        self._send: Any = super(zmq.Socket, socket).send  # without pyzmq's questions about other kinds of sockets

    def speak_as(self, sender: Sender) -> None:
        """Who the frames say they are from; again at each epoch."""
        self._sender = frames.encode_sender(sender._replace(type=self.type))

    def send(
        self, value: Any, captured_ns: int, muted: bool,
        request: str | None = None, piece: int = 0, more: bool = False, ended: str | None = None, present_ns: int | None = None,
    ) -> None:  # fmt: skip
        """One frame, now; to whoever listens. Raises RoleError or WireError for a value that cannot travel."""
        type_ = self.type
        flags = (MUTED if muted else 0) | (MORE if more else 0) | (ARRAY if type_ in ARRAY_TYPES else 0)
        if type_ != "event":
            value = fit(value, type_, self.where)
        message = frames.encode(self._topic, self._sender, self.number, captured_ns, flags, value, request, piece, ended, present_ns)
        self.number += 1
        self._send(message, 0, len(message) < LARGE_BYTES)
        if request is not None and len(message) < LARGE_BYTES:
            self._remember(message, piece, more)

    def send_run(self, texts: list[str], captured_ns: int, muted: bool, request: str, piece: int) -> None:
        """Pieces of an utterance that goes on, in one message; the first is the `piece`th. For texts only."""
        flags = (MUTED if muted else 0) | MORE | RUN
        message = frames.encode(self._topic, self._sender, self.number, captured_ns, flags, texts, request, piece)
        self.number += len(texts)
        self._send(message, 0, len(message) < LARGE_BYTES)
        self._remember(message, piece, True)

    def _remember(self, message: bytes, piece: int, more: bool) -> None:
        if piece == 0:
            self._open.clear()
        if len(self._open) < SAID_PIECES_MAX:
            self._open.append(message)
        if not more:
            now = time.monotonic()
            while self._lately and self._lately[0][0] < now - LATELY_S:
                self._lately.popleft()
            self._lately.extend((now, each) for each in self._open)
            self._open.clear()

    def repeat(self, subscription: bytes) -> None:
        """Somebody new listens: say again what was answered in the last second, and what the open utterance has said so far. A copy
        that has just begun may answer its first requests before the lines of those who listen to it stand, and that must
        lose nothing. Who heard it knows each piece by its number."""
        if subscription == b"\x01" + self._topic:
            since_s = time.monotonic() - LATELY_S
            for message in [*(each for at_s, each in self._lately if at_s >= since_s), *self._open]:
                self._send(message, 0, True)


@dataclass(slots=True)
class _Voice:
    """What is known of one sender of an input: its last number, and the meter of its instance."""

    meter: GapMeter
    holder: tuple[str, int] = ("", 0)
    number: int = -1


def _speaker(sender: Sender) -> Speaker:
    return Speaker(sender.instance, sender.node, sender.generation)


class Input:
    """One input of this role: its socket, what waits, and what was counted."""

    def __init__(self, name: str, stream: str, type_: str, delivery: str, socket: zmq.Socket[Any]) -> None:
        self.name = name
        self.stream = stream
        self.form = (stream, type_, delivery)
        self.received = self.dropped = self.refused = 0
        self.socket: Any = bounded(socket, HWM[type_])
        self.monitor: Any = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._latest = delivery == "latest"
        if self._latest:
            socket.setsockopt(zmq.CONFLATE, 1)
        topic = stream.encode() + TOPIC_END
        self._topic_bytes = len(topic)
        socket.subscribe(topic)
        self._copy = type_ != "image"
        self._receive: Any = super(zmq.Socket, socket).recv
        self._events: Any = super(zmq.Socket, socket).get
        self._senders: dict[bytes, Sender] = {}
        self._fence = Fence()
        self._utterances = Utterances()
        self._voices: dict[Sender, _Voice] = {}
        self._sender: Sender | None = None  # of the last frame, and what is known of it
        self._voice = _Voice(GapMeter(""))
        self._meters: dict[str, GapMeter] = {}
        self._connected: dict[Source, str] = {}
        self._parting: dict[str, float] = {}  # endpoint -> when its line is cut
        self.waiting: deque[tuple[Header, Any, int]] = deque()
        self._waiting_bytes = 0

    # ---- who is heard

    def hear(self, sources: Iterable[Source]) -> None:
        """Listens to exactly these. Those that stay keep their connection. What the others said while they counted still counts, and
        may be on its way: a process that has just ended, of whom the agents know sooner than this machine has read its last
        words. So their lines are cut a moment later (`part`)."""
        self.read()
        wanted = {source: endpoint(source.address, source.frames_port) for source in sources}
        before, after = set(self._connected.values()), set(wanted.values())
        until_s = time.monotonic() + PARTING_S
        self._parting.update({gone: until_s for gone in before - after})
        for new in after - before:
            if self._parting.pop(new, None) is not None:
                continue
            with contextlib.suppress(zmq.ZMQError):  # what is not an address is a source that never speaks
                self.socket.connect(new)
        self._connected = wanted
        self._fence.route((each.instance, each.node, each.epoch, each.state) for each in wanted)
        speaking = {source.speaker for source in wanted}
        self._utterances.lost(speaking, time.monotonic())
        self._sender = None
        self._voices = {sender: voice for sender, voice in self._voices.items() if _speaker(sender) in speaking}

    def part(self, now: float) -> None:
        """To be called now and then: cuts the lines to those who are no longer named."""
        due = [gone for gone, until_s in self._parting.items() if until_s <= now]
        if not due:
            return
        self.read()
        for gone in due:
            del self._parting[gone]
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(gone)
        if not self._parting:
            self._fence.forget()

    # ---- reading

    def read(self) -> None:
        """Takes everything that arrived. Called when there most likely is something."""
        receive, events, copy = self._receive, self._events, self._copy
        try:
            message = receive(NOBLOCK, copy)
        except zmq.Again:
            return
        while True:
            data = message if copy else message.buffer
            try:
                header = frames.decode(data, self._topic_bytes, self._senders)
            except WireError:
                self.refused += 1
            else:
                if header.request is not None and type(header.value) is list and header.sender.type == "text":
                    for each in frames.each_piece(header):
                        if self._accept(each):
                            self._keep(each, each.value)
                elif self._accept(header):
                    self._keep(header, data)
            if not events(EVENTS) & POLLIN:
                return
            message = receive(NOBLOCK, copy)

    def notice(self) -> None:
        """A line broke: whoever spoke there is silent now. Called when the monitor most likely has something to say."""
        while self.monitor.get(EVENTS) & POLLIN:
            where = self.monitor.recv_multipart(NOBLOCK)[1].decode(errors="replace")
            self.read()  # what it said before it ended
            for source, endpoint_ in self._connected.items():
                if endpoint_ == where and source.state == "playing":
                    self._fence.broke(source.instance, source.node, source.epoch)

    def close(self) -> None:
        """Listens to nobody any more."""
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)

    def _accept(self, header: Header) -> bool:
        sender = header.sender
        if not self._fence.admits(sender, header.muted):
            return False
        if header.request is not None and not self._utterances.accepts(header, time.monotonic()):
            return False
        if sender is not self._sender:
            self._turn_to(sender, speaks=header.request is not None)
        voice = self._voice
        passed = header.number - voice.number - 1
        if passed > 0 and voice.number >= 0:
            self.dropped += passed
        voice.number = header.number
        voice.meter.arrived(voice.holder, time.monotonic(), header.request)
        self.received += 1
        return True

    def _turn_to(self, sender: Sender, *, speaks: bool) -> None:
        """Another one speaks than just before. Copies that answer share a meter: each goes on where another stopped."""
        voice = self._voices.get(sender)
        if voice is None:
            name = sender.instance.partition("/")[0] if speaks else sender.instance
            meter = self._meters.setdefault(name, GapMeter(name))
            voice = self._voices[sender] = _Voice(meter, (sender.node, sender.generation))
        self._sender, self._voice = sender, voice

    def _keep(self, header: Header, data: Any) -> None:
        if self._latest:
            self._forget_older(header.sender.instance)
        size = len(data)
        self.waiting.append((header, data, size))
        self._waiting_bytes += size
        while len(self.waiting) > QUEUE_FRAMES_MAX or (self._waiting_bytes > QUEUE_BYTES_MAX and len(self.waiting) > 1):
            self._waiting_bytes -= self.waiting.popleft()[2]
            self.dropped += 1

    def _forget_older(self, instance: str) -> None:
        for index, (header, _, size) in enumerate(self.waiting):
            if header.sender.instance == instance:
                del self.waiting[index]
                self._waiting_bytes -= size
                self.dropped += 1
                return

    def take(self) -> tuple[Header, Any]:
        """The next frame for the role, which must wait: its header and its value."""
        header, data, size = self.waiting.popleft()
        self._waiting_bytes -= size
        if header.data_at < 0:
            return header, header.value
        return header, to_array(header.dtype, header.shape, data, header.data_at)

    # ---- what time brings

    def broken(self, now: float) -> list[tuple[str, int]]:
        """Utterances that nobody went on with: (request, number of their closing piece)."""
        return self._utterances.broken(now)

    def gaps(self, now: float) -> list[Gap]:
        """The gaps of changes of holder whose measuring is over."""
        return [gap for meter in self._meters.values() if (gap := meter.due(now)) is not None]
