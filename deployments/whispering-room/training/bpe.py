"""A byte-level byte-pair tokenizer, small enough to read, in the form llama.cpp knows as `gpt2` with pre-tokenizer `gpt-2`.

Source of the algorithm: Sennrich et al. 2016, and the byte alphabet of GPT-2. Decided against: a tokenizer package, whose files
would have to be translated into GGUF's lists again.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter

# llama.cpp's pattern for `gpt-2`; the lessons are ASCII, so \p{L} is A-Za-z here.
PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
BEGIN, END = "<|begin|>", "<|end|>"


def alphabet() -> dict[int, str]:
    """GPT-2's printable stand-in for each of the 256 bytes (a space is Ġ)."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in keep]
    return {b: chr(b) for b in keep} | {b: chr(256 + i) for i, b in enumerate(others)}


class Bpe:
    """Tokens: 0 begin, 1 end, 2..257 bytes, then one for each merge."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.letters = alphabet()
        self.merges = merges
        self.tokens = [BEGIN, END, *(self.letters[b] for b in range(256)), *(a + b for a, b in merges)]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self._rank = {pair: i for i, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without begin or end."""
        return [token for piece in PIECES.findall(text) for token in self._piece(piece)]

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`; begin and end are silent."""
        back = {letter: b for b, letter in self.letters.items()}
        return bytes(back[c] for i in ids if i > 1 for c in self.tokens[i]).decode("utf-8", "replace")

    def _piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            parts = [self.letters[b] for b in piece.encode()]
            while len(parts) > 1:
                rank, at = min((self._rank.get(pair, 1 << 30), i) for i, pair in enumerate(itertools.pairwise(parts)))
                if rank == 1 << 30:
                    break
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            self._known[piece] = [self.ids[part] for part in parts]
        return self._known[piece]


def learn(texts: list[str], size: int) -> Bpe:
    """Merge the commonest neighbours until there are `size` tokens. Ties fall alphabetically, so the result is always the same."""
    letters = alphabet()
    counted = Counter(piece for text in texts for piece in PIECES.findall(text))
    words = [([letters[b] for b in piece.encode()], n) for piece, n in sorted(counted.items())]
    merges: list[tuple[str, str]] = []
    while len(merges) < size - 258:
        pairs: Counter[tuple[str, str]] = Counter()
        for parts, n in words:
            for pair in itertools.pairwise(parts):
                pairs[pair] += n
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for parts, _ in words:
            for i in range(len(parts) - 2, -1, -1):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = [best[0] + best[1]]
    return Bpe(merges)
