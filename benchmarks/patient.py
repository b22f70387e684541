"""`roomful` with the rules off that would answer a hundred faults in one evening as they should be answered in a room.

A machine or a role that fails again and again is otherwise put aside for longer and longer, and a room that has just started
hands roles over once. Everything that decides how fast a fault is noticed and answered is as it ships.
"""

from __future__ import annotations

import dataclasses

from mesh.cli import main
from mesh.core import restart, timing

if __name__ == "__main__":
    timing.PRESETS["wired"] = dataclasses.replace(timing.WIRED, returns_max=10**9, provisional_s=0.0)
    restart.STABLE_S = 0.0
    main()
