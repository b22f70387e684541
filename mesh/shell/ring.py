"""Shared memory for large frames: one ring of slots for each stream, written by one process and read by any on its machine.

    ring = Ring(layout)                     the writer's; its memory is there from the beginning, or OSError
    slot = ring.claim()                     one that nobody reads, or None; then fill it through `array` or `memory`
    ring.publish(slot, start, size)         it may be read from now on
    view = RingView(file, layout)           a reader's, from the file that came with the ring's announcement
    lease = view.lease(slot, turn)          holds the slot for as long as the lease, or an array over it, is alive

Nobody waits for anybody. A reader holds a slot by a lock of the *kernel's* on the ring's file (an open file description's
lock, one byte a slot), and the writer writes only where it got the same byte for itself: so a frame that is being read never
changes, a reader stopped for hours keeps the one or two slots it reads and costs no more, and the locks of a process
killed at any moment are gone with it. The memory is a memfd: it has no name, is passed on by an open connection, and ends
with the last process that has it; there is nothing to sweep up, after SIGKILL as little as after a clean end. It is sealed:
it can neither shrink under a reader nor be mapped for writing by one.

Decided against: names in /dev/shm (they outlive a SIGKILL, and are 64 MB in most containers), multiprocessing's shared
memory (its tracker deletes what others still use), counts of readers in the memory itself (whose is the one that a
killed reader left?), and copies checked by a sequence number (every reader would copy every frame).
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from mesh.core import bells
from mesh.core.bells import HEAD_BYTES, NEWEST_BYTES, Layout, Place
from mesh.errors import WireError

if TYPE_CHECKING:
    import numpy

LEASES_MAX = 3  # of one reader at once: one that waits, one that is handled, one that the role keeps; of more it gets copies
_SEALS = ("F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW")
_SEAL_FUTURE_WRITE = 0x10  # since Linux 5.1; not in Python's fcntl yet


def _locks(kind: int) -> tuple[bytes, ...]:
    """`struct flock` for each slot's byte."""
    return tuple(struct.pack("hhqqi4x", kind, os.SEEK_SET, slot, 1, 0) for slot in range(bells.SLOTS_MAX))


_READ, _WRITE, _FREE = _locks(fcntl.F_RDLCK), _locks(fcntl.F_WRLCK), _locks(fcntl.F_UNLCK)
_SET = getattr(fcntl, "F_OFD_SETLK", None)
_ioctl = fcntl.fcntl


class Pin:
    """Keeps a slot of the writer's own for as long as an array over it lives: drawn by a role, or on its way out."""

    __slots__ = ("__array_interface__", "_released", "address", "map", "nbytes", "slot")

    def __init__(self, ring: Ring, slot: int, start: int, shape: tuple[int, ...], dtype: str, nbytes: int) -> None:
        self.slot = slot
        self.map = ring.map
        self.nbytes = nbytes
        self._released = ring.released
        self.address = ring.address + start
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype, "data": (self.address, False)}

    def __del__(self) -> None:
        self._released.append(self.slot)  # from any thread: ZeroMQ lets go of what it sent in one of its own


class Ring:
    """The writer's end. `claim`, then `publish` or `release`."""

    def __init__(self, layout: Layout, turn: int = 0) -> None:
        """`turn`: the last one of the ring before it, so that no turn means two frames.

        Raises OSError where this machine has no such memory, or not enough of it."""
        if _SET is None or not hasattr(os, "memfd_create"):
            raise OSError("this system has no memory to share without a name")
        self.layout = layout
        self.fd = os.memfd_create("roomful", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self.fd, 0, layout.size_bytes)  # all at once: later a full machine would end the process
            self.map = mmap.mmap(self.fd, layout.size_bytes)
            for seal in (*(getattr(fcntl, name) for name in _SEALS[1:]), _SEAL_FUTURE_WRITE, fcntl.F_SEAL_SEAL):
                self._seal(seal)
            self._prove()
        except BaseException:
            os.close(self.fd)
            raise
        self.memory = memoryview(self.map)
        self.released: deque[int] = deque()
        self._pins = [0] * layout.slots
        self._held: set[int] = set()
        self._order = deque(range(layout.slots))  # the one written longest ago first
        self.turn = turn
        self._empty = True
        self._address = 0
        self.closed = False

    @property
    def address(self) -> int:
        """Where the memory lies in this process."""
        if not self._address:
            self._address = _address_of(self.map)
        return self._address

    def _seal(self, seal: int) -> None:
        try:
            _ioctl(self.fd, fcntl.F_ADD_SEALS, seal)
        except OSError:
            if seal != _SEAL_FUTURE_WRITE:  # which an older kernel does not know; readers map it for reading all the same
                raise

    def _prove(self) -> None:
        """Raises OSError where the system's locks do not keep a writer from what is read: some emulate Linux without them."""
        other = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _ioctl(other, _SET, _READ[0])  # type: ignore[arg-type]
            try:
                _ioctl(self.fd, _SET, _WRITE[0])  # type: ignore[arg-type]
            except BlockingIOError:
                return
            raise OSError("this system's locks keep nobody out")
        finally:
            os.close(other)

    def claim(self) -> int | None:
        """A slot that nobody reads, not the newest one; it is the caller's until `publish` or `release`. None: all are read."""
        self._tidy()
        order = self._order
        for slot in list(order)[: len(order) - (0 if self._empty else 1)]:
            if self._pins[slot] or slot in self._held:
                continue
            try:
                _ioctl(self.fd, _SET, _WRITE[slot])  # type: ignore[arg-type]
            except OSError:
                continue
            self._held.add(slot)
            return slot
        return None

    def _tidy(self) -> None:
        """Notes which pins are gone; a slot that was drawn into and never published is free again."""
        while self.released:
            slot = self.released.popleft()
            self._pins[slot] -= 1
            if not self._pins[slot] and slot in self._held:
                self.release(slot)

    @property
    def pinned(self) -> int:
        """Slots that are pinned: being drawn, kept by the role, or on their way to other machines."""
        self._tidy()
        return sum(pins > 0 for pins in self._pins)

    @property
    def drawn(self) -> int:
        """Slots that are pinned and not published."""
        self._tidy()
        return len(self._held)

    def holds(self, pin: Pin) -> bool:
        """Whether a pin is of this ring, and what it keeps not published yet."""
        return pin.map is self.map and pin.slot in self._held

    def write(self, slot: int, start: int, data: bytes) -> None:
        """Bytes into a claimed slot, from `start` of it on."""
        at = bells.slot_at(self.layout, slot) + start
        self.map[at : at + len(data)] = data

    def publish(self, slot: int, start: int, size: int) -> int:
        """The message at `start` of a slot that was claimed may be read; its turn."""
        base = bells.slot_at(self.layout, slot)
        self.turn = turn = self.turn + 1
        self.map[base : base + HEAD_BYTES] = bells.head(turn, start, size)
        self.release(slot)
        self._order.remove(slot)
        self._order.append(slot)
        self._empty = False
        self.map[:NEWEST_BYTES] = bells.newest(slot, turn)
        return turn

    def release(self, slot: int) -> None:
        """Gives back a slot that was claimed."""
        self._held.discard(slot)
        _ioctl(self.fd, _SET, _FREE[slot])  # type: ignore[arg-type]

    def pin(self, slot: int, start: int, shape: tuple[int, ...], dtype: str, nbytes: int) -> Pin:
        """Keeps a slot from being claimed until the pin and every array over it are gone."""
        self._pins[slot] += 1
        return Pin(self, slot, bells.slot_at(self.layout, slot) + start, shape, dtype, nbytes)

    def array(self, slot: int, dtype: str, shape: tuple[int, ...]) -> numpy.ndarray[Any, Any]:
        """A claimed slot's place for an array, to write into; only until it is published."""
        import numpy

        return numpy.ndarray(shape, dtype, self.map, bells.slot_at(self.layout, slot) + bells.DATA_AT)

    def close(self) -> None:
        """No more frames. What is being read, or on its way, stays until it is let go."""
        if not self.closed:
            self.closed = True
            os.close(self.fd)


def _address_of(map: mmap.mmap) -> int:
    import numpy

    return int(numpy.frombuffer(map, "u1").ctypes.data)


class Lease:
    """One frame in shared memory, held until this and every array over it are gone."""

    __slots__ = ("__array_interface__", "_slot", "_start", "_view", "data")

    def __init__(self, view: RingView, slot: int, place: Place) -> None:
        self._view = view
        self._slot = slot
        self._start = place.start
        self.data = view.memory[place.start : place.end]

    def array(self, dtype: str, shape: tuple[int, ...], at: int) -> numpy.ndarray[Any, Any]:
        """A read-only array over the message's bytes from `at` on; nothing is copied."""
        import numpy

        address = self._view.address + self._start + at
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype, "data": (address, True)}
        return numpy.asarray(self)

    def __len__(self) -> int:
        return len(self.data)

    def __del__(self) -> None:
        self._view.release(self._slot)


class RingView:
    """A reader's end."""

    def __init__(self, file: int, layout: Layout) -> None:
        """Takes the file that came with the announcement; the caller closes it. Raises WireError for one that is no ring."""
        self.layout = layout
        self.held: set[int] = set()  # slots; each at most once, since a slot that is held is not written
        try:
            seals = _ioctl(file, fcntl.F_GET_SEALS)
            # Opened anew: locks belong to what was opened, and what came with the message is the writer's own.
            self._fd = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise WireError(f"a ring that cannot be opened: {error.strerror}") from None
        try:
            if not seals & fcntl.F_SEAL_SHRINK or os.fstat(self._fd).st_size < layout.size_bytes:
                raise WireError("a ring that could end before its end")
            self._map = mmap.mmap(self._fd, layout.size_bytes, prot=mmap.PROT_READ)
        except OSError as error:
            raise WireError(f"a ring that cannot be mapped: {error.strerror}") from None
        finally:
            if not hasattr(self, "_map"):
                os.close(self._fd)
        self.memory = memoryview(self._map)
        self._address = 0

    @property
    def address(self) -> int:
        """Where the memory lies in this process."""
        if not self._address:
            self._address = _address_of(self._map)
        return self._address

    def newest(self) -> bells.Bell | None:
        """The newest frame; None before the first. Raises WireError."""
        return bells.read_newest(self._map[:NEWEST_BYTES])

    def lease(self, slot: int, turn: int) -> Lease | None:
        """Holds a frame. None where the writer has gone on to another since. Raises WireError for what is no frame."""
        base = bells.slot_at(self.layout, slot)
        if slot in self.held:
            return None
        try:
            _ioctl(self._fd, _SET, _READ[slot])  # type: ignore[arg-type]
        except OSError:
            return None
        self.held.add(slot)
        try:
            place = bells.read_head(self._map[base : base + HEAD_BYTES], self.layout, slot)
        except WireError:
            self.release(slot)
            raise
        if place.turn != turn:
            self.release(slot)
            return None
        return Lease(self, slot, place)

    def release(self, slot: int) -> None:
        """Lets go of a slot; from any thread, as arrays end where a role drops them."""
        self.held.discard(slot)
        with contextlib.suppress(OSError):  # closed just before, where both went in one sweep of Python's collector
            _ioctl(self._fd, _SET, _FREE[slot])  # type: ignore[arg-type]

    def __del__(self) -> None:
        fd = getattr(self, "_fd", -1)
        if fd >= 0 and hasattr(self, "_map"):
            os.close(fd)
