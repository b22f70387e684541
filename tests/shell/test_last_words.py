"""Why a process ended, in a sentence: a crash in a library with the line it was at, and never a list of modules."""

from __future__ import annotations

from mesh.shell.last_words import why_ended
from mesh.shell.supervisor import Exit

DUMP = (
    "hears MIDI from midiseq:out", "Fatal Python error: Segmentation fault", "", "Current thread 0x00007f (most recent call first):",
    '  File "/x/roles/sensing/midi.py", line 167 in _ports', '  File "/x/mesh/shell/border.py", line 60 in call', "",
    "Extension modules: msgpack._cmsgpack, _rtmidi (total: 2)",
)


def ended(*lines: str, code: int | None = None, signal: str = "") -> str:
    return why_ended(Exit("keys", 1, 7, code, signal, False, lines))


def test_a_crash_is_told_with_its_line_and_what_was_said_before() -> None:
    assert ended(*DUMP, signal="SIGSEGV") == (
        "ended by SIGSEGV (a library crashed, at midi.py:167 in _ports); its last words: hears MIDI from midiseq:out")
    # And of a dump too long to be seen whole, the innermost line that is left
    assert ended(*DUMP[4:], signal="SIGABRT") == "ended by SIGABRT (a library gave up, at midi.py:167 in _ports)"


def test_an_end_of_its_own_is_told_with_its_last_words() -> None:
    assert ended("---- header", "bye", "", code=3) == "ended with exit code 3; its last words: bye"
    assert ended(code=0) == "ended with exit code 0"
    assert ended("x", signal="SIGKILL") == "ended by SIGKILL (by hand, or because memory ran out); its last words: x"


def test_a_crash_while_a_model_was_read_names_its_file() -> None:
    end = Exit("poet", 1, 7, None, "SIGABRT", False, ("llama-model.cpp:1328: GGML_ASSERT failed", *DUMP[1:]))
    assert why_ended(end, "models/a.gguf") == (
        "ended by SIGABRT (a library gave up, at midi.py:167 in _ports) while it read models/a.gguf: that file is broken, or this "
        "machine's engine cannot play it; its last words: llama-model.cpp:1328: GGML_ASSERT failed")
    assert "while it read" not in why_ended(Exit("poet", 1, 7, None, "SIGKILL", False, ()), "models/a.gguf")
