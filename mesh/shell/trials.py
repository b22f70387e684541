"""Edited code beside the role that plays, in a rehearsal: it plays once it is set up, and on probation for a while.

What can be known before is found before: code that cannot be read or set up never plays, and the role that plays notices nothing. Whether
a handler works shows only when something comes to handle. So the process of the old code is kept for a while, muted and idle, and takes its
place back, with all that it knew, at the first mistake of the new one: an exception, an end of its process, a hang. Visitors then miss what
was to be handled meanwhile, a frame or two, and see nothing wrong. Decided against: handing the new code copies of frames before it plays
(its state would count them twice, and what it asks and shows would still be untried), and keeping an old code that made mistakes itself.

A page, or options of a built-in kind, cannot be tried beside what plays, since two cannot hold one port or one camera: their role is
ended and started again, and where options cannot be set up, once more with those that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core.cast import Cast
from mesh.core.claims import STARTING
from mesh.core.effects import Launch
from mesh.core.events import Event, RoleRenewed
from mesh.core.spec import RoleSpec
from mesh.errors import RoomfulError
from mesh.shell.edits import told
from mesh.shell.supervisor import Exit, Supervisor
from mesh.shell.vouching import Pair

STOP_GRACE_S = 2.0
PROBATION_S = 10.0
UNHEARD_MAX_S = 60.0  # for so long it may wait for an input on which nothing has come yet
GOOD_S = 10.0  # a role that made no mistake for so long is good enough to come back
Send = Callable[[str, int, dict[str, Any]], object]


@dataclass(slots=True)
class Trial:
    """A second process of an instance, of edited code, that is being set up. `key` is its name at the supervisor."""

    key: str
    generation: int
    file: str
    pair: Pair
    failed: bool = False


@dataclass(slots=True)
class Wing:
    """The process of the old code, which waits in the wings. `back` is the word with which it takes its place again."""

    key: str
    file: str
    since_s: float
    back: RoleRenewed


@dataclass(slots=True)
class Trials:
    """The edits of one node's instances. `start(order, key)` starts a process, `greet` tells one what it missed, `undo` takes options
    back, `forget` drops what was known of a process's health."""

    supervisor: Supervisor
    send: Send
    cast: Callable[[], Cast]
    feed: Callable[[Event], None]
    report: Callable[[str, dict[str, Any]], None]
    now: Callable[[], float]
    start: Callable[[Launch, str], Pair]
    greet: Callable[[str, int], None]
    forget: Callable[[str], None]
    undo: Callable[[RoleSpec], None] = lambda role: None
    restarting: dict[str, str] = field(default_factory=dict)  # instance that was ended to show an edited file -> that file
    _trials: dict[str, Trial] = field(default_factory=dict)
    _wings: dict[str, Wing] = field(default_factory=dict)
    _before: dict[str, tuple[RoleSpec, str]] = field(default_factory=dict)  # instance -> its role as it was before options were edited
    _mistaken_s: dict[str, float] = field(default_factory=dict)

    def renew(self, instance: str, file: str) -> None:
        """Start a second process of an instance whose code was edited; it takes the place of the first once it is set up."""
        part = self.cast().parts.get(instance)
        if part is None or instance not in self.supervisor.running():
            return
        self.drop(instance)
        generation = self.cast().next_generation(instance)
        order = Launch(instance, generation, part.claim.epoch, part.standby)
        key = f"{instance}~{generation}"
        try:
            self._trials[instance] = Trial(key, generation, file, self.start(order, key))
        except (RoomfulError, OSError) as fault:
            self.report("role_edit", told(instance, file, {"what": getattr(fault, "words", str(fault))}))

    def restart(self, instance: str, file: str, before: RoleSpec | None = None) -> None:
        """End and start again an instance that shows an edited file: a page keeps its address so. `before`: its role with the options
        that it had, for when it cannot be set up with the new ones."""
        if instance in self.supervisor.running():
            self.restarting[instance] = f"{file} was edited"
            if before is not None:
                self._before.setdefault(instance, (before, file))
            self.supervisor.stop(instance, STOP_GRACE_S)
            self.report("role_edit", told(instance, file, None))

    def drop(self, instance: str) -> None:
        """The code that is being tried is out of date, or starts anyway."""
        trial = self._trials.pop(instance, None)
        if trial is not None:
            self.supervisor.kill(trial.key)

    # ---- what the processes say

    def hear(self, instance: str, generation: int, message: Mapping[str, Any]) -> bool:
        """Whether this came from a process that is being tried."""
        trial = self._trials.get(instance)
        if trial is None or trial.generation != generation:
            return False
        if message.get("type") == "failed":
            self.report("role_edit", told(instance, trial.file, message))
            trial.failed = True
        elif message.get("type") == "event":  # what it says while it is set up
            said = {key: value for key, value in message.items() if key not in ("type", "traceback")}
            self.report("role_event", {"instance": instance, **said})
        elif message.get("type") == "ready":
            self._change(instance, trial, message)
        return True

    def _change(self, instance: str, trial: Trial, message: Mapping[str, Any]) -> None:
        """The one that was tried takes the place of the one that plays, which waits in the wings if it was good."""
        del self._trials[instance]
        self._leave(instance)
        part, old = self.cast().parts.get(instance), f"{instance}~before-{trial.generation}"
        if part is not None and instance in self.supervisor.running():
            claim = part.claim
            self.supervisor.rename(instance, old)
            good = self.now() - self._mistaken_s.get(instance, float("-inf")) >= GOOD_S and claim.state != STARTING
            if good:
                back = RoleRenewed(
                    instance, claim.generation, claim.frames_port, claim.requests_port, claim.pid, claim.key, claim.vouch)
                self._wings[instance] = Wing(old, trial.file, self.now(), back)
            self.send(instance, claim.generation, {"type": "mute" if good else "stop"})
            if not good:
                self.supervisor.stop(old, STOP_GRACE_S)
        self._mistaken_s.pop(instance, None)
        self.supervisor.rename(trial.key, instance)
        self.forget(instance)
        ports = message["frames_port"], message["requests_port"]
        self.feed(RoleRenewed(instance, trial.generation, *ports, message.get("pid", 0), trial.pair.public, trial.pair.vouch))
        self.report("role_edit", told(instance, trial.file, None))

    def mistaken(self, instance: str, message: Mapping[str, Any]) -> bool:
        """The process that plays made a mistake, or cannot play. Whether the old code plays again for that."""
        self._mistaken_s[instance] = self.now()
        before = self._before.pop(instance, None) if message.get("type") == "failed" else None
        if before is not None:
            role, file = before
            self.undo(role)
            self.report("role_edit", {**told(instance, file, message), "back": True})
            return False  # its process ends as it would, and starts again as it was
        return self._back(instance, message)

    def ready(self, instance: str) -> None:
        """It is set up with its new options."""
        self._before.pop(instance, None)

    def _back(self, instance: str, words: Mapping[str, Any]) -> bool:
        if instance not in self.cast().parts:
            self._leave(instance)
        wing = self._wings.pop(instance, None)
        if wing is None or wing.key not in self.supervisor.running():
            return False
        if instance in self.supervisor.running():
            generation = self.cast().generations.get(instance, 0)
            failed = f"{instance}~failed-{generation}"
            self.supervisor.rename(instance, failed)
            self.send(instance, generation, {"type": "stop"})
            self.supervisor.stop(failed, STOP_GRACE_S)
        self.supervisor.rename(wing.key, instance)
        self.forget(instance)
        self._mistaken_s.pop(instance, None)
        self.feed(wing.back)
        self.greet(instance, wing.back.generation)
        self.report("role_edit", {**told(instance, wing.file, words), "back": True})
        return True

    # ---- time, and ends

    def look(self, pulses: Mapping[str, Mapping[str, Any]]) -> None:
        """Those that have played long enough are good; what waited in their wings ends."""
        for instance, wing in list(self._wings.items()):
            self.send(instance, wing.back.generation, {"type": "still_here"})
            pulse, for_s = pulses.get(instance, {}), self.now() - wing.since_s
            heard = all(pulse.get("received", {}).values())
            proven = for_s >= PROBATION_S and (heard or for_s >= UNHEARD_MAX_S) and not pulse.get("facts", {}).get("busy")
            if proven or instance not in self.cast().parts:
                self._leave(instance)

    def _leave(self, instance: str) -> None:
        wing = self._wings.pop(instance, None)
        if wing is not None and wing.key in self.supervisor.running():
            self.send(instance, wing.back.generation, {"type": "stop"})
            self.supervisor.stop(wing.key, STOP_GRACE_S)

    def hung(self, instance: str, words: str) -> bool:
        """It does not work, in these words. Whether the old code plays again for that."""
        return self._back(instance, {"what": words})

    def ended(self, end: Exit, why: str) -> bool:
        """Whether nothing more follows from this end: a trial's, that of one from the wings, or one that the old code makes up for."""
        instance, beside, _ = end.instance.partition("~")
        if not beside:
            return not end.asked and self._back(instance, {"what": why})
        trial = self._trials.get(instance)
        if trial is not None and trial.key == end.instance:
            del self._trials[instance]
            if not trial.failed and not end.asked:
                self.report("role_edit", told(instance, trial.file, {"what": why}))
        return True
