"""The agent's hands on its roles: starts, ends, hears and watches the processes that the mind asked for.

What it learns it feeds to the mind as events; what follows from them is decided there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesh.core.cast import Cast
from mesh.core.claims import STARTING
from mesh.core.clock import Course
from mesh.core.effects import End, Halt, Launch, Tell
from mesh.core.events import Event, RoleEnded, RoleFound, RoleReady, RoleStarted, RoleTooLarge, RoleWorks
from mesh.core.ladder import Rungs
from mesh.core.loading import Lingering, Loading, late_words, place_in
from mesh.core.role_words import Talk, understood
from mesh.core.spec import Deployment, RoleSpec
from mesh.core.vigil import FAULTY, HAND_OVER_S, HUNG_S, TOO_LARGE, Finding, SignsOfLife, examine, has_worked
from mesh.errors import RoomfulError, on_a_line
from mesh.shell.kept import KeptClock, KeptParts
from mesh.shell.last_words import why_ended
from mesh.shell.launching import Ports, Stead, config_for, niceness_of, role_of, sizes
from mesh.shell.logs import Logs
from mesh.shell.machine import host_mark
from mesh.shell.supervisor import Exit, LaunchOrder, Supervisor
from mesh.shell.transport import Link
from mesh.shell.trials import Trials
from mesh.shell.vouching import Pair, new_pair

STOP_GRACE_S = 2.0
STILL_HERE_S = 0.5
CLOCK_LOOKS = 20
CUT_MAX = 512


class Processes:
    """The roles' processes of one node. `feed` takes events for the mind, `report` what people may want to know."""

    def __init__(
        self, run: Path, mine: tuple[bytes, bytes], logs: Logs, ports: Ports, cast: Callable[[], Cast], feed: Callable[[Event], None],
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
        self.link = Link(mine, self._on_role)
        self.endpoint = self.link.bind(run / "link")
        self._lingering = Lingering()
        self.supervisor = Supervisor(logs, self._on_exit, lambda words: report("trouble", {"what": words}))
        self.trials = Trials(self.supervisor, self.link.send, cast, feed, report, now, self._start, self._greet, self._forget_pulse)

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
        self.trials.drop(order.instance)  # the one whose place it would have taken has ended first, and starts from the edited code anyway
        if order.instance in self.supervisor.running():
            self._waiting[order.instance] = order
            return
        assert self.stead is not None
        try:
            pair = self._start(order)
            pid = self.supervisor.running()[order.instance].pid
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

    def _start(self, order: Launch, key: str = "") -> Pair:
        """Start its process. Raises RoomfulError or OSError."""
        if self.leaving or self.deployment is None or self.stead is None:
            raise RoomfulError("this machine's agent is stopping")
        role = self._on_rung(order.instance, role_of(order.instance, self.deployment))
        pair = new_pair(self.stead.key, order.instance, order.generation)
        ports = (0, 0) if key else self._ports.pair(order.instance)
        config = config_for(order, role, self.deployment, self.stead, ports, pair, self._states.get(order.instance))
        config |= {"clock": self.course.as_order(), "vouched": self._guests, "link_name": self.link.name(order.instance, order.generation)}
        self.link.admit(order.instance, order.generation, pair.public)
        try:
            self.supervisor.start(LaunchOrder(order.instance, order.generation, config, niceness_of(role, self.deployment), key))
        except (RoomfulError, OSError):
            self.link.forget(order.instance, order.generation)
            raise
        return pair

    def _greet(self, instance: str, generation: int) -> None:
        """What was told before it had a line to here, or while it waited in the wings, is lost."""
        self.link.send(instance, generation, self.course.as_order())
        self.link.send(instance, generation, {"type": "keys", "vouched": self._guests, "cut": self._cut})

    def _forget_pulse(self, instance: str) -> None:
        self.pulses.pop(instance, None)
        self._signs.forget(instance)

    # ---- what the processes do and say

    def _on_exit(self, end: Exit) -> None:
        self.link.forget(end.instance.partition("~")[0], end.generation)
        said = why_ended(end, self._reads(end.instance))
        if self.trials.ended(end, self._failures.get(end.instance, "") or said):
            return
        edited = self.trials.restarting.pop(end.instance, "") if end.asked else ""
        why = self._failures.pop(end.instance, "") or edited or said
        self._forget_pulse(end.instance)
        self._too_large_s.pop(end.instance, None)
        self._ports.taken.pop(end.instance, None)
        if too_much := self._talk.forget(end.instance):
            self._report("role_event", {"instance": end.instance, "what": f"it said too much at once; {too_much} lines were left out"})
        faulty, worked_s = end.instance in self._faults, self._faults.pop(end.instance, None)
        if not end.asked:
            self._down_the_ladder(end.instance)
        clean = end.asked and not faulty and not edited
        self._feed(RoleEnded(end.instance, end.generation, why, clean=clean, faulty=faulty, worked_s=worked_s, edited=bool(edited)))
        waiting = self._waiting.pop(end.instance, None)
        if waiting is not None:
            self._launch(waiting)

    def _reads(self, instance: str) -> str:
        """The file of the model that an instance is being set up with; "" once it is."""
        instance = instance.partition("~")[0]
        part = self._cast().parts.get(instance)
        if self.deployment is None or part is None or part.claim.state != STARTING:
            return ""
        with contextlib.suppress(RoomfulError, KeyError):
            return self.deployment.models[self._playing.get(instance) or role_of(instance, self.deployment).model or ""].file
        return ""

    def _on_role(self, instance: str, generation: int, message: dict[str, Any]) -> None:
        """A role's process speaks."""
        known = understood(message)
        if known is None or (known["type"] in ("event", "gap") and not self._talk.admits(instance, self._now())):
            self.link.broken += known is None
            return
        message = known
        if self.trials.hear(instance, generation, message) or generation != self._cast().generations.get(instance):
            return
        if ("traceback" in message or message["type"] == "failed") and self.trials.mistaken(instance, message):
            return
        match message.get("type"):
            case "hello":
                self._greet(instance, generation)
            case "ready":
                self.trials.ready(instance)
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
                fields = {key: value for key, value in message.items() if key not in ("type", "traceback")}
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
        self.trials.look(self.pulses)
        for instance, silent_s in self._signs.look(self._now()).items():
            part = self._cast().parts.get(instance)
            if part is None or part.claim.state == STARTING or self.deployment is None or instance in self._faults:
                continue
            limit = role_of(instance, self.deployment).limits.get("memory_bytes")
            pulse = self.pulses.get(instance, {})
            if lingers := self._lingering.words(instance, part.claim.generation, pulse, HUNG_S):
                self._report("role_event", {"instance": instance, "level": "error", "what": lingers})
            found = examine(pulse, silent_s, limit)
            if found is not None and found.what == TOO_LARGE and self._may_hand_over(instance, part.claim.generation, found.words):
                continue
            if found is not None and self.trials.hung(instance, found.words):
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
                with contextlib.suppress(ValueError):  # what the agent before kept is no key: it ends for want of an agent
                    self.link.admit(claim.instance, claim.generation, claim.key)
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
