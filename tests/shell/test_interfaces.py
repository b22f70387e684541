"""Which addresses are offered, in which order, and that a change is noticed."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from mesh.shell import interfaces as module
from mesh.shell.interfaces import (
    LOOPBACK,
    OTHER,
    VIRTUAL,
    WIFI,
    WIRED,
    LinkWatch,
    all_interfaces,
    carrier,
    usable_addresses,
)
from tests.shell.until import until

Address = namedtuple("Address", "family address")
State = namedtuple("State", "isup flags")
_CARDS = {
    # name: (address, up, kind)
    "lo": ("127.0.0.1", True, LOOPBACK),
    "docker0": ("172.17.0.1", True, VIRTUAL),
    "br-0a1b2c3d": ("172.18.0.1", True, VIRTUAL),
    "tailscale0": ("100.64.0.9", True, VIRTUAL),
    "wg0": ("10.9.0.2", True, VIRTUAL),
    "wlp3s0": ("192.168.5.7", True, WIFI),
    "eth1": ("169.254.7.7", True, WIRED),
    "eth0": ("192.168.1.7", True, WIRED),
    "eth2": ("192.168.2.7", False, WIRED),
    "bond0": ("192.168.3.7", True, OTHER),
}


def _plug(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    addresses = {name: [Address(socket.AF_INET6, "fe80::1"), Address(socket.AF_INET, _CARDS[name][0])] for name in names}
    states = {name: State(_CARDS[name][1], "up,broadcast,multicast") for name in names}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: states)
    monkeypatch.setattr(module, "_SYS", Path("nowhere"))


def test_what_others_should_dial_is_ranked_and_loopback_and_dead_cables_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _plug(monkeypatch, *_CARDS)

    assert usable_addresses() == [
        "192.168.1.7",  # wired
        "192.168.5.7",  # radio
        "169.254.7.7",  # wired, without a DHCP server
        "192.168.3.7",  # something else
        "172.18.0.1",  # what programs made
        "172.17.0.1",
        "100.64.0.9",
        "10.9.0.2",
    ]
    assert {each.name: each.kind for each in all_interfaces()} == {name: kind for name, (_, _, kind) in _CARDS.items()}


def test_a_machine_without_a_network_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug(monkeypatch, "lo", "eth2")

    assert usable_addresses() == []
    assert not carrier()


def test_a_containers_bridge_is_no_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug(monkeypatch, "lo", "docker0", "eth2")
    assert not carrier()

    _plug(monkeypatch, "lo", "docker0", "eth0")
    assert carrier()


def test_a_system_that_tells_nothing_of_its_interfaces_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(psutil, "net_if_stats", refuse)

    assert all_interfaces() == []
    assert usable_addresses() == []
    assert not carrier()


def test_this_machine_has_loopback() -> None:
    assert any(each.address == "127.0.0.1" and each.kind == LOOPBACK for each in all_interfaces())


def test_a_change_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug(monkeypatch, "lo")
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.setattr(module, "POLL_WITH_NETLINK_S", 0.02)
    before = len(os.listdir("/dev/fd"))

    async def story() -> None:
        changes: list[list[str]] = []
        watch = LinkWatch(lambda: changes.append(usable_addresses()))
        watch.start()

        _plug(monkeypatch, "lo", "eth0")
        await until(lambda: changes)
        _plug(monkeypatch, "lo")
        await until(lambda: len(changes) == 2)

        watch.close()
        watch.close()
        assert changes == [["192.168.1.7"], []]

    asyncio.run(story())
    assert len(os.listdir("/dev/fd")) == before


def test_a_machine_whose_kernel_tells_nothing_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug(monkeypatch, "lo")
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)

    async def story() -> None:
        changes: list[int] = []
        watch = LinkWatch(lambda: changes.append(1))
        watch.start()
        _plug(monkeypatch, "lo", "eth0")
        await until(lambda: changes)
        watch.close()

    asyncio.run(story())
