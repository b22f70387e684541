"""A role's small state, `self.state`: what its standby needs so that a conversation, or a flock, goes on.

The holder's is looked at after its handlers ran, at most fifty times a second, and told to whoever follows it when its
bytes have changed; also to the agent, which gives it back to a process that it starts again. A standby's is overwritten
with what it hears, between two handlers, until it plays. It is small (64 KB) and plain (what MessagePack carries), because
it must have left the machine before the machine is lost. Decided against: remembering every assignment (a dict inside a
dict would escape), and a disk (a state a night old is worse than none).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgpack

from mesh.core.frames import plain
from mesh.core.request_messages import STATE_BYTES_MAX, Kept
from mesh.role import Role
from mesh.shell.host_config import HostConfig
from mesh.shell.standing import Standing

LOOK_S = 0.02
AGENT_S = 0.25
EMPTY = b"\x80"


class Memory:
    """One role's state. `tell_followers` takes what its standbys hear, `tell` what the agent hears."""

    def __init__(
        self, role: Role, config: HostConfig, standing: Standing, tell_followers: Callable[[Kept], None],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self._role, self._instance, self._standing = role, config.instance, standing
        self._tell_followers, self._tell = tell_followers, tell
        self._data = EMPTY
        self._stamp = (0, 0)  # (epoch, number) of the state that is held
        self._look_s = self._agent_s = 0.0
        self._untold = False
        self._complained = ""
        self._before = b"" if config.state is None else base64.b64decode(config.state)
        self.restore()

    def restore(self) -> None:
        """What the process before this one remembered; before `setup`, which may read it, and after, which may have begun afresh."""
        if self._before:
            self._take(self._before)

    def look(self, now: float) -> None:
        """The holder's state is told when it has changed."""
        if not self._standing.playing or now < self._look_s:
            return
        self._look_s = now + LOOK_S
        data = self._packed()
        if data is not None and data != self._data:
            self._data, self._untold = data, True
            self._stamp = (self._standing.epoch, self._stamp[1] + 1)
            self._tell_followers(self.kept())
        if self._untold and now >= self._agent_s:
            self._untold, self._agent_s = False, now + AGENT_S
            self._tell({"type": "state", "data": self._data})

    def kept(self) -> Kept:
        """The state as it was told last."""
        return Kept(self._instance, *self._stamp, self._data)

    @property
    def number(self) -> int:
        """Of the state that is held: what it made itself, or heard last; 0 for none."""
        return self._stamp[1]

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return self._stamp != (0, 0)

    def hear(self, kept: Kept) -> None:
        """The holder's state, as it told it; the newest counts, and none once this process plays."""
        if kept.id != self._instance or self._standing.playing or (kept.epoch, kept.number) <= self._stamp:
            return
        self._stamp = (kept.epoch, kept.number)
        self._take(kept.data)

    def _take(self, data: bytes) -> None:
        try:
            state = msgpack.unpackb(data, strict_map_key=False)
        except (ValueError, TypeError):
            return  # of another process's making, so it is not believed
        if isinstance(state, dict):
            self._data = data
            self._role.state.clear()
            self._role.state.update(state)

    def _packed(self) -> bytes | None:
        """None where it cannot travel, which is said once."""
        state = self._role.state
        if not state and self._data == EMPTY:
            return None
        if not isinstance(state, dict):
            self._complain(f"self.state is to be a dict: it is a {type(state).__name__} now, which does not travel to a standby")
            return None
        try:
            data = bytes(msgpack.packb(state, default=plain))
        except (ValueError, TypeError, OverflowError) as error:
            self._complain(f"self.state cannot travel to a standby: {error}; keep plain numbers, texts, lists and dicts in it")
            return None
        if len(data) > STATE_BYTES_MAX:
            self._complain(f"self.state is too large: {len(data):,} bytes, at most {STATE_BYTES_MAX:,}; its standby keeps the last one")
            return None
        self._complained = ""
        return data

    def _complain(self, words: str) -> None:
        kind = words.split(":")[0]
        if kind != self._complained:
            self._complained = kind
            self._tell({"type": "event", "level": "error", "what": words})
