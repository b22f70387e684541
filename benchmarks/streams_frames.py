"""Large frames from role to role through the real Role API, beside raw pyzmq, in turn in one run.

    local NAME      480p or 1080p on one machine: the writer draws each frame anew, the reader looks at its first and last byte;
                    beside PUSH/PULL over TCP on loopback, uncopied where pyzmq can, its writer drawing as well
    network         1080p between two network namespaces, raw, both sides under CURVE; neither writer goes on while its frames are not taken
    shaped MBIT     1080p as JPEG from one namespace to three readers in another, over a link of so many Mbit/s, 30 to 75 a second

Run: python -m benchmarks.streams_frames local 1080p | network | shaped 1000 [--runs N] [--json FILE]     (namespaces need root)
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import inspect
import io
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import zmq

from benchmarks.figures import machine, median, p99
from mesh.core.delivery import QUALITY, USUAL_QUALITY
from mesh.shell import pictures
from tests.shell.host_harness import KEYS, Agent, Host

SIZES = {"480p": (480, 640, 3), "1080p": (1080, 1920, 3)}
RUN_S = 4.0
AHEAD = 8  # as many frames as bare pyzmq may have on their way, whose high-water mark makes its writer wait
OURS_AHEAD = 3  # as many of this size as are on their way to a reader; of further ones the oldest would give way (16 MB)
READERS, RATES = 3, (30, 40, 50, 60, 75)


def scene(shape: tuple[int, ...]) -> numpy.ndarray[object, object]:
    """A picture with some grain, as a camera's has."""
    y, x = numpy.mgrid[0 : shape[0], 0 : shape[1]]
    colours = numpy.stack([x * 255 // x.max(), y * 255 // y.max(), (x + y) // 8 % 256], -1)
    return numpy.clip(colours + numpy.random.default_rng(0).normal(0, 4, colours.shape), 0, 255).astype("u1")


ROLES = inspect.getsource(scene) + """
import time
class Options_(Options):
    shape: list[int] = [1080, 1920, 3]
    rate: float = 0.0
    ahead: int = 0

class Painter(Role):
    outputs = {"image": Image}
    Options = Options_
    def setup(self):
        self.number, self.due, self.got, self.heard = 0, time.monotonic(), 0, 0.0
        self.scene, self.painting = scene(self.options.shape), 0.0
    def on_got(self, frame: Event):
        self.got, self.heard = frame.value, time.monotonic()
        while self.number - self.got < self.options.ahead:
            self.paint()
    def tick(self):
        if not self.options.ahead:
            return self.paint()
        if time.monotonic() - self.heard > 0.25:
            self.got = self.number
            for _ in range(self.options.ahead):
                self.paint()
        return 0.25
    def paint(self):
        self.number += 1
        began = time.thread_time()
        picture = self.buffer("image", tuple(self.options.shape))
        if self.options.rate:
            shift = self.number * 8 % picture.shape[1]
            picture[:, shift:], picture[:, :shift] = self.scene[:, :picture.shape[1] - shift], self.scene[:, picture.shape[1] - shift:]
        else:
            picture.fill(self.number % 256)
        self.painting += time.thread_time() - began
        self.publish("paint_ms", self.painting / self.number * 1000)
        self.emit("image", picture, captured_s=self.now_s())
        self.publish("cpu", time.process_time())
        if not self.options.rate:
            return 0.0
        self.due = max(self.due + 1 / self.options.rate, time.monotonic() - 0.1)
        return max(0.0, self.due - time.monotonic())

class Looker(Role):
    outputs = {"got": Event}
    def setup(self):
        self.seen, self.ages, self.sum = 0, [], 0
    def on_image(self, frame: Image):
        self.seen += 1
        self.emit("got", frame.number + 1)
        self.sum += int(frame.value[0, 0, 0]) + int(frame.value[-1, -1, -1])
        self.ages.append((self.now_s() - frame.captured_s) * 1000)
        if self.seen % 20 == 0:
            del self.ages[:-500]
            self.publish("ages", [round(each, 2) for each in self.ages[-300:]])
        self.publish("cpu", time.process_time())
"""


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What is started here begins in this network namespace."""
    if not namespace:
        yield
        return
    libc, new_net = ctypes.CDLL(None, use_errno=True), 0x40000000
    with open("/proc/thread-self/ns/net") as before, open(f"/var/run/netns/{namespace}") as other:
        libc.setns(other.fileno(), new_net)
        try:
            yield
        finally:
            libc.setns(before.fileno(), new_net)


class Link:
    """Two namespaces and a link between them."""

    def __init__(self, mbit: int = 0) -> None:
        self.names = [f"rfs{os.getpid()}{end}" for end in "ab"]
        self.addresses = ["10.219.7.1", "10.219.7.2"]
        a, b = self.names
        run("ip", "netns", "add", a)
        run("ip", "netns", "add", b)
        run("ip", "link", "add", "v0", "netns", a, "type", "veth", "peer", "name", "v0", "netns", b)
        for name, address in zip(self.names, self.addresses, strict=True):
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "v0")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "v0", "up")
            if mbit:
                run("tc", "-n", name, "qdisc", "add", "dev", "v0", "root", "tbf", "rate", f"{mbit}mbit", "burst", "256k", "latency", "50ms")

    def close(self) -> None:
        for name in self.names:
            run("ip", "netns", "del", name)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


class Room:
    """One writer, and some readers of it."""

    def __init__(
        self, shape: tuple[int, ...], readers: int = 1, link: Link | None = None, pictures: str = "", rate: float = 0.0, ahead: int = 0,
    ) -> None:  # fmt: skip
        """`ahead`: the writer is never more than so many frames ahead of its reader, and every frame is delivered (`queue`)."""
        self._folder = tempfile.TemporaryDirectory()
        self.agent = Agent(Path(self._folder.name), ROLES)
        here, there = (link.names if link else ("", ""))
        bind = {"bind": [link.addresses[0]]} if link else {}
        with inside(here):
            options = {"shape": list(shape), "rate": rate, "ahead": ahead}
            self.writer = self.agent.start("eye", "Painter", options=options, playing=True, **bind)
        stream = self.writer.stream("image", "image", "queue" if ahead else "latest")
        stream |= {"pictures": pictures} if pictures else {}
        if link:
            stream["sources"][0]["addresses"] = [link.addresses[0]]
        with inside(there):
            back = {"bind": [link.addresses[1]]} if link else {}
            self.readers = [self.agent.start(f"reader-{n}", "Looker", routes={"inputs": {"image": stream}}, **back) for n in range(readers)]
        if ahead:
            got = self.readers[0].stream("got", "event")
            if link:
                got["sources"][0]["addresses"] = [link.addresses[1]]
            self.writer.route(inputs={"got": got})
        for reader in self.readers:
            self.agent.until(lambda reader=reader: reader.pulse.get("received", {}).get("image", 0) > 5, "frames", 60)

    def run(self, for_s: float = RUN_S) -> dict[str, float]:
        """Frames a second of the slowest reader, and processor seconds for 1,000 frames, writer and readers together."""
        self.pulse_all()
        before = [self._counts(each) for each in (self.writer, *self.readers)]
        began = time.monotonic()
        self.agent.say_still_here_for(for_s)
        self.pulse_all()
        took = time.monotonic() - began
        after = [self._counts(each) for each in (self.writer, *self.readers)]
        moved = [(now[0] - then[0], now[1] - then[1], now[2] - then[2]) for now, then in zip(after, before, strict=True)]
        frames = min(each[0] for each in moved[1:])
        return {
            "fps": frames / took, "sent": moved[0][0] / took, "cpu": sum(each[1] for each in moved) / max(1, frames) * 1000,
            "dropped": sum(each[2] for each in moved[1:]), "writer_ms": moved[0][1] / max(1, moved[0][0]) * 1000,
            "reader_ms": sum(each[1] for each in moved[1:]) / max(1, sum(each[0] for each in moved[1:])) * 1000,
        }  # fmt: skip

    def pulse_all(self) -> None:
        """Waits for a fresh pulse of everybody."""
        for each in (self.writer, *self.readers):
            old = each.pulse
            self.agent.until(lambda each=each, old=old: each.pulse is not old, "a pulse")

    def _counts(self, host: Host) -> tuple[int, float, int]:
        frames = host.pulse["frames"].get("eye.image") or host.pulse["received"].get("image", 0)
        fields = Path(f"/proc/{host.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return frames, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), host.pulse["dropped"].get("image", 0)

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.agent.__exit__(None, None, None)
        self._folder.cleanup()


def _paint(address: str, shape: tuple[int, ...], keys: tuple[str, str] | None, namespace: str) -> None:
    with inside(namespace):
        socket: Any = zmq.Context().socket(zmq.PUSH)
        socket.sndhwm = AHEAD
        if keys:
            socket.curve_server, socket.curve_publickey, socket.curve_secretkey = True, keys[0].encode(), keys[1].encode()
        socket.bind(address)
        number, pictures = 0, [numpy.empty(shape, "u1") for _ in range(4 * AHEAD)]  # memory that is used again, as ours is
        while True:
            number += 1
            picture = pictures[number % len(pictures)]
            picture.fill(number % 256)
            socket.send(picture, copy=False)


def _look(address: str, keys: tuple[str, str] | None, namespace: str, pipe: Any) -> None:
    with inside(namespace):
        socket: Any = zmq.Context().socket(zmq.PULL)
        socket.rcvhwm = AHEAD
        if keys:
            socket.curve_serverkey = socket.curve_publickey = keys[0].encode()
            socket.curve_secretkey = keys[1].encode()
        socket.connect(address)
        for _ in range(5):
            socket.recv(copy=False)
        seen, until, began, total = 0, time.monotonic() + RUN_S, time.monotonic(), 0
        while time.monotonic() < until:
            picture = numpy.frombuffer(socket.recv(copy=False).buffer, "u1")
            total += int(picture[0]) + int(picture[-1])
            seen += 1
        pipe.send((seen, time.monotonic() - began))


def raw(shape: tuple[int, ...], curve: bool, link: Link | None) -> dict[str, float]:
    """PUSH and PULL in two processes, for one run."""
    address = f"tcp://{link.addresses[0]}:47981" if link else "tcp://127.0.0.1:47981"
    here, there = link.names if link else ("", "")
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    keys = KEYS if curve else None  # which are others in each process
    writer = spawn.Process(target=_paint, args=(address, shape, keys, here))
    reader = spawn.Process(target=_look, args=(address, keys, there, far))
    before = os.times()
    writer.start()
    reader.start()
    if not near.poll(60):
        raise SystemExit("the raw side did not get going")
    seen, took = near.recv()
    reader.join()
    writer.terminate()
    writer.join()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"fps": seen / took, "cpu": used / seen * 1000}


def compare(name: str, shape: tuple[int, ...], runs: int, link: Link | None) -> list[dict[str, Any]]:
    """Ours and raw in turn."""
    print(f"{name}, {runs} runs of {RUN_S:.0f} s in turn; {machine()}")
    ours, theirs = [], []
    for _ in range(runs):
        theirs.append(raw(shape, link is not None, link))
        room = Room(shape, link=link, pictures="raw" if link else "", ahead=OURS_AHEAD if link else 0)
        try:
            ours.append(room.run())
        finally:
            room.close()
    ratios = [a["fps"] / b["fps"] for a, b in zip(ours, theirs, strict=True)]
    for said, all_of in (("raw pyzmq", theirs), ("roomful", ours)):
        cpu = median([each["cpu"] for each in all_of])
        print(f"{said:10} {median([each['fps'] for each in all_of]):7.0f} frames/s   {cpu:6.2f} CPU s per 1,000")
    print(f"ratio {median(ratios):.2f} (least {min(ratios):.2f})   sent {median([each['sent'] for each in ours]):.0f}/s")
    return [{"raw": before, "roomful": after, "ratio": ratio} for before, after, ratio in zip(theirs, ours, ratios, strict=True)]


def shaped(mbit: int, seconds: float = 10.0) -> list[dict[str, Any]]:
    """The highest rate held without loss, to three readers over one link; and what each stage of a picture's way costs."""
    print(f"1080p as JPEG to {READERS} readers over {mbit} Mbit/s; {machine()}")
    rows = []
    pack_ms, unpack_ms, packed_bytes = packing()
    for rate in RATES:
        link = Link(mbit)
        try:
            room = Room(SIZES["1080p"], READERS, link, "", rate)
            try:
                room.run(2.0)
                told = room.run(seconds)
                ages = [age for reader in room.readers for age in reader.facts["ages"]]
                paint_ms = room.writer.facts["paint_ms"]
            finally:
                room.close()
        finally:
            link.close()
        rows.append({
            "rate": rate, "fps": round(told["fps"], 2), "sent": round(told["sent"], 2), "dropped": int(told["dropped"]),
            "held": told["dropped"] == 0 and told["fps"] > 0.98 * rate, "age_ms": round(median(ages), 1), "age_p99_ms": round(p99(ages), 1),
            "link_mbit": round(packed_bytes * 8 * READERS * told["sent"] / 1e6),
            "cpu_ms": {
                "capture": round(paint_ms, 2), "pack": round(pack_ms, 2), "send": round(told["writer_ms"] - paint_ms - pack_ms, 2),
                "receive": round(told["reader_ms"] - unpack_ms, 2), "unpack": round(unpack_ms, 2),
            },
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def packing(count: int = 40) -> tuple[float, float, int]:
    """CPU milliseconds to pack and to unpack one picture of the writer's, by themselves, and its bytes when it is packed."""
    picture, form = scene(SIZES["1080p"]), f"{QUALITY} {USUAL_QUALITY}"
    coding, data = pictures.pack(picture, form)
    began_s = time.thread_time()
    for _ in range(count):
        pictures.pack(picture, form)
    packed_s = time.thread_time()
    for _ in range(count):
        pictures.unpack(memoryview(data), coding, picture.shape)
    return (packed_s - began_s) / count * 1000, (time.thread_time() - packed_s) / count * 1000, len(data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, and keep them where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams_frames", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("local", "network", "shaped"))
    parser.add_argument("size", nargs="?", default="1080p", help="480p or 1080p (local); Mbit/s of the link (shaped) [default: 1000]")
    parser.add_argument("--runs", type=int, default=5, help="of each, in turn [default: 5]")
    parser.add_argument("--json", type=Path, help="add the figures to this file, by what was measured")
    given = parser.parse_args(arguments)
    if given.what == "shaped":
        mbit = int(given.size) if given.size.isdigit() else 1000
        name, rows = f"1080p as JPEG to {READERS} readers over {mbit} Mbit/s", shaped(mbit)
    elif given.what == "network":
        name, link = "1080p raw between two namespaces, CURVE on both sides", Link()
        try:
            rows = compare(name, SIZES["1080p"], given.runs, link)
        finally:
            link.close()
    else:
        name = f"{given.size} on one machine"
        rows = compare(name, SIZES[given.size], given.runs, None)
    if given.json:
        kept = json.loads(given.json.read_text()) if given.json.exists() else {}
        given.json.write_text(json.dumps({**kept, name: {"machine": machine(), "rows": rows}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
