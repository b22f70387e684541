"""What an artist can say of an ONNX model, in words that hold for any: what goes in, what comes out, where it runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mesh.role import Options
from roles.inference.spectrum_options import Like, Spectrum


class Priors(Options):
    """Where a detector looks: boxes around each cell of grids over the picture (SSD, RetinaFace, RetinaNet)."""

    steps: list[int] = Field(description="pixels from cell to cell, for each grid, such as [8, 16, 32]")
    sizes: list[list[float | tuple[float, float]]] = Field(
        description="the boxes' sides in pixels, for each grid, such as [[16, 32], [64, 128], [256, 512]]; or [width, height] of each"
    )
    variance: list[float] = Field(
        default=[0.1, 0.2], min_length=2, max_length=2, description="what places and sizes are multiplied by; [1, 1] for RetinaNet"
    )
    middle: float = Field(0.5, ge=0, le=1, description="where in its cell a box has its middle; 0 for the corner")


class Align(Options):
    """How a thing is turned before it is looked into, by points that its detector gives, counted from 0."""

    level: list[int] | None = Field(None, min_length=2, max_length=2, description="two points whose line shall lie level, left to right")
    up: list[int] | None = Field(None, min_length=2, max_length=2, description="two points of which the second shall be above the first")
    around: list[int] | None = Field(
        None, min_length=2, max_length=2, description="in place of the box, a square about the first point that reaches to the second"
    )
    square: bool = Field(False, description="the box is made a square of its longer side")
    shift: list[float] = Field(
        default=[0.0, 0.0], min_length=2, max_length=2, description="moved by these shares of the box's sides, across and down once turned"
    )
    beyond: int | None = Field(None, ge=0, le=255, description="the grey of what lies outside the picture; as its edge when left out")
    points: Literal["arcface", "ffhq"] | list[tuple[float, float]] | None = Field(
        None, description="where the points shall lie in the model's picture, in 0..1; or arcface, or ffhq"
    )


class OnnxOptions(Options):
    decode: str = Field(
        "classes",
        description="classes, boxes, keypoints, mask, depth, flow, image, letters, spans, answer, words, embedding, probability, raw, or a "
        "function of your own, "
        "such as ./decode.py:faces",
    )
    output: str = Field("found", pattern=r"^[a-z][a-z0-9_-]*$", description="the name of the stream of events")
    input: str | None = Field(None, description="the model's input that frames go to, where it has several")
    wired: dict[str, str] = Field(
        default_factory=dict, description="further inputs of the role, each with the model's input that its newest frame goes to"
    )
    feed: dict[str, Any] = Field(default_factory=dict, description="constant values for the model's other inputs, by name")
    state: dict[str, str] = Field(
        default_factory=dict, description="what the model remembers, as {its input: the output that follows it}; zeros at first"
    )
    state_shape: dict[str, list[int]] = Field(default_factory=dict, description="shapes of state inputs whose sides the model leaves open")
    # a picture
    layout: Literal["auto", "nchw", "nhwc", "ncthw", "ntchw", "nthwc"] = Field(
        "auto", description="where the colour channels are: nchw first, nhwc last; and of a clip, its moments (t)"
    )
    frames: int | None = Field(
        None, ge=1, le=1000,
        description="moments that the model sees at once, as a clip or as further colour channels; of a clip read from it",
    )
    every: int = Field(1, ge=1, le=1000, description="frames: every so many pictures one is a moment")
    earlier: dict[str, int] = Field(
        default_factory=dict,
        description="further inputs that see the same pictures, each with how many pictures before: {image1: 1} for movement between "
        "two; 0 for the same one",
    )
    for_input: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="what is otherwise for one input, such as {depth: {colour: grey, mean: 0.5}}: any option of a picture",
    )
    size: str = Field(
        "auto",
        pattern=r"^(auto|frame|(any|[1-9]\d{0,4})x[1-9]\d{0,4}|[1-9]\d{0,4}xany|[1-9]\d{0,4}\.\.([1-9]\d{0,4})?|~[1-9]\d{0,4})$",
        description='for a model that takes any size: width x height such as "640x640"; "anyx48" where one side follows the picture\'s '
        'shape; "800..1333" for the picture\'s shape with a shorter side of 800, and of less where the longer one would be above 1333 '
        '("518..": whatever it is; "~518": one of the sides, whichever changes less); or frame for the picture\'s own',
    )
    multiple: int | None = Field(
        None, ge=1, le=1024,
        description="a size that is the picture's own, or follows it, is rounded to multiples of this; 32, or 8 (1 for 800..1333), when "
        "left out",
    )
    colour: Literal["auto", "rgb", "bgr", "grey"] = Field("auto", description="the colours the model was trained on")
    scale: float | None = Field(
        None, description="what a pixel (0..255) is multiplied by; 1/255 when left out (1 for models of whole numbers, and for sound)"
    )
    mean: float | list[float] = Field(0.0, description="subtracted after scaling; one number, or one for each channel")
    std: float | list[float] = Field(1.0, description="divided by after that; one number, or one for each channel")
    dtype: Literal["auto", "float32", "float16", "float64", "uint8", "int8", "int16", "int32", "int64"] = Field(
        "auto", description="the input's number type; read from the model"
    )
    resize: Literal["stretch", "letterbox", "crop"] = Field("stretch", description="how a picture of another shape is fitted")
    crop_share: float = Field(
        1.0, gt=0, le=1, description="crop, stretch: only the middle, so much of its sides; 0.875 for models trained on 224 of 256"
    )
    sampling: Literal["area", "linear", "nearest", "cubic", "smooth", "smooth_cubic", "smooth_lanczos"] = Field(
        "area",
        description="how a picture is made smaller: area averages; linear, nearest, cubic as OpenCV; smooth, smooth_cubic, smooth_lanczos "
        "as Pillow's bilinear, bicubic and Lanczos",
    )
    standardise: bool = Field(
        False, description="a picture's or a sound's numbers less their own mean, by their own deviation (FaceNet, wav2vec 2.0)"
    )
    pad: int = Field(114, ge=0, le=255, description="the grey of a letterbox's bars")
    place: Literal["middle", "corner"] = Field("middle", description="letterbox: where the picture lies; corner is top left")
    crops: int | None = Field(
        None, ge=1, le=100, description="run on each of the things that another role found in the picture (input boxes), at most so many"
    )
    crop_margin: float = Field(0.0, ge=0, le=2, description="crops: grown by this share of their sides on every side")
    align: Align | None = Field(None, description="crops: how each is turned and placed by its own points, so that it stands upright")
    crop_labels: list[str] = Field(default_factory=list, description="crops: of things with these labels only; all when left out")
    # sound
    rate: int = Field(16000, ge=1000, le=384000, description="sound: samples a second that the model wants")
    heard_rate: int | None = Field(None, ge=1000, le=384000, description="sound: samples a second that come, where it does not say so")
    window: int | None = Field(None, ge=1, le=10_000_000, description="sound: samples the model hears at once; read from the model")
    hop: int | None = Field(
        None, ge=1, le=10_000_000,
        description="sound: samples from one window to the next; the window when left out. Pictures: run at every so many of them",
    )
    context: int = Field(0, ge=0, le=10_000_000, description="sound: samples from before the window that the model hears again")
    spectrum: Like | Spectrum | None = Field(
        None, description="sound: for a model that hears a spectrum in place of samples: as a known program makes it, or step by step"
    )
    # a text
    tokenizer: str | None = Field(
        None, description="text: the tokenizer.json (or vocab.txt, vocab.json, *.model) in the folder; the one beside the model if left out"
    )
    tokens_max: int | None = Field(None, ge=1, le=100_000, description="text: so many tokens are read at most; from the tokenizer, or 512")
    texts: list[str] = Field(
        default_factory=list,
        description="what every picture, sound or text is held against, such as [a photo of a cat, a photo of a dog]: for CLIP and its "
        "kin, and for models of pairs of texts; also the labels, where none are given",
    )
    texts_as: str = Field("{}", pattern=r"\{\}", description="texts: what each is put into, such as 'This example is {}.'")
    text_as: str = Field("{}", pattern=r"\{\}", description="text: what each that comes is put into, such as 'query: {}'")
    first: str | None = Field(None, description="text: the first of a pair, the same for each, such as the question (decode: answer)")
    second: str | None = Field(None, description="text: the second of a pair, such as the text in which answers are looked for")
    grouping: Literal["simple", "first", "average", "max", "none"] = Field(
        "simple", description="spans: how tokens become names: simple joins neighbours; first, average and max let a word have one label"
    )
    pooling: Literal["auto", "mean", "first", "last", "none"] = Field(
        "auto", description="embedding: which of many rows is the vector; first for pictures, mean for texts and sounds when left out"
    )
    # what comes out
    labels: list[str] | str | None = Field(
        None, description="the classes' names; coco, coco91, voc or selfie; or a file (lines, CSV, JSON); from the model when left out"
    )
    named: dict[str, str | int] = Field(
        default_factory=dict,
        description="which output is what, where their names do not tell: {the name it should have: the model's name for it, or its number "
        "from 0}; the other outputs are left out",
    )
    rescale: dict[str, list[float]] = Field(
        default_factory=dict, description="outputs that are whole numbers, as {output: [step, zero]}: (number - zero) * step"
    )
    scores: str | None = Field(
        None, description="the model's output that holds the scores, the vector or the picture, where it has several"
    )
    top: int = Field(100, ge=1, le=100_000, description="classes: of more classes, so many of the likeliest are told")
    detector: Literal[
        "auto", "yolo8", "yolo5", "yolox", "turned", "ended", "nanodet", "gfl", "yolo8_heads", "yolo_heads", "yolo4_heads", "yolo3_heads",
        "pair", "detr", "queries", "dets", "ssd", "priors", "yunet", "yunet_2022", "blaze", "scrfd", "centernet", "centerface", "map",
    ] = Field("auto", description="boxes: the family, where the outputs leave a doubt")
    columns: str | dict[str, str] | None = Field(
        None,
        description="boxes, keypoints: what each number of a row is, for a detector of no known family: such as cx cy w h score classes, "
        "or - x0 y0 x1 y1 label score, or x0 y0 w h score 17*(x y s); of several outputs, as {its name: its columns}",
    )
    unit: Literal["auto", "pixels", "share"] = Field(
        "auto",
        description="boxes, keypoints: whether places are in the model's pixels or in 0..1 of its picture, where numbers leave a doubt",
    )
    box_order: Literal["auto", "xyxy", "yxyx", "xywh", "cxcywh"] = Field(
        "auto", description="boxes: the order of the numbers (detector: pair, ended)"
    )
    anchors: list[list[float]] = Field(
        default_factory=list, description="boxes: widths and heights in pixels, small to large, of YOLO's heads; its own when left out"
    )
    priors: Priors | None = Field(None, description="boxes: the grids of an SSD or RetinaFace; RetinaFace's own when left out")
    activation: Literal["auto", "none", "sigmoid", "softmax"] = Field("auto", description="what makes the outputs probabilities")
    background: Literal["auto", "first", "last", "none"] = Field("auto", description="boxes: where the class for nothing stands")
    min_score: float = Field(0.4, ge=0, le=1, description="boxes, keypoints: fainter ones are left out")
    iou: float | None = Field(
        None, gt=0, le=1, description="boxes: two of one label that overlap more are one; 0.5 when left out, 0.7 where a model has chosen"
    )
    masks: Literal["auto", "box", "picture"] = Field(
        "auto", description="boxes: whether a thing's mask lies within its box, or over the picture"
    )
    max_boxes: int = Field(100, ge=1, le=10000, description="boxes: at most so many")
    grow: float = Field(
        0.0, ge=0, le=10, description="boxes of a map: outward by area / perimeter times this; text detectors want 1.5 to 2"
    )
    points: Literal["auto", "heatmaps", "simcc", "yolo", "rows", "beside", "limbs", "xy", "yx", "xys", "yxs", "xyz"] = Field(
        "auto",
        description="keypoints: as maps, or as numbers in this order (s: score); rows: several people (MoveNet); "
        "beside: next to boxes; limbs: maps of joints and of limbs (OpenPose)",
    )
    limbs: Literal["openpose", "body25"] | list[tuple[int, int]] | None = Field(
        None, description="keypoints of several people: which two joints each limb joins, in the order of the model's maps of limbs"
    )
    # pictures that come out
    only: list[str] = Field(default_factory=list, description="mask: of these classes; of all but the first when left out")
    near: Literal["high", "low"] = Field("high", description="depth: what is near has high numbers, or low ones (metres)")
    value_range: list[float] | None = Field(
        None, min_length=2, max_length=2,
        description="depth, image: the numbers for black and white, as [0, 255]; flow: for none and the deepest colour; keypoints: for the "
        "picture's left and right, top and bottom, as [-1, 1]; seen when left out",
    )
    picture_size: Literal["frame", "model"] = Field("frame", description="image: as large as the frame, or as the model makes it")
    blank: str | None = Field(None, description="letters: the one that means none: first, last, or a label")
    threshold: float = Field(0.5, ge=0, le=1, description="probability: at this it begins; boxes of a map: where it is above this")
    release: float | None = Field(None, ge=0, le=1, description="probability: below this it ends; 0.15 less than threshold when left out")
    hold_s: float = Field(0.0, ge=0, le=60, description="probability: it ends when it has been below for so long")
    # where
    threads: int | None = Field(None, ge=1, le=256, description="processor threads; the machine's cores less one when left out")
    providers: list[str] | None = Field(None, description="where it may run, in order, such as [cuda, cpu]")
