"""Kinds are learnt without running them here: whatever an artist's file does costs a sentence at its place."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mesh.core.facts import KindFault
from mesh.shell.kinds import KindUnreadable, all_kinds, describe_kinds, load_role
from tests.shell.test_folder import roomful

HEAD = "from mesh.role import Event, Options, Role, Text\n"
MOOD = 'class Mood(Role):\n    """Tags."""\n    outputs = {"tags": Text}\n    def on_people(self, frame: Event):\n        pass\n'


def write(folder: Path, text: str) -> None:
    (folder / "roles.py").write_text(text)


def fault_of(folder: Path, text: str, kind: str = "./roles.py:Mood") -> KindFault:
    """Why the kind cannot be used when roles.py holds `text`."""
    write(folder, text)
    kinds, faults = describe_kinds([kind], folder, patience_s=5.0)
    assert kinds == {}
    return faults[kind]


def test_a_class_is_read_into_a_kind(tmp_path: Path) -> None:
    write(tmp_path, HEAD + MOOD + "    class Options(Options):\n        every: float = 8.0\n")

    kinds, faults = describe_kinds(["./roles.py:Mood"], tmp_path)

    assert faults == {}
    mood = kinds["./roles.py:Mood"]
    assert (mood.about, mood.inputs, mood.outputs) == ("Tags.", {"people": "event"}, {"tags": "text"})
    assert mood.options["properties"]["every"]["default"] == 8.0


def test_the_kinds_that_come_with_it_are_all_described_with_no_engine_asked_for() -> None:
    names = all_kinds()

    kinds, faults = describe_kinds(names)

    assert {"sensing.camera", "inference.onnx", "inference.llm", "display.web"} <= set(names)
    assert faults == {}
    assert all(kind.about and kind.options["type"] == "object" for kind in kinds.values())


def test_describing_is_quick_enough_to_do_at_every_check() -> None:
    began = time.monotonic()
    describe_kinds(all_kinds())
    assert time.monotonic() - began < 10.0


@pytest.mark.parametrize(
    ("text", "place", "what", "instead"),
    [
        ("def x(:\n", (1, 7), "Python cannot read this", "correct this line"),
        (HEAD + "x = 1 / 0\n" + MOOD, (2, 5), "ZeroDivisionError", "correct this line"),
        (HEAD + "def f():\n    return [][1]\n\nf()\n" + MOOD, (3, 12), "IndexError", "correct this line"),
        (HEAD + "import nosuchlibrary\n" + MOOD, (2, 1), "`nosuchlibrary` is not installed", "pip install nosuchlibrary"),
        (HEAD + "import sys\nsys.exit(3)\n" + MOOD, (3, 1), "ends the program", "into its methods"),
        (HEAD + "input('name? ')\n" + MOOD, (2, 1), "EOFError", "into its methods"),
        (HEAD + "class Mood:\n    pass\n", (2, 7), "`Mood` is not a Role", "class Mood(Role):"),
        (HEAD + "\nclass Mood(Role):\n    outputs = {'tags': 'txt'}\n", (3, 7), "the type txt", "did you mean `text`?"),
        (HEAD + "class Mood(Role):\n    outputs = ['tags']\n", (2, 7), "is not a dict", 'outputs = {"name": Text}'),
        (HEAD + "class Mood(Role):\n    class Options:\n        a = 1\n", (2, 7), "not a class of options", "class Options(Options)"),
        (HEAD + "from typing import Callable\nclass Mood(Role):\n    class Options(Options):\n        f: Callable[[], int]\n",
         (3, 7), "cannot be described", "a plain type"),
    ],
)  # fmt: skip
def test_a_fault_in_an_artist_s_file_is_said_at_its_place(
    tmp_path: Path, text: str, place: tuple[int, int], what: str, instead: str
) -> None:
    fault = fault_of(tmp_path, text)

    assert (fault.file, fault.line, fault.column) == (str(tmp_path / "roles.py"), *place)
    assert what in fault.what
    assert instead in fault.instead


def test_a_fault_in_a_neighbour_that_the_file_imports_is_said_in_the_neighbour(tmp_path: Path) -> None:
    (tmp_path / "moods.py").write_text("\nCALM = 1 / 0\n")

    fault = fault_of(tmp_path, HEAD + "import moods\n" + MOOD)

    assert (fault.file, fault.line) == (str(tmp_path / "moods.py"), 2)


def test_a_class_that_is_not_there_is_looked_for_among_the_file_s_roles(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, HEAD + MOOD, "./roles.py:Mod")

    assert fault == KindFault("roles.py has no class `Mod`", "did you mean `Mood`?")


def test_a_file_that_is_not_there_is_looked_for_among_the_folder_s_files(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, HEAD + MOOD, "./role.py:Mood")

    assert fault == KindFault("there is no file role.py in the folder", "did you mean `./roles.py`?")


def test_a_file_that_prints_spoils_nothing(tmp_path: Path) -> None:
    write(tmp_path, "import os\nprint('{\"name\": 1}')\nos.write(1, b'{}\\n')\n" + HEAD + MOOD)

    kinds, faults = describe_kinds(["./roles.py:Mood"], tmp_path)

    assert (list(kinds), faults) == (["./roles.py:Mood"], {})


def test_a_file_that_hangs_is_stopped_and_the_others_are_still_described(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text("while True:\n    pass\n")
    write(tmp_path, HEAD + MOOD)

    kinds, faults = describe_kinds(["./stuck.py:A", "./stuck.py:B", "./roles.py:Mood"], tmp_path, patience_s=6.0)

    assert list(kinds) == ["./roles.py:Mood"]
    assert "still busy after 6 s" in faults["./stuck.py:A"].what
    assert faults["./stuck.py:A"] == faults["./stuck.py:B"]
    assert faults["./stuck.py:A"].file == str(tmp_path / "stuck.py")


@pytest.mark.parametrize("end", ["os._exit(0)", "os._exit(7)", "os.kill(os.getpid(), 11)"])
def test_a_file_that_ends_the_process_is_named(tmp_path: Path, end: str) -> None:
    fault = fault_of(tmp_path, f"import os\n{end}\n")

    assert "ended the program that read it" in fault.what
    assert fault.file == str(tmp_path / "roles.py")


def test_a_process_that_a_file_starts_does_not_outlive_the_look_at_it(tmp_path: Path) -> None:
    write(tmp_path, "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n" + HEAD + MOOD)

    kinds, _ = describe_kinds(["./roles.py:Mood"], tmp_path, patience_s=5.0)

    assert list(kinds) == ["./roles.py:Mood"]  # that nothing is left is what every test is checked for


def test_a_roles_file_where_one_stands_does_not_hide_the_kinds_that_come_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "raise RuntimeError\n")
    monkeypatch.chdir(tmp_path)

    kinds, faults = describe_kinds(["sensing.camera"], tmp_path)

    assert (list(kinds), faults) == (["sensing.camera"], {})


def test_a_role_is_loaded_for_its_own_process(tmp_path: Path) -> None:
    write(tmp_path, HEAD + MOOD)

    assert load_role("./roles.py:Mood", tmp_path).outputs == {"tags": "text"}
    with pytest.raises(KindUnreadable) as refused:
        load_role("sensing.camra", None)
    assert "sensing.camera" in refused.value.instead


def test_kinds_as_json_has_the_shape_that_others_build_on() -> None:
    said = json.loads(roomful("kinds", "--json").stdout)

    assert [kind["kind"] for kind in said] == sorted(all_kinds())
    llm = next(kind for kind in said if kind["kind"] == "inference.llm")
    assert list(llm)[:6] == ["kind", "about", "options", "inputs", "outputs", "extra"]
    assert {"type", "default", "description"} <= set(llm["options"]["temperature"])


def test_kinds_shows_one_with_its_options_and_explains_one_there_is_not(tmp_path: Path) -> None:
    write(tmp_path, HEAD + MOOD)

    assert "temperature" in roomful("kinds", "inference.llm").stdout
    assert "people (event)" in roomful("kinds", "./roles.py:Mood", "--in", tmp_path).stdout
    unknown = roomful("kinds", "inference.lm")
    assert unknown.returncode == 2
    assert "did you mean `inference.llm`?" in unknown.stderr
