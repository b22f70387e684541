"""A campaign: `python -m tests.fuzz --minutes 5 [--target osc] [--seed 1]`. Exit code 1 when something was found, which is kept."""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from tests.fuzz.corpus import keep, kept
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS

SLOW_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    found = 0
    for name in [chosen.target] if chosen.target else TARGETS:
        target, chance = TARGETS[name], Random(f"{name} {chosen.seed}")
        seeds = [*target.seeds, *(data for data, _ in kept(name))]
        tried, until_s = 0, time.monotonic() + chosen.minutes * 60
        harm: set[str] = set()
        while time.monotonic() < until_s:
            data, begun_s = mutated(seeds, chance), time.monotonic()
            tried += 1
            try:
                target.read(data)
                words = f"took {time.monotonic() - begun_s:.1f} s" if time.monotonic() - begun_s > SLOW_S else ""
            except Exception as error:  # whatever a reader does not promise is what is looked for
                words = f"{type(error).__name__}: {error}".splitlines()[0][:100]
            if words and words.partition(":")[0] not in harm:
                harm.add(words.partition(":")[0])
                keep(name, data, words)
                print(f"{name}: {words}\n  {data[:60]!r}")
        found += len(harm)
        print(f"{name}: {tried:,} tried, {len(harm)} found", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
