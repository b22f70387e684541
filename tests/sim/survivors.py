"""Why a changed guard that nobody noticed is no hole: filed under the guard's words, see `guards.py`.

Three sorts: a guard that only tells the type checker what is always so; a short cut that makes `place` faster and changes no answer;
and a half that the other half implies. What is in none of these stands in guards.json without a reason, and is a test that is missing.
"""

_TYPES = "always so: what this node holds is in its ledger, as `View` is made from both"
_FASTER = "a short cut: without it the same placement is found, more slowly"
_IMPLIED = "the other half implies it"
_WIDER = "parts that touch more than they must are solved together, with the same result, more slowly"

REASONS: dict[str, str] = {
    "cast._wish_of_holder: halved: winner is not None and winner.node != view.me without winner is not None": _TYPES,
    "placement._solve: taken away: seats.seat[index] < 0": "only asked about those that are missing",
    "placement_parts.ample_machines: halved: item.memory and item.allowed without item.memory": "adds nothing to the demand",
    "placement_parts.ample_machines: halved: item.memory and item.allowed without item.allowed": "adds to the demand on no machine",
    "placement_parts.ample_machines: taken away: total <= min(room.memory, default=0)": _FASTER,
    "placement_parts.find_doubtful_audiences: taken away: not item.beside and (not item.memory or item.allowed & ample)": _WIDER,
    "placement_parts.find_doubtful_audiences: taken away: len(safe) == len(room.used_by)": _FASTER,
    "placement_parts.find_doubtful_audiences: halved: name in doubtful and name not in certain without name not in certain": _WIDER,
    "placement_parts.find_doubtful_audiences: halved: item.allowed and item.role.name in outputs_of and "
    "(item.role.name not in room.outputs) without item.allowed": "who may sit nowhere is in no part",
    "placement_parts.parts: taken away: not item.allowed": "whoever may sit nowhere joins with nobody",
    "placement_parts.parts: taken away: contended in first_with": _FASTER,
    "placement_parts.parts: halved: item.memory and contended without item.memory": _WIDER,
    "placement_parts.parts: halved: item.memory and contended without contended": _IMPLIED,
}
