"""This machine's network interfaces: which addresses other machines should try, in which order, and when that
changes.

    usable_addresses() -> ["192.168.1.7", …]   IPv4, best first, never loopback
    all_interfaces() -> [Interface(name, address, kind, rank, index, up, multicast), …]
    carrier() -> bool                          whether any real interface has a cable or a radio link
    watch = LinkWatch(on_change); watch.start(); watch.close()

Rank is only an order in which to dial: a wired interface first, then radio, then whatever else, then what
programs made (containers, virtual machines, VPNs); an address that an interface gave itself (169.254/16) stands
behind a configured one, yet before containers, since in a room without a DHCP server it is the right one.
Nothing is left out, because one room's VPN is another room's only network. Decided against: the default route
(an offline network has none) and IPv6 (see transport.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

WIRED, WIFI, OTHER, VIRTUAL, LOOPBACK = "wired", "wifi", "other", "virtual", "loopback"
_RANK = {WIRED: 0, WIFI: 2, OTHER: 4, VIRTUAL: 8, LOOPBACK: 20}
_LINK_LOCAL = 3
_MADE_BY_PROGRAMS = re.compile(
    r"docker|br-[0-9a-f]|veth|virbr|vnet|tun|tap|wg|tailscale|zt|utun|ppp|vmnet|vboxnet|lxc|lxdbr|cni|flannel|cali|podman"
)
_SYS = Path("/sys/class/net")
POLL_S = 2.0
POLL_WITH_NETLINK_S = 10.0
SETTLE_S = 0.05  # an interface changes in several steps
# linux/rtnetlink.h: links, IPv4 addresses
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR = 0x1, 0x10


@dataclass(frozen=True, slots=True)
class Interface:
    """One IPv4 address of this machine and the interface that has it. A lower `rank` is dialled first."""

    name: str
    address: str
    kind: str
    rank: int
    index: int
    up: bool
    multicast: bool


def all_interfaces() -> list[Interface]:
    """Every IPv4 address of this machine, loopback and dead interfaces too, by rank. Never raises."""
    try:
        states = psutil.net_if_stats()
        addresses = psutil.net_if_addrs()
    except OSError:
        return []
    found = []
    for name, entries in addresses.items():
        state = states.get(name)
        flags = state.flags.split(",") if state else []
        for entry in entries:
            if entry.family != socket.AF_INET:
                continue
            kind = _kind(name, entry.address)
            rank = _RANK[kind] + (_LINK_LOCAL if ipaddress.ip_address(entry.address).is_link_local else 0)
            up = bool(state and state.isup)
            found.append(Interface(name, entry.address, kind, rank, _index(name), up, "multicast" in flags))
    return sorted(found, key=lambda interface: (interface.rank, interface.name, interface.address))


def usable_addresses() -> list[str]:
    """The addresses to offer to other machines, best first. Empty where there is no network; never loopback."""
    return list(dict.fromkeys(i.address for i in all_interfaces() if i.up and i.kind != LOOPBACK))


def carrier() -> bool:
    """Whether any interface that is not a program's own has a link. False also where there is none."""
    try:
        states = psutil.net_if_stats()
    except OSError:
        return False
    return any(state.isup and _kind(name, "") not in (VIRTUAL, LOOPBACK) for name, state in states.items())


class LinkWatch:
    """Calls `on_change` soon after an interface or address came or went.

    The kernel tells at once where it can (Linux); a slow poll finds what it does not tell, and serves elsewhere.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._netlink: socket.socket | None = None
        self._poll: asyncio.TimerHandle | None = None
        self._settle: asyncio.TimerHandle | None = None
        self._seen: list[Interface] = []

    def start(self) -> None:
        """Begins to watch, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._seen = all_interfaces()
        with contextlib.suppress(OSError, AttributeError):
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._netlink.setblocking(False)
            self._netlink.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR))
            self._loop.add_reader(self._netlink.fileno(), self._told)
        self._look_later()

    def close(self) -> None:
        """Stops watching. May be called twice."""
        for timer in (self._poll, self._settle):
            if timer is not None:
                timer.cancel()
        self._poll = self._settle = None
        if self._netlink is not None:
            self._loop.remove_reader(self._netlink.fileno())
            self._netlink.close()
            self._netlink = None

    def _told(self) -> None:
        """The kernel says that something changed; what, is read anew from all interfaces."""
        assert self._netlink is not None
        with contextlib.suppress(OSError):
            while self._netlink.recv(65536):
                pass
        if self._settle is None:
            self._settle = self._loop.call_later(SETTLE_S, self._look)

    def _look_later(self) -> None:
        after_s = POLL_WITH_NETLINK_S if self._netlink is not None else POLL_S
        self._poll = self._loop.call_later(after_s, self._look_again)

    def _look_again(self) -> None:
        self._look_later()
        self._look()

    def _look(self) -> None:
        if self._settle is not None:
            self._settle.cancel()
            self._settle = None
        now = all_interfaces()
        if now != self._seen:
            self._seen = now
            self._on_change()


def _kind(name: str, address: str) -> str:
    if name in ("lo", "lo0") or address.startswith("127."):
        return LOOPBACK
    if _MADE_BY_PROGRAMS.match(name):
        return VIRTUAL
    here = _SYS / name
    if (here / "wireless").exists() or (here / "phy80211").exists() or name.startswith(("wl", "wifi")):
        return WIFI
    if (here / "device").exists() or name.startswith(("eth", "en")):
        return WIRED
    return OTHER


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0
