"""A process for the supervisor to watch: does what its configuration says, one word after the other.

Each word of `do` is a step: `print:TEXT`, `exit:CODE`, `wait` (for a signal), `stubborn` (ignores SIGTERM), `gentle` (exits 0 on SIGTERM),
`crash` (SIGSEGV), `raise`, `grandchild` (starts a process that would outlive it, and prints its pid),
`detached` (the same, and it leaves its group, its session and its parent), `flood:BYTES`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys


def _step(word: str) -> None:
    what, _, detail = word.partition(":")
    match what:
        case "print":
            print(detail, flush=True)
        case "exit":
            sys.exit(int(detail))
        case "wait":
            while True:
                signal.pause()
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "gentle":
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raise":
            raise ValueError("a mistake of the artist")
        case "grandchild":
            sleeper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
            print(f"grandchild {sleeper.pid}", flush=True)
        case "detached":
            code = ("import os, signal\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
                    "print('grandchild', os.getpid(), flush=True); signal.pause()")
            subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        case "flood":
            line = "x" * 99
            for _ in range(int(detail) // 100):
                print(line)
            print("end of the flood", flush=True)


if __name__ == "__main__":
    for each in json.load(sys.stdin)["do"]:
        _step(each)
