"""The asking side of requests: which copy gets which, and what happens when one falls silent.

    asked = answered + cancelled + lost + open, always.

Rules, in the order of their weight:
- a request goes to the copy with the least to do (`copies.py`), and waits here while all have enough;
- where a copy is suspect, gone, unreachable or refuses, its requests move to another one, if there is another;
- where a copy has said nothing for several times as long as copies of its role ever do, they move too: what it has in work only
  when another is idle, or after still longer; and it is asked less and less until it speaks;
- a request is sent again to the same copy when it was not acknowledged, when its answer has a hole, or has been silent;
- each piece is counted once and in order, by (try, index);
- one that nobody answered by its deadline is lost, and said so; sooner where nobody plays the role and a fallback is laid by.

Pure: time is an argument, every method returns what is to be done. Decided against: a broker (one more machine to
lose), time-outs as the sign of death (a long answer is not a dead one; the nodes' own heartbeats know better), and
sending to two copies at once (half of a small room's power).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mesh.core.copies import Copies, Copy, CopyId
from mesh.core.open_request import OpenRequest
from mesh.core.request_messages import Accepted, Ask, Cancel, Done, Message, Refused, Run, Said
from mesh.core.silences import Silences

WAITING_MAX = 1000
LOSSES_MAX = 8  # a question that ends every process that hears it must not end them all for ever
TICK_S = 0.1
UNACKNOWLEDGED_S = 1.0
SILENT_S = 2.0
PLANNED_MAX = 64  # of those that wait for one role, so many are given out at once
BUSY_S = 0.1
REFUSED_S = 1.0
BUSY_PATIENCE = 3  # times as unusual a silence, before work is begun anew at a copy that has enough to do already
ALONE_S = 5.0  # nobody plays the role for so long: what was laid by for that case is said, if there is something


class Tell(NamedTuple):
    """Send this to that copy."""

    copy: CopyId
    message: Message


class Heard(NamedTuple):
    """The next piece of a request whose asker wants its pieces."""

    id: str
    value: Any


class Over(NamedTuple):
    """A request ended: "answered", "cancelled" or "lost", and why in words. `handed`: its caller was given pieces of an answer."""

    id: str
    outcome: str
    why: str = ""
    role: str = ""
    handed: bool = False


class Bridged(NamedTuple):
    """A request that lost its copy hears the next one: the time without a word between them."""

    id: str
    role: str
    input: str
    before: CopyId
    after: CopyId
    gap_s: float


Effect = Tell | Heard | Over | Bridged


class Asker:
    """All requests of one process. `prefix` names it: "<instance>:<epoch>:<generation>"; `node` is its machine's."""

    def __init__(self, prefix: str, node: str = "") -> None:
        self.prefix = prefix
        self.node = node
        self.asked = self.answered = self.cancelled = self.lost = self.retried = 0
        self._number = 0
        self._open: dict[str, OpenRequest] = {}
        self._tries: dict[str, OpenRequest] = {}  # by the id of the current try
        self._waiting: list[tuple[int, str]] = []  # (number, id), the oldest first
        self._copies = Copies()
        self._tick_s = 0.0
        self._silences = Silences()

    # ---- what the role wants

    def ask(
        self, role: str, input: str, value: Any, *, type: str, captured_ns: int, deadline_s: float, now: float,
        topic: str = "", supersede: bool = False, pass_over: bool = False, streamed: bool = False, fallback: bool = False,
    ) -> tuple[str, list[Effect]]:  # fmt: skip
        """Asks, and returns the request's id. `deadline_s` is a moment.

        `supersede` cancels what is open of the same output, role and input, `pass_over` what of it is not in work yet; `streamed`
        hands its pieces on; `fallback`: there is something to say instead when nobody plays the role.
        """
        effects: list[Effect] = []
        if supersede or pass_over:
            in_work = set() if supersede else self._in_work()
            for old in list(self._open.values()):
                if (old.topic, old.role, old.ask.input) == (topic, role, input) and old.id not in in_work:
                    effects += self.cancel(old.id, now, why="a newer one took its place", fill=False)
        if len(self._waiting) >= WAITING_MAX:
            effects += self._lose(self._open[self._waiting[0][1]], f"more than {WAITING_MAX} were waiting")
        number = self._number
        self._number += 1
        id = f"{self.prefix}.{number}"
        ask = Ask(id, "", 0, input, value, type, captured_ns, 0, supersedes=supersede, node=self.node)
        self._open[id] = OpenRequest(number, id, role, topic, ask, deadline_s, streamed, fallback=fallback)
        self.asked += 1
        self._waiting.append((number, id))
        return id, effects + self._fill(now)

    def _in_work(self) -> set[str]:
        """The requests that a copy answers now, as far as can be known here: the oldest of mine that each has."""
        oldest: dict[CopyId, OpenRequest] = {}
        for request in self._open.values():
            if request.copy is not None and (request.copy not in oldest or request.number < oldest[request.copy].number):
                oldest[request.copy] = request
        return {request.id for request in oldest.values()}

    def cancel(self, id: str, now: float, why: str = "no longer wanted", fill: bool = True) -> list[Effect]:
        """No longer wanted. Nothing when it is over already."""
        request = self._open.get(id)
        if request is None:
            return []
        tell = self._tell_cancel(request)
        self.cancelled += 1
        self._close(request)
        return [*tell, Over(id, "cancelled", why), *(self._fill(now) if fill else [])]

    def close(self, why: str, now: float) -> list[Effect]:
        """Nobody here waits for anything any more."""
        effects: list[Effect] = []
        for id in list(self._open):
            effects += self.cancel(id, now, why, fill=False)
        return effects

    # ---- what the mesh says

    def route(self, roles: Mapping[str, Iterable[Copy]], now: float) -> list[Effect]:
        """The copies of every role that can be asked; a full replacement."""
        self._copies.route(roles)
        self._silences.keep(self._copies.named)
        return self._settle(now)

    def link_down(self, copy: CopyId, now: float) -> list[Effect]:
        """The connection broke or was refused."""
        self._copies.down(copy)
        return self._settle(now)

    def link_up(self, copy: CopyId, now: float) -> list[Effect]:
        """The connection stands again: what this copy holds of mine is sent once more, for what was lost on the way."""
        again: list[Effect] = []
        if self._copies.up(copy):
            again = [self._tell_ask(request, now) for request in self._open.values() if request.copy == copy]
        return [*again, *self._fill(now)]

    def hear(self, copy: CopyId, message: Message, now: float) -> list[Effect]:
        """A copy's word. Late ones, of tries that are over, change nothing but what is known of its load."""
        self._copies.spoke(copy)
        if isinstance(message, Accepted | Done | Refused):
            self._copies.reported(copy, message.depth)
        request = self._tries.get(message.id)
        if request is None:
            return []
        self._silences.spoke(request.role, copy, request.began_s, now)
        request.heard_s = now
        if isinstance(message, Accepted):
            self._accept(request, message)
        elif isinstance(message, Said):
            return self._piece(request, message, now)
        elif isinstance(message, Run):
            return self._pieces(request, message, now)
        elif isinstance(message, Done):
            effects = self._pieces(request, message, now)
            return effects + (self._done(request, message, now) if self._tries.get(message.id) is request else [])
        elif isinstance(message, Refused):
            self._copies.avoid(copy, now + (BUSY_S if message.why == "busy" else REFUSED_S))
            self._let_go(request)
            insort(self._waiting, (request.number, request.id))
            return self._fill(now)
        return []

    def tick(self, now: float) -> list[Effect]:
        """To be called every TICK_S while anything is open; calls in between cost nothing."""
        if now < self._tick_s or not self._open:
            return []
        self._tick_s = now + TICK_S
        effects: list[Effect] = []
        for request in list(self._open.values()):
            if now >= request.deadline_s:
                effects += self._tell_cancel(request)
                effects += self._lose(request, f"nobody of {request.role} answered in time")
            elif self._is_left_alone(request, now):
                effects += self._lose(request, f"nobody plays {request.role}")
            elif self._is_stuck(request, now):
                assert request.copy is not None
                self._copies.fell_silent(request.copy, now)
                effects += self._take_back(request)
            elif self._overdue(request, now):
                effects.append(self._tell_ask(request, now))
        return effects + self._settle(now)

    @property
    def open(self) -> int:
        """How many are neither answered nor cancelled nor lost."""
        return len(self._open)

    def counters(self) -> dict[str, int]:
        """As the rehearsal's summary shows them. May be read from another thread: they always add up."""
        asked, answered, cancelled, lost = self.asked, self.answered, self.cancelled, self.lost
        return {
            "asked": asked, "answered": answered, "cancelled": cancelled, "lost": lost,
            "open": asked - answered - cancelled - lost, "retried": self.retried,
        }  # fmt: skip

    # ---- pieces

    def _accept(self, request: OpenRequest, message: Accepted) -> None:
        if request.accepted:
            return
        request.accepted = True
        request.utterance = message.utterance or request.ask.id
        if message.start != request.have:  # it begins afresh, under this try's own name
            request.said = []

    def _pieces(self, request: OpenRequest, message: Run | Done, now: float) -> list[Effect]:
        first, items = message.run
        if items and request.accepted and first == request.have == len(request.handed):  # as nearly always: all at once
            request.said += items
            request.handed += [value for value, _ in items]
            return [*self._bridge(request, now), *(Heard(request.id, value) for value, _ in items)]
        said = list(message.each())
        return [effect for each in said if self._tries.get(message.id) is request for effect in self._piece(request, each, now)]

    def _piece(self, request: OpenRequest, message: Said, now: float) -> list[Effect]:
        if not request.accepted or message.piece > request.have:
            return self._ask_for_the_rest(request, now)
        if message.piece < request.have:
            return []
        request.said.append((message.value, message.mark))
        bridged = self._bridge(request, now)
        if not request.streamed:
            return bridged
        if message.piece < len(request.handed):
            return bridged if request.handed[message.piece] == message.value else self._broke_off(request, now)
        request.handed.append(message.value)
        return [*bridged, Heard(request.id, message.value)]

    def _bridge(self, request: OpenRequest, now: float) -> list[Effect]:
        before, request.lost_copy = request.lost_copy, None
        if before is None or request.copy is None:
            return []
        gap_s = now - request.silent_since_s
        return [Bridged(request.id, request.role, request.ask.input, before, request.copy, gap_s)]

    def _done(self, request: OpenRequest, message: Done, now: float) -> list[Effect]:
        if message.ended == "failed":
            return [*self._lose(request, f"{request.ask.instance} failed while answering"), *self._fill(now)]
        if message.ended is None and (not request.accepted or message.pieces > request.have):
            return self._ask_for_the_rest(request, now)
        outcome = "answered" if message.ended is None else "cancelled"
        if request.copy is not None and message.ended is None:
            self._copies.over(request.copy, request.began_s, now)
        setattr(self, outcome, getattr(self, outcome) + 1)
        bridged = self._bridge(request, now)
        self._close(request)
        return [*bridged, Over(request.id, outcome), *self._fill(now)]

    def _broke_off(self, request: OpenRequest, now: float) -> list[Effect]:
        """The caller has the beginning of one answer; another one began differently. Better an end than a garble."""
        tell = self._tell_cancel(request)
        why = "the answer broke off: its machine was lost, and another copy began differently"
        return [*tell, *self._lose(request, why), *self._fill(now)]

    def _ask_for_the_rest(self, request: OpenRequest, now: float) -> list[Effect]:
        return [self._tell_ask(request, now)] if now - request.sent_s >= TICK_S else []

    def _is_left_alone(self, request: OpenRequest, now: float) -> bool:
        """Whether nobody has played its role for so long that the fallback is better than waiting."""
        if not request.fallback or self._copies.any(request.role):
            request.alone_since_s = None
            return False
        if request.alone_since_s is None:
            request.alone_since_s = now
        return now - request.alone_since_s >= ALONE_S

    def _overdue(self, request: OpenRequest, now: float) -> bool:
        limit_s = SILENT_S if request.accepted else UNACKNOWLEDGED_S
        if request.copy is None or self._copies.is_down(request.copy):
            return False
        return now - max(request.sent_s, request.heard_s) >= limit_s

    def _is_stuck(self, request: OpenRequest, now: float) -> bool:
        """Whether its copy is unusually silent, and another one could do it: no machine has to be dead for that."""
        if request.copy is None or not self._copies.has_another(request.role, request.copy, now):
            return False
        spare = not request.accepted or self._copies.is_idle(request.role, request.copy, now)
        return self._silences.is_unusual(request.role, request.copy, request.began_s, now, patience=1 if spare else BUSY_PATIENCE)

    # ---- choosing and moving

    def _settle(self, now: float) -> list[Effect]:
        """Moves what lies with a copy that cannot be relied on, then hands out what waits."""
        effects: list[Effect] = []
        for request in list(self._open.values()):
            if request.copy is None:
                continue
            state = self._copies.state(request.role, request.copy)
            if state == "gone" or (state != "playing" and self._copies.has_another(request.role, request.copy, now)):
                effects += self._take_back(request)
        return effects + self._fill(now)

    def _take_back(self, request: OpenRequest) -> list[Effect]:
        """Away from its copy; what that copy may still say of it is late from now on."""
        tell = self._tell_cancel(request, moved=True)
        request.losses += request.accepted
        if request.lost_copy is None:
            request.lost_copy, request.silent_since_s = request.copy, request.heard_s
        self._let_go(request)
        self.retried += 1
        if request.losses >= LOSSES_MAX:
            return [*tell, *self._lose(request, f"{LOSSES_MAX} copies were lost while they answered it")]
        insort(self._waiting, (request.number, request.id))
        return tell

    def _fill(self, now: float) -> list[Effect]:
        """Hands out what waits, the oldest of each role first."""
        if not self._waiting:
            return []
        waiting: dict[str, list[OpenRequest]] = {}
        for _, id in self._waiting:
            request = self._open[id]
            waiting.setdefault(request.role, []).append(request)
        effects: list[Effect] = []
        for role, requests in waiting.items():
            for request, copy in zip(requests, self._copies.plan(role, min(len(requests), PLANNED_MAX), now), strict=False):
                if copy is not None:
                    self._waiting.remove((request.number, request.id))
                    effects.append(self._start(request, copy, now))
        return effects

    def _start(self, request: OpenRequest, copy: CopyId, now: float) -> Tell:
        if request.tries and request.utterance is None:
            request.utterance = request.ask.id  # it may have been begun, although nobody here heard so
        request.tries += 1
        request.accepted = False
        request.copy = copy
        id = request.id if request.tries == 1 else f"{request.id}~{request.tries}"
        request.ask = request.ask._replace(id=id, instance=copy.instance, generation=copy.generation)
        request.heard_s = request.began_s = now
        self._tries[id] = request
        self._copies.take(copy, now)
        return self._tell_ask(request, now)

    # ---- telling and ending

    def _tell_ask(self, request: OpenRequest, now: float) -> Tell:
        assert request.copy is not None
        request.sent_s = now
        ask = request.ask._replace(deadline_ms=max(0, int((request.deadline_s - now) * 1000)))
        if request.accepted:
            ask = ask._replace(have=request.have)
        elif request.utterance is not None:
            ask = ask._replace(utterance=request.utterance, so_far=tuple(request.said))
        return Tell(request.copy, ask)

    def _tell_cancel(self, request: OpenRequest, moved: bool = False) -> list[Effect]:
        if request.copy is None or self._copies.is_down(request.copy):
            return []
        return [Tell(request.copy, Cancel(request.ask.id, moved))]

    def _let_go(self, request: OpenRequest) -> None:
        if request.copy is None:
            if (entry := (request.number, request.id)) in self._waiting:
                self._waiting.remove(entry)
            return
        self._tries.pop(request.ask.id, None)
        self._copies.release(request.copy)
        request.copy = None

    def _lose(self, request: OpenRequest, why: str) -> list[Effect]:
        self.lost += 1
        self._close(request)
        return [Over(request.id, "lost", why, request.role, bool(request.handed or request.said))]

    def _close(self, request: OpenRequest) -> None:
        self._let_go(request)
        del self._open[request.id]
