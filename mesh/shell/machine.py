"""What this machine has, as it says of itself to the room.

    measure() -> {"memory_bytes", "available_bytes", "cores", "gpu", "camera", "screen", "sound", "microphone",
                  "extras": ["llm", …]}
    host_mark() -> 8 hex digits, equal for all nodes on one running computer

Only what can be seen without opening a device or importing an engine: a camera that is listed may still fail to
open, and then its role says so. Decided against: trying each device at start (it steals them from the roles,
and takes seconds).
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

# The optional parts of Roomful, and the modules that show that each is installed.
EXTRAS: dict[str, tuple[str, ...]] = {
    "llm": ("llama_cpp",),
    "onnx": ("onnxruntime",),
    "text": ("tokenizers",),
    "camera": ("cv2",),
    "web": ("starlette", "uvicorn"),
    "osc": ("pythonosc",),
    "sound": ("soundfile", "sounddevice"),
    "microphone": ("sounddevice",),
    "midi": ("mido", "rtmidi"),
    "serial": ("serial",),
    "mqtt": ("paho",),
    "record": ("mcap", "cv2"),
    "screen": ("pygame", "cv2"),
}
_GPU_NODES = ("dev/nvidia0", "dev/kfd", "dev/nvhost-gpu", "dev/dri/renderD128")
# Graphics chips that share the processor's memory, and adapters of virtual machines, are not a GPU to run a model on.
_DISCRETE_DRIVERS = frozenset({"nvidia", "nouveau", "amdgpu", "xe"})


def measure(root: Path = Path("/")) -> dict[str, Any]:
    """This machine's capabilities as plain JSON. Memory in bytes, `cores` those this process may use.

    `root` is where `dev`, `proc` and `sys` lie. Never raises: what cannot be seen is absent.
    """
    memory = psutil.virtual_memory()
    limit = _memory_limit(root)
    total = min(memory.total, limit or memory.total)
    return {
        "memory_bytes": total,
        "available_bytes": min(memory.available, total),
        "cores": _cores(),
        "gpu": _has_gpu(root),
        "camera": any(_is_capture(node) for node in _glob(root, "sys/class/video4linux/video*")),
        "screen": _has_screen(root),
        "sound": any(_glob(root, "proc/asound/card[0-9]*/pcm*p")),
        "microphone": any(_glob(root, "proc/asound/card[0-9]*/pcm*c")),
        "extras": [name for name, modules in EXTRAS.items() if all(find_spec(module) for module in modules)],
    }


def name_of_this(given: str, named: Sequence[str] | None) -> str:
    """Which machine this is: as told, else by its hostname if the file names that, else a spare named after the host. While there is
    no file (`named` is None) the hostname itself."""
    if given:
        return given
    host = platform.node().split(".")[0].lower() or "machine"
    return host if named is None or host in named else f"spare-{host}"


def host_mark(root: Path = Path("/")) -> str:
    """Tells nodes on this computer, since it was switched on, from nodes on any other.

    A container with a network of its own counts as a computer: its loopback leads to nobody else.
    """
    try:
        network = (root / "proc/self/ns/net").readlink()
        seed = f"{(root / 'proc/sys/kernel/random/boot_id').read_text()} {network}"
    except OSError:
        seed = f"{platform.node()} {psutil.boot_time():.0f}"
    return hashlib.blake2b(seed.strip().encode(), person=b"roomful-host", digest_size=4).hexdigest()


def own_cost() -> dict[str, float]:
    """What this process has taken since it was started: its share of a core in percent, and its resident memory in MB."""
    process = psutil.Process()
    times, age_s = process.cpu_times(), max(0.001, time.time() - process.create_time())
    return {"core_percent": round((times.user + times.system) / age_s * 100, 2), "rss_mb": round(process.memory_info().rss / 1e6, 1)}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _memory_limit(root: Path) -> int | None:
    """What a container or a service unit allows this process, where it is less than the machine has."""
    text = _text(root / "sys/fs/cgroup/memory.max")
    return int(text) if text.isdigit() else None


def _has_gpu(root: Path) -> bool:
    if any((root / node).exists() for node in _GPU_NODES[:3]):
        return True
    drivers = {link.resolve().name for link in _glob(root, "sys/class/drm/card[0-9]*/device/driver")}
    return bool(drivers & _DISCRETE_DRIVERS)


def _is_capture(node: Path) -> bool:
    """A UVC camera has a second node for metadata (index 1), which gives no pictures."""
    return _text(node / "index") in ("", "0")


def _has_screen(root: Path) -> bool:
    if platform.system() == "Darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    return any(_text(status) == "connected" for status in _glob(root, "sys/class/drm/*/status"))


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from root.glob(pattern)
    except OSError:
        return


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
