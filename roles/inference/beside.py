"""What comes beside a model: the small JSON files that say what its numbers mean, as exports of transformers have them.

`config.json` names the classes, `preprocessor_config.json` says how a picture or a sound is made ready. The names are taken where
their number fits the model. How a picture is made ready is told by `roomful models` as options to write, never applied in silence: the
deployment says all of it.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from roles.inference.labels import read_labels
from roles.inference.spectrum_options import LIKE, STATISTICS, Spectrum
from roles.inference.tokens import NAMES, places_beside

SANE = 100_000  # classes
LETTERS = ("vocab.json", "tokens.txt", "vocab.txt")  # of transformers, sherpa-onnx, NeMo
POOLING = "1_Pooling/config.json"  # of sentence-transformers
POOLINGS = {"pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}
CONFIG, MADE_READY = "config.json", ("preprocessor_config.json", "processor_config.json")
BELONGING = (*NAMES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "sentence_bert_config.json", POOLING, CONFIG,
             *MADE_READY, *(name for name in LETTERS if name not in NAMES), STATISTICS)  # fmt: skip
SAMPLINGS = {0: "nearest", 1: "smooth_lanczos", 2: "smooth", 3: "smooth_cubic", 4: "area"}  # Pillow's numbers
TIMM_SAMPLINGS = {"nearest": "nearest", "bilinear": "smooth", "bicubic": "smooth_cubic", "lanczos": "smooth_lanczos", "box": "area"}

EXTRACTORS: dict[str, tuple[str, dict[str, str]]] = {  # of transformers: like which, and what its file says of it
    "WhisperFeatureExtractor": ("whisper", {"bands": "feature_size", "fft": "n_fft", "step": "hop_length"}),
    "ASTFeatureExtractor": ("ast", {"bands": "num_mel_bins", "mean": "mean", "std": "std"}),
    "SeamlessM4TFeatureExtractor": ("seamless", {"bands": "num_mel_bins", "stack": "stride", "stack_step": "stride"}),
    "ParakeetFeatureExtractor": ("nemo", {"bands": "feature_size", "fft": "n_fft", "moment": "win_length", "step": "hop_length",
                                          "emphasis": "preemphasis"}),
    "ClapFeatureExtractor": ("clap", {"bands": "feature_size", "fft": "fft_window_size", "step": "hop_length", "low": "frequency_min",
                                      "high": "frequency_max"}),
    "Speech2TextFeatureExtractor": ("kaldi", {"bands": "num_mel_bins"}),
}  # fmt: skip


def belongings(model: Path) -> list[str]:
    """The files beside a model that are read with it, and its own weights where it keeps them apart: names as they lie there."""
    weights = sorted(each.name for each in model.parent.glob(f"{glob.escape(model.name)}[._]data*") if each.is_file())
    return [*weights, *(name for name in BELONGING if any((place / name).is_file() for place in places_beside(model)))]


def told(model: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file beside the model; empty where there is none."""
    for place in places_beside(model):
        try:
            value = json.loads((place / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return value if isinstance(value, dict) else {}
    return {}


def labels_beside(model: Path, outputs: Mapping[str, Any]) -> list[str]:
    """The classes that `config.json` names (id2label), where the model (its outputs, onnxruntime's entries) can have so many."""
    named = told(model, CONFIG).get("id2label")
    if not isinstance(named, dict) or not named:
        return []
    try:
        numbered = {int(number): str(word) for number, word in named.items()}
    except ValueError:
        return []
    count = max(numbered) + 1
    sides = [side for entry in outputs.values() for side in entry.shape[1:]]
    fits = any(not isinstance(side, int) or side in (count, count + 1) for side in sides) or not sides
    return [numbered.get(at, str(at)) for at in range(count)] if fits and min(numbered) >= 0 and count <= SANE else []


def letters_beside(model: Path, outputs: Mapping[str, Any]) -> list[str]:
    """The letters of a model that writes, from a list beside it that is as long as one of its outputs is wide."""
    wide = {side for entry in outputs.values() for side in entry.shape[-1:] if isinstance(side, int)}
    for place in places_beside(model):
        for name in LETTERS:
            if not (place / name).is_file():
                continue
            try:
                found = read_labels(name, {}, place)
            except (RoleError, OSError):
                continue
            if len(found) in wide or len(found) + 1 in wide or (not wide and 1 < len(found) <= SANE):
                return found
    return []


def activation_beside(model: Path) -> str:
    """What `config.json` says makes the scores of classes likely: "sigmoid" where several may be so at once, "none" where they are
    numbers of their own, "auto" where it says nothing."""
    said = told(model, CONFIG)
    problem, named = said.get("problem_type"), said.get("id2label")
    if problem == "regression":
        return "none"
    alone = isinstance(named, dict) and len(named) == 1
    return "sigmoid" if problem == "multi_label_classification" or alone or str(said.get("model_type")).startswith("siglip") else "auto"


def pooling_beside(model: Path) -> str:
    """Which of its rows stands for a text, as sentence-transformers keeps it beside a model; "auto" where it does not say."""
    said = told(model, POOLING)
    if isinstance(said.get("pooling_mode"), str):
        return {"cls": "first", "mean": "mean", "lasttoken": "last"}.get(said["pooling_mode"], "auto")
    return next((how for key, how in POOLINGS.items() if said.get(key) is True), "auto")


def ready_as_told(model: Path) -> dict[str, Any]:
    """The options that say what `preprocessor_config.json` (or timm's `config.json`) says of pictures or sounds; those with their usual
    values are left out."""
    timm = told(model, CONFIG).get("pretrained_cfg")
    if isinstance(timm, dict):
        return _of_timm(timm)
    said = next((found for name in MADE_READY if (found := told(model, name))), {})
    said = said.get("image_processor", said.get("feature_extractor", said))
    if not isinstance(said, dict) or not said:
        return {}
    return _heard(said) if "sampling_rate" in said else _seen(said)


def _seen(said: Mapping[str, Any]) -> dict[str, Any]:
    found = _shaped(said)
    factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    if isinstance(factor, int | float) and abs(factor - 1 / 255) > 1e-6:
        found["scale"] = factor
    if said.get("do_flip_channel_order"):
        found["colour"] = "bgr"
    if said.get("do_normalize", "colour" not in found):
        for option, key in (("mean", "image_mean"), ("std", "image_std")):
            values = said.get(key)
            if isinstance(values, list) and values:
                found[option] = values[0] if len(set(values)) == 1 else values
    sampling = SAMPLINGS.get(said.get("resample", 2), "smooth")
    return {**found, "sampling": sampling}


def _shaped(said: Mapping[str, Any]) -> dict[str, Any]:
    """Its size, and how a picture of another shape gets there."""
    kind, size = str(said.get("image_processor_type") or said.get("feature_extractor_type") or ""), said.get("size")
    if isinstance(size, int):
        size = {"height": size, "width": size} if not said.get("do_center_crop") else {"shortest_edge": size}
    size = size if isinstance(size, Mapping) else {}
    short, long = size.get("shortest_edge"), size.get("longest_edge")
    cut = said.get("crop_size") if said.get("do_center_crop") else None
    cut = {"height": cut, "width": cut} if isinstance(cut, int) else cut
    if isinstance(cut, Mapping) and {"height", "width"} <= set(cut):
        found: dict[str, Any] = {"size": f"{cut['width']}x{cut['height']}"}
        if isinstance(short, int):
            return {**found, "resize": "crop", **_share(cut["height"], short)}
        return {**found, **_share(cut["height"], size.get("height"))}
    if isinstance(short, int) and kind.startswith("ConvNext"):  # a small one is cut, a large one is stretched
        share = said.get("crop_pct") or 224 / 256
        return {"size": f"{short}x{short}", **({"resize": "crop", **_share(short, int(short / share))} if short < 384 else {})}
    if isinstance(short, int):
        multiple = said.get("size_divisor") or (16 if kind.startswith("Yolos") else None)
        return {"size": f"{short}..{long or ''}", **({"multiple": multiple} if isinstance(multiple, int) and multiple > 1 else {})}
    if {"height", "width"} <= set(size):
        if said.get("keep_aspect_ratio") and isinstance(said.get("ensure_multiple_of"), int):
            return {"size": f"~{size['height']}", "multiple": said["ensure_multiple_of"]}
        whole = {"resize": "letterbox", "place": "corner", "pad": 128} if kind.startswith("Owlv2") else {}
        return {"size": f"{size['width']}x{size['height']}", **whole}
    return {}


def _share(side: Any, of: Any) -> dict[str, float]:
    return {"crop_share": round(side / of, 4)} if isinstance(side, int) and isinstance(of, int) and 0 < side < of else {}


def _of_timm(said: Mapping[str, Any]) -> dict[str, Any]:
    """What timm's configuration says (pretrained_cfg in config.json)."""
    size, share = said.get("test_input_size") or said.get("input_size"), said.get("test_crop_pct") or said.get("crop_pct") or 0.875
    found: dict[str, Any] = {"sampling": TIMM_SAMPLINGS.get(str(said.get("interpolation", "bilinear")), "smooth")}
    for option in ("mean", "std"):
        values = said.get(option)
        if isinstance(values, list) and values:
            found[option] = values[0] if len(set(values)) == 1 else values
    if isinstance(size, list) and len(size) == 3:
        found["size"] = f"{size[2]}x{size[1]}"
        mode = said.get("crop_mode") or "center"
        if mode == "center":
            found |= {"resize": "crop", **_share(size[1], int(size[1] / share))}
        elif mode == "border":
            found["resize"] = "letterbox"
    return found


def _heard(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind = str(said.get("feature_extractor_type", ""))
    spectrum = _spectrum(kind, said)
    rate = said["sampling_rate"]
    usual = LIKE[spectrum["like"]].get("rate", 16000) if spectrum else 16000
    if isinstance(rate, int) and rate != usual:
        found["rate"] = rate
    if said.get("do_normalize") and kind.startswith("Wav2Vec2"):
        found["standardise"] = True
    if spectrum:
        found["spectrum"] = spectrum["like"] if len(spectrum) == 1 else spectrum
    return found


def _spectrum(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Option `spectrum` for what transformers' extractor of this kind makes of a sound; what is as usual is left out."""
    like, named = EXTRACTORS.get(kind, ("", {}))
    if not like:
        return {}
    found = {option: said[key] for option, key in named.items() if isinstance(said.get(key), int | float)}
    if kind.startswith("AST"):
        found["std"] = 2 * found.get("std", 4.5689974) if said.get("do_normalize", True) else 1.0
        found["mean"] = found.get("mean", -4.2677393) if said.get("do_normalize", True) else 0.0
    if kind.startswith("Clap") and said.get("truncation", "fusion") == "fusion":
        found |= {"scale": "htk", "even": False}
    if kind.startswith("Speech2Text"):
        found |= {"full": 32768.0, "normalise": "bands_whole" if said.get("do_ceptral_normalize", True) else "none"}
    if "high" in found and found["high"] == said.get("sampling_rate", 0) / 2:
        del found["high"]
    usual = {**{name: field.default for name, field in Spectrum.model_fields.items()}, **LIKE[like]}
    return {"like": like, **{option: value for option, value in found.items() if value != usual.get(option)}}
