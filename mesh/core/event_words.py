"""Events as sentences for people: one place, so that the agent, the rehearsal, `status` and the dashboard say the same
thing alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mesh.core.plain_text import plain

MEASURED = re.compile(r"\b\d+ ms\b")  # what each machine measured for itself makes no other event of it
SAME_S = 5.0  # the same words within this time are one event that several machines saw

SENTENCES = {
    "started": "{machine} is awake, listening on port {control_port}",
    "node_up": "{name} is here",
    "node_suspect": "{name} has been silent for {silent_ms} ms",
    "node_refuted": "{name} is back, it was only late",
    "node_dead": "{name} is gone: silent for {silent_ms} ms",
    "node_left": "{name} has left: it was stopped by hand, or shut out",
    "refuted": "the others took this machine for dead; it told them otherwise",
    "takeover": "{to} takes over {instance}",
    "claimed_anew": "two held {instance}; this machine keeps it",
    "role_faulty": "{instance} does not work: {what}",
    "handing_over": "{instance} is handed over before it is started anew: {why}",
    "adopted": "{instance} played on without an agent and is kept",
    "role_failed": "{instance} cannot play: {what}",
    "role_event": "{instance}: {what}",
    "order": "the room is {state}",
    "revisions_met": "two sides were given different revisions {number}; {hash:.8} wins, {kept:.8} is kept",
    "fault": "FAULT: {what}",
    "replay": "everything plays; {file} begins",
    "alarm": "ALARM: {what}",
    "shut_out": "{machine} is shut out",
    "trouble": "trouble: {what}",
}
REVISIONS = {
    "offered": "is being sent", "ready": "lies here whole, and was found good", "cannot": "cannot be had, or played, here",
    "ordered": "is to be played by all", "playing": "is played here",
}


def sentence(event: Mapping[str, Any]) -> str:
    """One event in words, which command no terminal; "" for those that only machines read."""
    return plain(_sentence(event))


def _sentence(event: Mapping[str, Any]) -> str:
    if event.get("event") == "role_state":
        why = f": {event['why']}" if event.get("why") and event.get("state") != "stopped" else ""
        return f"{event['instance']} is {event['state']}{_on(event)}{why}"
    if event.get("event") == "gave_up":
        again = f", and tries again in {event['again_s']} s" if event.get("again_s") else ""
        return f"gave up on {event['instance']}{_on(event)}{again}: {event['why']}"
    if event.get("event") == "role_edit":
        if not event.get("what"):
            return f"{event['instance']} plays what was edited in {event['file']}"
        if event.get("later"):
            return f"{event['file']}: {event['what']}"
        trace = f"\n{event['traceback'].rstrip()}" if event.get("traceback") else ""
        return f"{event['what']}; {event['instance']} {_meanwhile(event)}{trace}"
    if event.get("event") == "revision":
        return f"revision {event.get('number')} ({str(event.get('hash'))[:8]}) {REVISIONS.get(str(event.get('state')), '')}" + (
            f": {event['why']}" if event.get("why") else "")
    form = SENTENCES.get(str(event.get("event")), "")
    try:
        return form.format(**event)
    except KeyError:
        return str(event.get("event"))


def _meanwhile(event: Mapping[str, Any]) -> str:
    if event.get("back"):
        return f"plays again as it was before {event['file']} was edited"
    return f"plays on as it was before {event['file']} was edited"


def _on(event: Mapping[str, Any]) -> str:
    return f" on {event['machine']}" if event.get("machine") else ""


class Telling:
    """Tells events one after the other without repeating itself: why a process ended is said where it could not play, and that it could
    not play for the same reason as before, on whichever machine, is said in short. So is a mistake in a file that several roles share."""

    def __init__(self) -> None:
        self._edited: dict[tuple[str, str], float] = {}  # (file, its mistake) -> when it was told
        self._edits: dict[tuple[str, ...], tuple[float, str]] = {}  # (what was told of an edit) -> when, by which machine
        self._failed: dict[str, tuple[str, int]] = {}  # instance -> why it could not play, and how often in a row
        self._just: dict[tuple[str, str], str] = {}  # (instance, machine) -> why it could not play a moment ago

    def words(self, event: Mapping[str, Any]) -> str:
        """One event in words; "" for one that says nothing new."""
        name, machine, kind = str(event.get("instance", "")), str(event.get("machine", "")), event.get("event")
        if kind == "role_failed":
            why, times = self._failed.get(name, ("", 0))
            times = times + 1 if why == event.get("what") else 1
            self._failed[name] = (str(event.get("what")), times)
            self._just[(name, machine)] = str(event.get("what"))
            return sentence(event) if times == 1 else f"{name} cannot play{_on(event)}, as before ({times} times now)"
        if kind == "role_faulty":
            self._just[(name, machine)] = str(event.get("what"))
        if kind == "role_state":
            if event.get("state") == "playing":
                self._failed.pop(name, None)
            just = self._just.pop((name, machine), None) if event.get("state") == "ended" else None
            return "" if just is not None and just == event.get("why") else sentence(event)
        return self._of_an_edit(event) if kind == "role_edit" else sentence(event)

    def _of_an_edit(self, event: Mapping[str, Any]) -> str:
        """Each machine that plays a role, or stands by for it, tells; each role of a file has the file's mistake."""
        file, what, name = (str(event.get(key, "")) for key in ("file", "what", "instance"))
        now = float(event.get("t", -event.get("age_s", 0.0)))
        told_s, by = self._edits.get((file, what, name), (float("-inf"), ""))
        machine = str(event.get("machine", ""))
        if now - told_s < SAME_S and machine != by:  # by the first that told it it may have been saved again
            return ""
        known = now - self._edited.get((file, what), float("-inf")) < SAME_S and now - told_s >= SAME_S
        self._edits[(file, what, name)] = (now, machine)
        self._edited[(file, what)] = now
        return f"{name} {_meanwhile(event)}, for the same reason" if what and known else sentence(event)


def told(events: Iterable[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """(age in seconds, words), in the order given, oldest first; what several machines saw is told once."""
    return [(event["age_s"], words) for event, words in told_with(events)]


def told_with(events: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
    """As `told`, each with the event that it tells."""
    lines: list[tuple[Mapping[str, Any], str]] = []
    seen: dict[str, float] = {}
    telling = Telling()
    for event in events:
        words = telling.words(event)
        same = MEASURED.sub("", words)
        if words and seen.get(same, float("inf")) - event["age_s"] > SAME_S:
            lines.append((event, words))
            seen[same] = event["age_s"]
    return lines
