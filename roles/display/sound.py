"""Sound in the room: files played on events, streams as they come, texts spoken by a synthesiser.

One mixer and one output a role, so that a voice can speak over a bed of sound on the cheapest card. What is heard is a
function of what comes in; where there is no card (a laptop at rehearsal, a test) everything runs on at its proper speed, to a
file or to nobody. Decided against: effects and scores, which SuperCollider, Pure Data and their like do better (`display.osc`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Any_, Frame, Options, Role
from roles.display.mixing import Mixer, Samples, Voice, resampled, spread
from roles.display.outlets import Device, Outlet, Paced
from roles.display.sayings import Sayings
from roles.display.speech import Speech, command_for
from roles.display.standin import StandIn

TICK_S = 0.05
WORKS_S = 10.0
SOUND_S_MAX = 1800.0
SPEECH, BED, FALLBACK = "the voice", "the bed", "the fallback"
RECORDINGS = {".wav", ".ogg", ".flac", ".mp3"}


class SoundOptions(Options):
    device: int | str | None = Field(
        None, description='which output: a number or part of a name; "none", or "file:/tmp/heard.wav"; the default one when left out'
    )
    rate: int = Field(48000, ge=8000, le=192_000, description="samples a second of the output")
    channels: int = Field(2, ge=1, le=64, description="channels of the output")
    volume: float = Field(1.0, ge=0, le=4, description="of everything; 1 leaves sounds as they are")
    sounds: dict[str, str] = Field(
        default_factory=dict, description="names for sounds of the folder: {knock: sounds/knock.wav}; an input of that name plays it"
    )
    bed: str | None = Field(None, json_schema_extra={"file": True}, description="a sound of the folder that is always there, in a loop")
    bed_gain: float = Field(0.5, ge=0, le=4, description="how loud the bed is")
    speak: str | None = Field(
        None, description='what speaks texts: espeak-ng, or a command that takes text and gives a WAV; they are not spoken when left out'
    )
    voice: str | None = Field(None, description="espeak-ng: the voice, such as en-gb or et")
    speed: float = Field(1.0, gt=0.2, le=3, description="espeak-ng: 1 is calm, 150 words a minute")
    when_superseded: Literal["queue", "cancel"] = Field("queue", description="a newer text waits for the one being spoken, or cuts it off")
    stream_rate: int = Field(16000, ge=1000, le=192_000, description="samples a second of audio streams that do not say it")
    fade: float = Field(0.5, ge=0, le=60, description="seconds in which a sound that is stopped, or the fallback, fades")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without an input after which the fallback is heard")


class Sound(Role):
    """Plays sound files on events, audio streams as they come, and speaks texts through a synthesiser."""

    inputs = {"*": Any_}
    extra = "sound"
    display = True
    writes = ("device",)
    exclusive = True
    Options = SoundOptions

    def setup(self) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as missing:
            raise EngineMissingError(
                f"display.sound needs soundfile, which does not load on this machine ({missing})", where=self.name,
                instead="pip install roomful[sound]",
            ) from missing  # fmt: skip
        options = self.options
        self._soundfile = soundfile
        self._mixer = Mixer(options.rate, options.channels, options.volume)
        self._loaded: dict[str, Samples] = {}
        for path in options.sounds.values():
            self._load(self._inside(path))  # what is missing is said now, not at the first knock
        self._sayings = Sayings(by_sentence=True)
        self._standin = StandIn(self.fallback, self.fallback_files, options.quiet, time.monotonic())
        self._said: set[str] = set()
        self._last_text = ""
        self._rendered = 0
        self._speech = self._voice() if options.speak else None
        self._outlet = self._open()
        if options.bed:
            bed = spread(self._load(self._inside(options.bed)), options.channels)
            self._mixer.play(Voice(bed, options.bed_gain, loop=True, name=BED, fade_in=int(2 * options.rate)))

    def teardown(self) -> None:
        speech: Speech | None = getattr(self, "_speech", None)
        if speech is not None:
            speech.stop()
        if hasattr(self, "_outlet"):
            self._outlet.close()

    def on_frame(self, input: str, frame: Frame) -> None:
        self._standin.heard(input, frame, time.monotonic())
        self._take(input, frame)

    def tick(self) -> float:
        now_s = time.monotonic()
        for line in self._outlet.tick(now_s):
            self.say(line)
        for stream, frame in self._standin.frames(now_s):
            self._take(stream, frame)
        self._fall_back(self._standin.lost(now_s))
        if self._mixer.rendered != self._rendered:
            self._rendered = self._mixer.rendered
            self.works(WORKS_S, f"the sound output has taken nothing for {WORKS_S:g} s")
        return TICK_S

    # ---- what comes

    def _take(self, stream: str, frame: Frame) -> None:
        value = frame.value
        if isinstance(value, str) and value not in self.options.sounds:
            self._hear(stream, frame)
        elif isinstance(value, np.ndarray):
            if value.dtype == np.float32 and value.ndim in (1, 2):
                self._mixer.feed(stream, value if value.ndim == 2 else value[:, None], frame.rate or self.options.stream_rate)
            else:
                self._once(f"{stream} carries numbers or pictures, not sound")
        else:
            self._obey(stream, value)

    def _hear(self, stream: str, frame: Frame) -> None:
        """A piece of text."""
        if self._speech is None:
            self._once(f"{stream} carries texts, and option speak names nothing that speaks them")
            return
        request = frame.request or f"{frame.source}#{frame.number}"
        if (frame.index == 0 or frame.ended) and self.options.when_superseded == "cancel" and (request != self._last_text or frame.ended):
            self._speech.forget()
            self._mixer.stop(SPEECH, 0.08)
        self._last_text = request
        for sentence in self._sayings.take(stream, frame):
            self._speech.say(sentence)

    def _obey(self, stream: str, value: Any) -> None:
        """An event: the name of a sound, {"sound": name or path, "gain", "pan", "loop"}, {"stop": name or true}, or a trigger."""
        wish = value if isinstance(value, Mapping) else {"sound": value} if isinstance(value, str) else {}
        if wish.get("stop"):
            self._mixer.stop(None if wish["stop"] is True else str(wish["stop"]), self.options.fade)
        name = wish.get("sound")
        if name is None and stream in self.options.sounds and value is not False and value != 0 and not wish.get("stop"):
            name = stream
        if name is None:
            return
        gain = value if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1 else wish.get("gain", 1.0)
        try:
            sound = self._load(self._inside(self.options.sounds.get(str(name), str(name))))
            pan = min(1.0, max(-1.0, float(wish.get("pan", 0.0))))
            fitted = spread(sound, self.options.channels, pan)
            self._mixer.play(Voice(fitted, min(4.0, max(0.0, float(gain))), bool(wish.get("loop")), str(name)))
        except (RoleError, TypeError, ValueError) as fault:
            self._once(str(fault))

    def _fall_back(self, lost: bool) -> None:
        """A recording of sound is the whole fallback; it fades in when the inputs are lost and out when they return."""
        file = self.fallback_files.get("recording")
        if file is None or file.suffix.lower() not in RECORDINGS:
            return
        heard = self._mixer.playing(FALLBACK)
        if lost and not heard:
            try:
                sound = spread(self._load(file), self.options.channels)
            except RoleError as fault:
                self._once(str(fault))
                return
            fade_in = int(self.options.fade * self.options.rate)
            self._mixer.play(Voice(sound, loop=True, name=FALLBACK, fade_in=fade_in))
        elif heard and not lost:
            self._mixer.stop(FALLBACK, self.options.fade)

    # ---- what it stands on

    def _open(self) -> Outlet:
        device = self.options.device
        if device == "none":
            return Paced(self._mixer, None)
        if isinstance(device, str) and device.startswith("file:"):
            path = Path(device.removeprefix("file:")).expanduser()
            return Paced(self._mixer, path if path.is_absolute() else (self.state_folder or Path.cwd()) / path)
        try:
            return Device(self._mixer, int(device) if isinstance(device, str) and device.isdigit() else device)
        except RoleError as missing:
            if not self.settings.get("rehearsal"):
                missing.where = f"{self.name}, {missing.where or 'option device'}"
                raise
            self.say(f"{missing.words}; as this is a rehearsal it plays on, and nobody hears it")
            return Paced(self._mixer, None)

    def _voice(self) -> Speech:
        command = command_for(self.options.speak, self.options.voice, self.options.speed)
        if not command:
            raise RoleError("option speak is empty", where=self.name, instead="write espeak-ng, or take it out")
        speech = Speech(command, self.folder, self._soundfile, self._spoken, self._once)
        speech.start()
        return speech

    def _spoken(self, samples: Samples, rate: int) -> None:
        """A sentence is ready; it follows the one before it. Called from the thread that speaks."""
        sound = spread(resampled(samples, rate, self.options.rate), self.options.channels)
        self._mixer.follow(Voice(sound, name=SPEECH))

    def _load(self, path: Path) -> Samples:
        """A sound file at the output's rate, kept. RoleError when it is none."""
        kept = self._loaded.get(str(path))
        if kept is None:
            try:
                with self._soundfile.SoundFile(path) as file:
                    if not 0 < file.frames <= SOUND_S_MAX * file.samplerate:
                        raise RoleError(f"{path.name} is empty or longer than half an hour", where=str(path), instead="cut it")
                    kept = resampled(file.read(dtype="float32", always_2d=True), file.samplerate, self.options.rate)
            except (RuntimeError, OSError) as broken:
                instead = "save it as WAV, OGG, FLAC or MP3"
                raise RoleError(f"{path.name} is not a sound: {broken}", where=str(path), instead=instead) from broken
            self._loaded[str(path)] = kept
        return kept

    def _inside(self, path: str) -> Path:
        found = (self.folder / path).resolve()
        if not found.is_relative_to(self.folder.resolve()) or not found.is_file():
            raise RoleError(
                f"there is no sound {path[:80]!r} in the deployment's folder", where=f"{self.name}, option sounds",
                instead="give a path such as sounds/knock.wav, or a name of option sounds",
            )  # fmt: skip
        return found

    def _once(self, what: str) -> None:
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            self.say(what)
