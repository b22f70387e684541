"""One request that is neither answered nor cancelled nor lost, as its asker keeps it; what changes it is in `requests.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mesh.core.copies import CopyId
from mesh.core.request_messages import Ask


@dataclass(slots=True)
class OpenRequest:
    """`ask` bears the name of the present try; the times are moments of the asker's own clock."""

    number: int
    id: str
    role: str
    topic: str  # the output whose frame it is; "" for ask()
    ask: Ask
    deadline_s: float
    streamed: bool
    copy: CopyId | None = None
    tries: int = 0
    losses: int = 0  # copies that had accepted it and were lost
    accepted: bool = False
    said: list[tuple[Any, bytes]] = field(default_factory=list)  # of this utterance, from its index 0
    handed: list[Any] = field(default_factory=list)  # given to the caller
    utterance: str | None = None
    lost_copy: CopyId | None = None  # nobody else has said anything since it was lost
    silent_since_s: float = 0.0
    sent_s: float = 0.0
    began_s: float = 0.0  # with this copy
    heard_s: float = 0.0
    fallback: bool = False  # something can be said instead of an answer
    alone_since_s: float | None = None  # nobody at all plays its role

    @property
    def have(self) -> int:
        """How many pieces of its utterance have come."""
        return len(self.said)
