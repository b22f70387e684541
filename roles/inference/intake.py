"""From a picture to what a model wants of it, and back: size, layout, colour, number type.

Most of the work of using somebody else's model is here, and getting it wrong is silent: the model answers,
wrongly. So everything is read from the model where the model says it, and asked of the artist, with the
option's name, where it does not. How a picture becomes smaller is `sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.inference.sampling import Array, Size, scaled

NUMBER_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as OpenCV and Pillow weigh
CHANNELS = (1, 3)
SIDE_MIN = 16  # of a picture
SIDE_MAX = 4096  # of a side that follows the picture's shape


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the whole picture lies in the model's picture, in the model's pixels; outside it when cropped."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def back(self, boxes: Array) -> Array:
        """Boxes (n, 4) as x0, y0, x1, y1 in the model's pixels -> 0..1 of the picture, clipped to it."""
        moved = (boxes - (self.left, self.top, self.left, self.top)) / (self.width, self.height, self.width, self.height)
        clipped: Array = np.clip(moved, 0.0, 1.0)
        return clipped

    def points_back(self, points: Array) -> Array:
        """Points (n, 2) as x, y in the model's pixels -> 0..1 of the picture; outside of it where they lie outside."""
        moved: Array = (points - (self.left, self.top)) / (self.width, self.height)
        return moved


@dataclass(frozen=True, slots=True)
class Intake:
    """What the model wants on its picture input, complete: nothing left to guess at run time."""

    name: str
    layout: str  # nchw | nhwc | nhw
    batched: bool
    size: Size  # width, height; 0: that side follows the picture's shape
    colour: str  # rgb | bgr | grey
    number_type: str
    scale: float
    mean: Array
    std: Array
    resize: str  # stretch | letterbox | crop
    pad: int
    corner: bool = False  # a letterbox has its bars right and below only
    crop_share: float = 1.0  # of a cropped picture, so much of what its sides allow
    sampling: str = "area"  # as option sampling
    standardise: bool = False
    multiple: int = 0  # above 0: the picture's own size, rounded to it, in place of `size`, or of the side that follows
    edges: Size = (0, 0)  # the picture's shape, with a shorter side of so many pixels and a longer of at most so many (0: any; -1: one
    # of the sides as long as the first says, whichever then changes the less)

    def fitted(self, picture: Array) -> Intake:
        """The same for a picture of this size, where the model takes any."""
        if not self.multiple:
            return self
        height, width = picture.shape[:2]
        if self.edges[0]:
            return replace(self, size=_within((width, height), self.edges, self.multiple))
        if (self.size[0] == 0) != (self.size[1] == 0):
            longer = width * self.size[1] / height if self.size[0] == 0 else height * self.size[0] / width
            follows = min(SIDE_MAX, max(self.multiple, -int(-longer // self.multiple) * self.multiple))
            return replace(self, size=(self.size[0] or follows, self.size[1] or follows))
        sides = tuple(max(self.multiple, round(side / self.multiple) * self.multiple) for side in (width, height))
        return replace(self, size=(sides[0], sides[1]))

    def prepare(self, picture: Array) -> tuple[Array, Fit]:
        """A uint8 picture, RGB (height, width, 3) or grey (height, width), as the model's input, and where it lies in it."""
        placed, fit = place(
            in_colour(picture, self.colour), self.size, self.resize, self.pad, self.corner, self.crop_share, self.sampling
        )
        if self.scale != 1.0 or self.mean.any() or (self.std != 1.0).any():
            values = (placed.astype(np.float32) * np.float32(self.scale) - self.mean) / self.std
        else:
            values = placed
        values = standardised(values) if self.standardise else values
        values = values[:, :, None] if values.ndim == 2 else values
        if self.layout == "nchw":
            values = values.transpose(2, 0, 1)
        elif self.layout == "nhw":
            values = values[:, :, 0]
        ready = as_numbers(values[None] if self.batched else values, self.number_type)
        return ready, fit


def read_intake(name: str, shape: Sequence[Any], kind: str, options: Any) -> Intake:
    """The intake of the model's input `name` of `shape` (numbers, or words where open) and ONNX type `kind`.

    `options` are the role's; each that is "auto" or None is read from the model. Raises RoleError that names the
    option to set where the model leaves it open.
    """
    wants = f"{name} {kind.removeprefix('tensor')} {list(shape)}"
    dims = [d if isinstance(d, int) and d > 0 else None for d in shape]
    layout = options.layout if options.layout != "auto" else _layout(dims, [name, *shape], wants)
    batched = len(dims) == 4 or (layout == "nhw" and len(dims) == 3)
    rows = dims[1:] if batched else dims
    if batched and dims[0] not in (None, 1):
        raise RoleError(f"the model wants {dims[0]} pictures at once ({wants})", instead="export it with a batch of 1 or an open batch")
    if len(rows) != (2 if layout == "nhw" else 3):
        raise _no_picture(wants)
    channels, height, width = _sides(rows, layout)
    number_type = number_type_of(kind, options.dtype)
    whole = number_type not in ("float32", "float16", "float64")
    scale = options.scale if options.scale is not None else (1.0 if whole else 1.0 / 255.0)
    middle = 128.0 if number_type == "int8" and options.scale is None and options.mean == 0 else options.mean  # bytes about 0
    for option, value in (("mean", options.mean), ("std", options.std)):
        if isinstance(value, list) and len(value) not in (1, channels or len(value)):
            raise RoleError(
                f"option {option} has {len(value)} numbers, the model's picture {channels} channels: {wants}", where=f"option {option}",
                instead="give one number, or one for each channel",
            )  # fmt: skip
    size = _size(width, height, options.size, wants)
    edges = _edges(options.size) if None in (width, height) else (0, 0)
    follows, frame = 0 in size, options.size == "frame" and None in (width, height)
    return Intake(
        name=name,
        layout=layout,
        batched=batched,
        size=size,
        colour=_colour(channels, options.colour, wants),
        number_type=number_type,
        scale=scale,
        mean=np.asarray(middle, np.float32),
        std=np.asarray(options.std, np.float32),
        resize=options.resize,
        pad=options.pad,
        corner=options.place == "corner",
        crop_share=options.crop_share,
        sampling=options.sampling,
        standardise=options.standardise,
        multiple=options.multiple or 1 if edges[0] else options.multiple or 8 if follows else options.multiple or 32 if frame else 0,
        edges=edges,
    )


def is_picture(shape: Sequence[Any]) -> bool:
    """Whether an input of this shape is surely a picture: four sides, or three of which an outer one is the colours. (25, 96) are not the
    sides of a grey one: rather a spectrum, or what another model found in a stretch of sound."""
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(sides) != 3:
        return len(sides) == 4
    spread = [side for side in sides if side is None or side >= SIDE_MIN]
    return len(spread) == 2 and sides[1] not in CHANNELS and 3 in (sides[0], sides[2])


def is_cover(entry: Any) -> bool:
    """Whether an input (onnxruntime's entry) says which pixels of a picture count, as of DETR and its kin."""
    return str(entry.name) == "pixel_mask" and len(entry.shape) == 3 and entry.type in NUMBER_TYPES


def covered(entry: Any, ready: Array) -> Array:
    """All of a picture's pixels (batch, channels, height, width) count."""
    sides = [own if isinstance(own, int) and own > 0 else side for own, side in zip(entry.shape, (1, *ready.shape[-2:]), strict=True)]
    return np.ones(sides, number_type_of(entry.type))


def as_numbers(values: Array, number_type: str) -> Array:
    """The same numbers in another type; whole ones rounded and held within its range."""
    kind = np.dtype(number_type)
    if np.issubdtype(kind, np.integer) and not np.issubdtype(values.dtype, np.integer):
        values = np.rint(values)
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        values = np.clip(values, limits.min, limits.max) if values.dtype != kind else values
    return np.asarray(values, dtype=kind, order="C")  # not ascontiguousarray, which makes a row of a single number


def _no_picture(wants: str) -> RoleError:
    return RoleError(
        f"the model's input is no picture: {wants}", instead="feed it a vector (input `vector`), or name its picture in option `input`"
    )


def _layout(dims: list[int | None], words: Sequence[Any], wants: str) -> str:
    """`words` are the input's own name and those of its sides, where they are open."""
    rows = dims[1:] if len(dims) == 4 else dims
    if len(rows) == 3:
        if rows[0] in CHANNELS and rows[2] not in CHANNELS:
            return "nchw"
        if rows[2] in CHANNELS and rows[0] not in CHANNELS:
            return "nhwc"
        if len(dims) == 3 and rows[0] is None and None not in rows[1:]:
            return "nhw"
    if len(rows) == 2 and all(side is not None and side > max(CHANNELS) for side in rows):
        return "nhw"
    if len(rows) < 3:
        raise _no_picture(wants)
    called = ["chan" in str(word).lower() for word in words[-3:]]
    if rows[0] is None and (called[0] or (words[0] == "pixel_values" and rows[2] not in CHANNELS)):
        return "nchw"
    if rows[2] is None and called[2]:
        return "nhwc"
    raise RoleError(
        f"the model does not say where its colour channels are: {wants}",
        instead="set option layout: nchw (channels first) or nhwc (channels last)",
    )


def _sides(rows: list[int | None], layout: str) -> tuple[int | None, int | None, int | None]:
    """(channels, height, width), each None where open."""
    if layout == "nhw":
        return 1, rows[0], rows[1]
    return (rows[0], rows[1], rows[2]) if layout == "nchw" else (rows[2], rows[0], rows[1])


def _size(width: int | None, height: int | None, asked: str, wants: str) -> Size:
    if asked == "frame" or ".." in asked or "~" in asked:
        return (width or 1, height or 1) if None not in (width, height) else (1, 1)
    if asked != "auto":
        across, down = (0 if side == "any" else int(side) for side in asked.split("x"))
        if width not in (None, across) or height not in (None, down):
            raise RoleError(
                f"the model wants pictures of {width or 'any'}x{height or 'any'}, option size says {asked}",
                where=wants,
                instead="leave `size` out, or set it to the model's",
            )
        return across, down
    if (width is None) != (height is None):  # as tall as it says, and as wide as the picture then is
        return width or 0, height or 0
    if width is None or height is None:
        raise RoleError(f"the model takes pictures of any size: {wants}", instead='say which in option size, such as "640x640"')
    return width, height


def _edges(asked: str) -> Size:
    """Of option size: "800..1333" -> (800, 1333)."""
    if asked.startswith("~"):
        return int(asked[1:]), -1
    short, dots, long = asked.partition("..")
    return (int(short), int(long or 0)) if dots else (0, 0)


def _within(sides: Size, edges: Size, multiple: int) -> Size:
    """A size of the shape of `sides`, as torchvision and transformers round it."""
    short, most = min(sides), edges[1] or SIDE_MAX
    scale = min(edges[0] / short, most / max(sides))
    if edges[1] < 0:
        scale = min((edges[0] / side for side in sides), key=lambda each: abs(1 - each))
    if multiple > 1:
        across, down = (max(multiple, round(side * scale / multiple) * multiple) for side in sides)
    else:
        across, down = (max(1, round(side * scale) if side == short else int(side * scale + 1e-6)) for side in sides)
    return across, down


def _colour(channels: int | None, asked: str, wants: str) -> str:
    if channels not in (None, *CHANNELS):
        raise RoleError(f"the model wants {channels} colour channels: {wants}", instead="use a model of 1 or 3 channels")
    if asked == "auto":
        return "grey" if channels == 1 else "rgb"
    if channels is not None and (asked == "grey") != (channels == 1):
        raise RoleError(
            f"option colour is {asked}, the model wants {channels} channel{'s' * (channels > 1)}: {wants}", instead="set colour: auto"
        )
    return asked


def number_type_of(kind: str, asked: str = "auto") -> str:
    """The number type of an input of this ONNX type; RoleError where option dtype says another, or there is none."""
    own = NUMBER_TYPES.get(kind)
    if own is None:
        raise RoleError(f"the model's input is a {kind}, which Roomful cannot make", instead="export it with a float or uint8 input")
    if asked not in ("auto", own):
        raise RoleError(f"option dtype is {asked}, the model wants {own}", where="option dtype", instead="leave dtype out")
    return own


def as_vector(value: Any, name: str, shape: Sequence[Any], kind: str) -> Array:
    """A vector frame in the model's number type and shape; leading sides of 1 are added. RoleError where it does not fit."""
    vector = as_numbers(np.asarray(value), number_type_of(kind, "auto"))
    while vector.ndim > len(shape) and vector.shape[0] == 1:
        vector = vector.reshape(vector.shape[1:])
    while vector.ndim < len(shape):
        vector = vector[None]
    fits = vector.ndim == len(shape) and all(
        not isinstance(want, int) or want <= 0 or want == have for want, have in zip(shape, vector.shape, strict=True)
    )
    if not fits:
        raise RoleError(
            f"the model wants {name} {list(shape)}, the vector is {list(np.shape(value))}", instead="shape it in the role that sends it"
        )
    return vector


def constants(feed: Mapping[str, Any], entries: Mapping[str, Any]) -> dict[str, Array]:
    """The other inputs of a model (onnxruntime's entries by name), as given in option `feed`; sides of 1 are added as they are wanted."""
    unknown = sorted(set(feed) - set(entries))
    if unknown:
        raise RoleError(
            f"option feed names {', '.join(unknown)}; the model's inputs are {', '.join(entries)}", where="option feed",
            instead="use these names",
        )  # fmt: skip
    return {name: as_vector(value, name, entries[name].shape, entries[name].type) for name, value in feed.items()}


def zeros(name: str, entry: Any, asked: Sequence[int] | None) -> Array:
    """What a state input holds at first: zeros of its shape, open sides as 1 or as option `state_shape` says."""
    shape = list(asked) if asked is not None else [side if isinstance(side, int) and side > 0 else 1 for side in entry.shape]
    return np.zeros(shape, number_type_of(entry.type, "auto"))


def in_colour(picture: Array, colour: str) -> Array:
    """RGB or grey uint8 -> the colour asked for, uint8."""
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if colour == "grey":
        if picture.ndim == 2:
            return picture
        return np.rint(picture @ GREY_WEIGHTS).astype(np.uint8)
    if picture.ndim == 2:
        return np.repeat(picture[:, :, None], 3, axis=2)
    return picture[:, :, ::-1] if colour == "bgr" else picture


def standardised(values: Array) -> Array:
    """The numbers less their mean, by their deviation: of one picture, or of one stretch of sound."""
    plain = values.astype(np.float32)
    even: Array = (plain - plain.mean()) / np.sqrt(plain.var() + 1e-7)
    return even


def place(
    picture: Array, size: Size, how: str, pad: int, corner: bool = False, share: float = 1.0, sampling: str = "area"
) -> tuple[Array, Fit]:
    """The picture in a frame of `size` (width, height): stretched, whole with bars (letterbox), or covering it (crop), of which `share` is
    then taken. `sampling` is how it is made smaller or larger."""
    width, height = size
    if how == "stretch" and share < 1:
        return _middle(picture, (round(width / share), round(height / share)), size, sampling)
    if how == "stretch":
        return scaled(picture, size, sampling), Fit(0, 0, width, height)
    if how == "crop":
        return _middle(picture, _covering(picture, size, share), size, sampling)
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = scaled(picture, inner, sampling)
    left, top = (0, 0) if corner else ((width - inner[0]) // 2, (height - inner[1]) // 2)
    fit = Fit(left, top, *inner)
    framed = np.full((height, width, *picture.shape[2:]), pad, np.uint8)
    framed[top : top + inner[1], left : left + inner[0]] = small
    return framed, fit


def _middle(picture: Array, inner: Size, size: Size, sampling: str) -> tuple[Array, Fit]:
    """The middle of the picture, once it is as large as `inner`."""
    left, top = (inner[0] - size[0]) // 2, (inner[1] - size[1]) // 2
    return scaled(picture, inner, sampling)[top : top + size[1], left : left + size[0]], Fit(-left, -top, *inner)


def _covering(picture: Array, size: Size, share: float) -> Size:
    """What a picture becomes of which `size` is then cut: the side that binds is rounded, the other follows and is cut down to whole
    pixels, as programs for training do it."""
    tall, wide = picture.shape[:2]
    if size[0] / wide >= size[1] / tall:
        across = round(size[0] / share)
        return across, max(size[1], int(across * tall / wide + 1e-6))
    down = round(size[1] / share)
    return max(size[0], int(down * wide / tall + 1e-6)), down
