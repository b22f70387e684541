"""The artwork that listens: its ears on voices that training never heard, and when it answers."""

from __future__ import annotations

import importlib.util
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.role import Frame
from roles.inference.onnx import Onnx
from tests.roles.stage import Recorder, put_on

WALL = Path(__file__).resolve().parents[2] / "deployments" / "answering-wall"
OPTIONS: dict[str, Any] = {
    "decode": "probability", "output": "heard", "state": {"state": "state_next"}, "window": 512,
    "threshold": 0.6, "release": 0.35, "hold_s": 0.25,
}  # fmt: skip


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"answering_wall_{path.stem}", path)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def roles() -> Any:
    return module(WALL / "roles.py")


def heard(sound: np.ndarray) -> list[dict[str, Any]]:
    """What the voice role says of a sound, each 32 ms."""
    role, stage = put_on(Onnx, WALL, model=WALL / "models" / "voice.onnx", **OPTIONS)
    role.setup()
    for at, chunk in enumerate(np.array_split(sound[: len(sound) // 512 * 512], len(sound) // 512)):
        role.on_audio(Frame(chunk[:, None], captured_s=1 + at * 0.032))
    return stage.values("heard")


def test_it_hears_who_speaks_and_when_in_rooms_that_it_never_was_in() -> None:
    # Given rooms in which people speak now and then, some of them far below a clatter
    scene, right = module(WALL / "training" / "sounds.py").scene, []
    for seed in range(2000, 2012):
        sound, speaks = scene(np.random.default_rng(seed), 8.0, ("hiss", "hum", "clatter", "tones"))
        truth = speaks[: len(speaks) // 512 * 512].reshape(-1, 512).mean(axis=1) > 0.5
        # When the wall listens
        said = np.array([each["probability"] > 0.5 for each in heard(sound)])
        right.append(float((said == truth).mean()))
    # Then it is right nearly always
    assert np.mean(right) > 0.88 and np.median(right) > 0.92


def test_a_silent_room_is_nobody() -> None:
    hum = 0.02 * np.sin(np.arange(16000 * 3) * 2 * np.pi * 50 / 16000).astype(np.float32)
    assert not any(each["active"] for each in heard(hum)[20:])


def listener(roles: Any, **options: Any) -> tuple[Any, Recorder]:
    role, stage = put_on(roles.Listener, WALL, **options)
    role.setup()
    return role, stage


def speak(role: Any, *turns: tuple[float, float]) -> None:
    """Somebody speaks from the first to the second moment of each turn."""
    for at in np.arange(0, turns[-1][1] + 3, 0.032):
        active = any(begin <= at < end for begin, end in turns)
        role.on_voice(Frame({"active": active, "probability": float(active)}, captured_s=1000 + float(at)))


def test_it_answers_once_after_somebody_has_finished_and_not_before(roles: Any) -> None:
    role, stage = listener(roles)
    speak(role, (1.0, 2.0), (2.5, 3.4))  # a breath between two words is no end
    ((_, tags, _, captured_s),) = [each for each in stage.emitted if each[0] == "tags"]
    assert captured_s == pytest.approx(1000 + 3.4 + 0.9, abs=0.1)
    assert tags.split()[0] == "bright" and len(stage.values("chime")) == 1


def test_a_cough_is_no_speech_and_two_answers_are_apart(roles: Any) -> None:
    role, stage = listener(roles)
    speak(role, (1.0, 1.2))
    assert stage.values("tags") == []
    speak(role, (10.0, 11.0), (13.0, 14.0), (20.0, 26.0))
    assert [tags.split()[0] for tags in stage.values("tags")] == ["playful", "tender"]


def test_the_light_leans_in_while_it_listens(roles: Any) -> None:
    role, stage = listener(roles)
    speak(role, (1.0, 2.0))
    lamps = [light["lamp"] for light in stage.values("light")]
    assert lamps[0] < lamps[2] < lamps[1]


def test_the_visitors_of_a_rehearsal_are_heard_and_answered(roles: Any) -> None:
    with wave.open(str(WALL / "visitors.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    listening, said = listener(roles)
    for at, voice in enumerate(heard(sound)):
        listening.on_voice(Frame(voice, captured_s=1000 + at * 0.032))
    assert 2 <= len(said.values("tags")) <= 7
