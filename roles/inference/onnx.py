"""Any ONNX model, described by options alone: a picture or a vector in, an event out.

The role adds nothing to the model: `intake` makes what it wants, `decoding` and `boxes` read what it gives.
Decided against: a class for each family of models (an artist would have to know the family), and letting
onnxruntime choose threads and providers (it spins on every core and falls back to the processor in silence).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Frame, Image, Options, Role, Vector
from roles.inference.decoding import make_decoder, read_labels
from roles.inference.intake import Array, Fit, Intake, Size, as_vector, constants, read_intake

PREFERRED = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider")


class OnnxOptions(Options):
    decode: str = Field("classes", description="classes, boxes, raw, or a function of your own such as ./roles.py:my_decoder")
    output: str = Field("found", pattern=r"^[a-z][a-z0-9_-]*$", description="the name of the stream of events")
    input: str | None = Field(None, description="the model's input that frames go to, where it has several")
    feed: dict[str, Any] = Field(default_factory=dict, description="constant values for the model's other inputs, by name")
    layout: Literal["auto", "nchw", "nhwc"] = Field("auto", description="where the colour channels are: nchw first, nhwc last")
    size: str = Field(
        "auto",
        pattern=r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$",
        description='width x height for a model that takes any size, such as "640x640"',
    )
    colour: Literal["auto", "rgb", "bgr", "grey"] = Field("auto", description="the colours the model was trained on")
    scale: float | None = Field(
        None, description="what a pixel (0..255) is multiplied by; 1/255 when left out (1 for models of whole numbers)"
    )
    mean: float | list[float] = Field(0.0, description="subtracted after scaling; one number, or one for each channel")
    std: float | list[float] = Field(1.0, description="divided by after that; one number, or one for each channel")
    dtype: Literal["auto", "float32", "float16", "uint8"] = Field("auto", description="the input's number type; read from the model")
    resize: Literal["stretch", "letterbox", "crop"] = Field("stretch", description="how a picture of another shape is fitted")
    pad: int = Field(114, ge=0, le=255, description="the grey of a letterbox's bars")
    labels: list[str] | str | None = Field(
        None, description="the classes' names, or a text file with one on each line; from the model when left out"
    )
    scores: str | None = Field(None, description="classes: the model's output that holds the scores, where it has several")
    detector: Literal["auto", "yolo8", "yolo5", "ended", "pair"] = Field(
        "auto", description="boxes: the family, where the shapes leave a doubt"
    )
    box_order: Literal["auto", "xyxy", "yxyx", "xywh", "cxcywh"] = Field(
        "auto", description="boxes: the order of the numbers (detector: pair)"
    )
    min_score: float = Field(0.4, ge=0, le=1, description="boxes: fainter ones are left out")
    iou: float = Field(0.5, gt=0, le=1, description="boxes: two of one label that overlap more are one")
    max_boxes: int = Field(100, ge=1, le=10000, description="boxes: at most so many")
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; the machine's cores less one when left out")
    providers: list[str] | None = Field(None, description="where it may run, in order, such as [cuda, cpu]")


class Onnx(Role):
    """Runs any ONNX model on pictures or vectors; gives classes, boxes, plain arrays, or what a function of your own makes of them."""

    inputs = {"image": Image, "vector": Vector}
    outputs = {"found": Event, "values": Vector}
    output_option = "output"
    extra = "onnx"
    needs_model = True
    Options = OnnxOptions

    def setup(self) -> None:
        try:
            import onnxruntime
        except ImportError as missing:
            raise EngineMissingError(
                "inference.onnx needs onnxruntime, which is not installed on this machine",
                where=self.name,
                instead="pip install roomful[onnx]",
            ) from missing
        self._session = open_session(onnxruntime, self._model_file(), self._threads(), self.options.providers)
        self._say_where()
        self._kinds = {entry.name: entry.type for entry in self._session.get_inputs()}
        self._constants = constants(self.options.feed, self._kinds)
        self._entry = self._choose_input()
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._decode = make_decoder(self.options, read_labels(self.options.labels, metadata, self.folder), self.folder)
        self._refusals = _engine_errors()
        self._intake: Intake | None = None
        if len(self._entry.shape) == 4:  # surely a picture: say at once what does not fit
            self._intake = self._read_intake()

    def on_image(self, frame: Frame) -> None:
        if self._intake is None:
            self._intake = self._read_intake()
        ready, fit = self._intake.prepare(frame.value)
        self._answer(ready, fit, self._intake.size, frame)

    def on_vector(self, frame: Frame) -> None:
        vector = as_vector(frame.value, self._entry.name, self._entry.shape, self._entry.type)
        self._answer(vector, Fit(), (1, 1), frame)

    def _read_intake(self) -> Intake:
        return read_intake(self._entry.name, self._entry.shape, self._entry.type, self.options)

    def _answer(self, ready: Array, fit: Fit, size: Size, frame: Frame) -> None:
        """Run the model and emit what it found, stamped with when the frame was seen."""
        names = [entry.name for entry in self._session.get_outputs()]
        try:
            values = self._session.run(names, {self._entry.name: ready, **self._constants})
        except self._refusals as refusal:
            raise RoleError(
                f"the model refuses {self._entry.name} {list(ready.shape)}: {_first_line(refusal)}",
                where=self.name,
                instead="set option size (or layout) to what the model was made for",
            ) from refusal
        outputs = dict(zip(names, values, strict=True))
        captured_s = frame.captured_s or None
        self.emit(self.options.output, self._decode(outputs, fit, size, frame), captured_s=captured_s)
        if self.options.decode == "raw":
            self.emit("values", values[0], captured_s=captured_s)

    def _model_file(self) -> Path:
        if self.model is None:
            raise RoleError("no model is named", where=self.name, instead="add `model: NAME` to the role and the model to `models`")
        if not self.model.file.is_file():
            raise RoleError(
                f"the model's file is not on this machine: {self.model.file.name}",
                where=str(self.model.file),
                instead="copy the deployment's folder to this machine once more",
            )
        return self.model.file

    def _threads(self) -> int:
        return self.options.threads or max(1, int(self.settings.get("cores", 2)) - 1)

    def _say_where(self) -> None:
        """What it really runs on: a model that falls back to the processor must not do so in silence."""
        used = [_short(provider) for provider in self._session.get_providers()]
        asked = [provider.lower() for provider in self.options.providers or []]
        self.say(f"runs on {', '.join(used)} with {self._threads()} thread{'s' * (self._threads() > 1)}")
        missed = [provider for provider in asked if provider not in used]
        if missed:
            self.say(f"was asked to run on {', '.join(missed)}, which this machine's onnxruntime cannot do")

    def _choose_input(self) -> Any:
        entries = [entry for entry in self._session.get_inputs() if entry.name not in self._constants]
        if self.options.input is not None:
            entries = [entry for entry in entries if entry.name == self.options.input]
        if len(entries) == 1:
            return entries[0]
        known = ", ".join(f"{entry.name} {list(entry.shape)}" for entry in self._session.get_inputs())
        raise RoleError(
            f"the model has these inputs: {known}",
            where=f"{self.name}, option input",
            instead="name in `input` the one that frames go to, and give the others constant values in `feed`",
        )


def open_session(onnxruntime: Any, file: Path, threads: int, providers: list[str] | None) -> Any:
    """An InferenceSession on the first of `providers` that this machine has; RoleError when the file is no model."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    wanted = (
        [provider for name in providers for provider in available if _short(provider) == name.lower()] if providers else list(PREFERRED)
    )
    order = [provider for provider in dict.fromkeys([*wanted, "CPUExecutionProvider"]) if provider in available]
    try:
        return onnxruntime.InferenceSession(str(file), settings, providers=order)
    except _engine_errors() as refusal:
        raise RoleError(
            f"{file.name} does not load as an ONNX model: {_first_line(refusal)}",
            where=str(file),
            instead="check that the file is whole, and that this onnxruntime knows its operators",
        ) from refusal


def _engine_errors() -> tuple[type[Exception], ...]:
    """onnxruntime's errors, which share no class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as engine

    own = [value for value in vars(engine).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider").lower()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
