"""How an input takes its frames: the words after its name under `delivery:`, and what they mean on the wire.

    delivery: {image: latest}             the newest only; what a slow role has no time for is passed over
    delivery: {image: queue}              each in turn, up to a bound; the oldest give way
    delivery: {image: latest quality 75}  and a picture that comes from another machine as JPEG of this quality
    delivery: {image: lossless}           … packed, but equal in every pixel
    delivery: {image: raw}                … as it is: 1 Gbit/s carries 20 pictures of 1920x1080 a second so

On one machine pictures are never packed. What a reader wants is part of the topic that it subscribes to, so a writer packs
each picture once for all who want the same, and not at all where nobody does. Decided against: a section for each input
(three more lines to say one word), and a quality at the writer (what is enough is known by who looks).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mesh.core.frames import TOPIC_END

RULES = ("latest", "queue")
RAW, LOSSLESS, QUALITY = "raw", "lossless", "quality"
USUAL_QUALITY = 90
PATTERN = r"^(latest|queue|((latest|queue) )?(raw|lossless|quality ([1-9][0-9]?|100)))$"
INSTEAD = "write one of latest, queue; after it, or alone, for pictures from other machines: quality 1 to 100, lossless, raw"
FORM_END = b"~"  # between a stream's name and the form in which it is wanted; no name has one


class Delivery(NamedTuple):
    """`rule` is "latest", "queue" or "" (as the stream's type has it); `pictures` is "raw", "lossless", "quality N" or ""."""

    rule: str
    pictures: str


def read(text: str) -> Delivery | None:
    """What the words mean; None for others."""
    if not re.fullmatch(PATTERN[1:-1], text):
        return None
    rule, _, rest = text.partition(" ")
    return Delivery(rule, rest) if rule in RULES else Delivery("", text)


def topic(stream: str, pictures: str = RAW) -> bytes:
    """What a reader of another machine subscribes to."""
    return stream.encode() + (b"" if pictures == RAW else FORM_END + pictures.replace(" ", "-").encode()) + TOPIC_END


def read_topic(data: bytes) -> tuple[bytes, str]:
    """(the stream's own topic, the form in which it is wanted) of a subscription; ("", "") for one that is none."""
    if data[-1:] != TOPIC_END:
        return b"", ""
    stream, mark, form = data[:-1].partition(FORM_END)
    pictures = form.decode("ascii", "replace").replace("-", " ") if mark else RAW
    return (stream + TOPIC_END, pictures) if _is_form(pictures) else (b"", "")


def _is_form(pictures: str) -> bool:
    return re.fullmatch(r"raw|lossless|quality ([1-9][0-9]?|100)", pictures) is not None


def quality_of(pictures: str) -> int:
    """The number in "quality N"."""
    return int(pictures.removeprefix(QUALITY))


def asked_for(far_topic: bytes, rule: str) -> bytes:
    """What a reader asks for who wants pictures on a line of its own: what it would subscribe to, and its rule."""
    return far_topic + rule.encode()


def read_asked_for(data: bytes) -> tuple[bytes, str, str]:
    """(the stream's own topic, the form, the rule); empty for what is no such thing."""
    far_topic, end, rule = data.partition(TOPIC_END)
    topic, form = read_topic(far_topic + end)
    known = topic and rule.decode("ascii", "replace") in RULES
    return (topic, form, rule.decode()) if known else (b"", "", "")
