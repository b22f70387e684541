"""Text as sound: any synthesiser that a machine has, called as a program that reads text and writes a WAV.

espeak-ng is in every Linux and speaks a hundred languages; a better voice (Piper, or a model of the artist's own) is a command:
    speak: piper --model voices/ida.onnx --output_file -          text on standard input, WAV on standard output
    speak: my-voice --say {text} --to {file}                      or in the places named
A thread of its own, because speaking takes longer than a visitor's patience; sentences come out in the order they went in.
"""

from __future__ import annotations

import io
import queue
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import RoleError
from roles.display.mixing import Samples

PATIENCE_S = 30.0
WAITING_MAX = 16  # sentences; the oldest are left out beyond
WAV_BYTES_MAX = 64 << 20


def command_for(speak: str, voice: str | None, speed: float) -> list[str]:
    """The command's words. "espeak-ng" alone is given its voice and speed (1 is a calm 150 words a minute)."""
    words = shlex.split(speak)
    if words == ["espeak-ng"]:
        words = ["espeak-ng", "--stdin", "--stdout", "-s", str(round(150 * speed)), *(["-v", voice] if voice else [])]
    return words


def synthesise(command: list[str], text: str, folder: Path, soundfile: Any) -> tuple[Samples, int]:
    """(samples, rate) of a text. RoleError when the program is missing, fails, takes too long or gives no sound."""
    program = command[0]
    try:
        with tempfile.TemporaryDirectory(prefix="roomful-voice-") as place:
            file = Path(place) / "said.wav"
            words = [word.replace("{text}", text).replace("{file}", str(file)) for word in command]
            said = subprocess.run(words, input=text.encode(), capture_output=True, timeout=PATIENCE_S, cwd=folder)
            if said.returncode:
                what = f"{program} failed: {said.stderr.decode(errors='replace').strip()[-200:] or f'exit code {said.returncode}'}"
                raise RoleError(what, where="option speak", instead="try the command by hand, in the deployment's folder")
            wav = file.read_bytes() if file.exists() else said.stdout
    except FileNotFoundError as missing:
        instead = "apt-get install espeak-ng" if program == "espeak-ng" else "install it, or write another command"
        raise RoleError(f"the synthesiser {program} is not on this machine", where="option speak", instead=instead) from missing
    except subprocess.TimeoutExpired as late:
        raise RoleError(f"{program} took longer than {PATIENCE_S:g} s for {text[:40]!r}", where="option speak",
                        instead="try the command by hand; another voice may be quicker") from late
    try:
        samples, rate = soundfile.read(io.BytesIO(wav[:WAV_BYTES_MAX]), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as broken:
        raise RoleError(f"{program} gave no sound that can be read: {broken}", where="option speak",
                        instead="it must write a WAV file, to {file} or to its output; try it by hand") from broken
    return samples, int(rate)


class Speech:
    """`say` a sentence; `spoken(samples, rate)` and `failed(words)` are called from the thread."""

    def __init__(
        self, command: list[str], folder: Path, soundfile: Any, spoken: Callable[[Samples, int], None], failed: Callable[[str], None]
    ) -> None:
        self._command, self._folder, self._soundfile = command, folder, soundfile
        self._spoken, self._failed = spoken, failed
        self._sentences: queue.Queue[tuple[int, str] | None] = queue.Queue()
        self._round = 0
        self._thread = threading.Thread(target=self._speak, name="speech", daemon=True)

    def start(self) -> None:
        """Proves first that the program speaks: RoleError when it does not, or says nothing."""
        if shutil.which(self._command[0]) or (self._folder / self._command[0]).exists():
            samples, _ = synthesise(self._command, "a", self._folder, self._soundfile)
            if not len(samples) or float(np.abs(samples).max()) < 1e-4:
                raise RoleError(f"{self._command[0]} speaks, and nothing is heard", where="option speak", instead="try it by hand")
        else:
            synthesise(self._command, "a", self._folder, self._soundfile)  # says what is missing
        self._thread.start()

    def say(self, text: str) -> None:
        """After what waits already."""
        while self._sentences.qsize() >= WAITING_MAX:
            self._sentences.get_nowait()
        self._sentences.put((self._round, text))

    def forget(self) -> None:
        """What waits, and what is being synthesised, is not said."""
        self._round += 1

    def stop(self) -> None:
        self._round += 1
        self._sentences.put(None)
        self._thread.join(2.0)

    def _speak(self) -> None:
        while (sentence := self._sentences.get()) is not None:
            number, text = sentence
            if number != self._round:
                continue
            try:
                samples, rate = synthesise(self._command, text, self._folder, self._soundfile)
            except RoleError as fault:
                self._failed(str(fault))
                continue
            if number == self._round:
                self._spoken(samples, rate)
