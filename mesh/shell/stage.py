"""What the mesh gives a role to stand on: the far side of `emit`, `ask`, `say`, `publish`, `now_s` and `presenting`.

Called from the role's own thread only, straight to the socket: no queue and no other thread lies between a role's
`emit` and the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from mesh.core.clock import course_of
from mesh.core.frames import ARRAY_TYPES, Sender
from mesh.core.names import did_you_mean
from mesh.errors import RoleError
from mesh.shell.alert import Alert
from mesh.shell.answering import Answering
from mesh.shell.arrays import as_travelling, fit, type_of
from mesh.shell.asking import Answer, Asking
from mesh.shell.host_config import HostConfig
from mesh.shell.presenting import Presenting
from mesh.shell.room_clock import RoomClock
from mesh.shell.sources import Routes
from mesh.shell.standing import Standing
from mesh.shell.streams import Output, Ways

LOOK_S = 0.004  # a handler that asks whether it is still wanted looks at the sockets no oftener
FRAME_DEADLINE_S = 60.0  # for a frame that became a request


class Stage:
    """One role's stage. `pump` is one turn of the process's sockets, for whoever waits inside a handler."""

    def __init__(
        self, config: HostConfig, standing: Standing, asking: Asking, answering: Answering,
        tell: Callable[[dict[str, Any]], None], pump: Callable[[], None], is_wanted: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.clock = RoomClock(None if config.clock is None else course_of(config.clock))
        self._presenting = Presenting(self.clock, lambda: standing.stopping, lambda: standing.watch_thread)
        self.captured_ns: int | None = None  # of the frame that is being handled
        self.outputs: dict[str, Output] = {}
        self.routes = Routes()
        self._config = config
        self._standing = standing
        self._asking = asking
        self._answering = answering
        self._tell = tell
        self._pump = pump
        self._is_wanted = is_wanted
        self._alert: Alert | None = None
        self._looked_s = 0.0
        self._first: Output | None = None
        self._instead: dict[str, Output] = {}  # streams of roles that nobody plays
        self._epoch = -1
        self._utterances = 0
        self._open: dict[str, tuple[str, int]] = {}  # output -> the request that is being spoken there, its next piece
        self._joining: dict[str, str] = {}  # output -> what was spoken so far, for those it will be asked of

    def give(self, outputs: Mapping[str, str], ways: Ways) -> None:
        """The role's streams."""
        self.outputs = {name: Output(self._config.role, name, type_, ways) for name, type_ in outputs.items()}
        self._first = next(iter(self.outputs.values()), None)
        self._ways = ways
        self._asking.say_instead = self.say_instead
        self._speak_as()

    @property
    def first(self) -> Output | None:
        """The stream on which the role answers."""
        return self._first

    def _speak_as(self) -> None:
        """At each epoch the frames, and the requests, bear another name."""
        config, self._epoch = self._config, self._standing.epoch
        for output in self.outputs.values():
            output.speak_as(Sender(config.instance, config.node, self._epoch, config.generation, output.type))
        self._asking.asker.node = config.node
        self._asking.asker.prefix = f"{config.instance}:{self._epoch}:{config.generation}"

    def follow_epoch(self) -> None:
        """Speak under the epoch that the agent named last; frames of an older one count for nobody."""
        if self._standing.epoch != self._epoch:
            self._speak_as()

    # ---- what Role calls

    def emit(
        self, output: str, value: Any, *, more: bool = False, captured_s: float | None = None, present_at: float | None = None,
        rate: int | None = None,
    ) -> None:  # fmt: skip
        """One frame on one of the role's streams."""
        out = self.outputs.get(output)
        if out is None:
            raise self._no_output(output)
        if rate is not None:
            out.sound_at(rate)
        standing = self._standing
        self.follow_epoch()
        captured_ns = self.captured_ns if captured_s is None else int(captured_s * 1e9)
        if captured_ns is None:
            captured_ns = self.clock.now_ns()
        present_ns = None if present_at is None else int(present_at * 1e9)
        if out is self._first and self._answering.answerer.current is not None:
            self._answering.say(value, b"", more, captured_ns, present_ns)
        elif more or (self._open and output in self._open):
            self._emit_piece(out, value, captured_ns, more, present_ns)
        elif present_ns is None:
            out.send(value, captured_ns, not standing.playing)
        else:
            out.send(value, captured_ns, not standing.playing, present_ns=present_ns)
        if output in self.routes.asks and standing.playing:
            self._ask_consumers(out, value, captured_ns, more)

    def buffer(self, output: str, shape: tuple[int, ...], dtype: str) -> Any:
        """An array to draw into and to emit on that stream."""
        out = self.outputs.get(output)
        if out is None:
            raise self._no_output(output)
        return out.buffer(shape, dtype)

    def ask(self, role: str, value: Any, *, input: str | None = None, deadline_s: float = 30.0) -> Iterator[Any]:
        """A question to another role; the answer's pieces as they come."""
        if not self._standing.playing:
            return iter(())  # a standby that runs along must not ask everything a second time
        askable = self.routes.askable
        if role not in askable and askable:
            near = did_you_mean(role, sorted(askable), of="roles that answer")
            raise RoleError(f"no role `{role}` answers", where=self._config.instance, instead=near)
        answer = Answer(self._asking, self._pump)
        travelling = as_travelling(value)
        self._asking.ask(
            role, input or self._only_input(role), travelling, answer, type=type_of(travelling),
            captured_ns=self.captured_ns or self.clock.now_ns(), deadline_s=time.monotonic() + deadline_s,
        )  # fmt: skip
        return answer

    def wanted(self) -> bool:
        """Whether anybody still wants what the present handler makes; costs next to nothing within LOOK_S of the last look."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_S:
            return self._answering.wanted()
        self._looked_s = now
        return self._is_wanted()

    def alert(self, on: bool) -> int:
        """The address of a byte that is set as soon as an asker, or the agent, says something; where `on`, and in an answer."""
        if self._alert is None:
            self._alert = Alert()
        in_work = on and self._answering.answerer.current is not None
        self._alert.watch(self._answering.files if in_work else ())
        self._looked_s = 0.0  # when it is set, `wanted` looks
        return self._alert.address

    def now_s(self) -> float:
        """Seconds of the room's clock."""
        return self.clock.now_ns() / 1e9

    def presenting(self, at_s: float | None) -> AbstractContextManager[None]:
        """Inside it that moment of the room's clock has come."""
        return self._presenting.at(at_s)

    def say(self, what: str) -> None:
        """A line for the technician, here and at the agent."""
        print(what, flush=True)
        self._tell({"type": "event", "level": "info", "what": str(what)})

    def publish(self, name: str, value: Any) -> None:
        """A fact about this instance; goes out with the next pulse."""
        self._standing.facts = {**self._standing.facts, name: value}

    def works(self, for_s: float | None, otherwise: str) -> None:
        """The role does what it is for; goes out with every pulse."""
        self._standing.word = self._standing.word.works(time.monotonic(), for_s, otherwise)

    def faulty(self, what: str) -> None:
        """The role does not do what it is for; said in its log once, and goes out with every pulse."""
        before = self._standing.word
        self._standing.word = before.is_faulty(time.monotonic(), str(what))
        if before.faulty != self._standing.word.faulty:
            print(f"faulty: {what}", flush=True)

    def say_instead(self, stream: str, line: str) -> None:
        """A whole text on the stream of a role that nobody plays, for those who listen to it."""
        role, _, name = stream.partition(".")
        out = self._instead.get(stream) or self._instead.setdefault(stream, Output(role, name, "text", self._ways))
        config = self._config
        out.speak_as(Sender(config.instance, config.node, self._epoch, config.generation, "text"))
        out.send(line, self.clock.now_ns(), self._standing.muted, self._new_utterance(), 0, False)

    def wake(self) -> None:
        """Let the role's thread call `tick` at once; from any thread."""
        self._standing.woken = True
        self._standing.ring()

    # ---- how

    def _emit_piece(self, out: Output, value: Any, captured_ns: int, more: bool, present_ns: int | None) -> None:
        request, piece = self._open.get(out.name) or (self._new_utterance(), 0)
        out.send(value, captured_ns, not self._standing.playing, request, piece, more, None, present_ns)
        self._open[out.name] = (request, piece + 1)
        if not more:
            del self._open[out.name]

    def _new_utterance(self) -> str:
        self._utterances += 1
        return f"{self._asking.asker.prefix}.said-{self._utterances}"

    def _ask_consumers(self, out: Output, value: Any, captured_ns: int, more: bool) -> None:
        """Some consumers of this stream answer: each whole frame is a request to one copy of each."""
        if out.type == "text":
            value = self._joining.pop(out.name, "") + value
            if more:
                self._joining[out.name] = value
                return
        elif out.type in ARRAY_TYPES:
            value = fit(value, out.type, out.where)
        for consumer in self.routes.asks[out.name]:
            self._asking.ask(
                consumer.role, consumer.input, value, type=out.type, captured_ns=captured_ns, topic=out.name,
                supersede=consumer.supersede, pass_over=consumer.pass_over, deadline_s=time.monotonic() + FRAME_DEADLINE_S,
            )  # fmt: skip

    def _only_input(self, role: str) -> str:
        inputs = list(self.routes.askable.get(role, ()))
        if len(inputs) != 1:
            instead = f"name one of its inputs: input={inputs!r}" if inputs else "name the input: input=…"
            raise RoleError(f"`{role}` answers on {len(inputs)} inputs", where=self._config.instance, instead=instead)
        return str(inputs[0])

    def _no_output(self, output: str) -> RoleError:
        return RoleError(f"this role has no output `{output}`", where=self._config.instance, instead=self._meant(output))

    def _meant(self, output: str) -> str:
        if not self.outputs:
            return f"declare it in the class: outputs = {{{output!r}: Text}}"
        return did_you_mean(output, sorted(self.outputs), of="its outputs")
