"""Which mean and deviation each band has in a model's training data, where that is a list too long to write into a deployment.

Speech models keep it in a file beside them (FunASR's am.mvn, WeNet's global_cmvn, JSON), or, as sherpa-onnx exports them, in their own
metadata. The file is named in option `spectrum: statistics`; what the model says of itself holds where nothing is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array
from roles.inference.spectrum_options import Spectrum

WHERE = "option spectrum: statistics"
SHIFT_AT, SCALE_AT = (re.compile(rf"<{word}>[^\[]*\[([^\]]*)\]") for word in ("AddShift", "Rescale"))


def with_statistics(how: Spectrum, metadata: Mapping[str, str], places: Sequence[Path]) -> Spectrum:
    """`how`, its mean and std from the file that it names, which lies in one of `places`, or from the model's metadata (neg_mean,
    inv_stddev), as far as they are not written. RoleError where the file is none that is known."""
    written = {"mean", "std"} & how.model_fields_set
    found: tuple[Array, Array] | None = None
    if how.statistics is not None:
        found = _of_file(next((path for place in places if (path := place / how.statistics).is_file()), places[0] / how.statistics))
    elif not written and "neg_mean" in metadata and "inv_stddev" in metadata:
        try:
            found = _shifted(_numbers(metadata["neg_mean"]), _numbers(metadata["inv_stddev"]))
        except ValueError as wrong:
            raise RoleError("the model's own statistics are no numbers", where="neg_mean, inv_stddev of its metadata",
                            instead="write mean and std into option spectrum") from wrong  # fmt: skip
    if found is None:
        return how
    mean, std = found
    if len(mean) != len(std) or not len(mean) or not np.isfinite([*mean, *std]).all() or (std == 0).any():
        raise RoleError(
            f"{len(mean)} means and {len(std)} deviations do not make statistics", where=WHERE, instead="give one of each for each band"
        )
    return how.model_copy(update={"mean": mean.tolist(), "std": std.tolist()})


def _of_file(path: Path) -> tuple[Array, Array]:
    found, known = None, "give FunASR's am.mvn, WeNet's global_cmvn, or JSON {mean: […], std: […]}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as refusal:
        raise RoleError(f"the file of statistics {path.name!r} cannot be read", where=WHERE, instead=known) from refusal
    with suppress(ValueError, KeyError, TypeError, ZeroDivisionError):
        found = _of_json(json.loads(text)) if text.lstrip().startswith("{") else _of_kaldi(text)
    if found is None:
        raise RoleError(f"{path.name} holds no statistics that are known", where=WHERE, instead=known)
    return found


def _of_json(value: Any) -> tuple[Array, Array]:
    if "mean_stat" in value:  # WeNet: sums over so many moments
        mean = np.array(value["mean_stat"], np.float64) / value["frame_num"]
        return mean, np.sqrt(np.maximum(np.array(value["var_stat"], np.float64) / value["frame_num"] - mean**2, 1e-20))
    return np.array(value["mean"], np.float64), np.array(value["std"], np.float64)


def _of_kaldi(text: str) -> tuple[Array, Array] | None:
    shift, scale = SHIFT_AT.search(text), SCALE_AT.search(text)
    return _shifted(_numbers(shift[1]), _numbers(scale[1])) if shift and scale else None


def _shifted(shift: Array, scale: Array) -> tuple[Array, Array]:
    """(x + shift) * scale as a mean and a deviation."""
    with np.errstate(divide="ignore"):
        return -shift, 1.0 / scale


def _numbers(text: str) -> Array:
    return np.array([float(word) for word in text.replace(",", " ").split()], np.float64)
