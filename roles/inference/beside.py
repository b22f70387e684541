"""What comes beside a model: the small JSON files that say what its numbers mean, as exports of transformers have them.

`config.json` names the classes, `preprocessor_config.json` says how a picture or a sound is made ready. The names are taken where
their number fits the model. How a picture is made ready is told by `roomful models` as options to write, never applied in silence: the
deployment says all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roles.inference.reading import places_beside

SANE = 100_000  # classes
CONFIG, MADE_READY = "config.json", ("preprocessor_config.json", "processor_config.json")
SAMPLINGS = {0: "nearest", 2: "smooth", 3: "cubic"}  # Pillow's numbers


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


def ready_as_told(model: Path) -> dict[str, Any]:
    """The options that say what `preprocessor_config.json` says of pictures or sounds; those with their usual values are left out."""
    said = next((found for name in MADE_READY if (found := told(model, name))), {})
    said = said.get("image_processor", said)
    if not isinstance(said, dict):
        return {}
    return _heard(said) if "sampling_rate" in said else _seen(said)


def _seen(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    sides = said.get("crop_size") if said.get("do_center_crop") else said.get("size")
    if isinstance(sides, int):
        sides = {"height": sides, "width": sides}
    if isinstance(sides, Mapping) and {"height", "width"} <= set(sides):
        found["size"] = f"{sides['width']}x{sides['height']}"
    shortest = said.get("size")
    shortest = shortest.get("shortest_edge") if isinstance(shortest, Mapping) else shortest
    if said.get("do_center_crop") and isinstance(shortest, int) and isinstance(sides, Mapping):
        found["resize"] = "crop"
        share = sides.get("height", shortest) / shortest
        if share < 1:
            found["crop_share"] = round(share, 4)
    factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    if isinstance(factor, int | float) and abs(factor - 1 / 255) > 1e-6:
        found["scale"] = factor
    if said.get("do_normalize", True):
        for option, key in (("mean", "image_mean"), ("std", "image_std")):
            values = said.get(key)
            if isinstance(values, list) and values:
                found[option] = values[0] if len(set(values)) == 1 else values
    if SAMPLINGS.get(said.get("resample", 2), "smooth") != "smooth":
        found["sampling"] = SAMPLINGS[said["resample"]]
    return found


def _heard(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(said["sampling_rate"], int) and said["sampling_rate"] != 16000:
        found["rate"] = said["sampling_rate"]
    if said.get("do_normalize") and "Wav2Vec2" in str(said.get("feature_extractor_type", "")):
        found["standardise"] = True
    return found
