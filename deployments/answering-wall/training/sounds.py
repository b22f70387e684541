"""Sound made by rule, with a note of when somebody speaks in it: what the voice model learns from, and the visitors of a rehearsal.

Voices are pulses through resonances that move from vowel to vowel, with hissing consonants and pauses, three to five syllables a
second; rooms hum, hiss, clatter, and play steady tones. No recording of anybody was used.
"""

from __future__ import annotations

import numpy as np

RATE = 16000
VOWELS = np.array([[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410], [440, 1020, 2240]], float)
Sound = np.ndarray


def resonance(sound: Sound, centre: Sound, width: float) -> Sound:
    """A two-pole resonance whose centre moves with the samples (Klatt 1980)."""
    radius = np.exp(-np.pi * width / RATE)
    turn = 2 * radius * np.cos(2 * np.pi * centre / RATE)
    out, one, two = np.zeros(len(sound)), 0.0, 0.0
    for at in range(len(sound)):
        value = (1 - radius) * sound[at] + turn[at] * one - radius * radius * two
        out[at], two, one = value, one, value
    return out


def sentence(chance: np.random.Generator, seconds: float) -> tuple[Sound, Sound]:
    """(sound, whether somebody speaks at each sample), of about so many seconds."""
    pitch, pace = chance.uniform(85, 260), chance.uniform(3, 5)
    parts, marks = [], []
    while sum(map(len, parts)) < seconds * RATE:
        length = int(RATE / pace * chance.uniform(0.6, 1.4))
        if chance.random() < 0.12:
            quiet = int(RATE * chance.uniform(0.1, 0.35))
            parts.append(np.zeros(quiet))
            marks.append(np.ones(quiet) if quiet < 0.2 * RATE else np.zeros(quiet))
            continue
        hiss = int(length * chance.uniform(0.1, 0.35)) if chance.random() < 0.6 else 0
        if hiss:
            noise = np.diff(chance.standard_normal(hiss + 1)) * np.hanning(hiss)
            parts.append(noise * chance.uniform(0.1, 0.4))
            marks.append(np.ones(hiss))
        parts.append(vowel(chance, length - hiss, pitch * chance.uniform(0.85, 1.2)))
        marks.append(np.ones(length - hiss))
    sound, mark = np.concatenate(parts), np.concatenate(marks)
    return sound / max(1e-9, np.abs(sound).max()), mark


def vowel(chance: np.random.Generator, length: int, pitch: float) -> Sound:
    """One voiced syllable that glides from a vowel to another."""
    time = np.linspace(0, 1, length)
    fundamental = pitch * (1 + 0.15 * chance.uniform(-1, 1) * time) * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * time * length / RATE))
    phase = np.cumsum(fundamental) / RATE
    source = np.diff(np.floor(phase), prepend=0.0) + 0.02 * chance.standard_normal(length)
    start, end = VOWELS[chance.integers(6)], VOWELS[chance.integers(6)]
    out = source
    for low, high, width in zip(start, end, (70, 100, 150), strict=True):
        out = resonance(out, (low + (high - low) * time) * chance.uniform(0.9, 1.1), width)
    envelope = np.minimum(1, np.minimum(time, 1 - time) * 8)
    return out / max(1e-9, np.abs(out).max()) * envelope * chance.uniform(0.5, 1.0)


def room(chance: np.random.Generator, length: int, kinds: tuple[str, ...] = ("hiss", "hum", "clatter", "tones", "rumble")) -> Sound:
    """What is heard when nobody speaks: two of the kinds together."""
    out = np.zeros(length)
    time = np.arange(length) / RATE
    for kind in chance.choice(kinds, 2):
        if kind == "hiss":
            part = chance.standard_normal(length)
        elif kind == "rumble":
            part = np.convolve(chance.standard_normal(length), np.ones(60) / 60, "same")
        elif kind == "hum":
            part = sum(np.sin(2 * np.pi * 50 * number * time + chance.uniform(0, 6)) / number for number in (1, 2, 3, 4, 6))
        elif kind == "tones":
            part = sum(np.sin(2 * np.pi * f * time) for f in chance.uniform(120, 1800, 3)) * (0.7 + 0.3 * np.sin(2 * np.pi * 0.3 * time))
        else:
            part = np.zeros(length)
            for at in chance.integers(0, max(1, length - 4000), max(1, int(length / RATE * chance.uniform(0.5, 4)))):
                knock = chance.standard_normal(4000) * np.exp(-np.arange(4000) / chance.uniform(80, 900))
                part[at : at + 4000] += knock * chance.uniform(0.3, 1.5)
        out += part / max(1e-9, np.abs(part).max()) * 10 ** chance.uniform(-2.6, -0.9)
    return out


def scene(
    chance: np.random.Generator, seconds: float, kinds: tuple[str, ...] = ("hiss", "hum", "clatter", "tones", "rumble")
) -> tuple[Sound, Sound]:
    """(sound of -1..1 as float32, whether somebody speaks at each sample): a room in which people speak now and then."""
    length = int(seconds * RATE)
    out, mark = room(chance, length, kinds), np.zeros(length)
    at = int(RATE * chance.uniform(0.5, 3))
    while at < length - RATE:
        said, spoken = sentence(chance, chance.uniform(0.8, 4))
        said, spoken = said[: length - at], spoken[: length - at]
        out[at : at + len(said)] += said * 10 ** chance.uniform(-1.3, -0.2)
        mark[at : at + len(said)] = spoken
        at += len(said) + int(RATE * chance.uniform(0.8, 4))
    return np.clip(out, -1, 1).astype(np.float32), mark
