"""What a spectrum costs before the model is asked: python -m benchmarks.spectrum [RUNS]

One window of each known program's spectrum, as long as a usual model hears at once: milliseconds, median and p99.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.figures import machine, median, p99
from roles.inference.spectrum import Ear
from roles.inference.spectrum_options import LIKE, told

MOMENTS = {"whisper": 3000, "ast": 1024, "yamnet": 96, "vggish": 96, "clap": 1001, "panns": 1001, "resemblyzer": 160, "tensorflow": 124}
SECONDS = 1.0  # of the others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=50)
    runs = parser.parse_args().runs
    print(machine())
    for name in LIKE:
        how = told(name)
        assert how is not None
        ear = Ear(how, how.rate or 16000)
        samples = ear.samples(MOMENTS[name]) if name in MOMENTS else int(SECONDS * ear.rate)
        sound, times = np.random.default_rng(1).uniform(-0.5, 0.5, samples).astype(np.float32), []
        for _ in range(runs + 1):
            began_s = time.perf_counter()
            rows = ear.numbers(ear.hear(sound))
            times.append((time.perf_counter() - began_s) * 1000)
        times = times[1:]  # the first makes the tables
        print(f"{name:16} {samples / ear.rate:5.2f} s of sound, {rows.shape[0]:4} x {rows.shape[1]:3}: {median(times):6.2f} ms, "
              f"p99 {p99(times):6.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
