"""What somebody in the room says reaches the technician's terminal as words, whatever is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mesh.cli import events, logs, status
from mesh.core.codec import encode
from mesh.core.messages import Answer
from mesh.shell import finding
from mesh.shell.keys import save_key, throwaway_key

BAD = "[/red] ends [b]\x1b]0;mine\x07\x1b[2J\u202e"
SHOWN = "[/red] ends [b]␛]0;mine␇␛[2J"
SAID: dict[str, Any] = {
    "status": {
        "installation": BAD, "order": "up", "revision": [1, "ab"], "alarms": [BAD], "turned_away": [],
        "machines": {"door": {"health": "alive", "roles": [BAD], "why": BAD, "self": True}},
        "roles": {"eye": {"state": "ended", "why": BAD, "machine": "door", "standby": []}},
    },
    "report": {"roles": {"eye": {"facts": {"page": BAD}}}},
    "events": [{"event": "role_event", "instance": "eye", "what": BAD, "age_s": 1.0}],
    "logs": {"eye": [BAD]},
}  # fmt: skip


@pytest.mark.parametrize(("command", "times"), [(status.command, 6), (events.command, 1), (logs.command, 1)])
def test_words_that_command_a_terminal_are_shown_and_not_obeyed(
    command: Any, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a room in which whatever is said holds marks of a table's language and a terminal's orders
    class Caller:
        def __init__(self, *unused: object) -> None:
            pass

        def ask(self, hosts: object, port: int, asked: bytes, within_s: float) -> bytes:
            return encode(Answer("1", next(value for verb, value in SAID.items() if verb.encode() in asked)))

    monkeypatch.setattr(finding, "Caller", Caller)
    monkeypatch.setenv("ROOMFUL_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    save_key(tmp_path / "key", throwaway_key())
    # When a technician asks
    said = CliRunner().invoke(command, ["--host", "127.0.0.1", "--key", str(tmp_path / "key")])
    # Then it is answered, letter by letter, and nothing commands the terminal
    assert isinstance(said.exception, SystemExit) or said.exception is None, said.exception
    assert said.output.count(SHOWN) == times
    assert "\x1b" not in said.output and "\u202e" not in said.output
