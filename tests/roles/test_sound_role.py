"""Sound, measured: by sox in the files it plays to, in PortAudio's own hands, and spoken by espeak-ng."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame
from roles.display.mixing import VOICES_MAX, Live, Mixer, Voice, resampled, spread
from roles.display.sound import Sound
from roles.display.speech import command_for, synthesise
from tests.roles.stage import Recorder, put_on, until

RATE = 8000


def tone(hertz: float, seconds: float, rate: int = RATE, loud: float = 0.5) -> Any:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)[:, None]


def write(path: Path, sound: Any, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((sound.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


def measured(path: Path, *cut: str) -> dict[str, float]:
    """What `sox … stat` says of a file, or of a part of it."""
    told = subprocess.run(["sox", str(path), "-n", *cut, "stat"], capture_output=True, text=True, timeout=30).stderr
    pairs = (line.split(":", 1) for line in told.splitlines() if ":" in line)
    return {" ".join(name.split()): float(value) for name, value in pairs if value.strip().replace(".", "").replace("-", "").isdigit()}


class Hand:
    """The clock, moved by hand: a minute is heard in a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 7000.0
        monkeypatch.setattr("roles.display.sound.time.monotonic", lambda: self.now_s)

    def pass_time(self, role: Any, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.now_s += 0.05
            role.tick()


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "piece" / "sounds" / "knock.wav", tone(440, 0.5))
    write(tmp_path / "piece" / "sounds" / "low.wav", tone(110, 1.0))
    subprocess.run(["sox", str(tmp_path / "piece/sounds/knock.wav"), str(tmp_path / "piece/sounds/knock.ogg")], check=True, timeout=30)
    return tmp_path / "piece"


@contextmanager
def playing(folder: Path, **arguments: Any) -> Iterator[tuple[Any, Recorder, Path]]:
    heard = folder.parent / "heard.wav"
    options = {"device": f"file:{heard}", "rate": RATE, "channels": 1, "sounds": {"knock": "sounds/knock.wav", "low": "sounds/low.wav"}}
    role, stage = put_on(Sound, folder, **{**options, **arguments})
    role.setup()
    role.tick()
    try:
        yield role, stage, heard
    finally:
        role.teardown()


@pytest.mark.parametrize("trigger", [("knock", None), ("knock", True), ("any", "knock"), ("any", {"sound": "sounds/knock.ogg"})])
def test_an_event_plays_its_sound_once_and_as_it_is(folder: Path, hand: Hand, trigger: tuple[str, Any]) -> None:
    with playing(folder) as (role, stage, heard):
        role.on_frame(trigger[0], Frame(trigger[1]))
        hand.pass_time(role, 2.0)
        assert stage.fault() == ""
    figures = measured(heard)
    assert figures["Length (seconds)"] == pytest.approx(2.0, abs=0.1)
    assert figures["Maximum amplitude"] == pytest.approx(0.5, abs=0.02)
    assert measured(heard, "trim", "0.05", "0.4")["Rough frequency"] == pytest.approx(440, rel=0.03)
    assert measured(heard, "trim", "0.7")["Maximum amplitude"] == pytest.approx(0.0, abs=0.005)


def test_what_is_no_trigger_plays_nothing(folder: Path, hand: Hand) -> None:
    with playing(folder) as (role, stage, heard):
        for value in (False, 0, {"stop": True}):
            role.on_frame("knock", Frame(value))
        role.on_frame("other", Frame({"label": "few"}))
        for path in ("../../etc/passwd", "/etc/passwd", "nothing.wav", "../deployment.yaml"):
            role.on_frame("other", Frame({"sound": path}))
        role.on_frame("other", Frame({"sound": "knock", "gain": "loud"}))
        role.on_frame("image", Frame(np.zeros((4, 4, 3), np.uint8)))
        hand.pass_time(role, 0.5)
        assert len(stage.said) == 6
    assert measured(heard)["Maximum amplitude"] == 0.0


def test_gain_pan_loop_and_stop(folder: Path, hand: Hand) -> None:
    with playing(folder, channels=2, fade=0.1) as (role, _, heard):
        role.on_frame("any", Frame({"sound": "low", "gain": 0.5, "pan": -1, "loop": True}))
        hand.pass_time(role, 3.0)
        role.on_frame("any", Frame({"stop": "low"}))
        hand.pass_time(role, 1.0)
    left, right = (measured(heard, "remix", side) for side in ("1", "2"))
    assert left["Maximum amplitude"] == pytest.approx(0.25, abs=0.01) and right["Maximum amplitude"] == 0.0
    assert measured(heard, "remix", "1", "trim", "2", "0.9")["Maximum amplitude"] == pytest.approx(0.25, abs=0.01)
    assert measured(heard, "remix", "1", "trim", "3.3")["Maximum amplitude"] == 0.0


def test_many_loud_sounds_never_clip_and_take_no_more_than_so_much(folder: Path) -> None:
    mixer = Mixer(RATE, 1, 4.0)
    for _ in range(VOICES_MAX * 2):
        mixer.play(Voice(tone(440, 1.0)))
    sound = mixer.render(RATE // 2)
    assert 0.9 < np.abs(sound).max() <= 1.0 and len(mixer._voices) == VOICES_MAX


@pytest.mark.parametrize(("rate", "options"), [(16000, {"stream_rate": 16000}), (8000, {}), (44100, {"stream_rate": 16000})])
def test_a_live_stream_is_heard_at_its_pitch_and_without_gaps(folder: Path, hand: Hand, rate: int, options: dict[str, Any]) -> None:
    with playing(folder, **options) as (role, _, heard):
        whole, block = tone(500, 2.0, rate), rate // 20
        for start in range(0, len(whole), block):  # as a microphone gives it, 50 ms at a time, most saying their rate
            role.on_frame("voice", Frame(whole[start : start + block], rate=0 if options.get("stream_rate") == rate else rate))
            hand.pass_time(role, 0.05)
        hand.pass_time(role, 0.5)
    middle = measured(heard, "trim", "0.5", "1.0")
    assert middle["Rough frequency"] == pytest.approx(500, rel=0.03)
    assert middle["RMS amplitude"] == pytest.approx(0.5 / 2**0.5, rel=0.03)


def test_a_stream_that_comes_too_fast_lags_by_no_more_than_a_second() -> None:
    live = Live(RATE, RATE)
    for _ in range(100):
        live.feed(tone(440, 0.1))
    assert live.waiting <= 1.1 * RATE


def test_another_rate_is_the_same_sound(folder: Path) -> None:
    sound = resampled(tone(440, 1.0, 44100), 44100, RATE)
    assert len(sound) == RATE
    assert np.abs(sound[200:-200] - tone(440, 1.0)[200:-200]).max() < 0.02
    assert spread(sound, 3).shape == (RATE, 3) and spread(np.repeat(sound, 6, 1), 2).shape == (RATE, 2)


def test_texts_are_spoken_sentence_by_sentence_while_they_come(folder: Path, hand: Hand) -> None:
    with playing(folder, speak="espeak-ng", voice="en-gb", rate=22050) as (role, stage, heard):
        role.on_frame("line", Frame("The room is listening. And", request="r:1", more=True))
        until(lambda: role._mixer.playing("the voice"), what="the first sentence, before the text has ended")
        role.on_frame("line", Frame(" it answers.", request="r:1", index=1))
        until(lambda: len(role._mixer._next) == 1, what="the second, which waits for its turn")
        hand.pass_time(role, 6)
        assert stage.fault() == ""
    figures = measured(heard, "silence", "1", "0.01", "1%", "reverse", "silence", "1", "0.01", "1%")
    assert 1.5 < figures["Length (seconds)"] < 5.0 and figures["RMS amplitude"] > 0.02


def test_a_newer_text_cuts_the_older_off_where_that_is_wanted(folder: Path, hand: Hand) -> None:
    with playing(folder, speak="espeak-ng", rate=22050, when_superseded="cancel") as (role, _, _heard):
        role.on_frame("line", Frame("This sentence is long and goes on and on and on and would take many seconds to say.", request="r:1"))
        until(lambda: role._mixer.playing("the voice"), what="the voice")
        hand.pass_time(role, 0.5)
        role.on_frame("line", Frame("Short.", request="r:2"))
        until(lambda: len(role._mixer._voices) + len(role._mixer._next) == 2, what="both, the first fading")
        hand.pass_time(role, 2.0)
        assert not role._mixer._voices and not role._mixer._next


def test_any_command_that_gives_a_wav_is_a_voice(folder: Path, hand: Hand) -> None:
    code = "import sys, shutil; shutil.copy('sounds/low.wav', sys.argv[2]) if sys.argv[1] else 0"
    to_file = f'{sys.executable} -c "{code}" {{text}} {{file}}'
    for speak in ("cat sounds/low.wav", to_file):
        with playing(folder, speak=speak) as (role, _, heard):
            role.on_frame("line", Frame("anything", request="r:1"))
            until(lambda role=role: role._mixer.playing("the voice"), what="the voice")
            hand.pass_time(role, 1.5)
        assert measured(heard)["Maximum amplitude"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("speak", "words"),
    [
        ("no-such-voice --now", "the synthesiser no-such-voice is not on this machine"),
        ("false", "false failed: exit code 1"),
        ("echo hello", "gave no sound that can be read"),
        ("cat sounds/silence.wav", "speaks, and nothing is heard"),
        ("  ", "option speak is empty"),
    ],
)
def test_a_voice_that_cannot_speak_is_said_at_the_start(folder: Path, speak: str, words: str) -> None:
    write(folder / "sounds" / "silence.wav", np.zeros((800, 1), np.float32))
    with pytest.raises(RoleError) as fault, playing(folder, speak=speak):
        pass
    assert words in str(fault.value)


def test_a_synthesiser_s_text_is_never_a_command(folder: Path) -> None:
    import soundfile

    command = command_for("espeak-ng", "en", 1.0)
    synthesise(command, "; touch " + str(folder / "harm") + " `touch harm` $(touch harm)", folder, soundfile)
    assert not (folder / "harm").exists()


def test_lost_inputs_bring_the_recording_and_their_return_ends_it(folder: Path, hand: Hand) -> None:
    files = {"recording": folder / "sounds" / "low.wav"}
    with playing(folder, fallback_files=files, quiet=5.0, fade=0.2) as (role, _, heard):
        hand.pass_time(role, 8.0)
        role.on_frame("other", Frame({"label": "few"}))
        hand.pass_time(role, 2.0)
    assert measured(heard, "trim", "0", "4.9")["Maximum amplitude"] == 0.0
    assert measured(heard, "trim", "6", "1.9")["Rough frequency"] == pytest.approx(110, rel=0.05)
    assert measured(heard, "trim", "8.5")["Maximum amplitude"] == 0.0


def test_the_bed_is_always_there(folder: Path, hand: Hand) -> None:
    with playing(folder, bed="sounds/low.wav", bed_gain=0.4) as (role, _, heard):
        hand.pass_time(role, 6.0)
    assert measured(heard, "trim", "4")["Maximum amplitude"] == pytest.approx(0.2, abs=0.02)


def test_an_output_that_takes_nothing_is_faulty(folder: Path, hand: Hand) -> None:
    with playing(folder) as (role, stage, _):
        hand.pass_time(role, 1.0)
        assert stage.fault() == "" and "has taken nothing" in stage.fault(later_s=12.0)


ASOUND = """
pcm.!default {{ type plug slave {{ pcm heard format S16_LE }} }}
pcm.heard {{ type file slave.pcm nowhere file "{file}" format wav }}
pcm.nowhere {{ type null }}
ctl.!default {{ type hw card 0 }}
"""
CHILD = """
import sys
from pathlib import Path
from mesh.role import Frame
from roles.display.sound import Sound
from tests.roles.stage import put_on, until
role, stage = put_on(Sound, Path(sys.argv[1]), sounds={"low": "sounds/low.wav"}, rate=8000, channels=1, settings={"rehearsal": False})
try:
    role.setup()
except Exception as error:
    print(error)
    sys.exit(3)
role.on_frame("low", Frame(None))
began = role._mixer.rendered
until(lambda: role.tick() and role._mixer.rendered - began > 16000)
print(repr(stage.fault()), role._mixer.rendered > 16000)
role.teardown()
"""


def test_portaudio_and_alsa_hear_it_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "asoundrc").write_text(ASOUND.format(file=tmp_path / "card.wav"))
    environment = {**os.environ, "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{tmp_path / 'asoundrc'}"}
    done = subprocess.run([sys.executable, "-c", CHILD, str(folder)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().splitlines()[-1:] == ["'' True"], done.stdout + done.stderr
    figures = measured(tmp_path / "card.wav")
    assert figures["Maximum amplitude"] == pytest.approx(0.5, abs=0.05)


def test_what_is_missing_is_said_with_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RoleError, match="no sound device opens as 'nowhere at all'"), playing(
        folder, device="nowhere at all", settings={"rehearsal": False}
    ):
        pass
    with playing(folder, device="nowhere at all") as (_, stage, _heard):  # a rehearsal plays on
        assert "nobody hears it" in stage.said[-1]
    (folder / "sounds" / "bad.wav").write_bytes(b"RIFF and nothing else")
    with pytest.raises(RoleError, match="is not a sound"), playing(folder, sounds={"x": "sounds/bad.wav"}):
        pass
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(EngineMissingError) as missing, playing(folder):
        pass
    assert missing.value.instead == "pip install roomful[sound]"
