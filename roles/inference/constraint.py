"""What a grammar does to the drawing of tokens: only what it allows is drawn, and it ends before the tokens do.

llama.cpp's own grammar says which tokens are allowed; it is set back and fed the tokens so far at each answer's beginning, so
that what is drawn stays a pure function of (model, prompt, tokens so far, seed), and another machine goes on with the same
token. `gbnf` says how many bytes the shortest end takes: a token after which fewer tokens would be left than that is not
drawn; the shortest end is written instead. So an answer always parses, however short `max_tokens` and however foolish the model.

Most tokens that a model draws freely are allowed. So one is drawn first and looked at; the whole vocabulary is put through the
grammar only when it is not, and drawn from anew with another number: both together draw each token as often as the masked
vocabulary alone would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.drawing import Logits, Taste, draw
from roles.inference.gbnf import Following, Grammar, Unreadable, read_grammar

SECOND_LOOK = 1 << 40  # added to the position: a number of its own for the second drawing
_ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Law:
    """A grammar for one model's vocabulary: read once, obeyed by each answer. `pieces` are the bytes of each token, b"" for marks."""

    def __init__(self, engine: Any, vocabulary: Any, text: str, pieces: Sequence[bytes], complaint: Callable[[], str]) -> None:
        """RoleError when the grammar cannot be read, or the vocabulary cannot write its shortest text."""
        self._engine, self._vocabulary, self.text = engine, vocabulary, text
        self.pieces = pieces
        self.usable = np.array([bool(piece) for piece in pieces])
        for token in range(len(pieces)):
            if engine.llama_vocab_is_eog(vocabulary, token):
                self.usable[token] = True
        self._by_bytes: dict[bytes, int] = {}
        for token, piece in enumerate(pieces):
            if piece and self.usable[token]:
                self._by_bytes.setdefault(piece, token)
        self._longest = max(map(len, self._by_bytes), default=1)
        sampler = self.sampler()
        if not sampler:
            raise RoleError(
                f"the grammar cannot be read: {complaint()}", where="option grammar",
                instead="its first rule is `root ::= …`; see llama.cpp's grammars/README.md",
            )  # fmt: skip
        engine.llama_sampler_free(sampler)
        self.grammar = self._read()
        self.shortest = len(self.spelling(Following(self.grammar).closing())) if self.grammar else 0

    def _read(self) -> Grammar | None:
        """The grammar as `gbnf` reads it; None where only llama.cpp can follow it, so that no end can be promised."""
        try:
            return read_grammar(self.text)
        except Unreadable:
            return None

    def sampler(self) -> Any:
        """A fresh one of llama.cpp's, at the grammar's beginning."""
        return self._engine.llama_sampler_init_grammar(self._vocabulary, self.text.encode(), b"root")

    def spelling(self, text: bytes) -> list[int]:
        """Tokens that write exactly these bytes, the longest first."""
        found = []
        while text:
            token = self.first_of(text)
            if token is None:
                raise RoleError(
                    f"the model's vocabulary cannot write {text[:1]!r}, which the grammar asks for", where="option grammar",
                    instead="use other letters in the grammar",
                )  # fmt: skip
            found.append(token)
            text = text[len(self.pieces[token]) :]
        return found

    def first_of(self, text: bytes) -> int | None:
        """The longest token with which `text` begins."""
        for length in range(min(self._longest, len(text)), 0, -1):
            if text[:length] in self._by_bytes:
                return self._by_bytes[text[:length]]
        return None


class Obedience:
    """One answer under a law. Use `close` when it is over: llama.cpp's part is freed there."""

    def __init__(self, law: Law, engine: Any, vocabulary: Any, so_far: Sequence[int]) -> None:
        self._law, self._engine, self._vocabulary = law, engine, vocabulary
        self._sampler = law.sampler()
        self._following = Following(law.grammar) if law.grammar is not None else None
        for token in so_far:
            if not self._allowed(token):
                self.close()
                raise RoleError(
                    "the answer to go on with does not follow this role's grammar", where="option grammar",
                    instead="give both copies the same deployment",
                )  # fmt: skip
            self.accept(token)

    def close(self) -> None:
        """Free llama.cpp's part. May be called twice."""
        if self._sampler is not None:
            self._engine.llama_sampler_free(self._sampler)
            self._sampler = None

    @property
    def over(self) -> bool:
        """Whether nothing can follow any more."""
        return self._following is not None and self._following.ended and self._following.over

    def draw(self, logits: Logits, said: Sequence[int], taste: Taste, seed: int, position: int, left: int) -> int | None:
        """The next token within the grammar, with `left` tokens to draw, this one included. None when nothing can follow."""
        open_ = np.where(self._law.usable, logits, -np.inf).astype(np.float32)
        token = draw(open_, said, taste, seed, position)
        if not self._allowed(token):
            masked = self._masked(open_)
            if not np.isfinite(masked).any():
                return None
            token = draw(masked, said, taste, seed, position + SECOND_LOOK)
        return self._in_time(token, left)

    def accept(self, token: int) -> None:
        """The token is part of the answer now. It must be allowed: llama.cpp ends the whole process for one that is not."""
        self._engine.llama_sampler_accept(self._sampler, token)
        if self._following is not None and not self._following.take(self._law.pieces[token]):
            self._following = None  # llama.cpp reads the grammar in another way: it has the last word

    def _in_time(self, token: int, left: int) -> int | None:
        """`token`, or the first of the shortest end where the rest would not fit any more after it."""
        following = self._following
        if following is None or self._engine.llama_vocab_is_eog(self._vocabulary, token):
            return token
        here = following.state()
        fits = following.take(self._law.pieces[token]) and following.cost <= left - 1
        following.back_to(here)
        if fits:
            return token
        if following.ended and not following.closing():
            return None
        closing = self._law.first_of(following.closing())
        return closing if closing is not None and self._allowed(closing) else token

    def _allowed(self, token: int) -> bool:
        return bool(np.isfinite(self._apply(np.array([(token, 0.0, 0.0)], _ENTRY))["logit"][0]))

    def _masked(self, logits: Logits) -> Logits:
        entries = np.zeros(len(logits), _ENTRY)
        entries["id"], entries["logit"] = np.arange(len(logits)), logits
        return self._apply(entries)["logit"].copy()

    def _apply(self, entries: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """llama.cpp sets the weights of what is not allowed to minus infinity, in place."""
        data = entries.ctypes.data_as(ctypes.POINTER(self._engine.llama_token_data))
        array = self._engine.llama_token_data_array(data=data, size=len(entries), selected=-1, sorted=False)
        self._engine.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return entries
