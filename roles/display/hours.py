"""Whether the room is open: pure, told the opening hours and the time of day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
UNSET_BEFORE = 2025  # a clock that says an earlier year was never set: a machine without a battery, offline


def is_open(opening: Mapping[str, Any] | None, now: datetime, early_min: float = 0.0) -> bool:
    """Whether visitors may be there at `now`, or within `early_min` minutes. True without opening hours, and while the clock
    is plainly wrong: a room that is bright at night is better than one that is dark by day."""
    if opening is None or now.year < UNSET_BEFORE:
        return True
    return _within(opening, now) or (early_min > 0 and _within(opening, now + timedelta(minutes=early_min)))


def _within(opening: Mapping[str, Any], now: datetime) -> bool:
    opens, closes, minute = opening["opens_min"], opening["closes_min"], now.hour * 60 + now.minute
    today, yesterday = DAYS[now.weekday()], DAYS[now.weekday() - 1]
    if opens < closes:
        return today in opening["days"] and opens <= minute < closes
    return (today in opening["days"] and minute >= opens) or (yesterday in opening["days"] and minute < closes)


def now_there(opening: Mapping[str, Any] | None) -> datetime:
    """The time of day at the place; this machine's own where the zone is unknown to it."""
    try:
        return datetime.now(ZoneInfo(opening["timezone"])) if opening is not None else datetime.now().astimezone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now().astimezone()
