"""The agent's hands on its roles: starts, ends, hears and watches the processes that the mind asked for.

What it learns it feeds to the mind as events; what follows from them is decided there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesh.core.cast import Cast
from mesh.core.claims import STARTING
from mesh.core.clock import Course
from mesh.core.effects import End, Halt, Launch, Tell
from mesh.core.events import Event, RoleEnded, RoleFound, RoleReady, RoleRenewed, RoleStarted, RoleTooLarge, RoleWorks
from mesh.core.ladder import Rungs
from mesh.core.loading import Loading, late_words, place_in
from mesh.core.role_words import Talk, understood
from mesh.core.spec import Deployment, RoleSpec
from mesh.core.vigil import FAULTY, HAND_OVER_S, TOO_LARGE, Finding, SignsOfLife, examine, has_worked
from mesh.errors import RoomfulError, on_a_line
from mesh.shell.edits import told
from mesh.shell.kept import KeptClock, KeptParts
from mesh.shell.launching import Ports, Stead, config_for, niceness_of, role_of, sizes
from mesh.shell.logs import Logs
from mesh.shell.machine import host_mark
from mesh.shell.supervisor import Exit, LaunchOrder, Supervisor
from mesh.shell.transport import Link
from mesh.shell.vouching import Pair, new_pair

STOP_GRACE_S = 2.0
STILL_HERE_S = 0.5
CLOCK_LOOKS = 20
CUT_MAX = 512


@dataclass(slots=True)
class Trial:
    """A second process of an instance, of edited code, that is being set up. `key` is its name at the supervisor."""

    key: str
    generation: int
    file: str
    pair: Pair
    failed: bool = False


class Processes:
    """The roles' processes of one node. `feed` takes events for the mind, `report` what people may want to know."""

    def __init__(
        self, run: Path, logs: Logs, ports: Ports, cast: Callable[[], Cast], feed: Callable[[Event], None],
        report: Callable[[str, dict[str, Any]], None], now: Callable[[], float],
    ) -> None:
        self.pulses: dict[str, dict[str, Any]] = {}
        self.leaving = False
        self._looks = 0
        self.deployment: Deployment | None = None
        self.stead: Stead | None = None
        self._ports, self._cast, self._feed, self._report, self._now = ports, cast, feed, report, now
        self._signs = SignsOfLife(STILL_HERE_S)
        self._waiting: dict[str, Launch] = {}
        self._failures: dict[str, str] = {}
        self._too_large_s: dict[str, float] = {}
        self._faults: dict[str, float | None] = {}  # instance that is being ended because it does not work -> how long it did
        self.measured: dict[str, Any] = {}  # what this machine has
        self._rungs = Rungs()
        self._playing: dict[str, str] = {}  # instance of a ladder -> the model that it plays here
        self._trials: dict[str, Trial] = {}  # instance -> the process of edited code that would take its place
        self._restarting: set[str] = set()
        self.turned_away: Callable[[str, str], None] = lambda address, what: None
        self._guests: list[str] = []  # the keys that processes here let in
        self._cut: list[str] = []  # those that were shut out in this life, for a process that had no line to here then
        self._folders: dict[str, Path] = {}  # instance -> the folder of the revision that its process was started from
        self._states: dict[str, bytes] = {}  # what each instance here remembers, for when its process must be started again
        self._kept = KeptParts(run / "parts.json", host_mark())
        self._kept_clock = KeptClock(run / "clock.json")
        self.course = self._kept_clock.course  # of the room's time on this machine
        self._talk = Talk()
        self._loading = Loading()
        self.link = Link(self._on_role)
        self.endpoint = self.link.bind(run / "link")
        self.supervisor = Supervisor(logs, self._on_exit, lambda words: report("trouble", {"what": words}))

    # ---- what the mind wants

    def launch(self, order: Launch) -> None:
        """Start a process, now or after its delay."""
        if order.delay_s > 0:
            asyncio.get_running_loop().call_later(order.delay_s, self._launch, order)
        else:
            self._launch(order)

    def halt(self, effect: Halt) -> None:
        """End a process: politely, and after its grace not."""
        self._waiting.pop(effect.instance, None)
        self._states.pop(effect.instance, None)
        self.link.send(effect.instance, effect.generation, {"type": "stop", "rests": effect.rests})
        self.supervisor.stop(effect.instance, effect.grace_s)

    def tell(self, effect: Tell) -> None:
        """Orders for a process."""
        self.link.send(effect.instance, effect.generation, effect.order)

    def tell_all(self, order: dict[str, Any]) -> None:
        """The same for every process that runs."""
        generations = self._cast().generations
        for instance in self.supervisor.running():
            self.link.send(instance, generations.get(instance, 0), order)

    def set_guests(self, publics: list[str], cut: list[str] | None = None, gone: list[str] | None = None) -> None:
        """The keys that are let in by every process that runs, and by those that will. With `cut` somebody was shut out: these are hung
        up on, and all others who are not let in any more; what the nodes `gone` say is heard no more."""
        self._guests = publics
        self._cut = [*self._cut, *(cut or ())][-CUT_MAX:]
        self.tell_all({"type": "keys", "vouched": publics, "cut": cut or [], "sweep": cut is not None, "gone": gone or []})

    def set_clock(self, course: Course) -> None:
        """The room's time runs so from now on: for every process that runs, and for those that will."""
        self.course = course
        self._kept_clock.write(course, self._now())
        self.tell_all(course.as_order())

    def _launch(self, order: Launch) -> None:
        """Start the process, unless it is no longer wanted; wait for its predecessor to end first."""
        part = self._cast().parts.get(order.instance)
        if part is None or part.claim.generation != order.generation or self.leaving:
            return
        trial = self._trials.pop(order.instance, None)
        if trial is not None:  # the one whose place it would have taken has ended first, and starts from the edited code anyway
            self.supervisor.kill(trial.key)
        if order.instance in self.supervisor.running():
            self._waiting[order.instance] = order
            return
        assert self.deployment is not None and self.stead is not None
        try:
            role = self._on_rung(order.instance, role_of(order.instance, self.deployment))
            state = self._states.get(order.instance)
            pair = new_pair(self.stead.key, order.instance, order.generation)
            config = config_for(order, role, self.deployment, self.stead, self._ports.pair(order.instance), pair, state)
            config |= {"clock": self.course.as_order(), "vouched": self._guests}
            pid = self.supervisor.start(LaunchOrder(order.instance, order.generation, config, niceness_of(role, self.deployment)))
            self._folders[order.instance] = self.stead.folder
            self._loading.begun(order.instance, order.generation, self._now())
        except (RoomfulError, OSError) as fault:
            self._feed(RoleEnded(order.instance, order.generation, getattr(fault, "words", str(fault))))
            return
        model = self._playing.get(order.instance, "")
        self._feed(RoleStarted(order.instance, order.generation, pid, model, pair.public, pair.vouch))

    def _on_rung(self, instance: str, role: RoleSpec) -> RoleSpec:
        """The role with the model of its ladder that this machine plays."""
        assert self.deployment is not None and self.stead is not None
        if len(role.ladder) < 2:
            return role
        has = {**self.measured, **self.deployment.has_of(self.stead.machine)}
        others = [role_of(name, self.deployment) for name in self._cast().parts if name != instance]
        free = int(has.get("memory_bytes", 0)) - sum(other.needs.memory_bytes for other in others)
        here = sizes(role, self.deployment, self.stead.folder)
        model = self._rungs.choose(instance, role, here, max(1, free) if has.get("memory_bytes") else 0)
        if model != self._playing.get(instance):
            self._report("role_event", {"instance": instance, "what": f"plays the model {model}"})
        self._playing[instance] = model
        return replace(role, model=model)

    def _down_the_ladder(self, instance: str) -> None:
        """A model that could not be set up here gives way to a smaller one."""
        part, model = self._cast().parts.get(instance), self._playing.get(instance)
        if model is None or part is None or part.claim.state != STARTING or self.deployment is None:
            return
        smaller = self._rungs.failed(instance, role_of(instance, self.deployment), model)
        if smaller:
            self._report("role_event", {"instance": instance, "what": f"the model {model} could not be loaded here; {smaller} is next"})

    def plays_from(self) -> set[Path] | None:
        """The folders of the revisions that processes here were started from; None when this is not known of all of them."""
        running = set(self.supervisor.running())
        self._folders = {instance: folder for instance, folder in self._folders.items() if instance in running}
        return set(self._folders.values()) if running <= set(self._folders) else None

    # ---- edited code, in a rehearsal

    def renew(self, instance: str, file: str) -> None:
        """Start a second process of an instance whose code was edited; it takes the place of the first once it is set up."""
        part = self._cast().parts.get(instance)
        if part is None or instance not in self.supervisor.running() or self.deployment is None or self.stead is None or self.leaving:
            return
        old = self._trials.pop(instance, None)
        if old is not None:
            self.supervisor.kill(old.key)
        generation = max(self._cast().generations.get(instance, 0), old.generation if old else 0) + 1
        pair = new_pair(self.stead.key, instance, generation)
        trial = self._trials[instance] = Trial(f"{instance}~{generation}", generation, file, pair)
        order = Launch(instance, generation, part.claim.epoch, part.standby)
        role = self._on_rung(instance, role_of(instance, self.deployment))
        config = config_for(order, role, self.deployment, self.stead, (0, 0), pair, self._states.get(instance))
        config |= {"clock": self.course.as_order(), "vouched": self._guests}
        try:
            self.supervisor.start(LaunchOrder(instance, generation, config, niceness_of(role, self.deployment), trial.key))
        except (RoomfulError, OSError) as fault:
            del self._trials[instance]
            self._report("role_edit", told(instance, file, {"what": getattr(fault, "words", str(fault))}))

    def restart(self, instance: str, file: str) -> None:
        """End and start again an instance that shows an edited file: a page keeps its address so."""
        if instance in self.supervisor.running():
            self._restarting.add(instance)
            self._failures[instance] = f"{file} was edited"
            self.supervisor.stop(instance, STOP_GRACE_S)
            self._report("role_edit", told(instance, file, None))

    def _hear_trial(self, instance: str, trial: Trial, message: dict[str, Any]) -> None:
        if message.get("type") == "failed":
            self._report("role_edit", told(instance, trial.file, message))
            trial.failed = True
        elif message.get("type") == "event":  # what it says while it is set up
            self._report("role_event", {"instance": instance, **{key: value for key, value in message.items() if key != "type"}})
        elif message.get("type") == "ready":
            del self._trials[instance]
            old = f"{instance}~before-{trial.generation}"
            if instance in self.supervisor.running():
                self.supervisor.rename(instance, old)
            self.supervisor.rename(trial.key, instance)
            self.pulses.pop(instance, None)
            self._signs.forget(instance)
            generation = self._cast().generations.get(instance, 0)
            ports = message["frames_port"], message["requests_port"]
            self._feed(RoleRenewed(instance, trial.generation, *ports, message.get("pid", 0), trial.pair.public, trial.pair.vouch))
            self.link.send(instance, generation, {"type": "stop"})
            self.supervisor.stop(old, STOP_GRACE_S)
            self._report("role_edit", told(instance, trial.file, None))

    def _trial_ended(self, end: Exit) -> None:
        """A trial, or the process that one took the place of, is over. One that ended without a word is told of as well."""
        instance = end.instance.partition("~")[0]
        trial = self._trials.get(instance)
        if trial is not None and trial.key == end.instance:
            del self._trials[instance]
            if not trial.failed and not end.asked:
                self._report("role_edit", told(instance, trial.file, {"what": _why_ended(end)}))

    # ---- what the processes do and say

    def _on_exit(self, end: Exit) -> None:
        if "~" in end.instance:
            self._trial_ended(end)
            return
        why = self._failures.pop(end.instance, "") or _why_ended(end)
        self.pulses.pop(end.instance, None)
        self._signs.forget(end.instance)
        self._too_large_s.pop(end.instance, None)
        self._ports.taken.pop(end.instance, None)
        if too_much := self._talk.forget(end.instance):
            self._report("role_event", {"instance": end.instance, "what": f"it said too much at once; {too_much} lines were left out"})
        faulty, worked_s = end.instance in self._faults, self._faults.pop(end.instance, None)
        if not end.asked:
            self._down_the_ladder(end.instance)
        edited = end.asked and end.instance in self._restarting
        self._restarting.discard(end.instance)
        clean = end.asked and not faulty and not edited
        self._feed(RoleEnded(end.instance, end.generation, why, clean=clean, faulty=faulty, worked_s=worked_s, edited=edited))
        waiting = self._waiting.pop(end.instance, None)
        if waiting is not None:
            self._launch(waiting)

    def _on_role(self, instance: str, generation: int, message: dict[str, Any]) -> None:
        """A role's process speaks."""
        known = understood(message)
        if known is None or (known["type"] in ("event", "gap") and not self._talk.admits(instance, self._now())):
            self.link.broken += known is None
            return
        message = known
        trial = self._trials.get(instance)
        if trial is not None and trial.generation == generation:
            self._hear_trial(instance, trial, message)
            return
        if generation != self._cast().generations.get(instance):
            return
        match message.get("type"):
            case "hello":  # what was told before it had a line to here is lost
                self.link.send(instance, generation, self.course.as_order())
                self.link.send(instance, generation, {"type": "keys", "vouched": self._guests, "cut": self._cut})
            case "ready":
                ports = message["frames_port"], message["requests_port"]
                self._feed(RoleReady(instance, generation, *ports, message.get("pid", 0)))
            case "pulse":
                for address, why in message.pop("turned_away", ()):
                    self.turned_away(address, f"at the port of {instance}: {why}")
                self.pulses[instance] = message
                self._signs.heard(instance, self._now())
            case "state":
                self._states[instance] = message["data"]
            case "failed":
                words = on_a_line(*(str(message.get(key) or "") for key in ("what", "where", "instead")))
                self._failures[instance] = words
                self._report("role_failed", {"instance": instance, "what": words})
            case "event" | "gap" as kind:
                fields = {key: value for key, value in message.items() if key != "type"}
                self._report(f"role_{kind}", {"instance": instance, **fields})

    def look(self) -> None:
        """Tell every role that its agent is here, and end those that have hung, grown too large, or say that they do not work. To be called
        every `STILL_HERE_S`."""
        self.link.hear_out()
        self.tell_all({"type": "still_here"})
        self._looks += 1
        if self._looks % CLOCK_LOOKS == 0:  # to one that was adopted, perhaps before its line was there
            self.tell_all(self.course.as_order())
            self.tell_all({"type": "keys", "vouched": self._guests})
        self._tell_of_loading()
        for instance, silent_s in self._signs.look(self._now()).items():
            part = self._cast().parts.get(instance)
            if part is None or part.claim.state == STARTING or self.deployment is None or instance in self._faults:
                continue
            limit = role_of(instance, self.deployment).limits.get("memory_bytes")
            pulse = self.pulses.get(instance, {})
            found = examine(pulse, silent_s, limit)
            if found is not None and found.what == TOO_LARGE and self._may_hand_over(instance, part.claim.generation, found.words):
                continue
            if found is not None:
                self._signs.forget(instance)
                self._end_faulty(instance, part.claim.pid, found, pulse.get("worked_s"))
            elif part.claim.trouble and has_worked(pulse):
                self._feed(RoleWorks(instance, part.claim.generation))

    def _tell_of_loading(self) -> None:
        starting = {name: part.claim.generation for name, part in self._cast().parts.items() if part.claim.state == STARTING}
        for instance, for_s in self._loading.late(starting, self._now()):
            what = late_words(for_s, place_in(self.pulses.get(instance, {}).get("facts", {})))
            self._report("role_event", {"instance": instance, "level": "info", "what": what})

    def _may_hand_over(self, instance: str, generation: int, words: str) -> bool:
        """Say once that it has grown too large. Whether it may go on for now."""
        if instance not in self._too_large_s:
            self._too_large_s[instance] = self._now()
            self._report("role_faulty", {"instance": instance, "what": words})
            self._feed(RoleTooLarge(instance, generation, words))
        return self._now() < self._too_large_s[instance] + HAND_OVER_S

    def end(self, effect: End) -> None:
        """End a process at once; that it ended is then told as if it had done so itself."""
        running = self.supervisor.running().get(effect.instance)
        if running is not None and running.generation == effect.generation:
            self._failures[effect.instance] = effect.why
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)

    def _end_faulty(self, instance: str, pid: int, found: Finding, worked_s: float | None) -> None:
        """One that still obeys is asked to end, so that it lets go of its device; one that does not is ended."""
        self._failures[instance] = found.words
        self._report("role_faulty", {"instance": instance, "what": found.words})
        if found.what == FAULTY:
            self._faults[instance] = worked_s
            self.supervisor.stop(instance, STOP_GRACE_S)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    # ---- across agents

    def adopt(self) -> None:
        """Roles outlive an agent that crashed: those that still play are found by what it left beside its socket, and kept."""
        for claim, standby in self._kept.read():
            if self.supervisor.adopt(claim.instance, claim.generation, claim.pid):
                self._feed(RoleFound(claim, standby))
                self._report("adopted", {"instance": claim.instance, "pid": claim.pid})

    def keep(self) -> None:
        """Leave beside the socket what the next agent would adopt."""
        self._kept.write(self._cast().parts.values())

    async def close(self) -> None:
        """End every process and the link."""
        self.leaving = True
        self.tell_all({"type": "stop"})
        await self.supervisor.close(STOP_GRACE_S)
        self.link.close()
        self._kept.forget()


def _why_ended(end: Exit) -> str:
    how = f"ended by {end.signal}" if end.signal else f"ended with exit code {end.code}"
    last = next((line for line in reversed(end.last_lines) if line.strip() and not line.startswith("----")), "")
    return f"{how}; its last words: {last}" if last else how
