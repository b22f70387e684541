"""Faults that a rehearsal or a drill brings about on purpose, as an artist writes them: "kill shelf at 8s".

    kill MACHINE at TIME             the whole machine, as a power cut would: agent and roles, with no goodbye
    crash ROLE at TIME               one role's process ends
    hang ROLE at TIME                one role's process stands still
    cut MACHINE at TIME for TIME     its network is gone, then back

TIME counts from the moment at which everything first plays. ROLE may be an instance ("poet/1"); a role with several is hit
where it is listed first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.core.names import role_name
from mesh.core.quantities import Unclear, duration_s
from mesh.errors import UsageError

FORM = re.compile(r"\s*(?P<verb>\S+)\s+(?P<target>\S+)\s+at\s+(?P<at>[\d.]+\s*[a-z]*)(?:\s+for\s+(?P<lasts>[\d.]+\s*[a-z]*))?\s*")
MACHINE_VERBS, ROLE_VERBS = ("kill", "cut"), ("crash", "hang")
CUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `verb` as above, `at_s` seconds after everything first plays, `lasts_s` for a cut."""

    verb: str
    target: str
    at_s: float
    lasts_s: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:g}s" if self.lasts_s else ""
        return f"{self.verb} {self.target} at {self.at_s:g}s{lasts}"


def read_fault(text: str, machines: Sequence[str], instances: Sequence[str]) -> Fault:
    """The fault that `text` asks for. Raises UsageError with what to write instead."""
    form = FORM.fullmatch(text)
    if form is None:
        raise UsageError(f"this is no fault: {text!r}", instead='Write for example "kill shelf at 8s" or "cut shelf at 8s for 10s".')
    verb, target = form["verb"], form["target"]
    if verb not in (*MACHINE_VERBS, *ROLE_VERBS):
        raise UsageError(f"there is no fault {verb!r}", instead=_near(verb, (*MACHINE_VERBS, *ROLE_VERBS)))
    roles = list(dict.fromkeys(role_name(name) for name in instances))
    known = list(machines) if verb in MACHINE_VERBS else [*instances, *roles]
    if target not in known:
        what = "machine" if verb in MACHINE_VERBS else "role"
        raise UsageError(f"the rehearsal has no {what} {target!r}", instead=_near(target, known))
    if form["lasts"] and verb != "cut":
        raise UsageError(f"only a cut lasts for a time, a {verb} does not", instead=f'Write "{verb} {target} at {form["at"]}".')
    lasts_s = _seconds(form["lasts"]) if form["lasts"] else CUT_S if verb == "cut" else 0.0
    return Fault(verb, target, _seconds(form["at"]), lasts_s)


def _seconds(text: str) -> float:
    try:
        return duration_s(text)
    except Unclear as fault:
        raise UsageError(fault.what, instead=fault.instead) from None


def _near(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
