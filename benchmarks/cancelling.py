"""How soon one who answers hears that nobody wants it any more, from the moment at which the asker drops it.

Two role processes, the real Role API: one answers without end, a piece a millisecond, each of them computed; the other takes a few
pieces and drops the answer. On one machine, and as between machines (encrypted TCP over its own loopback). Both read one clock.
Run: python -m benchmarks.cancelling [--times 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, median, p99
from mesh.shell.bench.troupe import Troupe
from mesh.shell.near import FAR

ROLES = """
import json, time
from mesh.role import Options, Role, Text

class Talker(Role):
    outputs = {"line": Text}
    def setup(self):
        self.notes = (self.state_folder / "closed").open("a", buffering=1)
    def on_prompt(self, frame: Text):
        try:
            while True:
                until_s = time.monotonic() + 0.001
                while time.monotonic() < until_s:
                    pass
                yield "word "
        finally:
            self.notes.write(f"{frame.value} {time.monotonic()}\\n")

class Dropper(Role):
    class Options(Options):
        times: int
    def setup(self):
        self.dropped = {}
    def tick(self):
        number = str(len(self.dropped))
        answer = self.ask("talker", number)
        for _ in range(5):
            next(answer)
        self.dropped[number] = time.monotonic()
        answer.close()
        if len(self.dropped) < self.options.times:
            return 0.02
        (self.state_folder / "figures.new").write_text(json.dumps(self.dropped))
        (self.state_folder / "figures.new").rename(self.state_folder / "figures.json")
        return None
"""


def measure(times: int, *, far: bool) -> list[float]:
    """Milliseconds of each."""
    env = {FAR: "1"} if far else {}
    with tempfile.TemporaryDirectory() as where:
        source = Path(where) / "roles.py"
        source.write_text(ROLES)
        with Troupe(source) as troupe:
            talker = troupe.start("talker", "Talker", env=env)
            dropper = troupe.start("dropper", "Dropper", {"times": times}, env=env)
            troupe.route(dropper, roles={"talker": {"inputs": ["prompt"], "copies": [talker.source()]}})
            dropped = troupe.figures(dropper, 120.0)
            notes = talker.state_folder / "closed"
            troupe.until(lambda: len(notes.read_text().splitlines()) >= times, "the last cancellation", 10.0)
            closed = dict(line.split() for line in notes.read_text().splitlines())
    return [(float(closed[number]) - float(at_s)) * 1000 for number, at_s in dropped.items()]


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cancelling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the result here as well")
    given = parser.parse_args()
    told: dict[str, Any] = {"times": given.times}
    for name, far in (("near_ms", False), ("far_ms", True)):
        took = measure(given.times, far=far)
        told[name] = {"median": round(median(took), 2), "p99": round(p99(took), 2), "worst": round(max(took), 2)}
    told["machine"] = machine()
    words = f"cancelled after {told['near_ms']} ms on one machine, {told['far_ms']} ms as between machines ({told['machine']})"
    print(words, file=sys.stderr)
    print(json.dumps(told))
    if given.json_file:
        given.json_file.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
