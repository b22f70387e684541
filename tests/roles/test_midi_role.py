"""MIDI in over JACK, played by its own jack_midiseq: a real MIDI system on a machine that has no sound card and no sequencer.

ALSA's sequencer, which most rooms use, is a module of the kernel that a test machine seldom has; RtMidi hides which one it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest
import rtmidi

from mesh.errors import EngineMissingError, RoleError
from roles.sensing import inbox, midi
from roles.sensing.midi import Midi, as_event
from tests.roles.stage import Recorder, put_on, until


class Jack:
    """A JACK server of the test's own, without hardware, and an instrument that plays two notes in a loop."""

    def __init__(self, name: str) -> None:
        program = shutil.which("jackd")
        assert program, "jackd is missing: apt-get install jackd2"
        self.env = {**os.environ, "JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}
        self._server = subprocess.Popen([program, "--no-mlock", "-r", "-n", name, "-d", "dummy", "-r", "48000", "-p", "512"],
                                        env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: "playback" in self.ports(), what="JACK")
        self._instrument: subprocess.Popen[bytes] | None = None

    def ports(self) -> str:
        return subprocess.run(["jack_lsp"], env=self.env, capture_output=True, text=True, timeout=10, check=False).stdout

    def plug_in(self) -> None:
        self._instrument = subprocess.Popen(["jack_midiseq", "Keys", "12000", "0", "60", "4000", "6000", "63", "4000"],
                                            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: "Keys:out" in self.ports(), what="the instrument")

    def unplug(self) -> None:
        if self._instrument is not None:
            self._instrument.kill()
            self._instrument.wait(10)

    def connect(self, one: str, other: str) -> None:
        subprocess.run(["jack_connect", one, other], env=self.env, check=True, capture_output=True, timeout=10)

    def stop(self) -> None:
        self.unplug()
        self._server.terminate()
        self._server.wait(10)


@pytest.fixture
def jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jack]:
    name = f"rf{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    jack = Jack(name)
    yield jack
    jack.stop()


def hears(folder: Path, **options: Any) -> tuple[Any, Recorder]:
    role, stage = put_on(Midi, folder, settings={"rehearsal": False}, api="jack", **options)
    role.setup()
    return role, stage


def heard(role: Any, stage: Recorder, count: int) -> list[Any]:
    stage.emitted.clear()

    def enough() -> bool:
        role.tick()
        return len(stage.values("message")) >= count

    until(enough, what=f"{count} messages")
    return stage.values("message")


def test_the_notes_of_an_instrument_are_events(jack: Jack, tmp_path: Path) -> None:
    jack.plug_in()
    role, stage = hears(tmp_path, port="keys")
    notes = heard(role, stage, 8)
    assert {(each["type"], each["channel"], each["note"]) for each in notes} == {
        ("note_on", 1, 60), ("note_off", 1, 60), ("note_on", 1, 63), ("note_off", 1, 63),
    }  # fmt: skip
    assert stage.woken.is_set() and stage.fault(86_400) == ""
    role.teardown()


def test_only_the_channels_that_were_asked_for_count(jack: Jack, tmp_path: Path) -> None:
    jack.plug_in()
    role, stage = hears(tmp_path, channels=[2], silent_s=0.5)
    until(lambda: (role.tick(), stage.word.faulty)[1], what="silence")
    assert stage.emitted == [] and "MIDI has been silent" in stage.word.faulty
    role.teardown()


def test_other_programs_may_connect_to_an_input_of_the_role_s_own(jack: Jack, tmp_path: Path) -> None:
    role, stage = hears(tmp_path, virtual="room")
    port = next(line for line in jack.ports().splitlines() if line.endswith("room"))
    jack.plug_in()
    jack.connect("Keys:out", port)
    assert heard(role, stage, 4)
    role.teardown()


def test_an_instrument_that_is_unplugged_is_said_and_heard_again_when_it_returns(
    jack: Jack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GONE_S", 0.2)
    jack.plug_in()
    role, stage = hears(tmp_path)
    heard(role, stage, 2)
    jack.unplug()
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert any("has gone" in line for line in stage.said) and "plug it in again" in stage.word.faulty
    jack.plug_in()
    until(lambda: (role.tick(), any("is back" in line for line in stage.said))[1], what="the return")
    assert heard(role, stage, 2)
    assert stage.fault() == ""
    role.teardown()


def test_without_the_instrument_a_room_says_what_is_there_and_a_rehearsal_plays_notes_of_its_own(jack: Jack, tmp_path: Path) -> None:
    jack.plug_in()
    role, _ = put_on(Midi, tmp_path, api="jack", port="drums", settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "'drums'" in fault.value.what and "Keys:out" in fault.value.instead
    role.teardown()


def test_a_machine_without_any_midi_says_so_and_a_rehearsal_plays_notes_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody")
    role, _ = put_on(Midi, tmp_path, api="jack", settings={"rehearsal": False})
    with pytest.raises(RoleError, match="does not answer"):
        role.setup()
    role.teardown()
    rehearsed, stage = put_on(Midi, tmp_path, api="jack")
    rehearsed.setup()
    notes = heard(rehearsed, stage, 3)
    assert [each["type"] for each in notes[:3]] == ["note_on", "note_off", "note_on"] and notes[0]["note"] == notes[1]["note"]
    assert any("rehearsal" in line for line in stage.said)
    rehearsed.teardown()


@pytest.mark.parametrize(("message", "event"), [
    (mido.Message("note_on", channel=9, note=36, velocity=0), {"type": "note_off", "channel": 10, "note": 36, "velocity": 0}),
    (mido.Message("control_change", channel=0, control=7, value=127), {"type": "control_change", "channel": 1, "control": 7, "value": 127}),
    (mido.Message("pitchwheel", pitch=-8192), {"type": "pitchwheel", "channel": 1, "pitch": -8192}),
    (mido.Message("sysex", data=(1, 2, 3)), {"type": "sysex", "data": [1, 2, 3]}),
    (mido.Message("start"), {"type": "start"}),
])  # fmt: skip
def test_what_a_message_means(message: mido.Message, event: dict[str, Any]) -> None:
    assert as_event(message) == event


def test_a_port_is_closed_again_and_again_while_notes_come(jack: Jack, tmp_path: Path) -> None:
    jack.plug_in()
    until(lambda: "Keys" in jack.ports(), what="the instrument")
    for _ in range(10):
        opened = rtmidi.MidiIn(rtapi=rtmidi.API_UNIX_JACK, name="brief")
        opened.open_port(next(index for index, name in enumerate(opened.get_ports()) if "Keys" in name))
        said: list[list[int]] = []
        port = midi.Port(opened, said.append)
        until(lambda said=said: said, what="a note")
        port.close()


def test_a_clock_is_passed_over_unless_it_is_wanted(tmp_path: Path) -> None:
    for wanted in (False, True):
        role, stage = put_on(Midi, tmp_path, clock=wanted)
        role._inbox = inbox.Inbox(role)  # type: ignore[attr-defined]
        role._mido = mido  # type: ignore[attr-defined]
        role._heard(mido.Message("clock").bytes())  # type: ignore[attr-defined]
        assert role._inbox.put_count == int(wanted)  # type: ignore[attr-defined]
        assert midi.CLOCKS[0] == "clock" and not stage.emitted


def test_without_its_libraries_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    role, _ = put_on(Midi, tmp_path)
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[midi]" in fault.value.instead
    role.teardown()
