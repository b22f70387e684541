"""A microphone, a WAV file in a loop, or a made-up room: the ears of a room, and what stands in for them at home.

One kind for all three, as with the camera. PortAudio reads the device in a thread of its own, at the rate that the device
likes best, and the sound is resampled here: half of all cheap cards refuse 16,000 a second, which is what most models of
speech want. A device that went is looked for again; PortAudio lists devices once only, so it is begun anew for that.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Audio, Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.samples import Resampler, Samples, made_up_room, read_wav

FLOOR_DB = -120.0
SILENT_S = 2.0  # without a block: the device has gone
AGAIN_S = (0.5, 1.0, 2.0)
LOOK_S = 0.5
MADE_UP = "room"


class MicrophoneOptions(Options):
    source: int | str | None = Field(
        None, json_schema_extra={"file": "maybe"},
        description="a device by number or by a part of its name, a WAV file played in a loop, or room, which is made up; left out: the "
        "system's own microphone, and in a rehearsal without one a made-up room",
    )
    rate: int = Field(16_000, ge=4000, le=192_000, description="samples a second of what is emitted")
    channels: int = Field(1, ge=1, le=32, description="channels of what is emitted: more are mixed down, fewer repeated")
    block_ms: float = Field(32.0, ge=5, le=2000, description="milliseconds of sound in one frame")
    level_every_s: float = Field(0.1, ge=0.005, le=60, description="seconds between two levels")
    gain_db: float = Field(0.0, ge=-60, le=60, description="louder or quieter, in decibels")
    dead_s: float | None = Field(
        60.0, gt=0, description="faulty when the sound has been one and the same value (muted, unplugged) for so many seconds; null: never"
    )


class Microphone(Role):
    """Emits sound for models, and its level: {"dbfs": -31.5, "peak_dbfs": -18.2}, where 0 is as loud as can be."""

    outputs = {"sound": Audio, "level": Event}
    extra = "microphone"
    Options = MicrophoneOptions

    def setup(self) -> None:
        options = self.options
        self._block = max(1, round(options.rate * options.block_ms / 1000))
        self._gain = 10 ** (options.gain_db / 20)
        self._inbox = Inbox(self)
        self._device: _Device | None = None
        self._loop: Samples | None = None
        self._at = 0
        self._tries, self._again_s = 0, 0.0
        self._resampler = Resampler(1, 1, options.channels)
        self._waiting: Samples = np.zeros((0, options.channels), np.float32)
        self._loud: list[Samples] = []
        self._open()
        self._fresh = Freshness(self, "the microphone", None if self._loop is not None else SILENT_S + 8,
                                None if self._loop is not None else options.dead_s,
                                instead="see whether it is muted (alsamixer, pavucontrol), and plug it in again")
        self._due_s = self.now_s()

    def teardown(self) -> None:
        device, self._device = getattr(self, "_device", None), None
        if device is not None:
            device.close()

    def tick(self) -> float | None:
        self._inbox.news()
        if self._loop is not None:
            return self._play_on(self._loop)
        for heard_s, block in self._inbox.take():
            self._hear(block, heard_s)
        if self._device is None or self._device.gone(self.now_s()):
            self._reach_again()
        self._fresh.look()
        return LOOK_S

    # ---- where the sound comes from

    def _open(self) -> None:
        source, rehearsal = self.options.source, bool(self.settings.get("rehearsal"))
        if source == MADE_UP:
            self._stand_in(made_up_room(self.options.rate, 1), self.options.rate, "a made-up room")
            return
        path = Path(self.folder / source) if isinstance(source, str) else None
        if path is not None and (path.is_file() or path.suffix.lower() == ".wav"):
            self._stand_in(*read_wav(path, str(source)), str(source))
            return
        try:
            self._device = self._find()
        except RoleError as fault:
            if not rehearsal:
                raise
            self.say(f"{fault.words}; as this is a rehearsal, a made-up room stands in")
            self._stand_in(made_up_room(self.options.rate, 1), self.options.rate, "a made-up room")
            return
        self.say(f"hears through {self._device.label} at {self._device.rate:g} samples a second")

    def _stand_in(self, sound: Samples, rate: int, label: str) -> None:
        """The whole loop at the rate that is emitted."""
        resampler = Resampler(rate, self.options.rate, sound.shape[1])
        pieces = [resampler.turn(sound[at : at + 65_536]) for at in range(0, len(sound), 65_536)]
        self._loop = self._mixed(np.concatenate(pieces))
        if not len(self._loop):
            raise RoleError(f"{label} is too short to be played", where=f"{self.name}, option source")
        self.say(f"plays {label} in a loop")

    def _find(self) -> _Device:
        sounddevice = engine(self.name)
        device = _Device(sounddevice, self.options.source, self.options.block_ms, self._inbox, self.name)
        self._resampler = Resampler(device.rate, self.options.rate, device.channels)
        self._waiting = self._waiting[:0]
        return device

    def _reach_again(self) -> None:
        now = self.now_s()
        if self._device is not None:
            self.say("the microphone has gone; trying to reach it again")
            self._fresh.lost("the microphone has gone: plug it in again")
            self._device.close()  # which may take seconds where the driver still waits for it
            self._device, self._tries = None, 0
        if now < self._again_s:
            return
        self._again_s = now + AGAIN_S[min(self._tries, len(AGAIN_S) - 1)]
        self._tries += 1
        sounddevice = engine(self.name)
        sounddevice._terminate()
        sounddevice._initialize()
        try:
            self._device = self._find()
        except RoleError:
            return
        self.say(f"{self._device.label} is back")
        self._fresh.found()

    # ---- what becomes of it

    def _play_on(self, loop: Samples) -> float:
        """The next block of a loop that has no end."""
        places = np.arange(self._at, self._at + self._block) % len(loop)
        self._at = int(places[-1]) + 1
        self._emit(loop[places], self._due_s)
        self._fresh.saw()
        self._due_s += self._block / self.options.rate
        return self._block / float(self.options.rate)

    def _hear(self, block: Samples, heard_s: float) -> None:
        self._fresh.saw(object() if np.ptp(block) > 0 else float(block.flat[0]))  # a real one is never quite still
        self._waiting = np.concatenate([self._waiting, self._mixed(self._resampler.turn(block))])
        while len(self._waiting) >= self._block:
            piece, self._waiting = self._waiting[: self._block], self._waiting[self._block :]
            self._emit(piece, heard_s - len(self._waiting) / self.options.rate)

    def _mixed(self, sound: Samples) -> Samples:
        if sound.shape[1] == self.options.channels:
            return sound
        if self.options.channels == 1 or sound.shape[1] > self.options.channels:
            mixed = sound.mean(axis=1, keepdims=True, dtype=np.float32)
            return np.repeat(mixed, self.options.channels, axis=1)
        return np.take(sound, np.arange(self.options.channels) % sound.shape[1], axis=1)

    def _emit(self, piece: Samples, captured_s: float) -> None:
        piece = np.clip(piece * self._gain, -1, 1).astype(np.float32)
        self.emit("sound", piece, captured_s=captured_s, rate=self.options.rate)
        self._loud.append(piece)
        if sum(map(len, self._loud)) >= self.options.level_every_s * self.options.rate:
            sound, self._loud = np.concatenate(self._loud), []
            level = {"dbfs": decibels(float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))),
                     "peak_dbfs": decibels(float(np.abs(sound).max()))}
            self.emit("level", level, captured_s=captured_s)


class _Device:
    """An open input. Blocks go to the inbox from PortAudio's own thread. Raises RoleError when there is none."""

    def __init__(self, sounddevice: Any, source: int | str | None, block_ms: float, inbox: Inbox, name: str) -> None:
        self._inbox, self._last_s = inbox, inbox.now_s()
        try:
            about = sounddevice.query_devices(int(str(source)) if str(source).isdigit() else source, kind="input")
            self.label, self.rate = str(about["name"]), float(about["default_samplerate"])
            self.channels = max(1, min(int(about["max_input_channels"]), 2))
            self._stream = sounddevice.InputStream(
                device=int(about["index"]), samplerate=self.rate, channels=self.channels, dtype="float32",
                blocksize=max(16, round(self.rate * block_ms / 1000)), callback=self._take,
            )
            self._stream.start()
        except (ValueError, KeyError, sounddevice.PortAudioError) as error:
            there = ", ".join(each["name"] for each in sounddevice.query_devices() if each["max_input_channels"]) or "none"
            raise RoleError(
                _missing(source, str(error).splitlines()[0]), where=f"{name}, option source",
                instead=f"plug it in, or name another in option source: there is {there}"
                + ("; is the user in the group audio, or a sound server running?" if there == "none" else ""),
            ) from None

    def _take(self, block: Any, frames: int, time: Any, status: Any) -> None:
        self._last_s = self._inbox.now_s()
        self._inbox.put(block.copy())

    def gone(self, now_s: float) -> bool:
        """Whether nothing comes from it any more."""
        return not self._stream.active or now_s - self._last_s > SILENT_S

    def close(self) -> None:
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)


def _missing(source: int | str | None, reason: str) -> str:
    if source is None:
        return "no microphone is connected to this machine" if "-1" in reason else f"the system's own microphone does not open: {reason}"
    return f"no microphone answers as {source}: {reason}"


def engine(where: str) -> Any:
    """sounddevice, which in turn needs PortAudio of the system. Raises EngineMissingError with which of them is missing."""
    try:
        import sounddevice
    except ImportError as missing:
        raise EngineMissingError(
            "sensing.microphone needs sounddevice, which is not installed on this machine", where=where,
            instead="pip install roomful[microphone]",
        ) from missing
    except OSError as missing:
        raise EngineMissingError(
            "sensing.microphone needs PortAudio, a library of the system that is not installed on this machine", where=where,
            instead="apt-get install libportaudio2",
        ) from missing
    return sounddevice


def decibels(value: float) -> float:
    """Of full scale, rounded to a tenth; never below -120."""
    return FLOOR_DB if value <= 0 else round(max(FLOOR_DB, 20 * math.log10(value)), 1)
