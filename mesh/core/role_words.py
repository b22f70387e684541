"""What a role's process may say to its agent: bytes that were understood become a message that can be used as it is, or nothing.

A role's process is somebody else's code, and may be taken over by what it reads. The agent hands on what it hears: to the other nodes
(ports, process numbers, whose limits they check, and would refuse this node's whole state for one that is wrong), to screens and files as
JSON. So every field that is used is checked here, all else is made plain, and who talks without end is cut short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.core.request_messages import STATE_BYTES_MAX

KINDS = ("hello", "ready", "pulse", "state", "failed", "event", "gap")
TEXT_MAX = 10_000
ITEMS_MAX = 20_000
DEPTH_MAX = 12
PID_MAX = 2**31
NUMBER_MAX = 2**53
PULSE_NUMBERS = ("busy_s", "rss_bytes", "worked_s", "progress", "epoch")
PULSE_MAPS = ("facts", "frames", "received", "dropped", "ages", "unsent", "near", "requests", "refused")
TALK_A_SECOND, TALK_AT_ONCE = 50.0, 300.0


def understood(message: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The message, all of it plain; None for one that is none."""
    kind = message.get("type")
    if kind == "state":
        data = message.get("data")
        return {"type": "state", "data": data} if isinstance(data, bytes) and len(data) <= STATE_BYTES_MAX else None
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    left = [ITEMS_MAX]
    said = {str(key)[:100]: _plain(value, left, 1) for key, value in message.items()}
    if left[0] < 0:
        return None
    if kind == "ready" and not all(_is_number(said.get(name), most) for name, most in
                                   (("frames_port", 65535), ("requests_port", 65535), ("pid", PID_MAX))):
        return None
    return _pulse(said) if kind == "pulse" else said


def _pulse(said: dict[str, Any]) -> dict[str, Any]:
    """A pulse always counts as a sign of life; what in it is not of its kind is left out."""
    for name in PULSE_NUMBERS:
        if not isinstance(said.get(name, 0), (int, float)):
            said.pop(name)
    for name in PULSE_MAPS:
        if not isinstance(said.get(name, {}), dict):
            said.pop(name)
    for name in ("frames", "received", "dropped", "unsent", "near", "requests"):
        if name in said:
            said[name] = {key: value for key, value in said[name].items() if isinstance(value, (int, float))}
    if "ages" in said:
        said["ages"] = {key: value for key, value in said["ages"].items() if isinstance(value, dict) and _are_numbers(value)}
    turned = said.get("turned_away")
    if turned is not None:
        pairs = turned if isinstance(turned, list) else []
        said["turned_away"] = [each for each in pairs if isinstance(each, list) and len(each) == 2 and {*map(type, each)} == {str}]
    if not isinstance(said.get("faulty", ""), str):
        said.pop("faulty")
    return said


def _are_numbers(value: Mapping[str, Any]) -> bool:
    return all(isinstance(each, (int, float)) for each in value.values())


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """What JSON carries; the rest as its text. `left` counts down what it is made of."""
    left[0] -= 1
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(-NUMBER_MAX, min(NUMBER_MAX, value))
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, str):
        return value[:TEXT_MAX].encode("utf-8", "replace").decode()
    if depth >= DEPTH_MAX or left[0] < 0:
        return None
    if isinstance(value, Mapping):
        return {str(key)[:TEXT_MAX]: _plain(each, left, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, left, depth + 1) for each in value]
    return str(value)[:200]


class Talk:
    """How much each process may say beside its pulses: fifty things a second. Time is an argument."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}
        self.cut_short: dict[str, int] = {}

    def admits(self, instance: str, now: float) -> bool:
        """Whether one more may be handed on."""
        left, counted_s = self._left.get(instance, (TALK_AT_ONCE, now))
        left = min(TALK_AT_ONCE, left + (now - counted_s) * TALK_A_SECOND)
        if left < 1.0:
            self._left[instance] = (left, now)
            self.cut_short[instance] = self.cut_short.get(instance, 0) + 1
            return False
        self._left[instance] = (left - 1.0, now)
        return True

    def forget(self, instance: str) -> int:
        """Its process has ended; how often it was cut short."""
        self._left.pop(instance, None)
        return self.cut_short.pop(instance, 0)
