"""A network like a bad radio: every frame is late, by a different time each, and what is late may be overtaken.

This kernel and others lack `tc netem`, so the machines' cables end in a small program of their own (TAP interfaces): it hands
each frame on after `delay_s` and up to `jitter_s` more. Datagrams overtake one another; all else stays in order between two machines,
as on a real link. Loss is added as in `network.py`.

Run as a program (`python -m tests.hosts.air DELAY_S JITTER_S DESCRIPTOR…`) it is that switch; it obeys lines "NUMBER up" and
"NUMBER down" on its standard input and ends with it.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.hosts.network import Network, _run

FRAME_BYTES_MAX = 2048
FRAMES_A_TURN = 64
PRIORITY = -15  # it stands for a device that has a processor of its own
_TUNSETIFF, _TUNSETCARRIER, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x400454E2, 0x0002, 0x1000
_IPV4, _UDP = 0x0800, 17


class Air(Network):
    """As `Network`, with a delay of `delay_s` to `delay_s + jitter_s` each way."""

    def __init__(self, machines: Sequence[str], delay_s: float, jitter_s: float, subnet: str = "10.77.0") -> None:
        super().__init__(machines, subnet)
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._relay: subprocess.Popen[str] | None = None

    def _build(self) -> None:
        _run("ip", "-batch", "-", text="".join(f"netns add {self.namespace(each)}\n" for each in self.machines))
        ends = []
        for machine in self.machines:
            with self.within(machine):
                ends.append(_open_tap("eth0"))
        self._relay = subprocess.Popen(
            [sys.executable, "-m", "tests.hosts.air", str(self._delay_s), str(self._jitter_s), *map(str, ends)],
            stdin=subprocess.PIPE, text=True, bufsize=1, pass_fds=ends, cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
        for end in ends:
            os.close(end)
        for machine in self.machines:
            self._connect(machine)

    def _set_port(self, machine: str, up: bool) -> None:
        assert self._relay is not None and self._relay.stdin is not None
        self._relay.stdin.write(f"{self.machines.index(machine)} {'up' if up else 'down'}\n")

    def __exit__(self, *unused: object) -> None:
        if self._relay is not None and self._relay.stdin is not None:
            self._relay.stdin.close()
            self._relay.wait()
        super().__exit__()


def _open_tap(name: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH14s", name.encode(), _IFF_TAP | _IFF_NO_PI, b""))
    return end


class Relay:
    """Frames in, frames out, later."""

    def __init__(self, delay_s: float, jitter_s: float, ends: Sequence[int]) -> None:
        self._delay_s, self._jitter_s, self._ends = delay_s, jitter_s, list(ends)
        self._up = [True] * len(ends)
        self._where: dict[bytes, int] = {}  # hardware address -> end
        self._late: list[tuple[float, int, int, bytes]] = []
        self._last_s: dict[tuple[int, int], float] = {}  # when the last frame that keeps its order is due
        self._number = itertools.count()
        self._chance = random.Random()

    def run(self) -> None:
        """Until the standard input ends."""
        with select.epoll() as waiting:
            for each in (0, *self._ends):
                waiting.register(each, select.EPOLLIN)
            while True:
                due_s = self._late[0][0] - time.monotonic() if self._late else 1.0
                for descriptor, _ in waiting.poll(max(0.0, due_s)):
                    if descriptor == 0:
                        if not self._obey(os.read(0, 4096)):
                            return
                    else:
                        self._take(self._ends.index(descriptor))
                self._deliver()

    def _obey(self, said: bytes) -> bool:
        for line in said.decode().splitlines():
            number, state = line.split()
            self._up[int(number)] = state == "up"
            fcntl.ioctl(self._ends[int(number)], _TUNSETCARRIER, struct.pack("i", state == "up"))
        return bool(said)

    def _take(self, source: int) -> None:
        with suppress(BlockingIOError):
            for _ in range(FRAMES_A_TURN):
                frame = os.read(self._ends[source], FRAME_BYTES_MAX)
                if len(frame) < 14 or not self._up[source]:
                    continue
                self._where[frame[6:12]] = source
                known = self._where.get(frame[:6])
                everyone = [each for each in range(len(self._ends)) if each != source]
                for target in everyone if known is None or frame[0] & 1 else [known]:
                    self._hold(frame, source, target)

    def _hold(self, frame: bytes, source: int, target: int) -> None:
        due_s = time.monotonic() + self._delay_s + self._chance.random() * self._jitter_s
        if not _is_datagram(frame):
            due_s = self._last_s[source, target] = max(due_s, self._last_s.get((source, target), 0.0))
        heapq.heappush(self._late, (due_s, next(self._number), target, frame))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, target, frame = heapq.heappop(self._late)
            if self._up[target]:
                with suppress(OSError):  # its queue is full, or the interface is down
                    os.write(self._ends[target], frame)


def _is_datagram(frame: bytes) -> bool:
    return len(frame) > 23 and struct.unpack_from("!H", frame, 12)[0] == _IPV4 and frame[23] == _UDP


if __name__ == "__main__":
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    Relay(float(sys.argv[1]), float(sys.argv[2]), [int(each) for each in sys.argv[3:]]).run()
