"""What the kinds for models promise, in figures: python -m benchmarks.models [RUNS] [--keep FILE]

Grammar: of RUNS answers of a foolish model how many parse. Keep: the time to the first token of the whispering room's poet after a long
beginning that prompts have in common, read anew and kept. Adapters: whether they change what is said. A known question: what it costs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jsonschema

from benchmarks.figures import machine, median, p99
from mesh.role import Frame
from roles.inference.llm import Llm
from tests.roles.small_models import write_gguf
from tests.roles.stage import put_on
from tests.roles.strange_models import SPEAKERS, lora
from tests.roles.test_llm_rules import FREE, SCHEMA
from tests.shell.pieces import DEPLOYMENT, ROLES, small_piece
from tests.shell.rehearsed import Rehearsed

KEPT: dict[str, Any] = {}
POET = Path(__file__).resolve().parents[1] / "deployments" / "whispering-room" / "models" / "poet.gguf"
BEGINNING = "calm dawn few | The room keeps its breath. tender night one | A coat waits by the door. " * 3


def played(model: Path, **options: Any) -> Any:
    role, _ = put_on(Llm, model.parent, model=model, **options)
    role.setup()
    return role


def said(role: Any, prompt: str, request: str) -> str:
    return "".join(piece.value for piece in role.on_prompt(Frame(prompt, request=request)))


def parse(folder: Path, runs: int) -> None:
    families = {"llama": write_gguf(folder / "nonsense.gguf", context=256)}
    families["sentence pieces"] = SPEAKERS["sentence pieces"](folder / "pieces.gguf")
    for name, model in families.items():
        role, whole = played(model, json_schema=SCHEMA, max_tokens=60, **FREE), 0
        for number in range(runs):
            jsonschema.validate(json.loads(said(role, "say", str(number))), SCHEMA)
            whole += 1
        print(f"grammar, {name}: {whole} of {runs} answers parse and are what the schema says")
        KEPT[f"grammar, {name}"] = {"parsed": whole, "of": runs}
        role.teardown()


def first_token(runs: int) -> None:
    for keep in (False, True):
        role, times = played(POET, keep=keep, temperature=0, max_tokens=24), []
        for number in range(runs):
            began_s = time.perf_counter()
            next(role.on_prompt(Frame(BEGINNING + f"calm noon {number} | ", request=str(number))))
            times.append((time.perf_counter() - began_s) * 1000)
        tokens = len(role._voice.tokens(BEGINNING + "calm noon 1 | "))
        told(f"first token after a prompt of {tokens} tokens, {role._voice.reused} of them kept", times)
        role.teardown()


def adapters(folder: Path) -> None:
    model = write_gguf(folder / "plain.gguf", context=256)
    lora(folder / "a.gguf")
    plain, bent = played(model, temperature=0), played(model, temperature=0, lora=[{"file": "a.gguf"}])
    changed = sum(said(plain, f"prompt {number}", "r") != said(bent, f"prompt {number}", "r") for number in range(50))
    KEPT["LoRA"] = {"changed": changed, "of": 50}
    print(f"LoRA: {changed} of 50 answers at temperature 0 are others than without it")
    plain.teardown()
    bent.teardown()


def known_question(runs: int) -> None:
    role, times = played(POET), []
    for _ in range(runs):
        began_s = time.perf_counter()
        assert not role._proof.fault()
        times.append((time.perf_counter() - began_s) * 1000)
    told("a known question", times)
    role.teardown()


OPTIONED = ROLES.replace("    def setup(self):\n        self.count = 0", """    class Options(Options):
        start: int = 0

    def setup(self):
        self.count = 0
        self.say(f"edit {self.options.start}")""").replace("import Event, Role", "import Event, Options, Role")
WITH_OPTION = DEPLOYMENT.replace('kind: "./roles.py:Drift", on', 'kind: "./roles.py:Drift", options: {start: 0}, on')
PAGED = WITH_OPTION + "  page: {kind: display.web, inputs: {line: poet.verse}, each: [b], options: {page: wall.html, quality: 50}}\n"


def edits(folder: Path, runs: int) -> None:
    """From a file being saved until the edited role plays, in a rehearsal of three machines: its code, its options, and a page."""
    piece = small_piece(folder / "piece", deployment=PAGED, roles=OPTIONED)
    (piece / "wall.html").write_text("<p data-stream=line></p>")
    room = Rehearsed(piece, folder / "home")
    ways = {
        "an edited role": ("drift", "roles.py", lambda number: OPTIONED.replace("{self.options.start}", str(number))),
        "a role with another option": ("drift", "deployment.yaml", lambda number: PAGED.replace("start: 0", f"start: {number}")),
        "a page with another option": ("page@b", "deployment.yaml", lambda number: PAGED.replace("quality: 50", f"quality: {number}")),
        "an edited page": ("page@b", "wall.html", lambda number: f"<p data-stream=line></p><!-- {number} -->"),
    }
    try:
        room.playing("drift", "words", "poet/1", "poet/2", "wall@c", "page@b")
        for what, (instance, file, text) in ways.items():
            (piece / "roles.py").write_text(OPTIONED)
            times = []
            for number in range(1, runs + 1):
                began_s = time.perf_counter()
                (piece / file).write_text(text(number))
                room.until(lambda event, name=instance, file=file: event["event"] == "role_edit" and event["instance"] == name
                           and event["file"] == file and not event["what"])  # fmt: skip
                if instance != "drift":  # ended and begun again; of code, whose successor is set up first, this was its beginning
                    room.until(lambda event, name=instance: event["event"] == "role_state"
                               and (event["instance"], event["state"]) == (name, "playing"))  # fmt: skip
                times.append((time.perf_counter() - began_s) * 1000)
            told(f"{what} plays, after its file was saved", times)
    finally:
        room.end()


def told(what: str, times: list[float]) -> None:
    KEPT[what] = {"median_ms": round(median(times), 1), "p99_ms": round(p99(times), 1), "runs": len(times)}
    print(f"{what}: median {median(times):.1f} ms, p99 {p99(times):.1f} ms, {len(times)} runs")


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("runs", type=int, nargs="?", default=1000)
    asked.add_argument("--keep", type=Path)
    asked.add_argument("--edits", action="store_true", help="measure edits alone, RUNS of each sort")
    arguments = asked.parse_args()
    runs = arguments.runs
    with tempfile.TemporaryDirectory() as folder:
        edits(Path(folder), runs if arguments.edits else 10)
        if not arguments.edits:
            measure_models(Path(folder), runs)
    print(machine())
    if arguments.keep:
        arguments.keep.write_text(json.dumps({**KEPT, "machine": machine()}, indent=1) + "\n", encoding="utf-8")


def measure_models(folder: Path, runs: int) -> None:
    first_token(max(20, runs // 10))
    known_question(max(20, runs // 10))
    adapters(folder)
    parse(folder, runs)


if __name__ == "__main__":
    main()
