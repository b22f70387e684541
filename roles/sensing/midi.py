"""MIDI in: notes, controllers and clocks of keyboards, pads and other programs.

mido reads the messages, RtMidi the ports, through whatever the system has: ALSA's sequencer or JACK on Linux, CoreMIDI on
macOS. Channels count from 1, as on the instruments themselves. RtMidi tells nobody when a cable is pulled, so the list of
ports is looked at once a second.

What RtMidi has heard is fetched every few milliseconds by a thread of ours. Decided against: its callback, and with it mido's ports. JACK
cancels RtMidi's thread wherever it is when a port is closed; where that was inside Python, the whole process stood still for ever, and
to take the callback away first is a race of its own (tried: a crash within seconds).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.standin import StandIn, from_file

LOOK_S = 0.5
FETCH_S = 0.003  # between two looks at what has come
QUEUE_MAX = 1024  # messages that may wait for a look
APIS = {"alsa": "LINUX_ALSA", "jack": "UNIX_JACK", "coremidi": "MACOSX_CORE", "winmm": "WINDOWS_MM"}
NOT_AN_INSTRUMENT = ("midi through", "rtmidi")
CLOCKS = ("clock", "active_sensing")
SCALE = (0, 3, 5, 7, 10)  # of the notes that are made up


class MidiOptions(Options):
    port: str | None = Field(None, description="a part of the input's name, as `aconnect -i` shows it; left out: the first one")
    virtual: str | None = Field(
        None, min_length=1, max_length=60, description="make an input of this name that other programs connect to, instead of opening one"
    )
    api: str | None = Field(None, pattern="^(alsa|jack|coremidi|winmm)$", description="alsa, jack, coremidi or winmm; left out: what works")
    channels: list[int] = Field([], description="the channels that count, from 1 to 16; left out: all")
    clock: bool = Field(False, description="whether the beats of a MIDI clock are emitted, 24 a quarter note")
    silent_s: float | None = Field(None, gt=0, description="faulty when nothing has come for so many seconds; left out: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": True},
        description="a file of readings that plays instead in a rehearsal: lines such as "
        '{"after_s": 1, "value": {"type": "note_on", "channel": 1, "note": 60, "velocity": 90}}. Left out, a rehearsal without the '
        "instrument plays notes of its own",
    )


class Port:
    """An open input; `heard(bytes)` is called in a thread of its own for each message, in turn."""

    def __init__(self, opened: Any, heard: Callable[[list[int]], None]) -> None:
        self._opened, self._heard = opened, heard
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="midi", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._closing.wait(FETCH_S):
            while (message := self._opened.get_message()) is not None:
                self._heard(message[0])

    def close(self) -> None:
        """Lets go of it. Call it once."""
        self._closing.set()
        self._thread.join()
        self._opened.close_port()
        self._opened.delete()


class Midi(Role):
    """Emits each MIDI message, as {"type": "note_on", "channel": 1, "note": 60, "velocity": 90}; a note_on of velocity 0 is a note_off."""

    outputs = {"message": Event}
    extra = "midi"
    Options = MidiOptions

    def setup(self) -> None:
        try:
            import mido
            import rtmidi
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.midi needs mido and python-rtmidi, which are not installed on this machine", where=self.name,
                instead="pip install roomful[midi]",
            ) from missing
        self._mido, self._rtmidi = mido, rtmidi
        self._inbox = Inbox(self)
        self._port: Port | None = None
        self._api: int | None = None
        self._port_name, self._look_s = "", 0.0
        self._stand_in: StandIn | None = None
        rehearsal = bool(self.settings.get("rehearsal"))
        if rehearsal and self.options.stand_in:
            self._stand_in = from_file(self.folder / self.options.stand_in, self.options.stand_in)
        else:
            self._begin(rehearsal)
        self._fresh = Freshness(self, "MIDI", None if self._stand_in else self.options.silent_s,
                                instead="play a note on it; see to its cable and power")

    def _begin(self, rehearsal: bool) -> None:
        try:
            self._api = self._find_api()
            self._open()
        except RoleError as fault:
            if not rehearsal:
                raise
            self._stand_in = StandIn(_notes())
            self.say(f"{fault.words}; as this is a rehearsal, made-up notes stand in")
            return
        self.say(f"hears MIDI from {self._port_name}")

    def teardown(self) -> None:
        port, self._port = getattr(self, "_port", None), None
        if port is not None:
            port.close()

    def tick(self) -> float | None:
        self._inbox.news()
        if self._stand_in is not None:
            return self._stand_in.play(self, self._fresh, "message")
        now = self.now_s()
        for heard_s, message in self._inbox.take():
            self._fresh.saw()
            self.emit("message", message, captured_s=heard_s)
        if now >= self._look_s and not self.options.virtual:
            self._look_s = now + 1.0
            self._look_for_it()
        self._fresh.look()
        return LOOK_S

    # ---- the port

    def _find_api(self) -> int:
        """The first of the system's ways that answers. Raises RoleError when none does."""
        compiled = {name: getattr(self._rtmidi, f"API_{api}") for name, api in APIS.items()}
        there = [name for name, number in compiled.items() if number in self._rtmidi.get_compiled_api()]
        tried = [self.options.api] if self.options.api else there
        for name in tried:
            if name in there and self._answers(compiled[name]):
                return int(compiled[name])
        raise RoleError(
            f"this machine's MIDI does not answer (tried {', '.join(tried)})", where=f"{self.name}, option api",
            instead="on Linux it needs ALSA's sequencer (modprobe snd-seq) or a running JACK",
        )

    def _answers(self, api: int) -> bool:
        try:
            self._ports(api)
        except (self._rtmidi.RtMidiError, SystemError, RuntimeError):
            return False
        return True

    def _inputs(self) -> list[str]:
        try:
            return list(dict.fromkeys(self._ports(self._api)))
        except (OSError, SystemError, RuntimeError, self._rtmidi.RtMidiError):
            return []

    def _ports(self, api: int | None) -> list[str]:
        probe = self._rtmidi.MidiIn(rtapi=api, name="roomful-probe")
        try:
            return list(probe.get_ports())
        finally:
            probe.delete()

    def _open(self) -> None:
        """Raises RoleError when the input is not there."""
        options = self.options
        if options.virtual:
            self._connect(options.virtual, virtual=True)
            return
        there = self._inputs()
        if options.port:
            fitting = [name for name in there if options.port.lower() in name.lower()]
        else:
            fitting = [name for name in there if not name.lower().startswith(NOT_AN_INSTRUMENT)]
        if not fitting:
            missing = f"no MIDI input has {options.port!r} in its name" if options.port else "no MIDI input is there"
            raise RoleError(
                missing, where=f"{self.name}, option port",
                instead=f"plug the instrument in; there is {', '.join(there) or 'none'}",
            )
        self._connect(fitting[0])

    def _connect(self, name: str, *, virtual: bool = False) -> None:
        opened = None
        try:
            opened = self._rtmidi.MidiIn(rtapi=self._api, name=f"roomful-{self.name}", queue_size_limit=QUEUE_MAX)
            opened.ignore_types(sysex=False, timing=False, active_sense=True)
            if virtual:
                opened.open_virtual_port(name)
            else:
                opened.open_port(opened.get_ports().index(name))
        except (OSError, SystemError, RuntimeError, ValueError, self._rtmidi.RtMidiError) as error:
            if opened is not None:
                opened.delete()
            raise RoleError(f"the MIDI input {name} cannot be opened: {error}", where=f"{self.name}, option port",
                            instead="close other programs that hold it, or unplug the instrument and plug it in again") from None
        self._port = Port(opened, self._heard)
        self._port_name = name

    def _look_for_it(self) -> None:
        there = self._port_name in self._inputs()
        if self._port is not None and not there:
            self.teardown()
            self.say(f"{self._port_name} has gone; trying to reach it again")
            self._fresh.lost(f"{self._port_name} has gone: plug it in again")
        elif self._port is None:
            try:
                self._open()
            except RoleError:
                return
            self.say(f"{self._port_name} is back")
            self._fresh.found()

    # ---- in the port's thread

    def _heard(self, message: list[int]) -> None:
        try:
            said = as_event(self._mido.Message.from_bytes(message))
        except ValueError:  # no message that MIDI knows
            return
        channel = said.get("channel")
        if said["type"] in CLOCKS and not self.options.clock:
            return
        if self.options.channels and channel is not None and channel not in self.options.channels:
            return
        self._inbox.put(said)


def as_event(message: Any) -> dict[str, Any]:
    """A mido message as a plain event."""
    fields = {key: value for key, value in message.dict().items() if key != "time"}
    said: dict[str, Any] = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
    if "channel" in said:
        said["channel"] += 1
    if said["type"] == "note_on" and said["velocity"] == 0:
        said["type"] = "note_off"
    return said


def _notes() -> Any:
    """Notes that nobody plays: a slow wandering over five tones, always the same."""
    import random

    chance = random.Random(1)
    while True:
        note = 48 + 12 * chance.randrange(3) + chance.choice(SCALE)
        said = {"channel": 1, "note": note, "velocity": chance.randrange(40, 110)}
        yield chance.uniform(0.3, 1.2), {"type": "note_on", **said}
        yield chance.uniform(0.2, 0.6), {"type": "note_off", **said, "velocity": 0}
