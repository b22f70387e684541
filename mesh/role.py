"""What an artist subclasses: Role, Options, Frame; the only door between a role and the mesh.

A role is one short class. It declares its outputs, writes one method for each input, and is
otherwise ordinary Python that runs alone in a process of its own:

    class Mood(Role):
        outputs = {"tags": Text}

        def on_people(self, frame):
            self.emit("tags", "calm dawn few")

Everything happens on one thread: `setup`, every `on_…`, `tick` and `teardown` never overlap, so a
role needs no locks. Decided against: asyncio for artists (one forgotten await is a silent bug),
decorators for inputs (a method's name already says it), and callbacks from several threads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from mesh.core.kind import STREAM_TYPES, Kind, renamed_outputs
from mesh.core.recording import Taken as Taken  # what recordings hold, for roles that read them
from mesh.core.recording import form_of as form_of
from mesh.core.recording import read_message as read_message
from mesh.door import ELSEWHERE as ELSEWHERE
from mesh.door import FULL as FULL  # who may stand at a port of HTTP, for roles that serve pages
from mesh.door import OFTEN as OFTEN
from mesh.door import SLOW as SLOW
from mesh.door import Allowance as Allowance
from mesh.door import Bounds as Bounds
from mesh.door import Doorkeeper as Doorkeeper
from mesh.door import guarded as guarded
from mesh.door import is_here as is_here
from mesh.door import terse as terse

# The types a stream can have. A wire joins equal types; `Any_` (an input only) takes all of them.
Image = "image"  # numpy uint8, (height, width, 3) RGB or (height, width) grey
Audio = "audio"  # numpy float32, (samples, channels), -1..1
Text = "text"  # str; a sentence may come in pieces, see Frame.more
Vector = "vector"  # numpy, any shape, any plain number type
Event = "event"  # what MessagePack carries: None, bool, int, float, str, bytes, lists and dicts of these
Any_ = "any"


class Options(BaseModel):
    """A role's options as the artist writes them. Unknown ones are refused; each field is typed and described."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(slots=True)  # not frozen: that would take six times as long to make, for every frame
class Frame:
    """One item on a stream; not to be changed.

    `value` has the stream's type. `number` counts the frames of one holder of the stream from 0.
    `captured_s` is when the sensor saw it, in seconds of the room's clock, handed on by every role
    that answers a frame with a frame. A text that is spoken piece by piece shares one `request`;
    `index` counts its pieces from 0, `more` says that others follow, and the last piece may carry
    `ended`: "cancelled" (a newer one took its place) or "failed". `present_at_s` is when it is to be shown, in seconds of
    the room's clock, so that all screens change together; None: at once.
    """

    value: Any
    stream: str = ""
    number: int = 0
    captured_s: float = 0.0
    request: str | None = None
    index: int = 0
    more: bool = False
    ended: str | None = None
    source: str = ""
    present_at_s: float | None = None
    rate: int = 0  # samples a second of a sound; 0 where its sender did not say


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer with a note of where the role stood when it said it; the mesh carries the note unread.

    A role that can go on with the answer of a lost copy yields these instead of plain values: see `Role.resume`.
    """

    value: Any
    mark: bytes = b""


@dataclass(frozen=True, slots=True)
class Pause:
    """Yielded by an answer in place of a piece: go on with it in so many seconds. A cancellation is heard meanwhile, which
    it is not in a `time.sleep`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the deployment: its file on this machine and what the deployment file says of it."""

    name: str
    file: Path
    sha256: str
    licence: Mapping[str, str] = field(default_factory=dict)


class Stage(Protocol):
    """What the mesh gives a role to stand on. Roles use it through `Role`'s methods."""

    def emit(self, output: str, value: Any, *, more: bool, captured_s: float | None, present_at: float | None,
             rate: int | None = None) -> None: ...
    def buffer(self, output: str, shape: tuple[int, ...], dtype: str) -> Any: ...
    def ask(self, role: str, value: Any, *, input: str | None, deadline_s: float) -> Iterator[Any]: ...
    def now_s(self) -> float: ...
    def presenting(self, at_s: float | None) -> AbstractContextManager[None]: ...
    def wanted(self) -> bool: ...
    def alert(self, on: bool) -> int: ...
    def say(self, what: str) -> None: ...
    def publish(self, name: str, value: Any) -> None: ...
    def works(self, for_s: float | None, otherwise: str) -> None: ...
    def faulty(self, what: str) -> None: ...
    def wake(self) -> None: ...


class Role:
    """Subclass this. See the module's text for the smallest example and CONTRIBUTING.md for a whole one.

    Class attributes
      outputs    {name: type} of the streams it emits
      inputs     {name: type}; only needed to give an input a type, since every `on_NAME` method is an input
                 (without a type it takes any). `{"*": "any"}` accepts inputs of any name through `on_frame`
      extra      the optional part of Roomful it needs ("llm", "camera", …), None for none
      exclusive  True where two at once would do harm outside the mesh (lights, projectors)
      display    True for an output to visitors: starts at once and is never stopped for lack of input
      keeps_time  True for a display that waits for the time of a frame (`present_at_s`) on its own, by `presenting`, having drawn it
                 before; every other display is handed such a frame when its time has come
      needs_model  True where the deployment must name a model for it
      network    True where it talks over the network with anything but the room's own roles. Without it a role has no UDP and, in a
                 room, no TCP beyond the room's own ports; a string names an option that says so
      writes     the names of options that hold a path outside of `state_folder` to which it writes
      holds      {option: word} of options whose value only one role of a machine can have, such as {"port": "UDP port"}
      output_option  the option by which an artist renames the first of `outputs`, or gives {name: type} of all; None: fixed
    A method `on_NAME` that is a generator *answers*: each frame on that input becomes one request, what it
    yields goes out piece by piece on the first output and to whoever asked. It may be closed between two
    pieces (GeneratorExit) when a newer request takes its place.
    """

    outputs: ClassVar[Mapping[str, str]] = {}
    inputs: ClassVar[Mapping[str, str]] = {}
    extra: ClassVar[str | None] = None
    exclusive: ClassVar[bool] = False
    display: ClassVar[bool] = False
    keeps_time: ClassVar[bool] = False
    needs_model: ClassVar[bool] = False
    network: ClassVar[bool | str] = False
    writes: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[Mapping[str, str]] = {}
    output_option: ClassVar[str | None] = None

    Options: ClassVar[type[Options]] = Options
    rests = False  # at `teardown`: the whole work rests (`roomful down`), and no other machine goes on with the role

    # A method `resume(self, input, frame, so_far)` that goes on with an answer another copy began and could not end, where
    # a kind can do so: a generator of the pieces after `so_far` (a tuple of Piece). None: an answer begins afresh, and what
    # was said of the first one ends as "failed".
    resume: ClassVar[Callable[..., Iterator[Any]] | None] = None

    def __init__(self, *, stage: Stage, name: str, options: Any, folder: Path, model: Model | None = None,
                 state_folder: Path | None = None, fallback: tuple[str, ...] = (), fallback_files: Mapping[str, Path] | None = None,
                 settings: Mapping[str, Any] | None = None) -> None:
        self._stage = stage
        self.name = name  # the instance: "poet/1", "wall@left-wall"
        self.options = options  # an instance of this class's Options
        self.folder = folder  # the deployment's folder; read from it, a role's process cannot write there
        self.model = model
        self.state_folder = state_folder  # this instance's own place on this machine's disk; may be written, may be lost
        self.fallback = fallback  # lines to show or say when the inputs are lost
        self.fallback_files = fallback_files or {}  # {"image" | "loop" | "recording": file} for the same
        self.settings = settings or {}  # what the mesh knows: installation, machine, about, rehearsal, cores
        # Small and plain (64 KB of numbers, texts, lists, dicts): what its standby needs so that a conversation or a flock goes on.
        # It travels within 0.1 s; a standby's is overwritten until it plays. There before `setup` where it was played here before.
        self.state: dict[str, Any] = {}

    @classmethod
    def inspect_model(cls, file: Path) -> dict[str, Any]:
        """What a model's file is, for `roomful models`: {"inputs", "outputs": [{"name", "type", "shape"}], "about": {name: text}, "fits":
        [{"options", "why"}]}, the options with which this kind would play it. RoleError where it cannot be read."""
        return {}

    @classmethod
    def outputs_for(cls, options: Any) -> dict[str, str]:
        """{name: type} of the streams that an instance with these options emits; the first may be renamed (`output_option`)."""
        named = {cls.output_option: getattr(options, cls.output_option, None)} if cls.output_option else {}
        return renamed_outputs(cls.outputs, cls.output_option, named)

    def setup(self) -> None:
        """Load models, open devices. May take long; the role plays only when this has returned. Raise RoleError with words for a person."""

    def teardown(self) -> None:
        """Close what `setup` opened. Called once on a clean stop, not when the process is killed."""

    def tick(self) -> float | None:
        """Called when due; returns the seconds until the next call, None for never again. Sensors emit from here."""
        return None

    def wake(self) -> None:
        """Make `tick` due now. The one method that may be called from any thread: a library that hears of its device in a
        thread of its own leaves what it heard in a queue and calls this, so that no sensor need look a hundred times a second."""
        self._stage.wake()

    def on_frame(self, input: str, frame: Frame) -> Any:
        """Takes the frames of every input that has no `on_NAME` of its own."""

    def emit(
        self, output: str, value: Any, *, more: bool = False, captured_s: float | None = None, present_at: float | None = None,
        rate: int | None = None,
    ) -> None:  # fmt: skip
        """Send `value` on the role's stream `output`. `more=True` says that it is one piece and others of the same
        request follow. Never blocks and never fails for want of listeners. An array must not be changed afterwards.
        `present_at`, in seconds of the room's clock such as `self.now_s() + 0.2`, is when displays show it, all together.
        `rate` is the samples a second of a sound, so that whoever hears it need not be told; it holds for the frames that follow."""
        self._stage.emit(output, value, more=more, captured_s=captured_s, present_at=present_at, rate=rate)

    def buffer(self, output: str, shape: tuple[int, ...], dtype: str = "uint8") -> Any:
        """An array of this shape to draw into, every item of it, and then to `emit` on `output`: on the same machine such a
        frame is not copied at all. It holds what was drawn there before, or anything. Ask for a new one for each frame, and do
        not write to it once it is emitted."""
        return self._stage.buffer(output, shape, dtype)

    def ask(self, role: str, value: Any, *, input: str | None = None, deadline_s: float = 30.0) -> Iterator[Any]:
        """Ask another role and iterate over its answer's pieces as they come. Raises RoleError when no copy
        answers within `deadline_s`. `input` is needed only where the role answers on several inputs."""
        return self._stage.ask(role, value, input=input, deadline_s=deadline_s)

    def wanted(self) -> bool:
        """Whether the answer in work is still wanted. For one whose pieces take long: looked at now and then inside a long
        computation, it tells when to give up."""
        return self._stage.wanted()

    def alert(self, on: bool = True) -> int:
        """For an answer made by a library that can be told, by C code of its own, to give up: the address of a byte that is 0 and becomes
        another as soon as somebody says something. Then look at `wanted`, and go on if it says so. To be called before each long part of
        the computation; cheap. With `on` false the byte stays 0. 0 where there is no such byte."""
        return self._stage.alert(on)

    def now_s(self) -> float:
        """Seconds of the room's clock, the same on every machine; never jumps back."""
        return self._stage.now_s()

    def presenting(self, at_s: float | None) -> AbstractContextManager[None]:
        """`with self.presenting(frame.present_at_s): …` shows on all machines together: what is inside begins when the room's clock
        shows that moment, within a millisecond even on a busy machine. At once for None, and for a moment that is past or more
        than 30 s ahead. Draw before it and only show inside: nothing else of the role happens meanwhile."""
        return self._stage.presenting(at_s)

    def say(self, what: str) -> None:
        """A line for the technician: appears in `roomful logs` and `roomful events`."""
        self._stage.say(what)

    def publish(self, name: str, value: Any) -> None:
        """State a fact about this instance that others look up, such as ("page", "http://…")."""
        self._stage.publish(name, value)

    def works(self, for_s: float | None = None, otherwise: str = "") -> None:
        """State that the role does what it is for, not merely that it runs: fresh and changing input has come, a known answer
        was right, a picture was drawn. Takes back what `faulty` said. With `for_s` it holds for so many seconds: unless the
        role says so again before they are over, it is faulty, in the words `otherwise`. Time in which the role does not play
        (a waiting standby) does not count. Cheap: may be called for every frame."""
        self._stage.works(for_s, otherwise)

    def faulty(self, what: str) -> None:
        """State, in words for a person, that the role runs but does not do what it is for: "the picture has not changed for
        30 s". It is shown in `roomful status`; the process is ended politely and started again, and when it is faulty once
        more before it has worked for a while, another machine takes the role. So try first what can be mended from inside."""
        self._stage.faulty(what)


def describe(kind: str, role: type[Role]) -> Kind:
    """Read a Role class into a Kind. Pure: runs nothing of the role."""
    inputs = {name: kind_ for name, kind_ in role.inputs.items() if name != "*"}
    answers = []
    for attribute in dir(role):
        if attribute.startswith("on_") and attribute != "on_frame":
            name = attribute.removeprefix("on_")
            method: Callable[..., Any] = getattr(role, attribute)
            inputs.setdefault(name, _annotated_type(method))
            if inspect.isgeneratorfunction(method):
                answers.append(name)
    about = inspect.cleandoc(role.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return Kind(
        kind=kind, about=about, options=role.Options.model_json_schema(), inputs=inputs, outputs=dict(role.outputs),
        extra=role.extra, answers=tuple(answers), exclusive=role.exclusive, display=role.display,
        needs_model=role.needs_model, catch_all="*" in role.inputs, output_option=role.output_option,
        network=role.network, writes=tuple(role.writes), holds=dict(role.holds),
    )


def _annotated_type(method: Callable[..., Any]) -> str:
    """`def on_people(self, frame: Event)` types the input; without an annotation it takes any stream."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if parameters:
        note = parameters[0].annotation
        word = note.lower() if isinstance(note, str) else note
        if word in STREAM_TYPES:
            return str(word)
    return Any_
