"""Machines with a network of their own: Linux network namespaces on one switch, each with its own eth0 and address.

The switch is a namespace too, so that this computer's own network sees nothing of it, and everything goes when the
namespaces go. A cable is pulled at the switch's end: the machine keeps its address and loses its carrier, as it would with
a real cable. Loss is a packet filter at the hearing end, since a sender is never told that what it sent was lost.

Decided against: containers (an image to fetch, and slower), and a bridge on this computer itself (its mDNS would be heard).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

PREFIX = "rfm"
NAMESPACES = Path("/run/netns")
NEEDED = ("ip", "nft", "unshare", "setpriv")
SWITCH = "switch"
BRIDGE = "bridge"
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_numbers = count(1)


def why_not() -> str:
    """Why this computer can hold no such network; "" when it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "it needs root, to make network namespaces"
    lacking = [tool for tool in NEEDED if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, check=False).returncode]
    if lacking:
        return f"it needs {', '.join(lacking)} (Debian: apt-get install iproute2 nftables util-linux)"
    try:
        with Network(["probe"]) as network:
            network.loses("probe", 1)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return f"this system does not let it make network namespaces: {said.strip().splitlines()[-1]}"
    return ""


class Network:
    """A switch, and a cable to each machine. Leave it with its `with` block; a later one sweeps up after a crash."""

    def __init__(self, machines: Sequence[str], subnet: str = "10.77.0") -> None:
        self.machines = tuple(machines)
        self._mark = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        self.addresses = {machine: f"{subnet}.{number}" for number, machine in enumerate(machines, 11)}
        self._ports = {machine: f"port{number}" for number, machine in enumerate(machines, 11)}
        self._losses: dict[str, list[str]] = {machine: [] for machine in machines}
        self._control: socket.socket | None = None

    def namespace(self, machine: str) -> str:
        """The name of a machine's namespace, as `ip netns` lists it."""
        return f"{self._mark}-{machine}"

    def __enter__(self) -> Network:
        sweep()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        switch = self.namespace(SWITCH)
        _run("ip", "-batch", "-", text="".join(f"netns add {self.namespace(each)}\n" for each in (SWITCH, *self.machines)))
        lines = [f"link add {BRIDGE} type bridge mcast_snooping 0", f"link set {BRIDGE} up"]
        for machine, port in self._ports.items():
            lines += [
                f"link add {port} type veth peer name eth0 netns {self.namespace(machine)}",
                f"link set {port} master {BRIDGE}", f"link set {port} up",
            ]
        _run("ip", "-n", switch, "-batch", "-", text="\n".join(lines) + "\n")
        for machine in self.machines:
            self._connect(machine)
        with self.within(SWITCH):
            self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _connect(self, machine: str) -> None:
        address = self.addresses[machine]
        lines = ["link set lo up", f"addr add {address}/24 brd + dev eth0", "link set eth0 up", "route add default dev eth0"]
        _run("ip", "-n", self.namespace(machine), "-batch", "-", text="\n".join(lines) + "\n")

    def __exit__(self, *unused: object) -> None:
        if self._control is not None:
            self._control.close()
        for each in (*self.machines, SWITCH):
            _remove(self.namespace(each))

    # ---- what a visitor's foot does to it

    def plug(self, machine: str) -> None:
        """Its cable is in."""
        self._set_port(machine, True)

    def unplug(self, machine: str) -> None:
        """Its cable is out, at once: neither side hears anything, and the machine sees that its carrier is gone."""
        self._set_port(machine, False)

    def switch(self, on: bool) -> None:
        """The switch has power, or has none."""
        for machine in self.machines:
            self._set_port(machine, on)

    def _set_port(self, machine: str, up: bool) -> None:
        """By a system call and not by `ip`, since starting a program takes longer than a heartbeat on a busy machine."""
        assert self._control is not None
        request = struct.pack("16sH14s", self._ports[machine].encode(), 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(self._control, _SIOCGIFFLAGS, request))[1]
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        fcntl.ioctl(self._control, _SIOCSIFFLAGS, struct.pack("16sH14s", self._ports[machine].encode(), flags, b""))

    def readdress(self, machine: str, address: str) -> None:
        """The machine is given another address, as by a DHCP server that forgot it."""
        old, self.addresses[machine] = self.addresses[machine], address
        lines = [f"addr del {old}/24 dev eth0", f"addr add {address}/24 brd + dev eth0", "route replace default dev eth0"]
        _run("ip", "-n", self.namespace(machine), "-batch", "-", text="\n".join(lines) + "\n")

    # ---- loss, and firewalls

    def loses(self, machine: str, percent: int) -> None:
        """So many of a hundred packets never reach it."""
        self._filter(machine, f"numgen random mod 100 < {percent} drop")

    def deafens(self, machine: str, speaker: str) -> None:
        """It hears nothing of the speaker, who still hears it."""
        self._filter(machine, f"ip saddr {self.addresses[speaker]} drop")

    def bars_datagrams(self, machine: str) -> None:
        """Its firewall lets no datagram in, neither heartbeats nor mDNS."""
        self._filter(machine, "meta l4proto udp drop")

    def mends(self, machine: str) -> None:
        """It hears everything again."""
        self._losses[machine].clear()
        self._write_filter(machine)

    def narrows(self, machine: str, mbit: int) -> None:
        """Its cable carries so many megabits a second in each direction. Raises CalledProcessError where `tc` cannot do it."""
        shape = f"root tbf rate {mbit}mbit burst 64kb latency 50ms"
        _run("tc", "-n", self.namespace(machine), "-batch", "-", text=f"qdisc replace dev eth0 {shape}\n")
        _run("tc", "-n", self.namespace(SWITCH), "-batch", "-", text=f"qdisc replace dev {self._ports[machine]} {shape}\n")

    def _filter(self, machine: str, rule: str) -> None:
        self._losses[machine].append(f'iifname "eth0" {rule}')
        self._write_filter(machine)

    def _write_filter(self, machine: str) -> None:
        rules = "\n".join(self._losses[machine])
        chain = f"table inet room {{\nchain heard {{\ntype filter hook input priority 0;\n{rules}\n}}\n}}\n"
        _run("ip", "netns", "exec", self.namespace(machine), "nft", "-f", "-", text="flush ruleset\n" + chain)

    # ---- being there

    @contextmanager
    def within(self, machine: str) -> Iterator[None]:
        """This thread's new sockets, and those of threads it starts here, are the machine's."""
        with open("/proc/thread-self/ns/net") as home, open(NAMESPACES / self.namespace(machine)) as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())


def sweep() -> None:
    """Removes what a process left behind that ended without its `with` block."""
    if not NAMESPACES.is_dir():
        return
    for left in NAMESPACES.glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _remove(left.name)


def _remove(namespace: str) -> None:
    """Ends what still runs in it, and the namespace with its interfaces."""
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    for pid in found.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "this thread cannot enter the network namespace")


def _run(*command: str, text: str) -> None:
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)
