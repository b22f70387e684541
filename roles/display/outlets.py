"""Where sound goes: a device, a file, or nowhere at its proper speed.

All three take samples from one mixer. `alive` says that somebody really takes them: a sound card that was unplugged, or a
driver that hangs, stops asking long before it says that anything is wrong.
"""

from __future__ import annotations

import wave
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import EngineMissingError, RoleError
from roles.display.mixing import Mixer

FILE_S_MAX = 3600.0
STEP_S_MAX = 0.5  # a late tick makes up for so much
AGAIN_S = 2.0
SILENT_S = 2.0  # a device that asked for nothing for so long is opened again


class Outlet(ABC):
    """`tick` about twenty times a second."""

    @abstractmethod
    def tick(self, now_s: float) -> list[str]:
        """Keep it going; what a technician should hear."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class Paced(Outlet):
    """To a WAV file, or to nobody with None: as many samples as the time brings."""

    def __init__(self, mixer: Mixer, path: Path | None) -> None:
        self._mixer, self._began_s, self._due = mixer, -1.0, 0.0
        self._file = self._open(path) if path is not None else None
        self._left = int(FILE_S_MAX * mixer.rate)

    def tick(self, now_s: float) -> list[str]:
        step_s = 0.0 if self._began_s < 0 else min(STEP_S_MAX, now_s - self._began_s)
        self._began_s = now_s
        self._due += step_s * self._mixer.rate
        count, self._due = int(self._due), self._due % 1
        sound = self._mixer.render(count)
        if self._file is not None and self._left > 0:
            self._file.writeframes((sound[: self._left] * 32767).astype("<i2").tobytes())
            self._left -= count
        return []

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, path: Path) -> wave.Wave_write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = wave.open(str(path), "wb")  # noqa: SIM115 - open for as long as the role plays
        except OSError as refusal:
            raise RoleError(
                f"nothing can be written to {path}: {refusal.strerror}", where="option device", instead="name a file that can be written"
            ) from refusal
        file.setnchannels(self._mixer.channels)
        file.setsampwidth(2)
        file.setframerate(self._mixer.rate)
        return file


class Device(Outlet):
    """A sound card, through PortAudio; opened again when it goes."""

    def __init__(self, mixer: Mixer, device: int | str | None) -> None:
        self._mixer, self._device = mixer, device
        self._sounddevice = engine()
        self._stream: Any = None
        self._last = (0, 0.0)  # how much had been taken, and when that was last more
        self._again_s = 0.0
        self._gone = False
        self._stream = self._open()

    def tick(self, now_s: float) -> list[str]:
        if self._mixer.rendered != self._last[0]:
            self._last = (self._mixer.rendered, now_s)
        news: list[str] = []
        silent = self._last[1] > 0 and now_s - self._last[1] > SILENT_S
        if self._stream is not None and (silent or not self._stream.active):
            self._let_go()
            self._gone, self._again_s = True, now_s
            news.append("the sound device has gone; trying to reach it again")
        if self._stream is None and now_s >= self._again_s:
            self._again_s = now_s + AGAIN_S
            try:
                self._sounddevice._terminate()  # PortAudio reads the list of devices once; only anew does it see one return
                self._sounddevice._initialize()
                self._stream = self._open()
                self._last = (self._mixer.rendered, now_s)
                news.append("the sound device is back")
            except (RoleError, self._sounddevice.PortAudioError):
                self._stream = None
        return news

    def close(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._stream is not None:
            try:
                self._stream.close(ignore_errors=True)
            finally:
                self._stream = None

    def _open(self) -> Any:
        mixer, sounddevice = self._mixer, self._sounddevice

        def ask(out: np.ndarray[Any, Any], count: int, *_: Any) -> None:
            out[:] = mixer.render(count)

        try:
            stream = sounddevice.OutputStream(
                samplerate=mixer.rate, channels=mixer.channels, dtype="float32", device=self._device, callback=ask, latency="high"
            )
            stream.start()
        except (ValueError, sounddevice.PortAudioError) as refusal:
            wanted = "the default" if self._device is None else repr(self._device)
            there = names(sounddevice) or "none (is the user in the group audio, or a sound server running?)"
            what = f"no sound device opens as {wanted}: {refusal}"
            instead = f"plug it in, or name another in option device: there is {there}"
            raise RoleError(what, where="option device", instead=instead) from refusal
        return stream


def engine() -> Any:
    """sounddevice, or EngineMissingError: PortAudio itself is a library of the system."""
    try:
        import sounddevice
    except (ImportError, OSError) as missing:
        instead = "pip install roomful[sound]" if isinstance(missing, ImportError) else "apt-get install libportaudio2"
        raise EngineMissingError(f"a sound device needs sounddevice and PortAudio ({missing})", instead=instead) from missing
    return sounddevice


def names(sounddevice: Any) -> str:
    """The outputs of this machine, for a person."""
    outputs = [device for device in sounddevice.query_devices() if device["max_output_channels"] > 0]
    return ", ".join(f"{device['index']} {device['name']}" for device in outputs[:12])
