"""Any ONNX model, described by options alone: a picture, a sound, a text or a vector in, an event out.

The role adds nothing to the model: `intake`, `hearing` and `reading` make what it wants, `decoding`, `boxes` and `keypoints` read what it
gives, `session` runs it. Decided against: a class for each family of models (an artist would have to know the family), and
falling back to the processor in silence. All that can be known before the first visitor is tried in `setup`, with a made-up frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Any_, Audio, Event, Frame, Image, Role, Text, Vector
from roles.inference.against import Against
from roles.inference.beside import activation_beside, belongings, labels_beside, letters_beside, pooling_beside
from roles.inference.crops import DECODES, PAINTED, Crop, Crops
from roles.inference.decoding import Decoder, Found, make_decoder
from roles.inference.hearing import Hearing, is_companion
from roles.inference.intake import (
    Array,
    Fit,
    Size,
    as_numbers,
    as_vector,
    constants,
    covered,
    is_cover,
    is_picture,
    zeros,
)
from roles.inference.labels import read_labels
from roles.inference.model_files import model_file
from roles.inference.onnx_options import OnnxOptions
from roles.inference.outcome import Outcome
from roles.inference.pasting import laid_together
from roles.inference.proof import EVERY_S, Proof, fell_back, same_outputs
from roles.inference.reading import is_tokens, read_reader
from roles.inference.recognise import recognise
from roles.inference.session import Session, described, handed_on
from roles.inference.sight import Eyes, Sight, is_clip
from roles.inference.spans import OF_TEXTS, Spans
from roles.inference.tokens import places_beside

KNOWN_TEXT = "The lamp in the window is a moth."  # read to see that the model works


class Onnx(Role):
    """Runs any ONNX model on pictures, sound, texts or vectors; gives classes, boxes, keypoints, masks, depths, pictures, letters, vectors,
    a probability, plain arrays, or what a function of your own makes of them."""

    inputs = {"image": Image, "audio": Audio, "vector": Vector, "text": Text, "boxes": Event, "*": Any_}
    outputs = {"found": Event, "values": Vector, "picture": Image, "text": Text}
    output_option = "output"
    extra = "onnx"
    needs_model = True
    Options = OnnxOptions

    def setup(self) -> None:
        try:
            import onnxruntime
        except ImportError as missing:
            raise EngineMissingError(
                "inference.onnx needs onnxruntime, which is not installed on this machine",
                where=self.name,
                instead="pip install roomful[onnx]",
            ) from missing
        self._session = session = Session(onnxruntime, model_file(self), self._threads(), self.options.providers)
        self._constants = constants(self.options.feed, session.inputs)
        self._check_names()
        taken = [*self._constants, *self.options.state, *self.options.wired.values()]
        self._covers = next((entry for name, entry in session.inputs.items() if is_cover(entry) and name not in taken), None)
        taken += [self._covers.name] if self._covers is not None else []
        self._reader = read_reader(session.inputs, self.options, self.folder, session.file, taken)
        self._against = Against(self.options, self._reader, session.inputs, taken)
        self._constants |= self._against.constants
        self._outcome = Outcome(self.options, list(session.outputs))
        self._entry = self._choose_input()
        self._hearing = Hearing(self._entry, self.options, session.metadata, [self.folder, *places_beside(session.file)], self.say)
        self._constants |= self._hearing.companions(self._companions)
        self._state = self._silence()
        self._others: dict[str, Array] = {}  # the newest of the further inputs
        self._eyes: Eyes | None = None
        self._sights: dict[str, Sight] = {}  # of inputs that other roles feed
        self._rows: list[Array] = []  # the newest vectors of a model that wants several at once
        self._length = 1  # tokens of the text just read
        self._sentence = ""  # what has come of a text that comes in pieces
        self._crops = self._cutter()
        self._proof, self._ticked, self._fault = self._rehearsed(), False, ""
        self._decode = self._decoder()
        self._say_where()

    @classmethod
    def inspect_model(cls, file: Path) -> dict[str, Any]:
        return {**recognise(cls, file), "beside": belongings(file)}

    def tick(self) -> float:
        """Now and then: whether the model still works. Not at once: who takes over has more urgent things to do."""
        first, self._ticked = not self._ticked, True
        if first and self._fault:
            self.faulty(self._fault)
        return EVERY_S if first or self._proof is None else self._proof.prove(self)

    def on_image(self, frame: Frame) -> None:
        if self._crops is not None:
            self._crops.remember(frame.value, frame.captured_s)
            return
        ready, seen = self._looking().look(frame.value)
        if ready is not None:
            self._answer(ready, seen.fit, seen.size, frame)

    def on_boxes(self, frame: Frame) -> None:
        """Looks at each thing that was found in the picture; one event for all of them, in their order."""
        if self._crops is None:
            raise RoleError(
                f"{self.name} gets boxes, and does not know that it should look into them", where=f"{self.name}, option crops",
                instead="set crops: 10 to run the model on each of up to ten",
            )  # fmt: skip
        crops = self._crops.of(frame.value, frame.captured_s)
        if crops is None:
            return  # of a picture that is no longer here, or not yet
        seen = [(crop, self._look_into(crop, frame)) for crop in crops]
        captured_s = frame.captured_s or None
        self.emit(self.options.output, {"things": [{**crop.thing, "found": found.event} for crop, found in seen]}, captured_s=captured_s)
        lines = sorted((crop.thing["box"][1] + crop.thing["box"][3], found.more["text"]) for crop, found in seen if "text" in found.more)
        texts = [text for _, text in lines]  # from top to bottom
        if texts:
            self.emit("text", "\n".join(texts), captured_s=captured_s)
        if seen and self.options.decode == "embedding":
            self.emit("values", np.stack([found.more["values"] for _, found in seen]), captured_s=captured_s)
        source = self._crops.picture(frame.captured_s) if self.options.decode in PAINTED else None
        if source is not None:
            painted = [(crop, found.more["picture"]) for crop, found in seen]
            onto = source if self.options.decode == "image" else None
            self.emit("picture", laid_together(painted, onto, source.shape[:2]), captured_s=captured_s)

    def _look_into(self, crop: Crop, frame: Frame) -> Found:
        ready, seen = self._looking().filled(crop.picture)
        outputs = self._session.run(self._feeds(ready))
        picture = Frame(crop.picture, stream=frame.stream, captured_s=frame.captured_s)
        return self._decode(self._outcome.of(outputs), crop.fit(seen.fit), seen.size, picture)

    def on_audio(self, frame: Frame) -> None:
        for ready in self._hearing.take(frame.value, frame.rate or 0):
            self._answer(ready, Fit(), (1, 1), frame)

    def on_vector(self, frame: Frame) -> None:
        value = self._gathered(frame.value)
        if value is not None:
            self._answer(as_vector(value, self._entry.name, self._entry.shape, self._entry.type), Fit(), (1, 1), frame)

    def on_text(self, frame: Frame) -> None:
        """A text, read when it is whole."""
        self._sentence += frame.value
        if frame.more:
            return
        text, self._sentence = self._sentence, ""
        if self._reader is None:
            raise RoleError(
                f"the model takes no texts, or its tokenizer is not here: it has {described(self._session.inputs)}",
                where=f"{self.name}, input text", instead="put the model's tokenizer.json beside it, or name it in option tokenizer",
            )  # fmt: skip
        if text.strip():
            ready, self._length = self._against.ready(text)
            self._answer(ready, Fit(), (1, 1), frame)

    def _gathered(self, value: Any) -> Any:
        """A model that wants the newest vectors together, such as [1, 16, 96], gets them from one vector, or some, at a time; None until
        there are enough."""
        shape = self._entry.shape
        rows = np.asarray(value)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows
        if len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape[1:]) or rows.ndim != 2:
            return value
        count, wide = shape[1:]
        if rows.shape[-1] != wide or len(rows) >= count:
            return value
        self._rows = [*self._rows, *rows][-count:]
        return np.stack(self._rows) if len(self._rows) == count else None

    def on_frame(self, input: str, frame: Frame) -> None:
        """The newest of a further input: it goes in with the next frame of the first."""
        name = self.options.wired.get(input)
        if name is None:
            raise RoleError(
                f"the role has no input {input!r}", where=f"{self.name}, option wired",
                instead=f"wire image, audio or vector, or add wired: {{{input}: one of {', '.join(self._session.inputs)}}}",
            )  # fmt: skip
        ready = self._as_other(self._session.inputs[name], frame.value)
        if ready is not None:
            self._others[name] = ready

    def _as_other(self, entry: Any, value: Any) -> Array | None:
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3) and len(entry.shape) in (3, 4, 5):
            if entry.name not in self._sights:
                self._sights[entry.name] = Sight(entry, self.options)
            return self._sights[entry.name].look(value).ready
        return as_vector(value, entry.name, entry.shape, entry.type)

    def _looking(self) -> Eyes:
        if self._eyes is None:
            self._eyes = Eyes(self._entry, self._session.inputs, self.options)
        return self._eyes

    def _answer(self, ready: Array | dict[str, Array], fit: Fit, size: Size, frame: Frame) -> None:
        """Run the model and emit what it found, stamped with when the frame was seen."""
        missing = [name for name in self.options.wired.values() if name not in self._others]
        if missing:
            return  # a further input has not said anything yet
        outputs = self._run(self._feeds(ready))
        for name, follower in self.options.state.items():
            self._state[name] = outputs[follower]
        captured_s = frame.captured_s or None
        found = self._decode(self._read_out(outputs), fit, size, frame)
        self.emit(self.options.output, found.event, captured_s=captured_s)
        for stream, value in found.more.items():
            self.emit(stream, value, captured_s=captured_s)

    def _read_out(self, outputs: dict[str, Array]) -> dict[str, Array]:
        """What the decoder gets."""
        if self._reader is not None and not self._against.constants:
            outputs = self._against.trimmed(outputs, self._length)
            outputs = self._against.in_one_row(outputs, labels_beside(self._session.file, self._session.outputs), self.options.scores)
        return self._outcome.of(outputs)

    def _feeds(self, ready: Array | dict[str, Array]) -> dict[str, Array]:
        ready = ready if isinstance(ready, dict) else {self._entry.name: ready}
        if self._covers is not None:
            ready = {**ready, self._covers.name: covered(self._covers, ready[self._entry.name])}
        kept = {name: as_numbers(value, self._half.get(name, str(value.dtype))) for name, value in self._state.items()}
        return {**ready, **self._constants, **kept, **self._others}

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        return self._session.run(feeds) if self._reader is None else self._reader.run(self._session.run, feeds)

    def _threads(self) -> int:
        return self.options.threads or max(1, int(self.settings.get("cores", 2)) - 1)

    # ---- before the first visitor

    def _check_names(self) -> None:
        """Names in the options that the model does not have."""
        options, session = self.options, self._session
        named = [
            *(("state", name, session.inputs) for name in options.state),
            *(("state", name, session.outputs) for name in options.state.values()),
            *(("wired", name, session.inputs) for name in options.wired.values()),
            *(("earlier", name, session.inputs) for name in options.earlier),
            *(("for_input", name, session.inputs) for name in options.for_input),
            *(("state_shape", name, session.inputs) for name in options.state_shape),
        ]  # fmt: skip
        for option, name, known in named:
            if name not in known:
                raise RoleError(
                    f"option {option} names {name!r}; the model has {described(known)}", where=f"{self.name}, option {option}",
                    instead="write the model's own names: {its input: the output that follows it}",
                )  # fmt: skip

    def _choose_input(self) -> Any:
        taken = {*self._constants, *self.options.state, *self.options.wired.values(), *self.options.earlier}
        taken |= {self._covers.name} if self._covers is not None else set()
        if self._reader is not None and not self._against.constants:
            taken |= {name for name in self._reader.takes if name != self._reader.entry}
        entries = [entry for entry in self._session.inputs.values() if entry.name not in taken]
        hears = self.options.spectrum is not None or self.options.window is not None
        self._companions = [entry for entry in entries if hears and is_companion(entry)]
        rest = entries = [entry for entry in entries if entry not in self._companions]
        if self.options.input is not None:
            entries = [entry for entry in entries if entry.name == self.options.input]
        if len(entries) == 1 and len(rest) == 1:
            return entries[0]
        raise RoleError(
            f"the model has these inputs: {described(self._session.inputs)}", where=f"{self.name}, option input",
            instead=f"name in `input` the one that frames go to; {self._advice(rest)}give each other one a constant in `feed`, "
            "or its newest frame by `wired`",
        )  # fmt: skip

    def _advice(self, rest: list[Any]) -> str:
        """Inputs for tokens, and what the model seems to remember, for somebody who has not said so."""
        if self._reader is None and any(is_tokens(entry.name, entry) for entry in rest):
            return "or put the model's tokenizer.json beside it, so that it reads texts; "
        pairs = handed_on(rest, self._session.outputs)
        if not pairs:
            return ""
        return f"what the model remembers goes into `state`, here perhaps {{{', '.join(f'{a}: {b}' for a, b in pairs.items())}}}; "

    def _cutter(self) -> Crops | None:
        """What cuts the pictures, of a role that looks into boxes."""
        options = self.options
        if options.crops is None and options.align is not None:
            raise RoleError("option align turns crops, and there are none", where=f"{self.name}, option align", instead="set crops: 10")
        if options.crops is None:
            return None
        if options.decode not in DECODES and not options.decode.startswith("./"):
            raise RoleError(
                f"a model that decodes {options.decode} cannot look into boxes", where=f"{self.name}, option crops",
                instead=f"decode {', '.join(DECODES)} or by a function of your own, or leave crops out",
            )  # fmt: skip
        if options.state or options.wired or options.earlier or is_clip(self._entry.shape):
            raise RoleError(
                "a model that looks into several boxes at once cannot remember, or wait for a further input or moment",
                where=f"{self.name}, option crops", instead="leave state, wired and earlier out, or crops",
            )  # fmt: skip
        wide, high = self._looking().first.intake.size if is_picture(self._entry.shape) else (1, 1)
        aspect = wide / high if wide and high else 1.0
        return Crops(options.crops, options.crop_margin, options.crop_labels, options.align, aspect)

    def _silence(self) -> dict[str, Array]:
        shapes = self.options.state_shape
        found = {name: zeros(name, self._session.inputs[name], shapes.get(name)) for name in self.options.state}
        self._half = {name: str(value.dtype) for name, value in found.items()}
        return found

    def _rehearsed(self) -> Proof | None:
        """Run the model on a made-up frame: what does not fit is said now, and its answer is the one by which the model is known to work.
        None where the model leaves open what a frame looks like."""
        frame = self._made_up()
        if frame is None or self.options.wired:
            return None
        ready, fit, size = frame
        fresh = {name: value.copy() for name, value in self._state.items()}
        feeds = {**self._feeds(ready), **fresh}
        outputs = self._run(feeds)
        if not self.options.decode.startswith("./"):
            self._decoder()(self._read_out(outputs), fit, size, Frame(None))
        lacking = [name for name in self.options.state.values() if name not in outputs]
        if lacking:
            raise RoleError(f"the model gives no array on {', '.join(lacking)}", where=f"{self.name}, option state")
        return Proof(lambda: self._run(feeds), same_outputs)

    def _decoder(self) -> Decoder:
        session = self._session
        labels = read_labels(self.options.labels, session.metadata, self.folder) or session.labels or self.options.texts
        labels = labels or labels_beside(session.file, session.outputs)
        labels = labels or (letters_beside(session.file, session.outputs) if self.options.decode == "letters" else [])
        if self.options.decode in OF_TEXTS:
            spans = Spans(self.options, labels, self._reader)
            return lambda outputs, fit, size, frame: Found(*spans(outputs, self._against.text))
        colour = self.options.colour if self._eyes is None else self._eyes.first.intake.colour
        return make_decoder(self._as_told_beside(), labels, self.folder, session.metadata, colour)

    def _as_told_beside(self) -> OnnxOptions:
        """The options, with what the files beside the model say where they leave it open."""
        found, file = self.options, self._session.file
        if found.activation == "auto" and found.decode == "classes":
            found = found.model_copy(update={"activation": activation_beside(file)})
        if found.pooling == "auto" and found.decode == "embedding" and self._reader is not None and not self._against.constants:
            found = found.model_copy(update={"pooling": pooling_beside(file)})
        return found

    def _made_up(self) -> tuple[Array | dict[str, Array], Fit, Size] | None:
        chance = np.random.default_rng(1)
        entry = self._entry
        if self._reader is not None and entry.name == self._reader.entry:
            ready, self._length = self._against.ready(KNOWN_TEXT)
            return ready, Fit(), (1, 1)
        if self._hearing.hears:
            return self._hearing.made_up(chance), Fit(), (1, 1)
        if is_picture(entry.shape) or is_clip(entry.shape):  # say at once what does not fit
            eyes = self._looking()
            self._eyes = None  # what it was shown here is no moment of the room
            ready, seen = eyes.filled(chance.integers(0, 256, (96, 128, 3), np.uint8))
            self._looking()
            return ready, seen.fit, seen.size
        if entry.shape and all(isinstance(side, int) and side > 0 for side in entry.shape[1:]):
            vector = chance.uniform(0, 1, [side if isinstance(side, int) and side > 0 else 1 for side in entry.shape])
            return as_vector(vector, entry.name, entry.shape, entry.type), Fit(), (1, 1)
        return None

    def _say_where(self) -> None:
        """What it really runs on: a model that falls back to the processor must not do so in silence."""
        used = self._session.where() if self._proof is not None else self._session.providers
        asked = [provider.lower() for provider in self.options.providers or []]
        self.say(f"runs on {', '.join(used)} with {self._threads()} thread{'s' * (self._threads() > 1)}")
        self.publish("runs_on", used)
        missed = [provider for provider in asked if provider not in self._session.providers]
        if missed:
            self.say(f"was asked to run on {', '.join(missed)}, which this machine's onnxruntime cannot do")
        self._fault = fell_back(self, used[0], used[0] != "cpu")
