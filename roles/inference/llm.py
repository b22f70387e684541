"""A language model that speaks on prompts: any GGUF file, one piece at a time.

Each prompt is one request. The role yields between tokens and holds nothing over from one prompt to the next, so
that a newer prompt can take a stale one's place at any word, and a sentence can be gone on with from its token ids.
Decided against: llama.cpp's server (one more port and protocol to guard) and sampling inside the engine (see drawing).
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Frame, Options, Pause, Piece, Role, Text, Vector
from roles.inference.drawing import Taste, request_seed
from roles.inference.gguf_header import looked_at
from roles.inference.json_grammar import grammar_of
from roles.inference.letters import Answer
from roles.inference.model_files import model_file, schema_of, text_file
from roles.inference.proof import EVERY_S, Proof, fell_back
from roles.inference.thoughts import OFF, Thoughts, ended
from roles.inference.voice import Voice


class Adapter(Options):
    """A LoRA laid over the model."""

    file: str = Field(description="a GGUF adapter: one of the deployment's models by name, or a file of the folder")
    scale: float = Field(1.0, ge=-10, le=10, description="how strongly it speaks; 0 not at all")


class LlmOptions(Options):
    template: str = Field("{prompt}", description="what the model reads: {prompt} stands for the text; an event's fields by their names")
    chat: bool = Field(False, description="present the prompt through the model's own chat template")
    chat_template: str | None = Field(
        None, description="chat: a Jinja file of the folder in place of the model's own", json_schema_extra={"file": True}
    )
    system: str = Field("", description="chat: what the model is told before every prompt")
    temperature: float = Field(0.8, ge=0, le=5, description="0 always takes the likeliest word; higher is freer")
    top_p: float = Field(0.95, gt=0, le=1, description="only the likeliest words that hold this share together; 1 is all")
    top_k: int = Field(40, ge=0, description="only so many of the likeliest words; 0 is all")
    min_p: float = Field(0.05, ge=0, le=1, description="only words at least this likely beside the likeliest; 0 is all")
    repeat_penalty: float = Field(1.0, gt=0, le=5, description="above 1 makes words of the last 64 tokens less likely")
    seed: int | None = Field(None, description="fixed: equal prompts give equal sentences; left out: each differs")
    thinking: Literal["hide", "show", "off"] = Field(
        "hide", description="of models that think first (<think> …): thoughts are left out, or shown, or the model is told not to think"
    )
    max_tokens: int = Field(96, ge=1, description="the longest answer, thoughts included")
    stop: list[str] = Field(default_factory=list, description="the answer ends before any of these")
    grammar: str | None = Field(
        None, description="only what this GBNF grammar allows is said: the grammar itself, or a file of the folder such as haiku.gbnf"
    )
    json_schema: dict[str, Any] | str | None = Field(
        None, description="the answer is JSON of this schema (written here, or a file of the folder), and goes out on `value` as well"
    )
    lora: list[Adapter] = Field(default_factory=list, description="adapters laid over the model, such as [{file: gothic, scale: 0.8}]")
    keep: bool = Field(True, description="what a prompt has in common with the one before is not read again; the answers are the same")
    context: int | None = Field(
        None, ge=16, description="tokens that prompt and answer may hold together; the model's own, up to 2048, when left out"
    )
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; the machine's cores less one when left out")
    gpu_layers: int = Field(0, ge=-1, description="layers given to a graphics processor, -1 for all")
    pace: float | None = Field(None, gt=0, le=1000, description="at most so many pieces per second; as fast as possible when left out")
    pooling: Literal["auto", "mean", "cls", "last"] = Field("auto", description="embed: how a text's vector is made of its words'")
    when_superseded: Literal["cancel", "queue", "finish"] = Field(
        "queue",
        description="a newer prompt cancels the sentence being spoken; or waits its turn; or is said next, and those between are left out",
    )


class Llm(Role):
    """Speaks: a prompt in, a text out piece by piece, from any GGUF model; and tells how near texts are in meaning."""

    inputs = {"prompt": Text, "embed": Text}
    outputs = {"line": Text, "value": Event, "embedding": Vector}
    extra = "llm"
    needs_model = True
    Options = LlmOptions

    def setup(self) -> None:
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else it runs a debugger, for ten seconds, when a file makes it fall
        try:
            import llama_cpp
        except (ImportError, OSError, RuntimeError) as missing:  # the last two: its library is there and does not load
            raise EngineMissingError(
                f"inference.llm needs llama-cpp-python, which does not load on this machine ({missing})",
                where=self.name,
                instead="pip install roomful[llm]",
            ) from missing
        options = self.options
        filled(options.template, "")  # a template that cannot be filled is said now, not at the first visitor
        threads = options.threads or max(1, int(self.settings.get("cores", 2)) - 1)
        self._voice = Voice(
            llama_cpp, model_file(self), context=options.context, threads=threads, gpu_layers=options.gpu_layers,
            adapters=[(self._adapter_file(each.file), each.scale) for each in options.lora], keep=options.keep,
        )  # fmt: skip
        self._taste = Taste(
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            repeat_penalty=options.repeat_penalty,
        )
        self._chat = None
        self._calm = options.thinking == "off" or bool(options.grammar or options.json_schema)  # a grammar speaks of the answer alone
        if options.chat:
            own = None if options.chat_template is None else text_file(self.folder, options.chat_template, "chat_template")
            self._chat = self._voice.chat(own, OFF if self._calm else None)
            self._chat.prompt(options.system, "a")
        self._say_where(bool(llama_cpp.llama_supports_gpu_offload()), threads)
        self._obey()
        self._proof = self._warm_up()
        self._voice.heed(self.wanted, self._proof.quickest_s / 2, self.alert)
        self._ticked = False

    def tick(self) -> float:
        """Between two answers, now and then: whether the model still works. Not at once: who takes over has more urgent things to do."""
        first, self._ticked = not self._ticked, True
        if first and self._fault:
            self.faulty(self._fault)
        return EVERY_S if first else self._proof.prove(self)

    def teardown(self) -> None:
        if hasattr(self, "_voice"):
            self._voice.close()

    def on_prompt(self, frame: Frame) -> Iterator[Piece | Pause]:
        yield from self._answer(frame, ())

    @classmethod
    def inspect_model(cls, file: Path) -> dict[str, Any]:
        return looked_at(file)

    def on_embed(self, frame: Frame) -> None:
        ids = self._voice.tokens(str(frame.value))
        if ids:
            self.emit("embedding", self._voice.meaning(ids, self.options.pooling), captured_s=frame.captured_s or None)

    def resume(self, input: str, frame: Frame, so_far: tuple[Piece, ...]) -> Iterator[Piece | Pause]:
        """Goes on with a sentence that another copy began and could not end: from the token where it stopped, by the ids that
        its pieces carried, since text that is tokenised anew may differ. Drawing depends on the model's sums, the request's
        seed and the position alone, so the whole is what the other copy would have said; only between unlike processors
        may two nearly equal tokens change places."""
        yield from self._answer(frame, tuple(number for piece in so_far for number in ids_of(piece.mark)))

    def _answer(self, frame: Frame, so_far: tuple[int, ...]) -> Iterator[Piece | Pause]:
        request = frame.request or f"{frame.source}:{frame.stream}:{frame.number}"
        prompt = self._prompt(frame.value)
        if not prompt:
            return  # an empty prompt to a model that needs no beginning mark: there is nothing to go on from
        for piece in self._paced(self.pieces(prompt, request_seed(self.options.seed, request), so_far)):
            if not self._fault:
                self._proof.speaks(self)
            yield piece

    def _prompt(self, value: Any) -> list[int]:
        """The tokens that the model reads. Where they are too many, the oldest words of the prompt are dropped before any of the
        template's, and that is said."""
        whole = self._voice.tokens(self._written(value))
        most = self._voice.context - self._room()
        if isinstance(value, str) and len(whole) > most and (self._chat is not None or self.options.template != "{prompt}"):
            at, step = len(value), 1 << max(0, len(value).bit_length() - 1)
            while step:  # the first place from which on the text fits
                if at - step >= 0 and len(self._voice.tokens(self._written(value[at - step :]))) <= most:
                    at -= step
                step >>= 1
            if at < len(value):
                space = value.find(" ", at - 1, at + 40) if at else -1
                at = space + 1 if 0 <= space < len(value) - 1 else at
                self.say(
                    f"a prompt of {len(value)} letters does not fit a context of {self._voice.context} tokens: its first {at} are dropped"
                )
                return self._voice.tokens(self._written(value[at:]))
        return self._fitting(whole)

    def _written(self, value: Any) -> str:
        if self._chat is None:
            return filled(self.options.template, value)
        if isinstance(value, Mapping):
            value = {key: self._voice.without_marks(item) if isinstance(item, str) else item for key, item in value.items()}
        elif isinstance(value, str):
            value = self._voice.without_marks(value)
        written = self._chat.prompt(self.options.system, filled(self.options.template, value))
        return ended(written) if self._calm else written

    def pieces(self, prompt: list[int], seed: int, so_far: tuple[int, ...] = ()) -> Iterator[Piece]:
        """The answer to `prompt` as text that can be shown as it comes; joined, it is the whole answer. Each piece is marked
        with the ids drawn since the one before. With `so_far` (ids of the pieces already said) it goes on after them.
        Blanks at the beginning are left out, but where a grammar asks for them."""
        letters, said = self._hearing_out(prompt), len(so_far)
        text = "".join([letters.take(token) for token in so_far])
        begun = bool(text.strip()) or self._law is not None
        drawn: list[int] = []
        most = self.options.max_tokens
        for token in self._voice.generate(prompt, so_far, self._taste, seed, most) if not letters.stopped else ():
            drawn.append(token)
            piece = letters.take(token)
            piece = piece if begun else piece.lstrip()
            said += 1
            if piece:
                begun, text = True, text + piece
                yield Piece(piece, mark_of(drawn))
                drawn = []
            if letters.stopped:
                break
        else:
            if said < most and len(prompt) + said >= self._voice.context:
                self.say(f"a sentence ended because the context of {self._voice.context} tokens was full")
        if letters.thinks:
            self.say(f"an answer ended after {said} tokens while the model was still thinking: give it more in max_tokens")
        rest = letters.rest()
        if rest.strip() or (rest and self._law is not None):
            text += rest
            yield Piece(rest if begun else rest.lstrip(), mark_of(drawn))
        if self.options.json_schema is not None:
            self._emit_value(text)

    def _hearing_out(self, prompt: list[int]) -> Answer:
        """What takes an answer's tokens and gives what is shown of it."""
        if self._law is not None:
            return Answer(self._voice.spoken, self.options.stop, Thoughts(shown=True))
        thoughts = Thoughts(self._voice.end_of_thoughts(prompt), self.options.thinking == "show")
        return Answer(self._voice.written, self.options.stop, thoughts)

    def _emit_value(self, text: str) -> None:
        try:
            self.emit("value", json.loads(text))
        except ValueError:
            self.say(f"an answer is no whole JSON: {text[:80]}")

    def _room(self) -> int:
        """The tokens that are held free for an answer; under a grammar, at least its shortest."""
        shortest = self._law.shortest if self._law is not None else 0
        return min(self.options.max_tokens, max(shortest, self._voice.context // 2))

    def _fitting(self, prompt: list[int]) -> list[int]:
        """The prompt, cut to leave room for an answer; what is dropped is said."""
        fitting = self._voice.shortened(prompt, self._room())
        if len(fitting) < len(prompt):
            self.say(
                f"a prompt of {len(prompt)} tokens does not fit a context of {self._voice.context} with room for an answer: "
                f"its oldest {len(prompt) - len(fitting)} are dropped"
            )
        return fitting

    def _paced(self, pieces: Iterator[Piece]) -> Iterator[Piece | Pause]:
        """The pieces at the pace asked for, none held back for longer than that."""
        if self.options.pace is None:
            yield from pieces
            return
        due_s = time.monotonic()
        for piece in pieces:
            if (wait_s := due_s - time.monotonic()) > 0:
                yield Pause(wait_s)
            due_s = max(due_s, time.monotonic() - 1.0 / self.options.pace) + 1.0 / self.options.pace
            yield piece

    def _obey(self) -> None:
        """Read the grammar that the options give, if any, and see that its shortest answer fits."""
        options, self._law = self.options, None
        if options.grammar is None and options.json_schema is None:
            return
        if options.grammar is not None and options.json_schema is not None:
            raise RoleError("`grammar` and `json_schema` exclude each other", where=self.name, instead="keep one of the two")
        if options.grammar is not None:
            text = options.grammar if "::=" in options.grammar else text_file(self.folder, options.grammar, "grammar")
        else:
            text = grammar_of(schema_of(options.json_schema, self.folder))
        self._law = law = self._voice.obey(text)
        most = min(options.max_tokens, self._voice.context - 1)
        if law.shortest > most:
            raise RoleError(
                f"the shortest answer that the grammar allows takes {law.shortest} tokens, and there is room for {most}", where=self.name,
                instead=f"set option max_tokens to at least {law.shortest}, and context to more than that",
            )  # fmt: skip
        if law.grammar is None:
            self.say("the grammar has parts that cannot be counted: an answer that reaches max_tokens is cut off")
        if options.stop:
            self.say("stop words may cut an answer off within the grammar")

    def _adapter_file(self, name: str) -> Path:
        """An adapter by its name among the deployment's models, or by its path in the folder."""
        files = {str(key): Path(value) for key, value in dict(self.settings.get("models", {})).items()}
        file = files.get(name, self.folder / name)
        if not file.is_file():
            raise RoleError(
                f"there is no adapter {name!r}", where=f"{self.name}, option lora",
                instead="write the name of one of the deployment's models" + (f" ({', '.join(sorted(files))})" if files else "")
                + ", or a GGUF file's path in the folder",
            )  # fmt: skip
        return file

    def _warm_up(self) -> Proof:
        """The first token is slow (pages of the file, caches); better now than before a visitor. What every prompt begins with is
        read on the way, and what follows it is the answer by which the model is known to work."""
        begin = self._voice.tokens("a")
        if not self._voice.speaks:
            return Proof(lambda: self._voice.meaning(begin, self.options.pooling).round(3).tolist())
        prompt = self._fitting(self._voice.tokens(self._written("")) or begin)
        calm = Taste(temperature=0)
        list(self._voice.generate(prompt, (), calm, 0, 1))
        return Proof(lambda: list(self._voice.generate(prompt, (), calm, 0, 2)))

    def _say_where(self, gpu_possible: bool, threads: int) -> None:
        wants_gpu = self.options.gpu_layers != 0
        self._fault = fell_back(self, "the graphics processor" if gpu_possible else "the processor", wants_gpu and gpu_possible)
        where = "the graphics processor" if wants_gpu and gpu_possible else f"the processor, {threads} thread{'s' * (threads > 1)}"
        self.say(f"speaks with {self._voice.context} tokens of context on {where}")
        if wants_gpu and not gpu_possible:
            self.say("was asked to use a graphics processor, which this llama.cpp was built without")
        if self._voice.context > self._voice.trained_context > 0:
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
