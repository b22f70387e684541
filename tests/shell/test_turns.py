"""When a thread gets the processor."""

from __future__ import annotations

import subprocess
import sys

LOOK = "print(open('/proc/self/timerslack_ns').read().strip())"


def test_what_a_role_s_thread_sleeps_for_is_not_stretched() -> None:
    # Given a process as the system starts it, and one that asked to be woken on time
    asks = "from mesh.shell.turns import wake_on_time; assert wake_on_time();"
    before, after = (subprocess.run([sys.executable, "-c", each + LOOK], capture_output=True, text=True, check=True).stdout.strip()
                     for each in ("", asks))
    # Then its timers are exact
    assert int(after) == 1 < int(before)
