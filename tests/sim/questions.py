"""What seeds and stories ask of `place`, and whether it still answers as before.

`place` is a pure function, and all that a node sees of the modules behind it are its answers. So a change behind it after which all
questions of a story are answered alike cannot change how that story goes: a second of asking saves a minute of telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mesh.core import view
from mesh.core.placement import Placement, place

BEHIND = ("placement", "placement_parts", "placement_repair", "placement_room", "placement_search", "placement_seats", "standby")
Question = tuple[Any, ...]


class Listener:
    """Takes down what is asked of `place` from now on, each question once; `now` are the numbers of those since it was cleared."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.now: set[int] = set()
        self._known: dict[object, int] = {}
        view.place = self._place  # type: ignore[assignment]

    def _place(self, deployment: Any, candidates: Sequence[Any], held: Sequence[Any] = (), **may: frozenset[str]) -> Placement:
        question = (deployment, tuple(candidates), tuple(held), tuple(sorted(may.items())))
        key = (id(deployment), *question[1:])  # the questions keep it from being another's id
        if key not in self._known:
            self._known[key] = len(self.questions)
            self.questions.append(question)
        self.now.add(self._known[key])
        return place(deployment, candidates, held, **may)


def answers(questions: Iterable[Question]) -> list[object]:
    """What is answered now; the order of what is named counts too. What cannot be answered is None."""
    found: list[object] = []
    for deployment, candidates, held, may in questions:
        try:
            answer = place(deployment, candidates, held, **dict(may))
        except Exception:  # a changed `place` may fail in any way there is
            found.append(None)
        else:
            ordered = [list(each.items()) for each in (answer.holders, answer.standby, answer.unplaced, answer.loaded)]
            found.append((ordered, answer.complete, answer.for_nobody))
    return found
