"""llama.cpp, reduced to what a room needs: text to token ids, ids to logits, ids to bytes.

It stands on llama-cpp-python's plain bindings of llama.h, not on its `Llama` class: that one draws with a state of
its own (see drawing), keeps a table of logits for a whole batch, and prints. Everything it allocates is freed by
`close`. One Voice speaks one sentence at a time.

What a prompt has in common with the one before need not be read again (`keep`). The sums of a model depend, in their
last bits, on how many tokens are read at once; so prompts are always read in blocks that begin at fixed places, and only
whole blocks are kept. An answer is then the same, bit for bit, whether anything was kept or not, and on another copy.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.chat import Chat
from roles.inference.constraint import Law, Obedience
from roles.inference.drawing import Logits, Taste, draw
from roles.inference.meaning import Meaning
from roles.inference.thoughts import WORDS, end_of

CONTEXT_DEFAULT = 2048  # tokens, where the model was trained on at least as many
BLOCK = 32  # tokens of a prompt that are read at once; on a graphics processor, which is slow to begin, GPU_BLOCK
GPU_BLOCK = 256
WARNING = 3  # ggml's log levels: 2 informs, 3 warns, 4 is an error, 5 continues the line before
CONTINUED = 5
GAVE_UP = 2  # what llama_decode returns when it was told to
SLOW_S = 0.008  # a token that takes longer is given up in its midst when it is no longer wanted
MARK_TOKENS = 16  # as many write any mark of thoughts, letter by letter
CALM = 20  # tokens that are not interrupted, after one was in vain: where much is said, little of the work is done twice


class _Unwanted(Exception):
    """A newer request took this one's place while the model was reading."""


class Voice:
    """One GGUF model, loaded. `context` is the number of tokens it can hold, prompt and answer together."""

    def __init__(
        self, engine: Any, file: Path, *, context: int | None, threads: int, gpu_layers: int,
        adapters: Sequence[tuple[Path, float]] = (), keep: bool = True,
    ) -> None:  # fmt: skip
        """Load `file` and its adapters (file, scale); RoleError when it is no GGUF model that this llama.cpp can speak with."""
        self._engine, self._file, self._keep = engine, file, keep
        self._heard: deque[str] = deque(maxlen=8)  # llama.cpp's last complaints, for our own messages
        self._model: Any = None
        self._context: Any = None
        self._kept: list[int] = []  # the tokens of the whole blocks that the context holds
        self._law: Law | None = None
        self._marks: re.Pattern[str] | None = None
        self._end_of_turn: int | None = None  # of a conversation, where its template shows one
        self._meaning: Meaning | None = None
        self._wanted: Callable[[], bool] = lambda: True
        self._gives_up: Any = None  # kept: llama.cpp holds only a pointer to it
        self._alert: Callable[[bool], int] | None = None
        self._calm = 0
        self.reused = 0  # tokens of the last prompt that did not have to be read
        self._listen()
        try:
            self._load(gpu_layers)
            self._vocabulary = engine.llama_model_get_vocab(self._model)
            self.words = int(engine.llama_vocab_n_tokens(self._vocabulary))
            trained = int(engine.llama_model_n_ctx_train(self._model))
            self.context = context or min(trained or CONTEXT_DEFAULT, CONTEXT_DEFAULT)
            self.trained_context = trained
            self._block = min(GPU_BLOCK if gpu_layers and engine.llama_supports_gpu_offload() else BLOCK, self.context)
            self._threads = threads
            if self.speaks:
                self._open(threads)
                self._adapt(adapters)
        except RoleError:
            self.close()
            raise

    def heed(self, wanted: Callable[[], bool], token_s: float, alert: Callable[[bool], int]) -> None:
        """From now on an answer that is no longer `wanted` ends: between two blocks of its prompt, and, where a token takes longer
        than SLOW_S, in the middle of its sums (on the processor; others finish them first). There `alert` (as `Role.alert`) says when to
        look: llama.cpp asks after each of some hundred sums, and gets its answer from the C library's own strlen, which is not 0 where the
        byte is not. To ask Python each time took a fifth of a small model's speed."""
        self._wanted = wanted
        if token_s < SLOW_S or not self.speaks or not (byte := alert(False)):
            return
        self._alert = alert
        self._gives_up = ctypes.cast(ctypes.CDLL(None).strlen, self._engine.ggml_abort_callback)
        self._engine.llama_set_abort_callback(self._context, self._gives_up, ctypes.c_void_p(byte))

    def obey(self, grammar: str) -> Law:
        """From now on every answer follows this grammar. RoleError when it cannot be read."""
        self._heard.clear()
        self._law = Law(self._engine, self._vocabulary, grammar, [self.spoken(token) for token in range(self.words)], self._complaint)
        return self._law

    def tokens(self, text: str) -> list[int]:
        """The ids of `text`, begun as the model's file says (its own add_bos); special words in it are taken as such. Some files ask for
        an end mark as well, as for training: who is to go on with the text must not read that it is over."""
        spoken = text.encode()
        begin = self._piece(self._engine.llama_vocab_bos(self._vocabulary), special=True)
        add = not (begin and spoken.startswith(begin))  # a chat template may have written the beginning itself
        room = len(spoken) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._engine.llama_tokenize(self._vocabulary, spoken, len(spoken), ids, room, add, True)
        if count < 0:
            raise RoleError(f"the prompt cannot be put into tokens ({count})", where=self._file.name)
        end = self._engine.llama_vocab_eos(self._vocabulary)
        ended = self.speaks and self._engine.llama_vocab_get_add_eos(self._vocabulary) and count > 0 and ids[count - 1] == end
        return list(ids[: count - 1] if ended else ids[:count])

    def spoken(self, token: int) -> bytes:
        """A token's bytes: perhaps a word, perhaps half a letter, nothing for a special token."""
        return self._piece(token, special=False)

    def written(self, token: int) -> bytes:
        """The same, and the marks between which a model thinks, whatever kind of token they are."""
        spoken = self._piece(token, special=False)
        if spoken:
            return spoken
        mark = self._piece(token, special=True)
        return mark if mark.decode("utf-8", "replace").strip() in WORDS else b""

    def end_of_thoughts(self, prompt: Sequence[int]) -> str | None:
        """The mark that ends the thoughts which a prompt has begun at its end; None where it has begun none."""
        return end_of(b"".join(self._piece(token, special=True) for token in prompt[-MARK_TOKENS:]).decode("utf-8", "replace"))

    def shortened(self, prompt: Sequence[int], room: int) -> list[int]:
        """`prompt` with its oldest tokens left out, so that `room` more fit in the context; the beginning mark stays."""
        most = max(1, self.context - room)
        if len(prompt) <= most:
            return list(prompt)
        marked = prompt[0] == self._engine.llama_vocab_bos(self._vocabulary) and most > 1
        return [prompt[0], *prompt[-(most - 1) :]] if marked else list(prompt[-most:])

    def generate(
        self, prompt: Sequence[int], so_far: Sequence[int], taste: Taste, seed: int, most: int | None = None
    ) -> Iterator[int]:
        """The ids that follow `prompt` and the `so_far` already spoken: at most `most` with these, and until the model ends, its
        grammar does, or its context is full.

        A pure function of its arguments and the model: the ids that a generator gave, handed to another one as
        `so_far`, are gone on with as if nothing had happened. They are read one by one, not at once: the sums are
        then the same ones, bit for bit, that the undisturbed sentence was made with.
        """
        if not self.speaks:
            raise RoleError(
                f"{self._file.name} reads and does not speak: it is a model for embeddings", where=self._file.name,
                instead="wire the text to the input `embed`, or use a model that generates",
            )  # fmt: skip
        room = self.context - len(prompt)
        limit = room if most is None else min(most, room)
        said = [*prompt, *so_far]
        if len(so_far) >= limit:
            return
        obedience = Obedience(self._law, self._engine, self._vocabulary, so_far) if self._law is not None else None
        try:
            self._hear_out(prompt)
            for token in so_far:
                self._read([token])
            while len(said) - len(prompt) < limit and not (obedience is not None and obedience.over):
                position = len(said) - len(prompt)
                drawn: int | None
                if obedience is not None:
                    drawn = obedience.draw(self._logits(), said, taste, seed, position, limit - position)
                else:
                    drawn = draw(self._logits(), said, taste, seed, position)
                if drawn is None or drawn == self._end_of_turn or self._engine.llama_vocab_is_eog(self._vocabulary, drawn):
                    return
                if obedience is not None:
                    obedience.accept(drawn)
                said.append(drawn)
                yield drawn
                if len(said) < self.context:
                    self._read([drawn])
        except _Unwanted:
            return
        finally:
            if obedience is not None:
                obedience.close()

    def _hear_out(self, prompt: Sequence[int]) -> None:
        """Read the prompt, but for the blocks at its beginning that the context still holds. The last token is always read."""
        memory, block = self._engine.llama_get_memory(self._context), self._block
        held = 0
        while self._keep and held + block < len(prompt) and self._kept[held : held + block] == list(prompt[held : held + block]):
            held += block
        if not (held and self._engine.llama_memory_seq_rm(memory, 0, held, -1) and self._engine.llama_memory_seq_pos_min(memory, 0) == 0):
            held = 0  # nothing in common, or a model that cannot forget its end alone
            self._engine.llama_memory_clear(memory, True)
        self.reused, self._kept = held, self._kept[:held]
        for start in range(held, len(prompt), block):
            if start > held and not self._wanted():
                raise _Unwanted
            part = prompt[start : start + block]
            self._read(part)
            self._kept += part if len(part) == block else ()

    def chat(self, template: str | None = None, told: Mapping[str, Any] | None = None) -> Chat:
        """How the model wants a conversation written: as `template` says, or as its own file does, with what it is `told` beside;
        RoleError when neither does."""
        own = self._engine.llama_model_chat_template(self._model, None)
        text = template if template is not None else own.decode("utf-8", "replace") if own else ""
        if not text.strip():
            raise RoleError(
                f"{self._file.name} has no chat template", where="option chat",
                instead="leave option chat out, or give option chat_template a Jinja file that writes one",
            )  # fmt: skip
        begin, end = (
            self._piece(token, special=True).decode("utf-8", "replace")
            for token in (self._engine.llama_vocab_bos(self._vocabulary), self._engine.llama_vocab_eos(self._vocabulary))
        )
        chat = Chat(text, begin, end, self._file.name, told)
        self._end_of_turn = self._mark_at_the_beginning(chat.after_an_answer())
        return chat

    def without_marks(self, text: str) -> str:
        """`text` without the model's own marks of a conversation: a visitor who types them does not speak as the artist."""
        if self._marks is None:
            control = self._engine.LLAMA_TOKEN_ATTR_CONTROL
            found = [token for token in range(self.words) if self._engine.llama_vocab_get_attr(self._vocabulary, token) & control]
            words = {self._piece(token, special=True).decode("utf-8", "replace") for token in found}
            longest = sorted((re.escape(each) for each in words if len(each) > 2), key=len, reverse=True)
            self._marks = re.compile("|".join(longest) or "(?!)")
        while (plain := self._marks.sub("", text)) != text:
            text = plain
        return text

    def _mark_at_the_beginning(self, text: str) -> int | None:
        """The special token with which `text` begins, but for blanks. A model that says it has ended its turn, also where its file
        counts another one, or none, as an end: it would go on with a visitor's words."""
        for token in self.tokens(text.lstrip()):
            piece = self._piece(token, special=True)
            if token != self._engine.llama_vocab_bos(self._vocabulary) and piece.strip():
                return token if not self._piece(token, special=False) and text.lstrip().encode().startswith(piece) else None
        return None

    def meaning(self, ids: Sequence[int], pooling: str = "auto") -> np.ndarray[Any, np.dtype[np.float32]]:
        """A text's tokens as a vector, float32 of length 1; what goes beyond the context is left out."""
        if self._meaning is None:
            self._meaning = Meaning(self._engine, self._model, context=self.context, threads=self._threads, pooling=pooling)
        return self._meaning.of(ids[: self._meaning.most])

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._meaning is not None:
            self._meaning.close()
            self._meaning = None
        if self._context is not None:
            self._engine.llama_free(self._context)  # adapters are freed with the model
            self._context = None
        if self._model is not None:
            self._engine.llama_model_free(self._model)
            self._model = None

    def _load(self, gpu_layers: int) -> None:
        with self._file.open("rb") as start:
            if start.read(4) != b"GGUF":
                raise RoleError(
                    f"{self._file.name} is no GGUF file",
                    where=str(self._file),
                    instead="convert the model to GGUF, or copy the file once more",
                )
        settings = self._engine.llama_model_default_params()
        settings.n_gpu_layers = gpu_layers
        self._model = self._engine.llama_model_load_from_file(str(self._file).encode(), settings)
        if not self._model:
            self._model = None
            raise RoleError(
                f"{self._file.name} does not load: {self._complaint()}",
                where=str(self._file),
                instead="check that the file is whole, that the memory suffices, and that this llama.cpp knows the model",
            )
        if self._engine.llama_model_has_encoder(self._model):
            raise RoleError(
                f"{self._file.name} is a translator (it has an encoder), no storyteller",
                where=str(self._file),
                instead="use a model that only generates",
            )
        self.speaks = self._said_of_itself("attention.causal") != "false"

    def _open(self, threads: int) -> None:
        settings = self._engine.llama_context_default_params()
        settings.n_ctx = self.context
        settings.n_batch = settings.n_ubatch = self._block
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self._context = self._engine.llama_init_from_model(self._model, settings)
        if not self._context:
            self._context = None
            raise RoleError(
                f"there is no room for a context of {self.context} tokens: {self._complaint()}",
                where=self._file.name,
                instead="set option context to fewer",
            )

    def _adapt(self, adapters: Sequence[tuple[Path, float]]) -> None:
        """Lay LoRA adapters over the model, each as strong as its scale says."""
        if not adapters:
            return
        loaded = []
        for file, _ in adapters:
            self._heard.clear()
            adapter = self._engine.llama_adapter_lora_init(self._model, str(file).encode())
            if not adapter:
                raise RoleError(
                    f"the adapter {file.name} does not fit {self._file.name}: {self._complaint()}", where=str(file),
                    instead="use a LoRA in GGUF that was trained on this very model (llama.cpp's convert_lora_to_gguf.py makes one)",
                )  # fmt: skip
            loaded.append(adapter)
        pointers = (ctypes.c_void_p * len(loaded))(*(ctypes.cast(each, ctypes.c_void_p).value for each in loaded))
        scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
        array = ctypes.cast(pointers, self._engine.llama_set_adapters_lora.argtypes[1])
        if self._engine.llama_set_adapters_lora(self._context, array, len(loaded), scales) != 0:
            raise RoleError(f"the adapters cannot be laid over {self._file.name}: {self._complaint()}", where="option lora")

    def _said_of_itself(self, key: str) -> str:
        """A value of the model's metadata, below its architecture's name; "" where it has none."""
        found: list[str] = []
        for name in (b"general.architecture", None):
            letters = ctypes.create_string_buffer(256)
            name = name or f"{found[0]}.{key}".encode()
            count = self._engine.llama_model_meta_val_str(self._model, name, letters, len(letters))
            found.append(letters.value.decode("utf-8", "replace") if count >= 0 else "")
        return found[1]

    def _read(self, ids: Sequence[int]) -> None:
        """Let the model read on; its view of what comes next is then in `_logits`."""
        held = (ctypes.c_int32 * len(ids))(*ids)  # the batch only points to it
        self._calm -= self._calm > 0
        while True:
            if self._alert is not None:
                self._alert(not self._calm)
            code = self._engine.llama_decode(self._context, self._engine.llama_batch_get_one(held, len(ids)))
            if code != GAVE_UP or self._alert is None:
                break
            if not self._wanted():  # what it had begun with is forgotten; the blocks before it stay
                self._kept = []
                raise _Unwanted
            self._calm = CALM  # somebody said something else: once more, the same sums
        if code != 0:
            self._kept = []
            raise RoleError(f"llama.cpp could not go on (code {code}): {self._complaint()}", where=self._file.name)

    def _logits(self) -> Logits:
        view = self._engine.llama_get_logits_ith(self._context, -1)
        logits: Logits = np.ctypeslib.as_array(view, shape=(self.words,))
        if np.isnan(logits[0]):
            raise RoleError(
                "the model's sums are no numbers", where=self._file.name,
                instead="copy the model once more; if it stays so, use another one",
            )  # fmt: skip
        return logits

    def _piece(self, token: int, *, special: bool) -> bytes:
        if token < 0:
            return b""
        room = 32
        while True:
            letters = ctypes.create_string_buffer(room)
            count = int(self._engine.llama_token_to_piece(self._vocabulary, token, letters, room, 0, special))
            if count >= 0:
                return letters.raw[:count]
            room = -count

    def _listen(self) -> None:
        """Keep llama.cpp's warnings and errors, drop its chatter."""
        last = 0

        def hear(level: int, text: bytes, _: Any) -> None:
            nonlocal last
            last = last if level == CONTINUED else level
            line = text.decode("utf-8", "replace").strip()
            if last >= WARNING and line:
                self._heard.append(line)
                print(line, file=sys.stderr, flush=True)

        self._hear = self._engine.llama_log_callback(hear)  # kept: llama.cpp holds only a pointer to it
        self._engine.llama_log_set(self._hear, ctypes.c_void_p(0))

    def _complaint(self) -> str:
        return " / ".join(self._heard) or "llama.cpp says nothing more"
