"""Amounts as people write them: "300MB", "1.5 min", "10:00", "Tue-Sun".

A bare number is refused wherever a unit could be meant: 300 read as bytes where megabytes were meant is a
machine that dies of it a week later. Each function raises `Unclear`, whose words say what to write.
"""

from __future__ import annotations

import re

from mesh.core.spec import DAYS

SIZES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATIONS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
SIZE_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})? ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})? ?(ms|s|min|h)$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"

_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-zµ]*)")
_MEANT = {  # what people write for a unit, in lower case; a lone letter means the larger and usual one
    "k": "KB", "m": "MB", "mb": "MB", "mo": "MB", "meg": "MB", "megabytes": "MB", "g": "GB", "gb": "GB", "go": "GB",
    "gig": "GB", "gigabytes": "GB", "kb": "KB", "tb": "TB", "kib": "KiB", "mib": "MiB", "gib": "GiB", "tib": "TiB",
    "b": "B", "bytes": "B", "mi": "MiB", "gi": "GiB", "ki": "KiB", "mbit": "MB",
}  # fmt: skip
_MEANT_TIME = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "m": "min", "mins": "min", "minute": "min", "minutes": "min",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "msec": "ms", "millis": "ms", "milliseconds": "ms", "sek": "s",
}  # fmt: skip


class Unclear(ValueError):
    """An amount that cannot be read; `what` is wrong with it, `instead` is what to write."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead


def _amount(value: object, units: dict[str, float], meant: dict[str, str], usual: str, noun: str) -> float:
    """The number of basic units in `value`; `usual` is the unit that a bare number most likely meant."""
    examples = f"write it with its unit, such as {'300MB or 1.5GiB' if noun == 'a size' else '20s, 500ms or 1.5 min'}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unclear(f"this is not {noun}", examples)
    text = str(value).strip()
    if text.startswith("-"):
        raise Unclear(f"{text} is below zero", examples)
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Unclear(f"“{text[:60]}” is not {noun}", examples)
    number, unit = found.groups()
    if unit in units:
        return float(number) * units[unit]
    if not unit:
        raise Unclear(f"{number} has no unit", f"write {number}{usual} if that is meant; units: {', '.join(units)}")
    guess = meant.get(unit.lower())
    known = f"units: {', '.join(units)}"
    raise Unclear(
        f"“{unit[:20]}” is not a unit of {noun.removeprefix('a ')}",
        f"write {number}{guess}; {known}" if guess else known,
    )


def size_bytes(value: object) -> int:
    """ "300MB" in bytes; decimal and binary units. At least 1 byte and below 1000 TB."""
    size = _amount(value, {unit: float(n) for unit, n in SIZES.items()}, _MEANT, "MB", "a size")
    if not 1 <= size < 10**15:
        raise Unclear(f"{value} is outside what a machine can have", "write a size from 1B to 999TB, such as 300MB")
    return round(size)


def duration_s(value: object) -> float:
    """ "1.5 min" in seconds, up to 24 hours."""
    seconds = _amount(value, DURATIONS, _MEANT_TIME, "s", "a duration")
    if seconds > 86400:
        raise Unclear(f"{value} is longer than a day", "write a duration of at most 24h, such as 20s")
    return seconds


def time_min(value: object) -> int:
    """ "10:00" in minutes after midnight, 0 to 1440."""
    text = str(value).strip()
    if re.fullmatch(TIME_PATTERN, text):
        return int(text[:2]) * 60 + int(text[3:])
    found = re.fullmatch(r"([0-9]{1,2})(?:[:.h ]([0-9]{2}))?\s*(am|pm)?(?::[0-9][0-9])?", text.lower())
    if found:
        hour = int(found[1]) % 12 + (12 if found[3] == "pm" else 0) if found[3] else int(found[1])
        minute = int(found[2] or 0)
        if hour < 24 and minute < 60:
            raise Unclear(f"“{text}” is not written as a time", f'write "{hour:02}:{minute:02}"')
    raise Unclear(
        f"“{text[:40]}” is not a time of day", 'write hours and minutes from "00:00" to "24:00", such as "10:00"'
    )


def days(value: object) -> tuple[str, ...]:
    """ "Tue-Sun", "Mon, Wed-Fri" or "Sun-Tue" as days in the week's order."""
    text = str(value).strip()
    found: set[str] = set()
    for part in re.split(r"\s*,\s*", text):
        ends = [_day(word, text) for word in re.split(r"\s*[-–]\s*", part)]
        if len(ends) > 2:
            raise Unclear(f"“{part[:40]}” is not a range of days", "write Tue-Sun, or Mon, Wed, Fri")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        found.update(DAYS[(first + step) % 7] for step in range((last - first) % 7 + 1))
    return tuple(day for day in DAYS if day in found)


def _day(word: str, text: str) -> str:
    if word in DAYS:
        return word
    meant = word[:3].capitalize()
    if meant in DAYS:
        raise Unclear(f"“{word[:20]}” is not how a day is written here", f"write {meant}; days: {', '.join(DAYS)}")
    what = f"“{word[:20]}” is not a day" if word else f"a day is missing in “{text[:40]}”"
    raise Unclear(what, f"days: {', '.join(DAYS)}; write Tue-Sun, or Mon, Wed, Fri")


def zone(value: object) -> str:
    """The form of a time zone's name; whether there is such a zone only the machine's own list can say."""
    text = str(value).strip()
    if re.fullmatch(r"[A-Za-z0-9+_-]{1,40}(/[A-Za-z0-9+_-]{1,40}){1,3}|UTC", text):
        return text
    raise Unclear(
        f"“{text[:40]}” is not the name of a time zone", "write continent and city, such as Europe/Tallinn, or UTC"
    )


def is_host(text: str) -> bool:
    """Whether `text` has the form of a host name, an IPv4 address or an IPv6 address in square brackets or bare."""
    if text.startswith("[") and text.endswith("]"):
        return is_host(text[1:-1]) and ":" in text
    if ":" in text:
        return re.fullmatch(r"[0-9a-fA-F:.]{2,45}(%[A-Za-z0-9_.-]{1,16})?", text) is not None and text.count(":") >= 2
    if re.fullmatch(r"[0-9.]+", text):
        parts = text.split(".")
        return len(parts) == 4 and all(part and len(part) <= 3 and int(part) < 256 for part in parts)
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    return len(text) <= 253 and re.fullmatch(rf"{label}(\.{label})*\.?", text) is not None
