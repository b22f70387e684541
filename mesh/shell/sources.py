"""Routes as a role's process reads them: whom it hears, whom its frames ask, and whom it may ask.

Read whole and at once, so that routes with a mistake change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core import delivery
from mesh.core.following import Company, company
from mesh.core.hearing import Speaker
from mesh.core.kind import STREAM_TYPES


@dataclass(frozen=True, slots=True)
class Source:
    """One process that speaks on a stream, or answers. `state`: "playing", "suspect" or "standby"."""

    instance: str
    node: str
    epoch: int
    generation: int
    address: str
    frames_port: int
    requests_port: int
    state: str
    rank: int
    key: str = ""  # of its process; without it nobody can call there

    @property
    def speaker(self) -> Speaker:
        """Which process it is, whatever its state."""
        return Speaker(self.instance, self.node, self.generation)


@dataclass(frozen=True, slots=True)
class Route:
    """One input: the stream it takes, the stream's type, "latest" or "queue", how pictures come from other machines, and who
    speaks there."""

    input: str
    form: tuple[str, str, str, str]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A role that answers each frame of one of my outputs."""

    role: str
    input: str
    supersede: bool
    pass_over: bool = False


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything an agent tells one process about the others."""

    inputs: tuple[Route, ...] = ()
    asks: Mapping[str, tuple[Consumer, ...]] = field(default_factory=dict)  # by output
    askable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # role -> the inputs on which it answers
    copies: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)  # by role
    fallbacks: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # role -> its stream, and the file of what is said instead
    followed: tuple[Source, ...] = ()  # whose open answers and state this process keeps in mind
    company: Company = Company()


def read_routes(told: Mapping[str, Any]) -> Routes:
    """The routes of an agent's message. Raises LookupError, TypeError, ValueError or AttributeError for what is none."""
    copies = {role: _sources(entry["copies"]) for role, entry in told.get("roles", {}).items()}
    asks = {}
    for output, entries in told.get("asks", {}).items():
        asks[output] = tuple(_consumer(each) for each in entries)
        copies.update({each["role"]: _sources(each["copies"]) for each in entries})
    askable = {role: tuple(entry["inputs"]) for role, entry in told.get("roles", {}).items()}
    inputs = tuple(_route(name, entry) for name, entry in told.get("inputs", {}).items())
    follows = told.get("follows") or {"sources": (), "here": (), "askers": {}}
    told_asks = [each for entries in told.get("asks", {}).values() for each in entries]
    fallbacks = {role: entry.get("fallback") for role, entry in told.get("roles", {}).items()}
    fallbacks |= {each["role"]: each.get("fallback") for each in told_asks}
    instead = {role: (str(each["stream"]), str(each["text"])) for role, each in fallbacks.items() if each}
    return Routes(inputs, asks, askable, copies, instead, _sources(follows["sources"]), company(follows))


def _consumer(entry: Mapping[str, Any]) -> Consumer:
    rule = entry.get("when_superseded")
    return Consumer(entry["role"], entry["input"], rule == "cancel", rule == "finish")


def _route(name: str, entry: Mapping[str, Any]) -> Route:
    if entry["type"] not in STREAM_TYPES or entry["delivery"] not in delivery.RULES:
        raise ValueError(f"input {name}: {entry['type']}, {entry['delivery']}")
    pictures = entry.get("pictures", "")
    if pictures and delivery.read(pictures) is None:
        raise ValueError(f"input {name}: pictures {pictures}")
    return Route(name, (str(entry["stream"]), entry["type"], entry["delivery"], pictures), _sources(entry["sources"]))


def _sources(entries: Iterable[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Those that can be reached: at the first of their addresses, which is the one that the agent proved."""
    return tuple(
        Source(
            each["instance"], each["node"], int(each["epoch"]), int(each["generation"]), str(each["addresses"][0]),
            int(each["frames_port"]), int(each["requests_port"]), each["state"], int(each["rank"]),
            str(each["key"]),
        )
        for each in entries
        if each["addresses"]
    )  # fmt: skip
