"""Is a sentence that was cut at any token the sentence that would have been said? Machines that answer lose their power in mid-sentence.

Five machines in network namespaces: one hears, two of the others hold a copy each of the whispering room's poet. The same prompt is
asked again and again; once nothing happens, and then, for every token of the answer, the machine that answers loses its power
(cable out, SIGKILL to everything on it) when that token has been heard. What was heard in the end is compared with the undisturbed
sentence, piece by piece: at temperature 0, and at 0.8 with a seed. The asker is elsewhere, or (`--asker-dies`) on the machine
that dies. Run: python -m benchmarks.sentences [--tokens 40] [--help]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
from benchmarks.rooms import AGENT, WHISPERING_ROOM, Figures, progress, show, wait_until
from tests.hosts.network import why_not
from tests.hosts.room import Room, lines_of

EAR, POETS = "a", ("b", "c", "d", "e")
# For each temperature a prompt, and a penalty on repeats, to which the poet answers with more than forty tokens; it was taught shorter.
PROMPTS = {0.0: ("many dusk", 1.25), 0.8: ("restless night The restless The a", 1.0)}
PACE = 20.0
SEED = 7
WITHIN_S, MENDED_S = 30.0, 60.0
ROLES = '''
"""Somebody who asks on demand, and an ear that writes down every piece."""
import json
import time

from mesh.role import Event, Options, Role, Text


class Asker(Role):
    """Asks when its file appears on any machine of this computer."""
    outputs = {"prompt": Text}

    class Options(Options):
        file: str = ""

    def tick(self):
        from pathlib import Path
        wish = Path(self.options.file)
        try:
            prompt = wish.read_text()
            wish.unlink()
        except FileNotFoundError:
            return 0.02
        self.emit("prompt", prompt)
        return 0.02


class Ear(Role):
    """A line for each piece: when, of which request, its number, its text, whether more follows, how it ended, who said it."""
    inputs = {"line": Text}
    display = True

    def setup(self):
        self.heard = open(self.state_folder / "heard", "a", buffering=1)

    def on_line(self, frame: Text):
        said = [time.monotonic(), frame.request, frame.index, frame.value, frame.more, frame.ended, frame.source]
        self.heard.write(json.dumps(said) + "\\n")

    def teardown(self):
        self.heard.close()
'''
DEPLOYMENT = """
installation: sentences
machines: {{a: {{}}, b: {{}}, c: {{}}, d: {{}}, e: {{}}}}
models:
  poet: {{file: poet.gguf, sha256: {sha256}, licence: {{weights: CC-BY-4.0, code: MIT, data: CC-BY-4.0}}, source: the whispering room}}
roles:
  asker: {{kind: "./sentence.py:Asker", on: [{asker}, any], standby: warm, options: {{file: "{file}"}}}}
  poet:
    kind: inference.llm
    model: poet
    on: [b, c, d, e]
    copies: 2
    inputs: {{prompt: asker.prompt}}
    options:
      {{template: "{{prompt}} | ", max_tokens: {tokens}, pace: {pace}, temperature: {temperature}, seed: {seed}, repeat_penalty: {penalty},
       threads: 1}}
  ear: {{kind: "./sentence.py:Ear", each: [a], inputs: {{line: poet.line}}}}
"""


def sentence_piece(folder: Path, temperature: float, tokens: int, asker: str) -> Path:
    """The artwork."""
    folder.mkdir(parents=True)
    shutil.copy(WHISPERING_ROOM / "models" / "poet.gguf", folder / "poet.gguf")
    whispering = (WHISPERING_ROOM / "deployment.yaml").read_text().split("poet.gguf", 1)[1]
    sha256 = whispering.split("sha256:", 1)[1].split()[0]
    text = DEPLOYMENT.format(
        sha256=sha256, asker=asker, file=folder.parent / "ask", tokens=tokens, pace=PACE, temperature=temperature, seed=SEED,
        penalty=PROMPTS[temperature][1],
    )  # fmt: skip
    (folder / "deployment.yaml").write_text(text)
    (folder / "sentence.py").write_text(ROLES)
    return folder


class Said:
    """What the ear heard of one request, in the order of arrival."""

    def __init__(self, rows: Sequence[list[Any]]) -> None:
        self.rows = rows

    @property
    def pieces(self) -> list[tuple[int, str]]:
        """Number and text of every piece; a repeat, a hole or another order would show."""
        return [(row[2], row[3]) for row in self.rows]

    @property
    def over(self) -> bool:
        """Whether its end was heard."""
        return bool(self.rows) and not self.rows[-1][4]

    @property
    def gap_ms(self) -> float:
        """The longest wait between two pieces, less the pace."""
        times = [row[0] for row in self.rows]
        return (max(after - before for before, after in zip(times, times[1:], strict=False)) - 1 / PACE) * 1000


class Bench:
    """The room, its ear, and one sentence at a time."""

    def __init__(self, room: Room, wish: Path, prompt: str) -> None:
        self.room = room
        self._wish, self._prompt = wish, prompt
        self._asked = 0.0

    def roles(self) -> dict[str, Any]:
        """As the ear's machine sees them."""
        return dict(self.room.status(EAR).get("roles", {}))

    def is_whole(self) -> bool:
        """Whether everything plays, the copies on two machines, the asker's standby is loaded, and a machine is to spare: then one copy
        lives whatever is lost, and two will again."""
        said = self.room.status(EAR)
        roles = said.get("roles", {})
        if not roles or any(role["state"] != "playing" for role in roles.values()) or not roles["asker"]["standby"]:
            return False
        alive = {name for name, machine in said["machines"].items() if machine["health"] == "alive"}
        copies = {roles[name]["machine"] for name in ("poet/1", "poet/2")}  # not one that has died a moment ago, as a suspect has
        return len(copies) == 2 and copies <= alive and len(alive & set(POETS)) >= 3

    def heard(self) -> Said:
        """What came since the last question."""
        rows = [json.loads(line) for path in self.room.machines[EAR].home.glob("roles/ear@*/heard") for line in lines_of(path)]
        rows = [row for row in rows if row[0] >= self._asked]
        return Said([row for row in rows if row[1] == rows[0][1]])

    def ask(self) -> None:
        """One question, in a room that is whole."""
        wait_until(self.is_whole, "everything to play", MENDED_S, 0.1)
        self._asked = time.monotonic()
        whole = self._wish.with_suffix(".new")
        whole.write_text(self._prompt)
        whole.rename(self._wish)  # in one step: the asker must not read half of it

    def undisturbed(self) -> Said:
        """The sentence as it should be."""
        self.ask()
        wait_until(lambda: self.heard().over, "the sentence to end", WITHIN_S)
        return self.heard()

    def cut(self, after: int, *, asker_dies: bool) -> Said:
        """The machine that answers loses its power when so many pieces were heard; it comes back when the sentence is over."""
        while True:
            self.ask()
            roles = self.roles()
            if asker_dies and roles["asker"]["machine"] not in (roles["poet/1"]["machine"], roles["poet/2"]["machine"]):
                self._move_asker(roles["asker"]["machine"])
                continue
            asker, where = roles["asker"]["machine"], {name: role["machine"] for name, role in roles.items()}
            wait_until(lambda: len(self.heard().rows) >= after, f"{after} pieces", WITHIN_S, 0.002)
            victim = where[self.heard().rows[0][6]]
            if asker_dies == (victim == asker):
                break
            wait_until(lambda: self.heard().over, "the sentence to end", WITHIN_S)  # another copy answers the next one
        self.room.power_off(victim)
        wait_until(lambda: self.heard().over, "the sentence to end", WITHIN_S)
        said = self.heard()
        self.room.power_on(victim)
        return said

    def _move_asker(self, machine: str) -> None:
        """Away from a machine that holds no copy: it would never share its fate with one."""
        wait_until(lambda: self.heard().over, "the sentence to end", WITHIN_S)
        self.room.power_off(machine)
        elsewhere = (*(each for each in POETS if each != machine), EAR)
        wait_until(lambda: self.roles().get("asker", {}).get("machine") in elsewhere, "the asker to play elsewhere", WITHIN_S, 0.1)
        self.room.power_on(machine)


@contextmanager
def bench_room(temperature: float, tokens: int, asker: str) -> Iterator[Bench]:
    """A room that plays."""
    with tempfile.TemporaryDirectory() as where:
        folder = sentence_piece(Path(where) / "piece", temperature, tokens, asker)
        with Room(folder, (EAR, *POETS), Path(where), agent=AGENT) as room:
            room.play(within_s=MENDED_S)
            yield Bench(room, Path(where) / "ask", PROMPTS[temperature][0])


def measure(temperature: float, tokens: int, asker_dies: bool, track: Callable[[Sequence[int], str], Iterator[int]]) -> dict[str, Any]:
    """Every cut at one temperature: how many were identical, which were not, and the waits."""
    where = "the machine that dies" if asker_dies else "another machine"
    with bench_room(temperature, tokens, ", ".join(POETS) if asker_dies else EAR) as bench:
        right = bench.undisturbed().pieces
        differing, gaps = [], Figures("ms", {"gap": 1000.0})
        for after in track(range(1, len(right)), f"temperature {temperature}, asker on {where}"):
            try:
                said = bench.cut(after, asker_dies=asker_dies)
            except TimeoutError as late:
                differing.append({"after": after, "said": [], "why": str(late)})
                continue
            gaps.add("gap", said.gap_ms)
            if said.pieces != right:
                why = f"another text, the last piece by {said.rows[-1][6] or 'nobody'}, ended {said.rows[-1][5] or 'well'}"
                differing.append({"after": after, "said": said.pieces, "why": why})
                print(f"sentences: cut after {after}, {why}\n{bench.room.story()}", file=sys.stderr)
    return {
        "temperature": temperature, "asker_on": where, "sentence": "".join(text for _, text in right), "cuts": len(right) - 1,
        "identical": len(right) - 1 - len(differing), "differing": differing,
        "gap_ms": gaps.rows(f"temperature {temperature}, asker on {where}:"), "machine": machine(),
    }  # fmt: skip


def main() -> None:
    """Print the figures, in words and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sentences", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokens", type=int, default=40, help="of the answer [default: 40]")
    parser.add_argument("--temperatures", default="0,0.8", help=f"which of {', '.join(map(str, PROMPTS))} [default: both]")
    parser.add_argument("--asker-dies", action="store_true", help="asker and answerer share the machine that dies")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="json_file", help="write the result here as well")
    given = parser.parse_args()
    if refused := why_not():
        raise SystemExit(f"sentences: no room of hosts can be made here: {refused}")
    with progress() as bar:

        def track(many: Sequence[int], what: str) -> Iterator[int]:
            yield from bar.track(many, description=what)

        results = [measure(float(each), given.tokens, given.asker_dies, track) for each in given.temperatures.split(",")]
    for each in results:
        print(f"temperature {each['temperature']}, asker on {each['asker_on']}: {each['identical']} of {each['cuts']} identical to: "
              f"{each['sentence']!r}", file=sys.stderr)
        for other in each["differing"]:
            print(f"  cut after {other['after']} pieces, {other['why']}: {other['said']}", file=sys.stderr)
    show("The longest wait for a word in a sentence that was cut", [row for each in results for row in each["gap_ms"]])
    if given.json_file:
        given.json_file.write_text(json.dumps(results, indent=1) + "\n")
    if any(each["differing"] for each in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
