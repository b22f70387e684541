"""Texts as vectors: near in meaning, near in space. From a model made for it (BERT and its kin) or, well enough, from any speaker.

A context of its own beside the speaking one, since a context either speaks or reads. Vectors have the length 1, so that their
product is their likeness. Decided against: leaving the length to the model; what is compared must be comparable.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from mesh.errors import RoleError

POOLINGS = {"auto": -1, "mean": 1, "cls": 2, "last": 3}  # llama.cpp's numbers
NO_POOLING, MEAN = 0, 1


class Meaning:
    """The reading context of one loaded model, for texts of up to `context` tokens."""

    def __init__(self, engine: Any, model: Any, *, context: int, threads: int, pooling: str) -> None:
        """RoleError when there is no room for it."""
        self._engine = engine
        self._context = self._opened(model, context, threads, POOLINGS[pooling])
        if self._context and engine.llama_pooling_type(self._context) == NO_POOLING:  # the model does not say: the mean of all
            engine.llama_free(self._context)
            self._context = self._opened(model, context, threads, MEAN)
        if not self._context:
            raise RoleError(f"there is no room to read {context} tokens at once", instead="set option context to fewer")
        self._wide = int(engine.llama_model_n_embd(model))
        self.most = context

    def _opened(self, model: Any, context: int, threads: int, pooling: int) -> Any:
        settings = self._engine.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = context  # a text is read whole: pooling needs all of it
        settings.n_threads = settings.n_threads_batch = threads
        settings.embeddings = True
        settings.pooling_type = pooling
        settings.no_perf = True
        return self._engine.llama_init_from_model(model, settings) or None

    def of(self, ids: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The vector, float32 of length 1, of a text's tokens, at least one and at most `most`."""
        engine, count = self._engine, len(ids)
        memory = engine.llama_get_memory(self._context)  # none in a model that sees its whole text at once
        if memory:
            engine.llama_memory_clear(memory, True)
        batch = engine.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for at, token in enumerate(ids):
                batch.token[at], batch.pos[at], batch.n_seq_id[at], batch.logits[at] = token, at, 1, True
                batch.seq_id[at][0] = 0
            if engine.llama_decode(self._context, batch) != 0:
                raise RoleError("llama.cpp could not read the text")
            view = engine.llama_get_embeddings_seq(self._context, 0)
            if not view:
                raise RoleError("the model gives no vector of a text", instead="set option pooling: mean")
            vector = np.array(np.ctypeslib.as_array(ctypes.cast(view, ctypes.POINTER(ctypes.c_float)), shape=(self._wide,)))
        finally:
            engine.llama_batch_free(batch)
        length = float(np.linalg.norm(vector))
        return (vector / length if length > 0 else vector).astype(np.float32)

    def close(self) -> None:
        """Free it. May be called twice."""
        if self._context is not None:
            self._engine.llama_free(self._context)
            self._context = None
