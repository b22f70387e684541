"""What one node says of itself over mDNS: the record's fields, and how they become text properties and back.

Anyone on the network can announce anything under our service type, so a record is read strictly: every field in
its form and range, or the whole record is ignored. Keys are only ever added, so that a node of another version
can be named in `status` rather than be a riddle.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mesh.core import messages

SERVICE_TYPE = "_roomful._udp.local."
LOCALHOST = "127.0.0.1"
ADDRESSES_MAX = 15
NAME_BYTES_MAX = 200
INTRODUCTION_MAX = 250
_HEX = {32: re.compile(r"[0-9a-f]{32}"), 16: re.compile(r"[0-9a-f]{16}"), 8: re.compile(r"[0-9a-f]{8}")}


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node: `node` 32 hex digits, `boot` 8 hex digits drawn at each start, `host` 8 hex digits of its computer.

    `addresses` IPv4, in the order in which to dial them; a reader on the same computer finds 127.0.0.1 first.
    """

    node: str
    boot: str
    name: str
    incarnation: int
    protocol: int
    control_port: int
    beat_port: int
    installation_hash: str
    addresses: tuple[str, ...] = ()
    host: str = ""
    introduction: str = ""  # its certificate, which only machines of its room can read


def announced(me: messages.NodeRecord, introduction: str) -> NodeRecord:
    """What a node says of itself; its addresses and computer are filled in where it is announced."""
    return NodeRecord(
        me.node, me.boot, me.name, me.incarnation, me.protocol, me.control_port, me.beat_port, me.installation, me.addresses,
        introduction=introduction,
    )  # fmt: skip


def as_met(record: NodeRecord) -> messages.NodeRecord:
    """What was read, as nodes tell it one another."""
    return messages.NodeRecord(
        record.node, record.boot, record.incarnation, record.name, record.addresses, record.control_port, record.beat_port,
        record.installation_hash, record.protocol,
    )  # fmt: skip


def instance_name(node: str) -> str:
    """The node's name on the network."""
    return f"{node}.{SERVICE_TYPE}"


def to_properties(record: NodeRecord) -> dict[str, str]:
    """The text properties of a record; each fits the 255 bytes that mDNS allows."""
    name = record.name.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
    return {
        "node": record.node,
        "boot": record.boot,
        "name": name,
        "inc": str(record.incarnation),
        "proto": str(record.protocol),
        "control": str(record.control_port),
        "beat": str(record.beat_port),
        "inst": record.installation_hash,
        "host": record.host,
        "addr": ",".join(record.addresses[:ADDRESSES_MAX]),
        "cert": record.introduction,
    }


def from_properties(name: str, properties: Mapping[bytes, bytes | None], my_host: str) -> NodeRecord | None:
    """The record, or None for anything that is not one. Loopback addresses count only from this same computer."""
    try:
        text = {key.decode(): (value or b"").decode() for key, value in properties.items()}
        record = NodeRecord(
            node=_hex(text["node"], 32),
            boot=_hex(text["boot"], 8),
            name=_name(text["name"]),
            incarnation=_number(text["inc"], 0, 2**62),
            protocol=_number(text["proto"], 0, 65535),
            control_port=_number(text["control"], 1, 65535),
            beat_port=_number(text["beat"], 1, 65535),
            installation_hash=_hex(text["inst"], 16),
            addresses=_addresses(text["addr"], text["host"] == my_host),
            host=_hex(text["host"], 8),
            introduction=_bounded(text.get("cert", "")),
        )
    except (KeyError, ValueError):
        return None
    return record if name.lower() == instance_name(record.node) else None


def _hex(text: str, length: int) -> str:
    if not _HEX[length].fullmatch(text):
        raise ValueError(text)
    return text


def _name(text: str) -> str:
    if len(text.encode()) > NAME_BYTES_MAX or not (text.isprintable() or not text):
        raise ValueError(text)
    return text


def _bounded(text: str) -> str:
    if len(text) > INTRODUCTION_MAX or not text.isascii():
        raise ValueError(text)
    return text


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(text)
    number = int(text)
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _addresses(text: str, same_computer: bool) -> tuple[str, ...]:
    """Loopback first for a node on this computer: it serves with every cable pulled."""
    listed = [ipaddress.IPv4Address(part) for part in text.split(",")[:ADDRESSES_MAX] if part]
    usable = [str(a) for a in listed if not (a.is_loopback or a.is_multicast or a.is_unspecified)]
    return tuple(dict.fromkeys(([LOCALHOST] if same_computer else []) + usable))
