"""What the mesh must know of a kind of role without running it.

The deciding half of the mesh never imports a role: artists' code may hang, crash or need an engine this
machine has not got. It works from this description, read once in a process apart (`shell/kinds.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STREAM_TYPES = ("image", "audio", "text", "vector", "event")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of role: its streams, its options, and what playing it needs."""

    kind: str
    about: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # JSON Schema of its Options
    inputs: dict[str, str] = field(default_factory=dict)  # {name: stream type or "any"}
    outputs: dict[str, str] = field(default_factory=dict)
    extra: str | None = None  # the optional part of Roomful it needs
    answers: tuple[str, ...] = ()  # the inputs whose frames are requests
    exclusive: bool = False  # two at once would do harm outside the mesh
    display: bool = False  # an output to visitors: starts at once
    needs_model: bool = False
    catch_all: bool = False  # takes inputs of any name
    output_option: str | None = None  # the option that renames the first of `outputs`, or holds {name: type} of all
    network: bool | str = False  # talks over the network with others than the room's roles; a string: where that option says so
    writes: tuple[str, ...] = ()  # options that hold a path to which it writes
    holds: dict[str, str] = field(default_factory=dict)  # {option: what its value is, of which one role of a machine can have each}

    def outputs_for(self, options: Mapping[str, Any]) -> dict[str, str]:
        """{name: type} of the streams that a role of this kind emits with these options, as written in the deployment."""
        return renamed_outputs(self.outputs, self.output_option, options)

    def networks(self, options: Mapping[str, Any]) -> bool:
        """Whether a role of this kind with these options talks with the world beyond the room."""
        return options.get(self.network) is True if isinstance(self.network, str) else self.network


def renamed_outputs(outputs: Mapping[str, str], output_option: str | None, options: Mapping[str, Any]) -> dict[str, str]:
    """`outputs` in their order, the first under the name that `options` gives it, if they do.

    Where the option holds {name: type}, the streams are these."""
    renamed = dict(outputs)
    name = options.get(output_option) if output_option else None
    if isinstance(name, Mapping) and name and all(type_ in STREAM_TYPES for type_ in name.values()):
        return {str(stream): str(type_) for stream, type_ in name.items()}
    if isinstance(name, str) and name and renamed:
        first, *others = renamed
        renamed = {name: renamed[first], **{other: renamed[other] for other in others}}
    return renamed
