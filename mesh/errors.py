"""One tree of errors, an exit code beside each branch.

Every error that can reach a person says what happened, where, and what to do next; the command line
prints those three and never a traceback. Decided against: error numbers (nobody in a gallery looks
them up) and one class per cause (the words carry the cause, the class carries only who must act).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


class RoomfulError(Exception):
    """Something went wrong that a person can act on. `exit_code` 1: it ran and found a fault."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", instead: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.instead = instead

    @property
    def words(self) -> str:
        """What happened, where, and what to do next, on one line."""
        return on_a_line(self.what, self.where, self.instead)

    def __str__(self) -> str:
        """What happened, where, and what to do next, in one paragraph."""
        place = f"{self.where}: " if self.where else ""
        then = f"\n  {self.instead}" if self.instead else ""
        return f"{place}{self.what}{then}"


def on_a_line(what: str, where: str = "", instead: str = "") -> str:
    """The three parts of a fault on one line, for events, logs and `status`."""
    place = f" ({where})" if where else ""
    then = f"; to do: {instead}" if instead else ""
    return f"{what}{place}{then}"


class UsageError(RoomfulError):
    """The command was called in a way it cannot act on."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in a deployment: where it stands, what is wrong, what to write instead. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.what}\n    {self.instead}"

    def as_json(self) -> dict[str, object]:
        """The shape that `check --json` promises."""
        return asdict(self)


class DeploymentError(UsageError):
    """A deployment that cannot be played. `mistakes` holds all of them, in the order of the file."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        count = len(mistakes)
        what = "1 mistake in the deployment" if count == 1 else f"{count} mistakes in the deployment"
        super().__init__("\n".join([what + ":", *(f"  {mistake}" for mistake in self.mistakes)]))


class NoRoomError(RoomfulError):
    """No running node of the installation could be reached."""

    exit_code = 3


class WireError(RoomfulError):
    """Bytes that are not a message of this protocol. Counted and dropped, never fatal."""


class RoleError(RoomfulError):
    """A role could not do what it was asked to do: a missing device, a model that does not load."""


class EngineMissingError(RoleError):
    """The library a role's engine needs is not installed on this machine; `instead` names the extra."""
