"""Sounds that are heard at once, as numbers: voices that play, loop, fade and end, added up and kept from clipping.

Pure numpy, so that what would be heard can be measured without a sound card. Everything is float32 (samples, channels) at the
mixer's rate; a sound of another rate is brought to it once, when it is loaded, and a live stream piece by piece.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]
VOICES_MAX = 64
DECLICK_S = 0.005  # no sound begins or ends in the middle of a wave
STREAM_S_MAX = 1.0  # of a live stream that waits; beyond that its oldest goes, so that it never lags by more
STREAM_S_MIN = 0.06  # gathered before a live stream begins, against the unevenness of a network


def resampled(sound: Samples, rate: float, wanted: float) -> Samples:
    """The sound at another rate, by cutting or extending its spectrum."""
    if rate == wanted or not len(sound):
        return sound
    size = max(1, round(len(sound) * wanted / rate))
    spectrum = np.fft.rfft(sound, axis=0)
    bins = size // 2 + 1
    fitted = np.zeros((bins, sound.shape[1]), complex)
    fitted[: min(bins, len(spectrum))] = spectrum[:bins]
    return np.asarray(np.fft.irfft(fitted, size, axis=0) * (size / len(sound)), np.float32)


def spread(sound: Samples, channels: int, pan: float = 0.0) -> Samples:
    """One channel to all, or as many as there are; `pan` from -1 (left) to 1 moves between the first two."""
    if sound.ndim == 1:
        sound = sound[:, None]
    if sound.shape[1] == 1:
        sound = np.repeat(sound, channels, 1)
    elif sound.shape[1] != channels:
        fitted = np.zeros((len(sound), channels), np.float32)
        shared = min(channels, sound.shape[1])
        fitted[:, :shared] = sound[:, :shared]
        sound = sound.mean(1, keepdims=True) if channels == 1 else fitted
    if pan and channels >= 2:
        gains = np.ones(channels, np.float32)
        gains[0], gains[1] = min(1.0, 1.0 - pan), min(1.0, 1.0 + pan)
        sound = sound * gains
    return np.ascontiguousarray(sound, np.float32)


@dataclass
class Voice:
    """One sound on its way. `ends_at` is where it has faded out, counted in samples that it was heard."""

    sound: Samples
    gain: float = 1.0
    loop: bool = False
    name: str = ""
    fade_in: int = 0
    at: int = 0
    heard: int = 0
    fade_out: int = 0
    ends_at: int | None = None

    def take(self, count: int) -> tuple[Samples, bool]:
        """The next samples (fewer at the end), and whether anything is left."""
        if self.loop:
            places = (self.at + np.arange(count)) % len(self.sound)
            piece = self.sound[places]
            self.at = int((self.at + count) % len(self.sound))
        else:
            piece = self.sound[self.at : self.at + count]
            self.at += len(piece)
        piece = np.asarray(piece * self.gain, np.float32)
        times = self.heard + np.arange(len(piece))
        if self.heard < self.fade_in:
            piece = np.asarray(piece * np.minimum(1.0, times / max(1, self.fade_in))[:, None], np.float32)
        if self.ends_at is not None:
            piece = np.asarray(piece * np.clip((self.ends_at - times) / max(1, self.fade_out), 0.0, 1.0)[:, None], np.float32)
        self.heard += len(piece)
        over = self.ends_at is not None and self.heard >= self.ends_at
        return piece, not over and (self.loop or self.at < len(self.sound))

    def end(self, samples: int) -> None:
        """Fade out over so many samples, from now."""
        if self.ends_at is None:
            self.fade_out, self.ends_at = samples, self.heard + samples


@dataclass
class Live:
    """A stream that is heard as it comes."""

    rate: float
    wanted: float
    pieces: deque[Samples] = field(default_factory=deque)
    waiting: int = 0
    flowing: bool = False

    def feed(self, piece: Samples) -> None:
        """A piece at the stream's own rate."""
        count = round(len(piece) * self.wanted / self.rate)
        if not count:
            return
        places = np.linspace(0, len(piece) - 1, count) if len(piece) > 1 else np.zeros(count)
        fitted = np.stack([np.interp(places, np.arange(len(piece)), column) for column in piece.T], 1).astype(np.float32)
        self.pieces.append(fitted)
        self.waiting += count
        while self.waiting > STREAM_S_MAX * self.wanted and len(self.pieces) > 1:
            self.waiting -= len(self.pieces.popleft())

    def take(self, count: int) -> Samples:
        """The next samples; fewer, or none, while the stream falters."""
        self.flowing = self.waiting > 0 and (self.flowing or self.waiting >= STREAM_S_MIN * self.wanted)
        found: list[Samples] = []
        while self.flowing and count > 0 and self.pieces:
            piece = self.pieces.popleft()
            if len(piece) > count:
                self.pieces.appendleft(piece[count:])
                piece = piece[:count]
            found.append(piece)
            count -= len(piece)
            self.waiting -= len(piece)
        return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


class Mixer:
    """All voices and streams. `render` is called by whatever plays, from any thread; the rest by the role."""

    def __init__(self, rate: int, channels: int, volume: float) -> None:
        self.rate, self.channels, self.volume = rate, channels, volume
        self.rendered = 0  # samples so far: the proof that somebody takes them
        self.peak = 0.0  # the loudest of late
        self._voices: list[Voice] = []
        self._next: deque[Voice] = deque(maxlen=VOICES_MAX)
        self._live: dict[str, Live] = {}
        self._lock = threading.Lock()

    def play(self, voice: Voice) -> None:
        """From now on; the oldest goes where there are too many."""
        voice.fade_in = max(voice.fade_in, int(DECLICK_S * self.rate) if voice.loop else 0)
        with self._lock:
            self._voices = [*self._voices[-(VOICES_MAX - 1) :], voice]

    def follow(self, voice: Voice) -> None:
        """After all of its name that are heard or wait already: one sentence after the other."""
        with self._lock:
            if any(other.name == voice.name and other.ends_at is None for other in self._voices):
                self._next.append(voice)
                return
        self.play(voice)

    def stop(self, name: str | None, fade_s: float) -> None:
        """Those of that name, or all with None, fade out."""
        with self._lock:
            self._next = deque(voice for voice in self._next if name is not None and voice.name != name)
            for voice in self._voices:
                if name is None or voice.name == name:
                    voice.end(max(1, int(max(DECLICK_S, fade_s) * self.rate)))

    def feed(self, stream: str, piece: Samples, rate: float) -> None:
        """A piece of a live stream."""
        with self._lock:
            live = self._live.setdefault(stream, Live(rate, self.rate))
            live.rate = rate  # a stream may go on at another, from another machine's microphone
            live.feed(spread(piece, self.channels))

    def playing(self, name: str) -> bool:
        """Whether a voice of that name is heard, those that fade out apart."""
        return any(voice.name == name and voice.ends_at is None for voice in self._voices)

    def render(self, count: int) -> Samples:
        """The next `count` samples of everything, -1..1."""
        mixed = np.zeros((count, self.channels), np.float32)
        with self._lock:
            left = []
            for voice in self._voices:
                piece, goes_on = voice.take(count)
                mixed[: len(piece)] += piece
                if goes_on:
                    left.append(voice)
            self._voices = left
            for voice in [voice for voice in self._next if not any(other.name == voice.name for other in left)][:1]:
                self._next.remove(voice)
                self._voices = [*self._voices, voice]
            for live in self._live.values():
                piece = live.take(count)
                if len(piece):
                    mixed[: len(piece)] += piece
        mixed *= self.volume
        self.rendered += count
        loud = float(np.abs(mixed).max(initial=0.0))
        self.peak = max(loud, self.peak * 0.9)
        # Below 0.8 nothing is changed; above, it bends towards 1 and never clips.
        over = np.abs(mixed) - 0.8
        return np.where(over > 0, np.sign(mixed) * (0.8 + 0.2 * np.tanh(over / 0.2)), mixed).astype(np.float32)
