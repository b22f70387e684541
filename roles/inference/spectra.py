"""Which spectrum a model wants to hear, for `roomful models`: what lies beside it says so, or its sides do.

Few sides are anybody else's: 3000 moments of 80 bands are Whisper's half a minute. That a model takes a spectrum at all is sure then; which
one is a guess, and `roomful models` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from roles.inference.hearing import is_companion
from roles.inference.spectrum_options import LIKE, STATISTICS

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
    400: ({"like": "funasr", "stack": 5, "stack_step": 1, "stack_centre": False},),
    160: ("seamless",),
    128: ({"like": "nemo", "bands": 128}, {"like": "kaldi", "bands": 128}),
    64: ({"like": "kaldi", "bands": 64}, "yamnet"),
    40: ({"like": "kaldi", "bands": 40}, {"like": "librosa_mfcc", "cepstrum": 40}),
}
WORDS = ("mel", "fbank", "feat", "spec", "mfcc", "audio_signal", "speech", "input_features")
SECONDS = 2  # that a model of any length is tried with


def spectra(
    name: str, entry: Any, others: Iterable[Any], told: Mapping[str, Any], metadata: Mapping[str, str], beside: Path
) -> Iterator[dict[str, Any]]:
    """Options with `spectrum` for the input `name`, the likeliest first; none where it is no spectrum. `others` are the model's further
    inputs, `told` the options that what lies beside the model says, `metadata` what it says of itself, `beside` is where
    it lies."""
    sides = [side for side in entry.shape if isinstance(side, int) and side > 4]
    open_side = any(not isinstance(side, int) or side < 1 for side in entry.shape[1:])
    rate = {key: value for key, value in told.items() if key == "rate"}
    window = {"window": SECONDS * int(rate.get("rate", 16000))} if open_side and len(sides) < 2 else {}
    said = told.get("spectrum") or _of_itself(metadata, sides)
    if said:
        yield {**rate, "spectrum": said, **window}
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
            yield {"spectrum": _with_statistics(like, beside), **window}


def _with_statistics(like: Any, beside: Path) -> Any:
    """The same with the file of statistics that FunASR's models have beside them."""
    if "funasr" not in str(like) or not (beside / STATISTICS).is_file():
        return like
    return {**(like if isinstance(like, dict) else {"like": like}), "statistics": STATISTICS}


def _of_itself(metadata: Mapping[str, str], sides: list[int]) -> Any:
    """What sherpa-onnx writes into the models that it exports; None where it says nothing of a spectrum."""
    whole = metadata.get("normalize_samples", "1").strip() == "0"
    if "neg_mean" in metadata and "lfr_window_size" in metadata:
        named = {"stack": metadata["lfr_window_size"].strip(), "stack_step": metadata.get("lfr_window_shift", "1").strip()}
        changed = {key: int(value) for key, value in named.items() if value.isdigit() and int(value) != LIKE["funasr"][key]}
        return {"like": "funasr", **changed, **({} if whole else {"full": 1.0})} if changed or not whole else "funasr"
    if "per_feature" in (metadata.get("normalize_type"), metadata.get("feature_normalize_type")) or metadata.get("framework") == "nemo":
        return "nemo" if 80 in sides else {"like": "nemo", "bands": sides[0]} if len(sides) == 1 else None
    if metadata.get("framework") == "wespeaker" and 80 in sides:
        return "wespeaker" if whole else {"like": "wespeaker", "full": 1.0}
    if metadata.get("framework") == "3d-speaker" and 80 in sides:
        return {"like": "kaldi", "normalise": "mean", **({"full": 32768.0} if whole else {})}
    return None
