"""What the page can order: the verbs of `roomful` that act on the room and can be taken back. Sending another work or shutting a
machine out needs the installation's key, which no page is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mesh.errors import NoRoomError, RoomfulError, UsageError
from mesh.shell.finding import Door

BYTES_MAX = 1024
OF_ROOM, OF_MACHINE, OF_ROLE = ("up", "down"), ("drain", "undrain"), ("restore-role",)


@dataclass(frozen=True, slots=True)
class Order:
    """`of` names a machine or an instance; "" where the whole room is meant."""

    verb: str
    of: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.of}".strip()


def read(body: bytes) -> Order:
    """An order as the page writes it: {"verb": "drain", "of": "shelf"}. Raises UsageError for anything else."""
    try:
        said = json.loads(body) if len(body) <= BYTES_MAX else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or set(said) - {"verb", "of"}:
        raise UsageError("this is no order")
    verb, of = said.get("verb"), said.get("of", "")
    if not isinstance(verb, str) or not isinstance(of, str) or verb not in (*OF_ROOM, *OF_MACHINE, *OF_ROLE):
        raise UsageError("there is no such order")
    if bool(of) == (verb in OF_ROOM):
        raise UsageError(f"{verb} needs {'no name' if of else 'a name'}")
    return Order(verb, of)


def perform(order: Order, door: Door) -> str:
    """Give it to whom it concerns; what came of it in words. Blocks. Raises RoomfulError when it cannot be done."""
    said = door.ask("status")
    if order.verb in OF_ROOM:
        door.ask("order", {"verb": order.verb})
        return "the room plays" if order.verb == "up" else "the room rests until it is let play again"
    if order.verb in OF_MACHINE:
        door.at(_machine(order.of, said)).ask("order", {"verb": order.verb})
        done = {"drain": "its roles go to the others, loaded there first", "undrain": "it takes part again"}
        return f"{order.of}: {done[order.verb]}"
    role = said["roles"].get(order.of)
    if role is None or role["machine"] is None:
        raise RoomfulError(f"{order.of} does not play")
    to = door.at(_machine(role["machine"], said)).ask("restore", {"instance": order.of})["to"]
    return f"{order.of} is at home already, on {to}" if to == role["machine"] else f"{order.of} goes to {to}, loaded there first"


def _machine(name: str, said: dict[str, Any]) -> dict[str, Any]:
    machine: dict[str, Any] | None = said["machines"].get(name)
    if machine is None or machine["health"] not in ("alive", "suspect"):
        raise NoRoomError(f"{name} is not here" + (f": {machine['why']}" if machine else ""))
    return machine
