"""Drawing the next token: a pure function of (logits, what was said, seed, position).

An engine's own sampler carries a random state from token to token, and that state cannot be handed to another
machine in mid-sentence. Here the random number of a position is a hash of the request's seed and the position, so
that any machine that holds the tokens so far draws the same next one. The order of the steps is llama.cpp's
(penalty, top-k, top-p, min-p, temperature), so that known settings give the known taste.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Logits = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Taste:
    """How freely a model speaks. temperature 0 always takes the likeliest; top_k 0, top_p 1, min_p 0 and repeat_penalty 1 do nothing."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last: int = 64


def request_seed(seed: int | None, request: str) -> int:
    """64 bits for one request. A fixed `seed` makes equal prompts give equal answers; None makes each request's its own."""
    words = f"request {request}" if seed is None else f"fixed {seed}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big")


def chance(seed: int, position: int) -> float:
    """A number in [0, 1), the same for the same (seed, position) on every machine and in every version of numpy."""
    digest = hashlib.blake2b(position.to_bytes(8, "big"), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def draw(logits: Logits, said: Sequence[int], taste: Taste, seed: int, position: int) -> int:
    """The token id drawn from `logits` (one number for each word of the vocabulary).

    `said` are the ids so far, prompt included; the last `repeat_last` of them are made less likely by
    `repeat_penalty` (Keskar et al. 2019, as llama.cpp applies it). Ties fall to the lower id.
    """
    logits = _penalised(logits, said, taste)
    if taste.temperature <= 0:
        return int(np.argmax(logits))
    ids = _likeliest(logits, taste.top_k)
    values = logits[ids].astype(np.float64)
    kept = _within(values, taste.top_p, taste.min_p)
    weights = np.exp((values[:kept] - values[0]) / taste.temperature)
    heights = np.cumsum(weights)
    at = int(np.searchsorted(heights, chance(seed, position) * heights[-1], side="right"))
    return int(ids[min(at, kept - 1)])


def _penalised(logits: Logits, said: Sequence[int], taste: Taste) -> Logits:
    if taste.repeat_penalty == 1.0 or not said or taste.repeat_last <= 0:
        return logits
    heard = np.unique(np.asarray(said[-taste.repeat_last :], dtype=np.int64))
    logits = logits.copy()
    logits[heard] = np.where(logits[heard] > 0, logits[heard] / taste.repeat_penalty, logits[heard] * taste.repeat_penalty)
    return logits


def _likeliest(logits: Logits, top_k: int) -> np.ndarray[Any, Any]:
    """The ids of the `top_k` largest (0: all), largest first."""
    if 0 < top_k < len(logits):
        edge = np.partition(logits, len(logits) - top_k)[len(logits) - top_k]
        ids = np.flatnonzero(logits >= edge)
    else:
        ids = np.arange(len(logits))
    ordered: np.ndarray[Any, Any] = ids[np.argsort(-logits[ids], kind="stable")]
    return ordered[:top_k] if top_k > 0 else ordered


def _within(values: np.ndarray[Any, Any], top_p: float, min_p: float) -> int:
    """How many of the descending `values` remain: the fewest that hold `top_p` together, each at least `min_p` of the first."""
    likely = np.exp(values - values[0])
    kept = len(values)
    if top_p < 1.0:
        kept = int(np.searchsorted(np.cumsum(likely), top_p * likely.sum())) + 1
    if min_p > 0.0:
        kept = min(kept, int(np.count_nonzero(likely >= min_p)))
    return max(1, min(kept, len(values)))
