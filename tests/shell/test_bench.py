"""`roomful bench`: real processes beside the bare library, in the shape that others read. No figure is judged: that is for benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.cli import bench
from mesh.errors import RoomfulError
from mesh.shell.bench import bare, measures, plays
from mesh.shell.bench.measures import Plan
from mesh.shell.bench.models import tokens
from mesh.shell.bench.promises import promised
from mesh.shell.bench.rows import Row, least, p99, rates, row
from mesh.shell.bench.troupe import Troupe
from mesh.shell.near import FAR
from tests.roles.small_models import write_gguf

SHORT = Plan(rounds=1, trips=200, seconds=0.5, questions=30, joins=1, idle_s=0.5)
KEYS = {"name", "value", "p99", "unit", "raw", "ratio"}


def roomful(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mesh.cli.entry", *arguments], capture_output=True, text=True, timeout=100, check=False)


def test_a_row_holds_ours_against_the_bare_library_at_the_bad_end() -> None:
    assert row("round_trip", "us", [1.0, 2.0, 3.0, 10.0], [2.0], digits=1).as_json() == {
        "name": "round_trip", "value": 2.5, "p99": 10.0, "unit": "us", "raw": 2.0, "ratio": 1.25, "samples": 4, "more_is_better": False,
        "note": "",
    }  # fmt: skip
    rate = row("frames", "frames/s", [60.0, 50.0, 70.0], [30.0], more_is_better=True)
    assert (rate.value, rate.p99, rate.ratio) == (60.0, 50.0, 2.0)
    alone = row("clock", "ms", [0.1])
    assert (alone.raw, alone.ratio) == (None, None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (row("round_trip", "us", [47.0], [73.0]), "≤ 1.15 x bare ✓"), (row("round_trip_network", "us", [137.0], [62.0]), "≤ 1.15 x bare ✗"),
        (row("frames_1080p_local", "frames/s", [1640.0], [440.0], more_is_better=True), "≥ 3 x bare ✓"),
        (row("pool", "share", [0.93], [0.96]), "≥ 0.97 ✗"), (row("clock", "ms", [0.1, 3.0]), "≤ 2 ms at p99 ✗"),
        (row("first_token", "ms", [12.0], [11.2]), "≤ 2 ms more than bare ✓"), (row("tokens_poet", "tokens/s", [900.0]), "≥ 0.98 x bare"),
        (row("idle_memory left-wall", "MB", [54.5]), "≤ 60 MB ✓"), (row("idle_role", "% of a core", [0.5]), ""),
    ],
)  # fmt: skip
def test_a_figure_says_what_was_promised_of_it_and_whether_that_is_kept(found: Row, words: str) -> None:
    assert promised(found) == words


@pytest.mark.parametrize("columns", ["60", "100", "220"])
def test_no_figure_is_cut_on_a_narrow_screen_or_in_a_file(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", columns)
    slow = row("round_trip_network", "us", [137.25], [62.5], note="100 bytes there and back, encrypted TCP on both sides", digits=2)
    monkeypatch.setattr(measures, "MEASURES", {"pool": lambda plan: [slow]})
    bench.command.main(["--only", "pool"], standalone_mode=False)
    shown = capsys.readouterr().out
    for word in ("round_trip_network", "137.25", "62.5", "2.20", "≤ 1.15 x bare ✗"):
        assert word in shown


def test_one_measurement_that_fails_takes_nothing_from_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Given a machine on which one of two things cannot be measured
    def fails(plan: Plan) -> list[Row]:
        raise RoomfulError("waited 90 s in vain for the figures of reader", instead="try again when this machine is less busy")

    monkeypatch.setattr(measures, "MEASURES", {"pool": fails, "idle": lambda plan: [row("idle", "% of a core", [0.4])]})
    # When both are asked for, one by the name of a row that comes with it
    with pytest.raises(RoomfulError) as refused:
        bench.command.main(["--only", "pool,idle_memory", "--json"], standalone_mode=False)
    # Then the other is told all the same, and what failed by its name, with what to do
    assert [found["name"] for found in json.loads(capsys.readouterr().out)] == ["idle"]
    assert "pool was not measured" in str(refused.value) and "less busy" in str(refused.value)


def test_the_bad_end_is_that_of_the_worst_in_a_hundred() -> None:
    values = [float(number) for number in range(1000)]
    assert (p99(values), least(values)) == (989.0, 10.0)
    assert (p99([3.0]), least([3.0])) == (3.0, 3.0)


def test_a_rate_is_counted_in_tenths_of_a_second() -> None:
    assert rates([]) == rates([1.0]) == []
    assert rates([0.0, *(number / 50 + 0.001 for number in range(1, 101))]) == [50.0] * 20


def test_round_trips_are_measured_on_both_sides_in_equal_number() -> None:
    for far in (False, True):
        ours, raw = plays.round_trips(200, 100, far=far), bare.round_trips(200, 100, far=far)
        assert len(ours) == len(raw) == 200
        assert min(ours) > 0 and min(raw) > 0


def test_every_picture_of_both_sides_comes_whole_and_with_its_age() -> None:
    for found in (plays.pictures(64, 48, 0.4), bare.pictures(64, 48, 0.4, encrypted=True)):
        assert len(found["arrivals"]) == len(found["ages"]) > 10
        assert min(found["ages"]) > 0
        assert sorted(found["arrivals"]) == found["arrivals"]


def test_pictures_are_measured_over_the_network_on_one_machine_too() -> None:
    with Troupe() as troupe:
        writer = troupe.start("writer", "Writer", {"width": 320, "height": 240, "rate": 50.0}, env={FAR: "1"})
        reader = troupe.start("reader", "Reader", {"seconds": 0.2, "warm": 0.1}, env={FAR: "1"})
        troupe.route(reader, inputs={"image": {**writer.stream("image", "image"), "pictures": "raw"}})
        assert len(troupe.figures(reader)["arrivals"]) > 3
        troupe.until(lambda: "near" in reader.pulse, "its pulse", 5.0)
        assert reader.pulse["near"] == {"image": 0}
    assert len(plays.pictures(320, 240, 0.3, far=True)["arrivals"]) > 3


@pytest.mark.parametrize("fault", ["", "kill", "stop"])
def test_no_question_is_lost_when_a_copy_that_answers_is_killed_or_stopped(fault: str) -> None:
    found = plays.shared_out(40, 6, (60.0, 60.0, 60.0), fault=fault, at_s=0.2)
    assert found["lost"] == 0
    assert len(found["samples"]) == 64


def test_the_bare_queue_answers_all() -> None:
    assert len(bare.shared_out(30, 12, (5.0, 10.0, 20.0))["samples"]) == 54


def test_the_hands_of_three_machines_and_the_cost_of_their_agents_are_read() -> None:
    (apart,) = measures.clock(SHORT)
    share, memory, role, role_memory = measures.idle(SHORT)
    assert apart.samples > 3 and 0 <= apart.value < 1000
    assert share.samples == memory.samples == 3 and memory.value > 10
    assert (role.name, role_memory.name) == ("idle_role", "idle_role_memory") and role.value >= 0
    assert role_memory.raw is not None and role_memory.value > role_memory.raw > 10


def test_a_language_model_of_a_deployment_is_measured_in_the_mesh_and_alone(tmp_path: Path) -> None:
    licence = {"weights": "CC0-1.0", "code": "MIT", "data": "CC0-1.0"}
    (tmp_path / "models").mkdir()
    model = write_gguf(tmp_path / "models" / "small.gguf")
    piece: dict[str, Any] = {
        "installation": "speaking",
        "models": {"small": {"file": "models/small.gguf", "sha256": sha256_of(model), "licence": licence}},
        "roles": {
            "words": {"kind": "./roles.py:Words"},
            "poet": {
                "kind": "inference.llm", "model": "small", "inputs": {"prompt": "words.line"},
                "options": {"max_tokens": 12, "temperature": 0.0, "pace": 5},
            },
        },
    }  # fmt: skip
    (tmp_path / "deployment.yaml").write_text(json.dumps(piece))
    (tmp_path / "roles.py").write_text(
        'from mesh.role import Role, Text\n\n\nclass Words(Role):\n    """Says nothing."""\n    outputs = {"line": Text}\n'
    )
    spoken, first = tokens(tmp_path, SHORT)
    assert (spoken.name, first.name) == ("tokens", "first_token")
    assert spoken.value > 5 and spoken.raw is not None  # not at the pace at which it is to be read aloud
    assert first.value > 0 and first.raw is not None


def sha256_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_figures_come_as_json_of_the_agreed_shape() -> None:
    done = roomful("bench", "--quick", "--only", "round_trip", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(found["name"], found["unit"]) for found in rows] == [("round_trip", "us"), ("round_trip_network", "us")]
    for found in rows:
        assert set(found) >= KEYS
        assert found["ratio"] == pytest.approx(found["value"] / found["raw"], rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--only", "speed"), 2, "there are round_trip"),
        (("--only", "tokens"), 2, "name its folder"),
        (("nowhere",), 2, "nowhere"),
        (("--room", "--host", "127.0.0.1:1"), 3, "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_measured_is_said_with_what_to_do(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ROOMFUL_HOME", str(tmp_path))
    if "--room" in arguments:
        assert roomful("key", "new").returncode == 0
    done = roomful("bench", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
