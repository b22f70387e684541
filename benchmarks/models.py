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
from tests.shell.pieces import ROLES, small_piece
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


def edits(folder: Path, runs: int) -> None:
    """From a file being saved until the edited role plays, in a rehearsal of three machines: its code, and its page."""
    room, times = Rehearsed(small_piece(folder / "piece"), folder / "home"), []
    try:
        room.playing("drift", "words", "poet/1", "poet/2", "wall@c")
        for number in range(runs):
            began_s = time.perf_counter()
            (room.folder / "roles.py").write_text(ROLES.replace("self.count = 0", f"self.count = {number}; self.say('edit {number}')"))
            room.until(lambda event, wanted=f"edit {number}": event["event"] == "role_event" and event.get("what") == wanted)
            room.until(lambda event: event["event"] == "role_state" and (event["instance"], event["state"]) == ("drift", "playing"))
            times.append((time.perf_counter() - began_s) * 1000)
        told("an edited role plays, after its file was saved", times)
    finally:
        room.end()


def told(what: str, times: list[float]) -> None:
    KEPT[what] = {"median_ms": round(median(times), 1), "p99_ms": round(p99(times), 1), "runs": len(times)}
    print(f"{what}: median {median(times):.1f} ms, p99 {p99(times):.1f} ms, {len(times)} runs")


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("runs", type=int, nargs="?", default=1000)
    asked.add_argument("--keep", type=Path)
    arguments = asked.parse_args()
    runs = arguments.runs
    with tempfile.TemporaryDirectory() as folder:
        first_token(max(20, runs // 10))
        known_question(max(20, runs // 10))
        adapters(Path(folder))
        parse(Path(folder), runs)
        edits(Path(folder), 10)
    print(machine())
    if arguments.keep:
        arguments.keep.write_text(json.dumps({**KEPT, "machine": machine()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
