"""A language model that speaks on prompts: any GGUF file, one piece at a time.

Each prompt is one request. The role yields between tokens and holds nothing over from one prompt to the next, so
that a newer prompt can take a stale one's place at any word, and a sentence can be gone on with from its token ids.
Decided against: llama.cpp's server (one more port and protocol to guard) and sampling inside the engine (see drawing).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame, Options, Piece, Role, Text
from roles.inference.drawing import Taste, request_seed
from roles.inference.letters import Letters
from roles.inference.voice import Voice


class LlmOptions(Options):
    template: str = Field("{prompt}", description="what the model reads: {prompt} stands for the text; an event's fields by their names")
    chat: bool = Field(False, description="present the prompt through the model's own chat template")
    system: str = Field("", description="chat: what the model is told before every prompt")
    temperature: float = Field(0.8, ge=0, le=5, description="0 always takes the likeliest word; higher is freer")
    top_p: float = Field(0.95, gt=0, le=1, description="only the likeliest words that hold this share together; 1 is all")
    top_k: int = Field(40, ge=0, description="only so many of the likeliest words; 0 is all")
    min_p: float = Field(0.05, ge=0, le=1, description="only words at least this likely beside the likeliest; 0 is all")
    repeat_penalty: float = Field(1.0, gt=0, le=5, description="above 1 makes words of the last 64 tokens less likely")
    seed: int | None = Field(None, description="fixed: equal prompts give equal sentences; left out: each differs")
    max_tokens: int = Field(96, ge=1, description="the longest answer")
    stop: list[str] = Field(default_factory=list, description="the answer ends before any of these")
    context: int | None = Field(
        None, ge=16, description="tokens that prompt and answer may hold together; the model's own, up to 2048, when left out"
    )
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; the machine's cores less one when left out")
    gpu_layers: int = Field(0, ge=-1, description="layers given to a graphics processor, -1 for all")
    pace: float | None = Field(None, gt=0, le=1000, description="at most so many pieces per second; as fast as possible when left out")
    when_superseded: Literal["cancel", "queue"] = Field(
        "queue", description="a newer prompt cancels the sentence being spoken, or waits for it"
    )


class Llm(Role):
    """Speaks: a prompt in, a text out piece by piece, from any GGUF model."""

    inputs = {"prompt": Text}
    outputs = {"line": Text}
    extra = "llm"
    needs_model = True
    Options = LlmOptions

    def setup(self) -> None:
        try:
            import llama_cpp
        except (ImportError, OSError, RuntimeError) as missing:  # the last two: its library is there and does not load
            raise EngineMissingError(
                f"inference.llm needs llama-cpp-python, which does not load on this machine ({missing})",
                where=self.name,
                instead="pip install roomful[llm]",
            ) from missing
        options, model = self.options, self.model
        if model is None:
            raise RoleError("no model is named", where=self.name, instead="add `model: NAME` to the role and the model to `models`")
        if not model.file.is_file():
            raise RoleError(
                f"the model's file is not on this machine: {model.file.name}",
                where=str(model.file),
                instead="copy the deployment's folder to this machine once more",
            )
        threads = options.threads or max(1, int(self.settings.get("cores", 2)) - 1)
        filled(options.template, "")  # a template that cannot be filled is said now, not at the first visitor
        self._voice = Voice(llama_cpp, model.file, context=options.context, threads=threads, gpu_layers=options.gpu_layers)
        self._taste = Taste(
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            repeat_penalty=options.repeat_penalty,
        )
        self._say_where(bool(llama_cpp.llama_supports_gpu_offload()), threads)
        self._warm_up()

    def teardown(self) -> None:
        if hasattr(self, "_voice"):
            self._voice.close()

    def on_prompt(self, frame: Frame) -> Iterator[Piece]:
        yield from self._answer(frame, ())

    def resume(self, input: str, frame: Frame, so_far: tuple[Piece, ...]) -> Iterator[Piece]:
        """Goes on with a sentence that another copy began and could not end: from the token where it stopped, by the ids that
        its pieces carried, since text that is tokenised anew may differ. Drawing depends on the model's sums, the request's
        seed and the position alone, so the whole is what the other copy would have said; only between unlike processors
        may two nearly equal tokens change places."""
        yield from self._answer(frame, tuple(number for piece in so_far for number in ids_of(piece.mark)))

    def _answer(self, frame: Frame, so_far: tuple[int, ...]) -> Iterator[Piece]:
        request = frame.request or f"{frame.source}:{frame.stream}:{frame.number}"
        text = filled(self.options.template, frame.value)
        if self.options.chat:
            text = self._voice.chat_prompt(self.options.system, text)
        prompt = self._fitting(self._voice.tokens(text))
        if not prompt:
            return  # an empty prompt to a model that needs no beginning mark: there is nothing to go on from
        yield from self._paced(self.pieces(prompt, request_seed(self.options.seed, request), so_far))

    def pieces(self, prompt: list[int], seed: int, so_far: tuple[int, ...] = ()) -> Iterator[Piece]:
        """The answer to `prompt` as text that can be shown as it comes; joined, it is the whole answer. Each piece is marked
        with the ids drawn since the one before. With `so_far` (ids of the pieces already said) it goes on after them."""
        letters, said, begun = Letters(self.options.stop), len(so_far), False
        for token in so_far:
            begun = bool(letters.take(self._voice.spoken(token)).strip()) or begun
        drawn: list[int] = []
        for token in self._voice.generate(prompt, so_far, self._taste, seed) if not self._is_over(letters, said) else ():
            drawn.append(token)
            piece = letters.take(self._voice.spoken(token))
            piece = piece if begun else piece.lstrip()
            said += 1
            if piece:
                begun = True
                yield Piece(piece, mark_of(drawn))
                drawn = []
            if self._is_over(letters, said):
                break
        else:
            if len(prompt) + said >= self._voice.context:
                self.say(f"a sentence ended because the context of {self._voice.context} tokens was full")
        rest = letters.rest()
        if rest.strip():
            yield Piece(rest if begun else rest.lstrip(), mark_of(drawn))

    def _is_over(self, letters: Letters, said: int) -> bool:
        return letters.stopped or said >= self.options.max_tokens

    def _fitting(self, prompt: list[int]) -> list[int]:
        """The prompt, cut to leave room for an answer; what is dropped is said."""
        room = min(self.options.max_tokens, self._voice.context // 2)
        fitting = self._voice.shortened(prompt, room)
        if len(fitting) < len(prompt):
            self.say(
                f"a prompt of {len(prompt)} tokens does not fit a context of {self._voice.context} with room for an answer: "
                f"its oldest {len(prompt) - len(fitting)} are dropped"
            )
        return fitting

    def _paced(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The pieces at the pace asked for, none held back for longer than that."""
        if self.options.pace is None:
            yield from pieces
            return
        due_s = time.monotonic()
        for piece in pieces:
            time.sleep(max(0.0, due_s - time.monotonic()))
            due_s = max(due_s, time.monotonic() - 1.0 / self.options.pace) + 1.0 / self.options.pace
            yield piece

    def _warm_up(self) -> None:
        """The first token is slow (pages of the file, caches); better now than before a visitor."""
        for _ in self._voice.generate(self._voice.tokens("a"), (), self._taste, 0):
            break

    def _say_where(self, gpu_possible: bool, threads: int) -> None:
        wants_gpu = self.options.gpu_layers != 0
        where = "the graphics processor" if wants_gpu and gpu_possible else f"the processor, {threads} thread{'s' * (threads > 1)}"
        self.say(f"speaks with {self._voice.context} tokens of context on {where}")
        if wants_gpu and not gpu_possible:
            self.say("was asked to use a graphics processor, which this llama.cpp was built without")
        if self._voice.context > self._voice.trained_context:
            self.say(f"the model was trained on {self._voice.trained_context} tokens; beyond them it may ramble")


def mark_of(ids: Sequence[int]) -> bytes:
    """Token ids as a piece carries them: four bytes each, little-endian."""
    return struct.pack(f"<{len(ids)}I", *ids)


def ids_of(mark: bytes) -> tuple[int, ...]:
    """The token ids of a piece's mark."""
    return struct.unpack(f"<{len(mark) // 4}I", mark[: len(mark) // 4 * 4])


def filled(template: str, value: Any) -> str:
    """`template` with the prompt in it: a text as {prompt}, an event's fields by their names."""
    fields = {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}
    fields.setdefault("prompt", "" if isinstance(value, Mapping) else value)
    try:
        return template.format(**fields)
    except (KeyError, IndexError) as unknown:
        if value == "":
            return ""  # only a trial: the fields of an event are not known before it comes
        raise RoleError(
            f"option template speaks of {unknown}, the prompt has {', '.join(fields)}",
            where="option template",
            instead="use {prompt}, or a field of the event",
        ) from unknown
    except (ValueError, AttributeError) as broken:
        raise RoleError(
            f"option template cannot be filled: {broken}",
            where="option template",
            instead="write {prompt} where the text goes, and {{ }} for braces of your own",
        ) from broken
