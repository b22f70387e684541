"""The microphone: a real sound server (PulseAudio) that a tone is played into, WAV files of every kind, and a made-up room."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import EngineMissingError, RoleError
from roles.sensing import inbox
from roles.sensing.microphone import Microphone, decibels
from roles.sensing.samples import Resampler, made_up_room, read_wav
from tests.roles.stage import Recorder, put_on, until

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, rate: int = 44_100, loud: float = 0.5) -> Any:
    return loud * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def pitch(sound: Any, rate: int = RATE) -> float:
    """The loudest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))


def heard(stage: Recorder) -> Any:
    return np.concatenate([*stage.values("sound"), np.zeros((0, 1), np.float32)])[:, 0]


# ---- files


def sox(path: Path, *form: str) -> Path:
    program = shutil.which("sox")
    assert program, "sox is missing: apt-get install sox"
    subprocess.run([program, "-n", "-r", "44100", "-c", "2", *form, str(path), "synth", "1", "sine", "440", "vol", "0.5"], check=True)
    return path


@pytest.mark.parametrize("form", [
    ("-b", "8", "-e", "unsigned"), ("-b", "16", "-e", "signed"), ("-b", "24", "-e", "signed"), ("-b", "32", "-e", "signed"),
    ("-b", "32", "-e", "floating-point"), ("-b", "64", "-e", "floating-point"),
], ids=lambda form: f"{form[1]} bits {form[3]}")  # fmt: skip
def test_a_file_of_any_usual_kind_is_heard_at_its_pitch_and_level(tmp_path: Path, form: tuple[str, ...]) -> None:
    sox(tmp_path / "tone.wav", *form)
    role, stage = put_on(Microphone, tmp_path, source="tone.wav")
    role.setup()
    waits = [role.tick() for _ in range(40)]
    assert waits == [pytest.approx(0.032)] * 40
    sound = stage.values("sound")[0]
    assert sound.dtype == np.float32 and sound.shape == (512, 1)
    assert pitch(heard(stage)) == pytest.approx(440, abs=2)
    level = stage.values("level")[3]
    assert level["dbfs"] == pytest.approx(-9.0, abs=0.3) and level["peak_dbfs"] == pytest.approx(-6.0, abs=0.3)
    assert stage.fault(86_400) == ""


def test_a_loop_goes_on_for_ever_and_frames_are_stamped_one_block_apart(tmp_path: Path) -> None:
    sox(tmp_path / "tone.wav", "-b", "16")
    role, stage = put_on(Microphone, tmp_path, source="tone.wav", channels=2)
    role.setup()
    for _ in range(100):
        role.tick()
    captured = [at_s for name, _, _, at_s in stage.emitted if name == "sound" and at_s is not None]
    assert np.diff(captured) == pytest.approx([0.032] * 99)
    assert {value.shape for value in stage.values("sound")} == {(512, 2)}


@pytest.mark.parametrize("content", [b"", b"RIFF1234WAVE", b"RIFF\0\0\0\0WAVEdata\4\0\0\0\1\2\3\4", b"ID3" + b"\0" * 100])
def test_what_is_no_wav_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    role, _ = put_on(Microphone, tmp_path, source="x.wav")
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "x.wav" in fault.value.what and fault.value.instead
    role.teardown()


def test_a_file_whose_recorder_was_killed_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\1\2" * 1000)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-701])
    sound, rate = read_wav(tmp_path / "cut.wav", "cut.wav")
    assert rate == 8000 and len(sound) == 649


@pytest.mark.parametrize(("of", "to"), [(44_100, 16_000), (48_000, 16_000), (8000, 16_000), (16_000, 16_000), (44_100, 48_000)])
def test_resampling_in_blocks_has_no_seam_keeps_the_pitch_and_lets_nothing_too_high_through(of: int, to: int) -> None:
    sound = tone(440, 1.0, of)[:, None].astype(np.float32)
    whole = Resampler(of, to, 1).turn(sound)
    pieces = Resampler(of, to, 1)
    joined = np.concatenate([pieces.turn(sound[at : at + 333]) for at in range(0, of, 333)])
    assert np.allclose(whole, joined, atol=1e-5)
    assert abs(len(whole) - to) < 0.02 * to
    middle = whole[to // 4 : -to // 4, 0]
    assert pitch(middle, to) == pytest.approx(440, abs=3)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.01)
    if to < of:
        hiss = Resampler(of, to, 1).turn(tone(to * 0.6, 1.0, of)[:, None].astype(np.float32))
        assert np.abs(hiss[to // 4 : -to // 4]).max() < 0.01


def test_a_made_up_room_is_the_same_each_time_and_has_quiet_and_voices_in_it() -> None:
    room = made_up_room(RATE, 1)
    assert np.array_equal(room, made_up_room(RATE, 1)) and room.shape == (60 * RATE, 1) and np.abs(room).max() <= 1
    levels = [decibels(float(np.sqrt(np.mean(block**2)))) for block in room[: 59 * RATE].reshape(-1, RATE // 2)]
    assert min(levels) < -45 and max(levels) > -25


# ---- a device


class SoundServer:
    """A PulseAudio of the test's own, without hardware: what is played into its one sink can be heard as a microphone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "native"
        (folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\n"
            "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
        )
        self.env = {
            **os.environ, "PULSE_SERVER": f"unix:{self.socket}", "PULSE_COOKIE": str(folder / "cookie"), "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder), "PULSE_RUNTIME_PATH": str(folder), "PULSE_STATE_PATH": str(folder),
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._player: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("pulseaudio")
        assert program, "pulseaudio is missing: apt-get install pulseaudio pulseaudio-utils libasound2-plugins"
        self._process = subprocess.Popen(
            [program, "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no",
             "-L", f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}",
             "-L", "module-null-sink sink_name=room rate=48000", "-L", "module-always-sink"],
            env=self.env, stderr=subprocess.DEVNULL,
        )
        until(lambda: subprocess.run(["pactl", "info"], env=self.env, capture_output=True, timeout=10, check=False).returncode == 0,
              what="PulseAudio")
        subprocess.run(["pactl", "set-default-source", "room.monitor"], env=self.env, check=True, timeout=10)

    def play(self, hertz: float) -> None:
        """A tone into the room, until `hush`."""
        sound = (tone(hertz, 60.0, 48_000) * 32767).astype("<i2").tobytes()
        (self._folder / "tone.raw").write_bytes(sound)
        self._player = subprocess.Popen(
            ["pacat", "--playback", "--device=room", "--raw", "--format=s16le", "--rate=48000", "--channels=1",
             str(self._folder / "tone.raw")],
            env=self.env, stderr=subprocess.DEVNULL,
        )

    def hush(self) -> None:
        if self._player is not None:
            self._player.terminate()
            self._player.wait(10)

    def stop(self) -> None:
        self.hush()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    server = SoundServer(tmp_path_factory.mktemp("pa"))
    for name, value in server.env.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    yield server
    server.stop()


def listening(folder: Path, **options: Any) -> tuple[Any, Recorder]:
    import sounddevice

    sounddevice._terminate()  # the list of devices is of the environment as it is now
    sounddevice._initialize()
    role, stage = put_on(Microphone, folder, settings={"rehearsal": False}, **options)
    role.setup()
    return role, stage


def test_a_tone_in_the_room_is_heard_at_its_pitch_and_silence_is_silence(server: SoundServer, tmp_path: Path) -> None:
    # Given a microphone in a room in which a tone sounds
    role, stage = listening(tmp_path)
    server.play(440)
    # When it is heard, then it has the tone's pitch, at the rate that was asked for
    until(lambda: (role.tick(), [each for each in stage.values("level") if each["dbfs"] > -15])[1], what="the tone")
    stage.emitted.clear()
    until(lambda: (role.tick(), len(heard(stage)) > RATE)[1], what="a second of it")
    assert pitch(heard(stage)[:RATE]) == pytest.approx(440, abs=2)
    assert stage.values("level")[-1]["dbfs"] == pytest.approx(-9, abs=1.5)
    # And when it ends, silence
    server.hush()
    until(lambda: (role.tick(), stage.values("level")[-1]["dbfs"] < -80)[1], what="silence")
    role.teardown()


def test_a_muted_microphone_is_faulty_after_a_while_and_well_again_when_it_hears(server: SoundServer, tmp_path: Path) -> None:
    role, stage = listening(tmp_path, dead_s=0.5)
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert "it is frozen" in stage.word.faulty
    server.play(440)
    until(lambda: (role.tick(), not stage.word.faulty)[1], what="the recovery")
    role.teardown()


def test_a_microphone_that_goes_is_said_is_a_fault_after_a_while_and_is_heard_again(
    server: SoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GONE_S", 0.3)
    role, stage = listening(tmp_path)
    until(lambda: (role.tick(), stage.values("sound"))[1], what="sound")
    server.stop()
    until(lambda: (role.tick(), stage.word.faulty)[1], within_s=60, what="the fault")
    assert any("has gone" in line for line in stage.said) and "plug it in again" in stage.word.faulty
    server.start()
    until(lambda: (role.tick(), any("is back" in line for line in stage.said))[1], within_s=60, what="the return")
    stage.emitted.clear()
    until(lambda: (role.tick(), stage.values("sound"))[1], what="sound again")
    assert stage.fault() == ""
    role.teardown()


def test_without_a_microphone_a_room_says_what_to_do_and_a_rehearsal_makes_one_up(tmp_path: Path) -> None:
    role, _ = put_on(Microphone, tmp_path, source="no such device", settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "no such device" in fault.value.what and fault.value.instead
    role.teardown()
    rehearsed, stage = put_on(Microphone, tmp_path, source="no such device")
    rehearsed.setup()
    for _ in range(20):
        rehearsed.tick()
    assert any("rehearsal" in line for line in stage.said) and len(stage.values("sound")) == 20
    rehearsed.teardown()


def test_without_its_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    role, _ = put_on(Microphone, tmp_path, settings={"rehearsal": False})
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[microphone]" in fault.value.instead
    role.teardown()


def test_decibels_have_a_floor() -> None:
    assert (decibels(0.0), decibels(1.0), decibels(0.5), decibels(1e-9)) == (-120.0, 0.0, -6.0, -120.0)
    assert not math.isinf(decibels(0.0))
