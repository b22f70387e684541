"""A model in onnxruntime: opened where it was asked to run, described in words, run with what is asked of it.

onnxruntime answers in several classes of errors, lists of maps and half numbers; here all of that becomes arrays of float32, and
refusals that name what the model has. Where a model really runs is not what was asked, nor what `get_providers` lists: it is read
from a profile of the first run. Decided against: letting it choose threads (it spins on every core).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.intake import Array

PREFERRED = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider")


class Session:
    """One loaded model. `inputs` and `outputs` are onnxruntime's entries by name."""

    def __init__(self, onnxruntime: Any, file: Path, threads: int, providers: list[str] | None) -> None:
        """RoleError when the file is no model."""
        self.file = file
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 3
        order = provider_order(onnxruntime.get_available_providers(), providers)
        self._profiles = tempfile.TemporaryDirectory() if order[0] != "CPUExecutionProvider" else None
        if self._profiles is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(self._profiles.name) / "first")
        self._refusals = engine_errors()
        try:
            self._session = onnxruntime.InferenceSession(str(file), settings, providers=order)
        except self._refusals as refusal:
            raise RoleError(
                f"{file.name} does not load as an ONNX model: {first_line(refusal)}",
                where=str(file),
                instead="check that the file is whole (with its .data file, if it has one), and that this onnxruntime knows its operators",
            ) from refusal
        self.inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self.outputs = {entry.name: entry for entry in self._session.get_outputs()}
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.providers = [short(provider) for provider in self._session.get_providers()]
        self.labels: list[str] = []  # of a classifier that gives its scores by their names

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; RoleError in the model's words when it refuses."""
        names = list(self.outputs)
        try:
            values = self._session.run(names, dict(feeds))
        except self._refusals as refusal:
            given = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in feeds.items())
            raise RoleError(
                f"the model refuses {given}: {first_line(refusal)}; it has {self.has()}",
                where=self.file.name,
                instead="set option size, layout, dtype, window or feed to what the model was made for",
            ) from refusal
        return {name: array for name, value in zip(names, values, strict=True) if (array := self._as_array(value)) is not None}

    def where(self) -> list[str]:
        """Where the runs so far took place, the most used first: ["cuda", "cpu"]. Call it once, after the first run."""
        if self._profiles is None:
            return ["cpu"]
        self._session.end_profiling()
        found = ran_on("".join(file.read_text(encoding="utf-8") for file in Path(self._profiles.name).glob("first*")))
        self._profiles.cleanup()
        self._profiles = None
        return found or self.providers[:1]

    def has(self) -> str:
        """The model's inputs and outputs in words."""
        return f"the inputs {described(self.inputs)} and the outputs {described(self.outputs)}"

    def _as_array(self, value: Any) -> Array | None:
        """An output as an array; the maps of classifiers from scikit-learn as their scores."""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            self.labels = [str(key) for key in value[0]]
            return np.array([list(each.values()) for each in value], np.float32)
        if isinstance(value, np.ndarray):
            return value.astype(np.float32) if value.dtype == np.float16 else value
        return None


def handed_on(inputs: Iterable[Any], outputs: Mapping[str, Any]) -> dict[str, str]:
    """{input: output} of what a model seems to remember from one run to the next: of one type, with as many sides, the input's name within
    the output's. A guess, for advice and for options that are tried before anybody is told."""
    found: dict[str, str] = {}
    for entry in inputs:
        core = re.sub(r"^(in|input|prev|old)_|(_?(in|input|prev|old|0)|(?<=\di))$", "", entry.name.lower()).removesuffix("i")
        for output, given in outputs.items():
            alike = "float" in entry.type and entry.type == given.type and _same_sides(entry.shape, given.shape)
            named = re.search("[a-z]", core) is not None and core in output.lower() and output.lower() != entry.name.lower()
            if named and alike and output not in found.values():
                found.setdefault(entry.name, output)
    return found


def _same_sides(one: list[Any], other: list[Any]) -> bool:
    """Whether one array can have both shapes."""
    fixed = [(a, b) for a, b in zip(one, other, strict=False) if isinstance(a, int) and isinstance(b, int)]
    return len(one) == len(other) >= 2 and all(a == b for a, b in fixed)


def described(entries: Mapping[str, Any]) -> str:
    """Inputs or outputs as people read them: `images float[1, 3, 640, 640]`."""
    words = (f"{name} {entry.type.removeprefix('tensor(').removesuffix(')')}{list(entry.shape)}" for name, entry in entries.items())
    return ", ".join(words)


def provider_order(available: list[str], asked: list[str] | None) -> list[str]:
    """The providers to ask for, best first: those named in `asked` (short names) that this machine has, and the processor last."""
    wanted = [each for name in asked for each in available if short(each) == name.lower()] if asked else list(PREFERRED)
    return [each for each in dict.fromkeys([*wanted, "CPUExecutionProvider"]) if each in available]


def ran_on(profile: str) -> list[str]:
    """From onnxruntime's profile: the providers that ran nodes, short, by how many they ran."""
    try:
        events = json.loads(profile)
    except ValueError:
        return []
    nodes = [event.get("args", {}) for event in events if event.get("cat") == "Node"]
    used = Counter(str(args["provider"]) for args in nodes if args.get("provider"))
    return [short(provider) for provider, _ in used.most_common()]


def engine_errors() -> tuple[type[Exception], ...]:
    """onnxruntime's errors, which share no class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as engine

    own = [value for value in vars(engine).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


def short(provider: str) -> str:
    """"CUDAExecutionProvider" -> "cuda"."""
    return provider.removesuffix("ExecutionProvider").lower()


def first_line(error: Exception) -> str:
    """The beginning of an engine's complaint."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
