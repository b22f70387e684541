"""Certificates in datagrams, on the port of the heartbeats: whoever is about to call shows who it is first.

    introductions = Introductions(register, beats.send)
    introductions.tell(host, port, ask=True)       shows my certificate; `ask`: please show yours
    introductions.hear(data, (host, port)) -> bool whether it was one
    learn_of(register, host, port, within_s)       for a command: shows, asks, and waits for the answer
    show(register, host, port)                     for a command that knows who is there

The side that is called decides before it reads a byte whether a key is let in, so it must have heard of it; the side that
calls must know whose key to expect. mDNS tells both, where it passes. Where only an address is known (a seed, `--host`),
or the other has not heard the record yet, one datagram before the call does.

Each is 190 bytes under the room's key (XSalsa20-Poly1305): a stranger can neither read one nor have one answered. One
that is recorded and sent again is answered, as it is no secret that the machine is there, with as many bytes as it has,
of which the sender learns nothing; the answers are counted, so that no flood becomes another. Decided against: the
certificate in the clear (a stranger would have a key to begin handshakes with), and a plain TCP port.
"""

from __future__ import annotations

import base64
import contextlib
import socket as udp
import time
from collections.abc import Callable

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from mesh.shell.certificates import PACKED_BYTES, read
from mesh.shell.register import Register

_TELLS, _ASKS = b"\0", b"\1"
BOXED_BYTES = SecretBox.NONCE_SIZE + SecretBox.MACBYTES + 1 + PACKED_BYTES
ANSWERS_A_SECOND, ANSWERS_AT_ONCE = 50.0, 100.0
AGAIN_S = 0.2
Send = Callable[[str, int, bytes], bool]


def box(register: Register, *, ask: bool = False) -> bytes:
    """My certificate, as it travels in the open; no two are the same bytes."""
    sealed = SecretBox(register.mine.introduction_key).encrypt((_ASKS if ask else _TELLS) + register.mine.certificate.pack())
    return bytes(sealed)


def unbox(register: Register, data: bytes) -> tuple[bool, bytes] | None:
    """(whether an answer is asked for, certificate). None for what is no introduction to this room."""
    if len(data) != BOXED_BYTES:
        return None
    try:
        opened = SecretBox(register.mine.introduction_key).decrypt(data)
    except CryptoError:
        return None
    return opened[:1] == _ASKS, opened[1:]


def shown(register: Register, text: str) -> str:
    """As `Introductions.read`."""
    with contextlib.suppress(ValueError):
        opened = unbox(register, base64.b85decode(text))
        certificate = read(opened[1], register.mine.verify_key) if opened is not None else None
        if certificate is not None and opened is not None:
            register.learn(opened[1])
            return certificate.node
    return ""


class Introductions:
    """One node's. Counter `answered`."""

    def __init__(self, register: Register, send: Send, now: Callable[[], float] = time.monotonic) -> None:
        self._register, self._send, self._now = register, send, now
        self._left, self._left_s = ANSWERS_AT_ONCE, now()
        self.answered = 0

    def tell(self, host: str, port: int, *, ask: bool = False) -> None:
        """Shows my certificate to whoever is at that address."""
        self._send(host, port, box(self._register, ask=ask))

    def as_text(self) -> str:
        """My certificate, as it stands in my mDNS record."""
        return base64.b85encode(box(self._register)).decode()

    def read(self, text: str) -> str:
        """Takes in what an mDNS record holds: whose certificate it is, "" where it is none of this room. Anybody can have copied it into a
        record of another's, so it speaks for that node and for no other."""
        return shown(self._register, text)

    def hear(self, data: bytes, sender: tuple[str, int]) -> bool:
        """Takes in a datagram, if it is an introduction, and answers if it asks."""
        opened = unbox(self._register, data)
        if opened is None:
            return False
        asks, packed = opened
        self._register.learn(packed)
        self._register.showed(*sender, packed[1:17].hex())
        if asks and self._may_answer():
            self.answered += 1
            self.tell(*sender)
        return True

    def _may_answer(self) -> bool:
        now = self._now()
        self._left = min(ANSWERS_AT_ONCE, self._left + (now - self._left_s) * ANSWERS_A_SECOND)
        self._left_s = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def show(register: Register, host: str, port: int) -> None:
    """Shows who is about to call."""
    with udp.socket(udp.AF_INET, udp.SOCK_DGRAM) as line, contextlib.suppress(OSError, OverflowError):
        line.sendto(box(register), (host, port))


def learn_of(register: Register, host: str, port: int, within_s: float) -> str | None:
    """Asks the node at an address who it is, and shows who asks; blocking. The node's id, or None when it did not answer."""
    until_s = time.monotonic() + within_s
    with udp.socket(udp.AF_INET, udp.SOCK_DGRAM) as line, contextlib.suppress(OSError, OverflowError):
        while (left_s := until_s - time.monotonic()) > 0:
            line.sendto(box(register, ask=True), (host, port))
            line.settimeout(min(left_s, AGAIN_S))
            with contextlib.suppress(TimeoutError, ConnectionError):
                opened = unbox(register, line.recvfrom(BOXED_BYTES + 1)[0])
                if opened is not None:
                    register.learn(opened[1])
                    node = opened[1][1:17].hex()
                    if register.public(node) is not None:
                        return node
    return None
