"""A sensor whose device is away says that it has gone, not that it is silent or frozen, whoever judges first."""

from __future__ import annotations

from typing import Any

from roles.sensing.inbox import GONE_S, Freshness


class Told:
    """A role with a clock of its own, and what it says of itself."""

    def __init__(self) -> None:
        self.now, self.promised, self.fault = 0.0, (0.0, ""), ""

    def now_s(self) -> float:
        return self.now

    def works(self, for_s: float | None = None, otherwise: str = "") -> None:
        self.promised, self.fault = (self.now + (for_s or 1e9), otherwise), ""

    def faulty(self, what: str) -> None:
        self.fault = what


def test_a_device_that_went_is_told_as_such_though_its_silence_is_shorter() -> None:
    # Given a sensor that may be silent, or the same, for a shorter time than it may be away
    told: Any = Told()
    fresh = Freshness(told, "the camera", 3.0, 4.0)
    fresh.saw("a")
    # When its device goes
    told.now = 2.0
    fresh.lost("the camera has gone")
    # Then nothing that was promised before tells it as frozen, and after a while it is said to have gone
    assert told.promised == (2.0 + GONE_S + 2.0, "the camera has gone")
    for told.now in (2.5 + 0.5 * step for step in range(int(3 * GONE_S))):
        fresh.look()
    assert told.fault == "the camera has gone"
    # And once it is found all is promised anew
    fresh.found()
    assert told.promised[1].startswith("the camera has given the same") and told.fault == ""
