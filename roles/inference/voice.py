"""llama.cpp, reduced to what a room needs: text to token ids, ids to logits, ids to bytes.

It stands on llama-cpp-python's plain bindings of llama.h, not on its `Llama` class: that one draws with a state of
its own (see drawing), keeps a table of logits for a whole batch, and prints. Everything it allocates is freed by
`close`. One Voice speaks one sentence at a time; nothing of a sentence remains in it for the next.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.drawing import Logits, Taste, draw

CONTEXT_DEFAULT = 2048  # tokens, where the model was trained on at least as many
BATCH_MAX = 512
WARNING = 3  # ggml's log levels: 2 informs, 3 warns, 4 is an error, 5 continues the line before
CONTINUED = 5


class Voice:
    """One GGUF model, loaded. `context` is the number of tokens it can hold, prompt and answer together."""

    def __init__(self, engine: Any, file: Path, *, context: int | None, threads: int, gpu_layers: int) -> None:
        """Load `file`; RoleError when it is no GGUF model that this llama.cpp can speak with."""
        self._engine, self._file = engine, file
        self._heard: deque[str] = deque(maxlen=8)  # llama.cpp's last complaints, for our own messages
        self._model: Any = None
        self._context: Any = None
        self._listen()
        try:
            self._load(gpu_layers)
            self._vocabulary = engine.llama_model_get_vocab(self._model)
            self.words = int(engine.llama_vocab_n_tokens(self._vocabulary))
            trained = int(engine.llama_model_n_ctx_train(self._model))
            self.context = context or min(trained, CONTEXT_DEFAULT)
            self.trained_context = trained
            self._open(threads)
        except RoleError:
            self.close()
            raise

    def tokens(self, text: str) -> list[int]:
        """The ids of `text`, begun as the model's file says (its own add_bos); special words in it are taken as such."""
        spoken = text.encode()
        begin = self._piece(self._engine.llama_vocab_bos(self._vocabulary), special=True)
        add = not (begin and spoken.startswith(begin))  # a chat template may have written the beginning itself
        room = len(spoken) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._engine.llama_tokenize(self._vocabulary, spoken, len(spoken), ids, room, add, True)
        if count < 0:
            raise RoleError(f"the prompt cannot be put into tokens ({count})", where=self._file.name)
        return list(ids[:count])

    def spoken(self, token: int) -> bytes:
        """A token's bytes: perhaps a word, perhaps half a letter, nothing for a special token."""
        return self._piece(token, special=False)

    def shortened(self, prompt: Sequence[int], room: int) -> list[int]:
        """`prompt` with its oldest tokens left out, so that `room` more fit in the context; the beginning mark stays."""
        most = max(1, self.context - room)
        if len(prompt) <= most:
            return list(prompt)
        marked = prompt[0] == self._engine.llama_vocab_bos(self._vocabulary) and most > 1
        return [prompt[0], *prompt[-(most - 1) :]] if marked else list(prompt[-most:])

    def generate(self, prompt: Sequence[int], so_far: Sequence[int], taste: Taste, seed: int) -> Iterator[int]:
        """The ids that follow `prompt` and the `so_far` already spoken, until the model ends or its context is full.

        A pure function of its arguments and the model: the ids that a generator gave, handed to another one as
        `so_far`, are gone on with as if nothing had happened. They are read one by one, not at once: the sums are
        then the same ones, bit for bit, that the undisturbed sentence was made with.
        """
        said = [*prompt, *so_far]
        self._engine.llama_memory_clear(self._engine.llama_get_memory(self._context), True)
        for start in range(0, len(prompt), BATCH_MAX):
            self._read(prompt[start : start + BATCH_MAX])
        for token in so_far:
            self._read([token])
        while len(said) < self.context:
            token = draw(self._logits(), said, taste, seed, len(said) - len(prompt))
            if self._engine.llama_vocab_is_eog(self._vocabulary, token):
                return
            said.append(token)
            yield token
            if len(said) < self.context:
                self._read([token])

    def chat_prompt(self, system: str, text: str) -> str:
        """`text` as the model's own chat template presents it; RoleError when the model has none."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        template = self._engine.llama_model_chat_template(self._model, None)
        if not template:
            raise RoleError("the model has no chat template", where=self._file.name, instead="leave option chat out")
        begin, end = (
            self._piece(token, special=True).decode("utf-8", "replace")
            for token in (self._engine.llama_vocab_bos(self._vocabulary), self._engine.llama_vocab_eos(self._vocabulary))
        )
        shown = Jinja2ChatFormatter(template=template.decode(), bos_token=begin, eos_token=end)
        messages = [{"role": "system", "content": system}] if system else []
        return str(shown(messages=[*messages, {"role": "user", "content": text}]).prompt)

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._context is not None:
            self._engine.llama_free(self._context)
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

    def _open(self, threads: int) -> None:
        settings = self._engine.llama_context_default_params()
        settings.n_ctx = self.context
        settings.n_batch = settings.n_ubatch = min(BATCH_MAX, self.context)
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

    def _read(self, ids: Sequence[int]) -> None:
        """Let the model read on; its view of what comes next is then in `_logits`."""
        held = (ctypes.c_int32 * len(ids))(*ids)  # the batch only points to it
        code = self._engine.llama_decode(self._context, self._engine.llama_batch_get_one(held, len(ids)))
        if code != 0:
            raise RoleError(f"llama.cpp could not go on (code {code}): {self._complaint()}", where=self._file.name)

    def _logits(self) -> Logits:
        view = self._engine.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(view, shape=(self.words,))

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
