"""Why a changed guard that nobody noticed is no hole: filed under the guard's words, see `guards.py`.

Two sorts: a guard that only tells the type checker what is always so, and a short cut that changes no answer. What is neither stands
in guards.json without a reason, and is a test that is missing. Guards that their callers or their other half implied were taken out.
"""

_TYPES = "always so: what this node holds is in its ledger, as `View` is made from both"
_FASTER = "a short cut: without it the same is found, more slowly"

REASONS: dict[str, str] = {
    "cast._wish_of_holder: halved: winner is not None and winner.node != view.me without winner is not None": _TYPES,
    "cast._step_of_holder: halved: winner is not None and winner.node == view.me and self._is_outranked(name, part, view, now) "
    "without winner is not None": _TYPES,
    "cast._is_outranked: halved: believed is not None and believed.node != view.me without believed is not None": _TYPES,
    "cast._claim_anew: halved: believed is not None and believed.node != view.me without believed is not None": _TYPES,
    "contacts._want_state: halved: speaker == node and member is not None and (member.behind_since_s is not None) and "
    "(now > member.behind_since_s) without member.behind_since_s is not None": "always so: it has just been set",
    "judging.judge: halved: member.evidence.freshest_s <= lately_s and now >= self._stale_due(member) "
    "without member.evidence.freshest_s <= lately_s": _FASTER,
    "judging.judge: halved: member.health == ALIVE and member.evidence.freshest_s <= lately_s and (now >= self._doubt_due(member)) "
    "without member.evidence.freshest_s <= lately_s": _FASTER,
    "membership._on_beat: halved: subject is not None and (subject.health == SUSPECT or now - age_ms / 1000 > subject.evidence.freshest_s) "
    "without subject.health == SUSPECT or now - age_ms / 1000 > subject.evidence.freshest_s": "what is not fresher changes nothing",
    "placement_parts.parts: taken away: contended in first_with": _FASTER,
    "placement_repair._make_room: taken away: not idle and before == [seats.seat[index] for index in part]": _FASTER,
    "placement_room.bits: negated: len(self._bits) < _BITS_KEPT_MAX": _FASTER,
    "placement_room.bits: taken away: len(self._bits) < _BITS_KEPT_MAX": _FASTER,
    "placement_search._find_reach: taken away: here == everything": _FASTER,
    "placement_search._descend: taken away: known is not None and known <= cost": _FASTER,
    "placement_seats.with_room: taken away: not memory": _FASTER,
    "placement_seats.best_of: taken away: not mask & mask - 1": _FASTER,
}
