"""A recording in place of a sensor: what `roomful record` wrote, frame by frame at its own pace, or faster.

The file is read as it plays, never whole: a day of pictures is larger than any machine's memory. Every frame comes, in the
order in which it was heard; a machine that cannot keep up falls behind and drops none, so that two replays give the same.
`roomful rehearse --replay` puts this kind in the place of every sensor that the file holds, and says when all begin.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mesh.errors import EngineMissingError, RoleError, WireError
from mesh.role import Event, Options, Role, Taken, form_of, read_message

AT_ONCE_MAX = 20  # frames in one turn, so that the role can be stopped while it catches up
PAUSE_S = 1.0  # between the end and the next beginning
LATE_S = 1.0  # one that begins when others play already, on a machine that took it over, leaves out what is past
BEGIN_LOOK_S = 0.02


class RecordedOptions(Options):
    file: str = Field("recording.mcap", json_schema_extra={"file": True}, description="the recording, a file of the deployment's folder")
    role: str | None = Field(None, description="the role that was recorded; this role's own name when left out")
    outputs: dict[str, str] = Field(
        {"event": "event"}, min_length=1,
        description="its streams as {name: type}, such as {image: image, people: event}; types: image, audio, text, vector, event",
    )
    speed: float = Field(1.0, gt=0, le=1000, description="how many times faster than it was")
    loop: bool = Field(True, description="begin again at the end")


class Recorded(Role):
    """Emits what another role emitted when it was recorded with `roomful record`."""

    outputs = {"event": Event}
    extra = "record"
    output_option = "outputs"
    Options = RecordedOptions

    def setup(self) -> None:
        try:
            import mcap.stream_reader
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.recorded needs the mcap library, which is not installed on this machine", where=self.name,
                instead="pip install roomful[record]",
            ) from missing
        self._mcap = mcap
        self._path = self.folder / self.options.file
        source = self.options.role or self.name.split("@")[0].split("/")[0]
        self._topics = {f"{source}.{name}": (name, type_) for name, type_ in self.options.outputs.items()}
        self._own_voice = self._speaks_for_itself(source)
        self._frames = self._read()
        self._next = next(self._frames, None)
        self._began_s: float | None = None
        if self._next is None:
            raise RoleError(
                f"{self.options.file} holds no frames of {', '.join(self._topics)}", where=f"{self.name}, option file",
                instead="name the recorded role with the option role, and its streams with outputs",
            )
        begin = self.settings.get("begin")
        self._begin_file = Path(begin) if begin else None
        self.say(f"plays {', '.join(self._topics)} of {self._path.name} at {self.options.speed:g} times its speed")

    def tick(self) -> float | None:
        if self._began_s is None and not self._begin():
            return BEGIN_LOOK_S
        for _ in range(AT_ONCE_MAX):
            if self._next is None:
                return self._end()
            wait_s = self._due_s() - self.now_s()
            if wait_s > 0:
                return wait_s
            self._give(self._next)
            self._next = next(self._frames, None)
        return 0.0

    def _begin(self) -> bool:
        """Whether its time has come. In a rehearsal all recordings begin at one moment, when everything plays.

        It is a moment of the computer's own clock, which all of a rehearsal share: each role's clock of the room may still settle."""
        now = self.now_s()
        if self._begin_file is None:
            self._began_s = now
            return True
        try:
            began_s = now + float(json.loads(self._begin_file.read_text())["monotonic_s"]) - time.monotonic()
        except (OSError, ValueError, KeyError):
            return False
        self._began_s = began_s
        while self._next is not None and self._due_s() < now - LATE_S:
            self._next = next(self._frames, None)
        return True

    def _due_s(self) -> float:
        assert self._next is not None and self._began_s is not None
        return self._began_s + self._next[0] / self.options.speed

    def _give(self, item: tuple[float, str, int, Any, bool]) -> None:
        _, output, rate, value, more = item
        self.works()
        self.emit(output, value, more=more, captured_s=self._due_s(), rate=rate or None)

    def _end(self) -> float | None:
        if not self.options.loop:
            self.say(f"{self._path.name} has ended")
            return None
        self._frames = self._read()
        self._next = next(self._frames, None)
        self._began_s = self.now_s() + PAUSE_S
        return PAUSE_S

    # ---- reading

    def _speaks_for_itself(self, source: str) -> bool:
        """Whether the file knows this very instance (`eye@left`), so that each plays what was its own."""
        if self.name == source:
            return False
        topics = set(self._topics)
        for record in self._records():
            if hasattr(record, "topic") and record.topic in topics and record.metadata.get("instance") == self.name:
                return True
        return False

    def _records(self) -> Iterator[Any]:
        """Everything in the file, as far as it goes: one that was cut ends where it was cut."""
        try:
            with self._path.open("rb") as file:
                yield from self._mcap.stream_reader.StreamReader(file).records
        except OSError as error:
            raise RoleError(f"{self.options.file} cannot be read: {error.strerror}", where=f"{self.name}, option file",
                            instead="check that the file lies in the deployment's folder and may be read") from None
        except self._mcap.exceptions.InvalidMagic:
            raise RoleError(f"{self.options.file} is not an MCAP recording", where=f"{self.name}, option file",
                            instead="make one with `roomful record`, or name another file") from None
        except (self._mcap.exceptions.McapError, struct.error, ValueError, KeyError, OverflowError, RuntimeError, EOFError) as error:
            self.say(f"{self._path.name} was cut, and ends there ({type(error).__name__})")

    def _read(self) -> Iterator[tuple[float, str, int, Any, bool]]:
        """(seconds after the file's first frame, output, type, value, more) of this role's frames."""
        schemas: dict[int, str] = {}
        channels: dict[int, tuple[str, int, str]] = {}
        first_ns: int | None = None
        for record in self._records():
            kind = type(record).__name__
            if kind == "Schema":
                schemas[record.id] = record.name
            elif kind == "Channel" and record.topic in self._topics:
                if not self._own_voice or record.metadata.get("instance") == self.name:
                    output, type_ = self._topics[record.topic]
                    form = form_of(schemas.get(record.schema_id, ""), record.metadata.get("type", type_))
                    channels[record.id] = (output, _rate_of(record.metadata), form)
            elif kind == "Message":
                first_ns = record.log_time if first_ns is None else first_ns
                if record.channel_id in channels:
                    output, rate, form = channels[record.channel_id]
                    taken = self._taken(form, record.data)
                    if taken is not None:
                        yield (record.log_time - first_ns) / 1e9, output, rate, _value(taken, form), taken.more

    def _taken(self, form: str, data: bytes) -> Taken | None:
        try:
            return read_message(form, data)
        except WireError as fault:
            self.say(f"a frame of {self._path.name} cannot be read: {fault.what}")
            return None


def _rate_of(metadata: Mapping[str, str]) -> int:
    told = metadata.get("rate", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 8 else 0


def _value(taken: Taken, form: str) -> Any:
    if form == "jpeg":
        import cv2

        return cv2.cvtColor(cv2.imdecode(np.frombuffer(taken.value, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if form in ("image", "audio", "vector"):
        block = taken.value
        return np.frombuffer(block.data, block.dtype).reshape(block.shape)
    return taken.value
