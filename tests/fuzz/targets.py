"""Everything that reads what others wrote, each as one call that takes any bytes: it returns, or raises what it promises, and nothing else.

A target is given bytes that hypothesis, a campaign (`python -m tests.fuzz`) or a line of the corpus made up. What counts as found: any
exception that the reader does not promise, and taking longer than a second.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgpack

from mesh.core import bells, codec, deployment, frames, request_messages
from mesh.core.effects import SendControl, SendDatagram
from mesh.core.events import Heard, Tick
from mesh.core.facts import FolderFacts
from mesh.core.messages import Ack, Answer, Beat, Call, ClockAsk, Digest, Hello, Probe, ProbeFor, State, StateWanted, Verdict
from mesh.core.recording import read_message
from mesh.core.role_words import understood
from mesh.core.status import status
from mesh.errors import RoomfulError, UsageError, WireError
from mesh.shell import host_config
from mesh.shell.dashboard.doors import Doors
from mesh.shell.dashboard.orders import OF_MACHINE, OF_ROLE, OF_ROOM
from mesh.shell.dashboard.orders import read as read_order
from mesh.shell.dashboard.words import Words
from mesh.shell.film import MAGIC, records_of
from mesh.shell.record import NodeRecord, from_properties, instance_name, to_properties
from roles.display.audience import Visitor
from roles.display.server import OWN_PAGE, file_for, own_host, own_page
from roles.display.shelf import Shelf
from roles.sensing.http import meaning
from roles.sensing.inbox import Inbox
from roles.sensing.osc import Osc
from roles.sensing.serial import reading
from tests.core.cases import beat, claim, record, said
from tests.core.test_node import Life
from tests.roles.stage import put_on

KEY = b"k" * 32
BETWEEN = b"\xfe\xff"  # between two messages


@dataclass(frozen=True, slots=True)
class Target:
    """One reader; `seeds` are real inputs, to be mutated."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = (b"",)


def _codec(data: bytes) -> None:
    with contextlib.suppress(WireError):
        message = codec.decode(data)
        assert codec.decode(codec.encode(message)) == message


def _datagram(data: bytes) -> None:
    for body in (data, codec._mac(data, KEY) + data):
        with contextlib.suppress(WireError):
            codec.unseal(body, KEY)


def _node(data: bytes) -> None:
    """What a holder of the key can say, one message after the other: a whole node takes it in and goes on."""
    life = Life().ready().until(2.0)
    life.meet("shelf")
    for part in data.split(BETWEEN)[:20]:
        with contextlib.suppress(WireError):
            life.feed(Heard(codec.decode(part), "10.0.0.9"))
    life.feed(Tick())
    life.until(life.now + 0.3, "shelf")
    for effect in life.done:
        if isinstance(effect, SendControl | SendDatagram):
            codec.encode(effect.message)
    status(life.node, {}, life.now)


def _frame(data: bytes) -> None:
    senders: dict[bytes, frames.Sender] = {}
    for start in (0, 5):
        with contextlib.suppress(WireError):
            header = frames.decode(data, start, senders)
            if header.request is not None and type(header.value) is list and header.sender.type == "text":
                list(frames.each_piece(header))


def _request(data: bytes) -> None:
    with contextlib.suppress(WireError):
        request_messages.decode(data)


def _bell(data: bytes) -> None:
    layout = bells.Layout(4, 2 * bells.PAGE)
    for read in (bells.read, bells.read_hello, bells.read_newest, lambda raw: bells.read_head(raw, layout, 1)):
        with contextlib.suppress(WireError):
            read(data)


def _mdns(data: bytes) -> None:
    """Properties as the library gives them: keys and values of any bytes."""
    pairs = dict(part.partition(b"=")[::2] for part in data.split(b"\n"))
    from_properties(instance_name("ab" * 16), pairs, "ef" * 4)
    from_properties("x", {key: None for key in pairs}, "")


def _deployment(data: bytes) -> None:
    draft, mistakes = deployment.read(data)
    assert draft is not None or mistakes
    for mistake in mistakes:
        str(mistake)
    if draft is not None:
        deployment.judge(draft, {}, {}, FolderFacts())


def _role_word(data: bytes) -> None:
    try:
        said = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return
    known = understood(said) if isinstance(said, dict) else None
    if known is not None and known["type"] != "state":
        json.dumps(known, allow_nan=False)


def _host_config(data: bytes) -> None:
    with contextlib.suppress(RoomfulError):
        host_config.read(data)


def _message_of_a_recording(data: bytes) -> None:
    for form in ("text", "event", "image", "jpeg", "audio", "vector"):
        with contextlib.suppress(WireError):
            read_message(form, data)


def _recording(data: bytes) -> None:
    for count, _ in enumerate(records_of(io.BytesIO(MAGIC + data))):
        if count > 10_000:
            return


def _posted(data: bytes) -> None:
    for sort in ("application/json", "application/x-www-form-urlencoded", "text/plain", ""):
        with contextlib.suppress(ValueError):
            meaning(data, sort)


def _osc(data: bytes) -> None:
    from pythonosc.osc_packet import OscPacket, ParseError

    role, _ = put_on(Osc, Path("/nowhere"), port=1)
    role._packet, role._parse_error, role._wanted, role._broken = OscPacket, ParseError, [re.compile(".*")], 0
    role._inbox = Inbox(role)
    logging.disable(logging.WARNING)
    try:
        role._take(data, ("10.0.0.9", 1))
    finally:
        logging.disable(logging.NOTSET)


def _page_path(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    page = OWN_PAGE / "index.html"
    found = file_for(text, page)
    assert found is None or found.resolve().is_relative_to(OWN_PAGE.resolve())
    shelved = Shelf(OWN_PAGE, None, {"loop": OWN_PAGE}).file_for(text)
    assert shelved is None or shelved.resolve().is_relative_to(OWN_PAGE.resolve())
    own_host(text)
    own_page({"host": text, "origin": text})


def _dashboard(data: bytes) -> None:
    """A question at the dashboard's port: its proof, Host, path and body, by one who knows no word."""
    proof, host, path, body = [*data.split(BETWEEN), b"", b"", b"", b""][:4]
    text = host.decode("utf-8", "surrogateescape")
    _DOORS.ours({"host": text, "origin": text})
    own = f"{_DOORS.nonce()}:{proof.hex()[:64]:0<64}"
    for shown in (proof.decode("latin-1"), own):
        assert _DOORS.admit(shown, "POST", path.decode("latin-1"), body, path.hex()) is None
    with contextlib.suppress(UsageError):
        assert str(read_order(body)).split()[0] in (*OF_ROOM, *OF_MACHINE, *OF_ROLE)


def _browser_says(data: bytes) -> None:
    Visitor(dict).tell_time(data.decode("utf-8", "replace"), lambda: 1.0)


def _serial_line(data: bytes) -> None:
    reading(data.decode("utf-8", "replace"))


_NODE = NodeRecord("ab" * 16, "cd" * 4, "door", 3, 1, 47600, 47600, "0" * 16, ("10.0.0.1",), "ef" * 4)
_TEXT = b"\n".join(f"{key}={value}".encode() for key, value in to_properties(_NODE).items())
_MESSAGES = tuple(codec.encode(message) for message in (
    beat("door", 1), Hello(record("door"), (record("shelf"),)), Probe("a", "b", 1), Ack("a", "b", 1, 1, 1), Verdict("a", "b", 1, 2, "dead"),
    StateWanted("a"), Digest("a", (("b", 1, 2, 3),)), Call("1", "status", {"last": 3}), Answer("1", {"x": [1, 2.5, None]}),
    Beat("n", "b", 1, 2, 3, (("m", 5),)), ClockAsk("a", 1, 2.0), ProbeFor("a", "b", 1),
    State("n-shelf", 1, said(claim("poet", 4)), "boot-shelf"),
))
_OSC = b"/hand/x\0,ifs\0\0\0\0" + struct.pack(">if", 3, 0.5) + b"hey\0"
_SENDER = frames.encode_sender(frames.Sender("poet/1", "n" * 32, 3, 1, "text"))
_FRAMES = (
    frames.encode(b"a.b\0", _SENDER, 1, 2, 0, "a line"),
    frames.encode(b"a.b\0", _SENDER, 1, 2, frames.RUN | frames.MORE, ["a", "b"], "r:1", 0),
    frames.encode(b"a.b\0", frames.encode_sender(frames.Sender("e", "n", 1, 1, "image")), 1, 2, frames.ARRAY,
                  frames.Block("|u1", (2, 2, 3), bytes(12))),
)
_FILE = b"""installation: x
machines: {a: {}, b: {labels: [screen]}}
roles:
  eye: {kind: sensing.camera, on: [a, any], options: {source: 0}}
  wall: {kind: display.web, each: [b], inputs: {image: eye.image}}
"""

_DOORS = Doors(Words("o" * 32, "l" * 32))

TARGETS: dict[str, Target] = {
    "codec": Target(_codec, _MESSAGES),
    "datagram": Target(_datagram, _MESSAGES),
    "node": Target(_node, (BETWEEN.join(_MESSAGES), *_MESSAGES)),
    "frame": Target(_frame, _FRAMES),
    "request": Target(_request, (msgpack.packb([1, "id", "", 0, "prompt", "x", "text", 0, 1000]),)),
    "bell": Target(_bell, (bells.hello(b"a.b\0", True), bells.bell(1, 2), bells.ring(bells.Layout(4, 8192)), bells.head(1, 4096, 9))),
    "mdns": Target(_mdns, (_TEXT,)),
    "deployment": Target(_deployment, (_FILE,)),
    "role_word": Target(_role_word, (msgpack.packb({"type": "ready", "frames_port": 1, "requests_port": 2, "pid": 3}),
                                     msgpack.packb({"type": "pulse", "facts": {"a": 1}, "ages": {"x": {"age_ms": 1}}}))),
    "host_config": Target(_host_config, (b'{"instance": "a", "role": "a", "kind": "k", "folder": "f", "link": "l", "link_key": "k"}',)),
    "recorded_message": Target(_message_of_a_recording, (b'{"text": "a", "piece": 1, "request": "r"}', b'{"value": {"a": [1]}}',
                                                         b"\0\1\0\0" + bytes(40))),
    "recording": Target(_recording, (b"\1" + bytes(8), b"\6" + (40).to_bytes(8, "little") + bytes(40))),
    "posted": Target(_posted, (b'{"a": [1, 2.5, "x"]}', b"a=1&b=%20")),
    "osc": Target(_osc, (_OSC, b"#bundle\0" + struct.pack(">Qi", 1, len(_OSC)) + _OSC)),
    "serial": Target(_serial_line, (b'{"a": 1}', b"a:1,b:2", b"1 2 3")),
    "page_path": Target(_page_path, (b"index.html", b"media/../x", b"roomful/fallback/loop/index.html")),
    "dashboard": Target(_dashboard, (
        BETWEEN.join((b"1.%s.%s:%s" % (b"0" * 32, b"0" * 64, b"0" * 64), b"192.168.1.5:8090", b"/order",
                      b'{"verb": "drain", "of": "door"}')),
        BETWEEN.join((b"", b"left-wall.local", b"/live", b'{"verb": "down"}')))),
    "browser_says": Target(_browser_says, (b'{"kind": "clock", "asked": 5}',)),
}
