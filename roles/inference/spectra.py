"""Which spectrum a model wants to hear, for `roomful models`: what lies beside it says so, or its sides do.

Few sides are anybody else's: 3000 moments of 80 bands are Whisper's half a minute. That a model takes a spectrum at all is sure then; which
one is a guess, and `roomful models` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from roles.inference.hearing import is_companion

SIDES: dict[frozenset[int], tuple[Any, ...]] = {  # moments and bands, in any order
    frozenset({3000, 80}): ("whisper",),
    frozenset({3000, 128}): ({"like": "whisper", "bands": 128},),
    frozenset({1024, 128}): ("ast",),
    frozenset({1001, 64}): ("clap", "panns"),
    frozenset({96, 64}): ("yamnet", "vggish"),
    frozenset({160, 40}): ("resemblyzer",),
    frozenset({49, 40}): ("speech_commands",),
    frozenset({49, 10}): ("tiny_kws",),
    frozenset({124, 129}): ("tensorflow",),
    frozenset({187, 96}): ("musicnn",),
}
BANDS: dict[int, tuple[Any, ...]] = {  # of models that hear any length
    80: ("kaldi", "nemo", "whisper"),
    560: ("funasr",),
    160: ("seamless",),
    128: ({"like": "nemo", "bands": 128}, {"like": "kaldi", "bands": 128}),
    64: ({"like": "kaldi", "bands": 64}, "yamnet"),
    40: ({"like": "kaldi", "bands": 40}, {"like": "librosa_mfcc", "cepstrum": 40}),
}
WORDS = ("mel", "fbank", "feat", "spec", "mfcc", "audio_signal", "speech", "input_features")
SECONDS = 2  # that a model of any length is tried with


def spectra(name: str, entry: Any, others: Iterable[Any], told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options with `spectrum` for the input `name`, the likeliest first; none where it is no spectrum. `others` are the model's further
    inputs, `told` the options that what lies beside the model says."""
    sides = [side for side in entry.shape if isinstance(side, int) and side > 4]
    open_side = any(not isinstance(side, int) or side < 1 for side in entry.shape[1:])
    rate = {key: value for key, value in told.items() if key == "rate"}
    window = {"window": SECONDS * int(rate.get("rate", 16000))} if open_side and len(sides) < 2 else {}
    if "spectrum" in told:
        yield {**rate, "spectrum": told["spectrum"], **window}
        return
    if "float" not in entry.type or not 2 <= len(entry.shape) <= 4 or (len(entry.shape) == 4 and 3 in entry.shape):
        return
    if len(sides) == 2:
        for like in SIDES.get(frozenset(sides), ()):
            yield {"spectrum": like}
    elif len(sides) == 1 and window and len(entry.shape) >= 3:
        known = any(word in name.lower() for word in WORDS) or any(is_companion(other) for other in others)
        first = len(entry.shape) == 3 and entry.shape[1] == sides[0]  # bands first, as NeMo's and Whisper's are
        likes = BANDS.get(sides[0], ()) if known else ()
        for like in sorted(likes, key=lambda each: first != (str(each).find("nemo") >= 0 or each == "whisper")):
            yield {"spectrum": like, **window}
