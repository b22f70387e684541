"""What a role sends: its streams, and the two ways on which they leave.

To readers on this machine (`near`): small frames along their lines, large ones in a ring of shared memory, into which an array
is copied once, or not at all where the role drew it there (`Output.buffer`). To readers on other machines: small frames along
lines of their own to those who asked for one (`gate`), pictures likewise (`freight`), all else by one XPUB socket (`Far`), which sends
all of a process's streams, to each what it subscribed to. A frame is one part, for reasons told in `core/frames`; a raw array goes out
from where it lies in the ring, uncopied, and a picture is packed once for all who want it so.

Nobody is waited for: where a reader does not keep up, frames are dropped for that reader alone. What nobody listens to is
neither encoded nor laid into shared memory; pieces of an answer are kept as they are for who comes late, and encoded then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq

from mesh.core import bells, delivery, frames
from mesh.core.bells import DATA_AT
from mesh.core.frames import ARRAY, ARRAY_TYPES, FRAME_BYTES_MAX, MORE, MUTED, RUN, TOPIC_END, Sender
from mesh.shell.arrays import checked, fit
from mesh.shell.freight import Freight
from mesh.shell.gate import STRAIGHT_TYPES, Gate, StraightListener, StraightStream
from mesh.shell.near import INLINE_BYTES_MAX, Door, Listener
from mesh.shell.ring import Pin, Ring
from mesh.shell.waiting import EVENTS, NOBLOCK, POLLIN, Waiting

if TYPE_CHECKING:
    import numpy

SAID_PIECES_MAX = 2000
LATELY_MAX = 256  # frames; far fewer than the utterances that a listener remembers (UTTERANCES_MAX), so that none is shown twice
LATELY_S = 1.0  # a listener's line to a process that has just begun to play takes that long at most to stand
TEXT_KEPT_MAX = 4096  # letters; a longer text is encoded also when nobody listens, so that one too long is refused at once
LARGE_BYTES = 64 * 1024  # from here on a message is handed over without a copy
BACKLOG = 2_048  # calls that wait to be accepted, so that a flood of strangers' does not push out a friend's
CONNECT_MS = 1_500  # then it is tried anew: TCP itself waits 1, 3, 7, 15 s for a cable that is back long since
HWM = {"text": 1000, "event": 1000, "vector": 100, "audio": 100, "image": 8}
LOOK_S = 0.02  # how late, at the most, it is seen that somebody new listens
FORMS_MAX = 8  # in which one stream is packed at once
DRAWN_MAX = 3  # buffers that a role may have of one stream and not have emitted


def bounded(socket: zmq.Socket[Any], hwm: int) -> zmq.Socket[Any]:
    """The limits that ZeroMQ leaves off, for a socket between roles."""
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = hwm
    socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX + 2 * 1024 * 1024)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5_000)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6_000)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
    return socket


def endpoint(address: str, port: int) -> str:
    """ZeroMQ's name for a TCP port."""
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


Kept = bytes | Callable[[], bytes]  # a message, or how to make it
Place = tuple[str | None, int, str | None, int | None]  # request, piece, how it ended, when to present


class Far:
    """The way to other machines: an XPUB socket that passes on every subscription, and who listens there, by stream."""

    def __init__(self, socket: zmq.Socket[Any]) -> None:
        self.socket = socket
        self.refused = 0
        self.forms: dict[bytes, tuple[str, ...]] = {}  # a stream's topic -> in which forms it is wanted
        self.subscribed: list[Callable[[bytes], None]] = []  # told of each new subscription
        self.send: Any = super(zmq.Socket, socket).send  # without pyzmq's questions about other kinds of sockets

    def look(self) -> None:
        """Reads who has begun or ceased to listen."""
        socket = self.socket
        while int(socket.get(EVENTS)) & POLLIN:
            said = socket.recv(NOBLOCK)
            topic, form = delivery.read_topic(said[1:])
            if topic:
                self._note(topic, form, said[:1] == b"\x01")
            for told in self.subscribed:
                told(said)

    def _note(self, topic: bytes, form: str, begun: bool) -> None:
        others = tuple(each for each in self.forms.get(topic, ()) if each != form)
        if not begun:
            self.forms[topic] = others
        elif len(others) < FORMS_MAX and (topic in self.forms or len(self.forms) < 1000):
            self.forms[topic] = (*others, form)
        else:
            self.refused += 1


class Ways:
    """Both ways out of a process, and its outputs."""

    def __init__(self, socket: zmq.Socket[Any], waiting: Waiting, gate: Gate | None = None) -> None:
        self.far = Far(socket)
        self.door = Door(waiting)
        self.gate = Gate(waiting, (), False) if gate is None else gate
        self._look_s = 0.0

    def look(self) -> None:
        """Lets in who waits outside, and reads who listens."""
        self._look_s = time.monotonic() + LOOK_S
        self.door.answer()
        self.gate.tidy(self._look_s)
        self.far.look()

    def glance(self) -> None:
        """The same, when it has not been done for a moment: a role may emit for long and never come back to its sockets."""
        if time.monotonic() >= self._look_s:
            self.look()


class Output:
    """One stream of this role."""

    __slots__ = (
        "_far", "_freight", "_lately", "_near", "_open", "_sender", "_straight", "_topic", "_ways", "_who",
        "name", "number", "rate", "type", "where",
    )  # fmt: skip

    def __init__(self, role: str, name: str, type_: str, ways: Ways) -> None:
        self.name = name
        self.type = type_
        self.where = f"{role}.{name}"
        self.number = 0
        self._topic = self.where.encode() + TOPIC_END
        self._sender = b""
        self._who: Sender | None = None
        self.rate = 0
        self._open: list[Kept] = []  # the pieces of the utterance that is open, for who comes late
        self._lately: deque[tuple[float, Kept]] = deque(maxlen=LATELY_MAX)  # of answers that are over, with their time
        self._ways = ways
        self._far = ways.far
        self._near = ways.door.stream(self._topic)
        self._near.said = self._catch_up
        self._straight = ways.gate.stream(self._topic) if type_ in STRAIGHT_TYPES else StraightStream()
        self._straight.number, self._straight.said = self._next_number, self._catch_up_straight
        self._freight = ways.gate.freight(self._topic) if type_ == "image" else Freight()
        self._freight.number = self._next_number
        ways.far.subscribed.append(self.repeat)

    def speak_as(self, sender: Sender) -> None:
        """Who the frames say they are from; again at each epoch."""
        self._who = sender
        self._sender = frames.encode_sender(sender._replace(type=self.type, rate=self.rate))

    def sound_at(self, rate: int) -> None:
        """The samples a second of the frames that follow; they say so, at no cost for each."""
        if self.rate != rate:
            self.rate = rate
            if self._who is not None:
                self.speak_as(self._who)

    @property
    def unsent(self) -> int:
        """Frames for which there was no shared memory left."""
        return self._near.unsent

    def send(
        self, value: Any, captured_ns: int, muted: bool,
        request: str | None = None, piece: int = 0, more: bool = False, ended: str | None = None, present_ns: int | None = None,
    ) -> None:  # fmt: skip
        """One frame, now; to whoever listens. Raises RoleError or WireError for a value that cannot travel."""
        type_ = self.type
        flags = (MUTED if muted else 0) | (MORE if more else 0)
        self._ways.glance()
        if type_ in ARRAY_TYPES:
            array = checked(value, type_, self.where)
            self._send_array(array, captured_ns, flags | ARRAY, (request, piece, ended, present_ns), more)
            return
        if type_ != "event":
            value = fit(value, type_, self.where)
        made = partial(frames.encode, self._topic, self._sender, self.number, captured_ns, flags, value, request, piece, ended, present_ns)
        if type(value) is str and len(value) < TEXT_KEPT_MAX and not self._is_heard:
            self.number += 1
            if request is not None:
                self._remember(made, piece, more)
            return
        message = made()
        self.number += 1
        self._send_message(message)
        if request is not None and len(message) < LARGE_BYTES:
            self._remember(message, piece, more)

    def send_run(self, texts: list[str], captured_ns: int, muted: bool, request: str, piece: int) -> None:
        """Pieces of an utterance that goes on, in one message; the first is the `piece`th. For texts only."""
        flags = (MUTED if muted else 0) | MORE | RUN
        self._ways.glance()
        made = partial(frames.encode, self._topic, self._sender, self.number, captured_ns, flags, texts, request, piece)
        message = made() if self._is_heard or sum(map(len, texts)) >= TEXT_KEPT_MAX else None
        self.number += len(texts)
        if message is not None:
            self._send_message(message)
        self._remember(made if message is None else message, piece, True)

    @property
    def _is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._near.listeners or self._straight.listeners or self._far.forms.get(self._topic))

    def _send_message(self, message: bytes) -> None:
        near = self._near
        if near.listeners:
            if len(message) <= INLINE_BYTES_MAX:
                near.small(message)
            else:
                near.whole(message)
        for listener in self._straight.listeners:
            listener.send(message)
        if self._far.forms.get(self._topic):
            self._far.send(message, 0, len(message) < LARGE_BYTES)

    # ---- arrays

    def buffer(self, shape: tuple[int, ...], dtype: str) -> numpy.ndarray[Any, Any]:
        """An array to draw into and then to emit. Where somebody here listens it lies in the ring, so that nothing is copied."""
        import numpy

        near, form = self._near, numpy.dtype(dtype)
        size = int(numpy.prod(shape, dtype="i8")) * form.itemsize
        self._ways.glance()
        heard = near.listeners or self._freight.carriers or self._far.forms.get(self._topic)
        if size and size <= FRAME_BYTES_MAX and heard and not near.shut:
            slot = near.claim(size) if near.ring is None or near.ring.drawn < DRAWN_MAX else None
            if slot is not None and near.ring is not None:
                return numpy.asarray(near.ring.pin(slot, DATA_AT, tuple(shape), form.str, size))
        return numpy.empty(shape, form)

    def _send_array(self, array: numpy.ndarray[Any, Any], captured_ns: int, flags: int, place: Place, more: bool) -> None:
        size, dtype, shape = array.nbytes, array.dtype.str, array.shape
        if size > FRAME_BYTES_MAX:
            raise frames.too_large(size, FRAME_BYTES_MAX)
        head = frames.encode_head(self._topic, self._sender, self.number, captured_ns, flags, dtype, shape, place)
        near, forms, carried = self._near, self._far.forms.get(self._topic, ()), self._freight.forms()
        ring, slot = near.ring, self._drawn(array)
        drawn = slot is not None
        raw = delivery.RAW in forms or delivery.RAW in carried
        if slot is None and len(head) + size > INLINE_BYTES_MAX and not near.shut and (near.listeners or raw):
            slot = near.claim(size)
            ring = near.ring
            if slot is not None and ring is not None:
                ring.array(slot, dtype, shape)[...] = array
        self.number += 1
        start = DATA_AT - len(head)
        if slot is not None and ring is not None:
            ring.write(slot, start, head)
            array.flags.writeable = array.flags.writeable and not drawn  # whoever draws on learns of it
            near.publish(slot, start, len(head) + size)
        elif near.listeners and len(head) + size <= INLINE_BYTES_MAX:
            near.small(head + array.tobytes())
        for form in carried.union(forms) if carried else forms:
            if form != delivery.RAW:
                self._send_packed(array, form, captured_ns, flags, place)
            elif slot is not None and ring is not None:
                self._send_from(ring, slot, start, len(head) + size)
            else:
                self._send_away(head + array.tobytes(), form)
        if place[0] is not None and len(head) + size < LARGE_BYTES:
            self._remember(head + array.tobytes(), place[1], more)

    def _drawn(self, array: numpy.ndarray[Any, Any]) -> int | None:
        """The slot into which a role drew this very array, if it is one that it was given and has not emitted yet."""
        base: Any = array.base
        while base is not None and type(base) is type(array):
            base = base.base
        ring = self._near.ring
        if type(base) is not Pin or ring is None or not ring.holds(base) or array.nbytes != base.nbytes or not array.flags.c_contiguous:
            return None
        if array.ctypes.data != base.address:
            return None
        return base.slot

    def _send_from(self, ring: Ring, slot: int, start: int, size: int) -> None:
        """To other machines as it lies there; copied where half of the ring is on its way already."""
        import numpy

        if ring.pinned * 2 < ring.layout.slots:
            self._send_away(numpy.asarray(ring.pin(slot, start, (size,), "|u1", size)), delivery.RAW)
        else:
            at = bells.slot_at(ring.layout, slot) + start
            self._send_away(bytes(ring.memory[at : at + size]), delivery.RAW)

    def _send_away(self, message: Any, form: str) -> None:
        """To all on other machines who take it in this form; it does not change any more."""
        if form in self._far.forms.get(self._topic, ()):
            self._far.send(message, 0, len(message) < LARGE_BYTES)
        if self._freight.carriers:
            self._freight.leave(form, memoryview(message))

    def _send_packed(self, array: numpy.ndarray[Any, Any], form: str, captured_ns: int, flags: int, place: Place) -> None:
        """A picture as JPEG, or packed without loss: once for all who want it so."""
        import numpy

        from mesh.shell import pictures

        coding, data = pictures.pack(numpy.ascontiguousarray(array), form)
        head = frames.encode_head(
            delivery.topic(self.where, form), self._sender, self.number - 1, captured_ns, flags, "|u1", array.shape, place, coding,
        )  # fmt: skip
        self._send_away(b"".join((head, data)), form)

    # ---- who comes late

    def _remember(self, message: Kept, piece: int, more: bool) -> None:
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

    def _said(self) -> list[bytes]:
        """What was answered in the last second, and what the open utterance has said so far. A copy that has just begun may
        answer its first requests before the lines of those who listen to it stand, and that must lose nothing. Who heard it
        knows each piece by its number."""
        since_s = time.monotonic() - LATELY_S
        kept = [*(each for at_s, each in self._lately if at_s >= since_s), *self._open]
        return [each if isinstance(each, bytes) else each() for each in kept]

    def repeat(self, subscription: bytes) -> None:
        """Somebody new listens over the network: say it again."""
        if subscription == b"\x01" + self._topic:
            for message in self._said():
                self._far.send(message, 0, True)

    def _next_number(self) -> int:
        return self.number

    def _catch_up_straight(self, listener: StraightListener) -> None:
        for message in self._said():
            listener.send(message)

    def _catch_up(self, listener: Listener) -> None:
        """The same to one on this machine, and to it alone."""
        for message in self._said() if not listener.latest else ():
            if len(message) <= INLINE_BYTES_MAX:
                listener.send(message)
