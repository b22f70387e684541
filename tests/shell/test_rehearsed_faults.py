"""Faults on purpose, in a real room on this computer: what they do is told, and nothing of them is left."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.shell.pieces import small_piece
from tests.shell.test_rehearsal import ROOMFUL


def rehearse(tmp_path: Path, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines and stderr of a rehearsal whose temporary files all lie in `tmp_path`; nothing of them is left."""
    (tmp_path / "t").mkdir()
    done = subprocess.run([*ROOMFUL, "rehearse", str(small_piece(tmp_path / "piece")), "--json", "--headless", *options],
                          capture_output=True, text=True, timeout=150, check=False, env={**os.environ, "TMPDIR": str(tmp_path / "t")})
    left = [path for path in (tmp_path / "t").rglob("*") if path.name != f"roomful-{os.getuid()}"]
    assert left == []
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_every_fault_happens_at_its_time_and_its_take_overs_are_told_with_their_gaps(tmp_path: Path) -> None:
    # Given a room that is rehearsed for less time than its faults need
    faults = ("crash words at 1s", "hang poet/1 at 2s", "kill a at 7s", "cut b at 12s for 3s")
    code, lines, errors = rehearse(tmp_path, "--for", "1", *(word for fault in faults for word in ("--fault", fault)))
    # Then everything played before the first, and all of them happened, at their distance from that moment
    assert code == 0, errors
    summary = lines[-1]
    told = {row["fault"]: row["t"] for row in summary["faults"]}
    assert list(told) == list(faults)
    first = told["crash words at 1s"]
    assert [round(told[fault] - first) for fault in faults] == [0, 1, 6, 11]
    playing = [line["t"] for line in lines if line["event"] == "role_state" and line["state"] == "playing" and line["t"] < first]
    assert len(playing) >= 5 and max(playing) <= first - 0.8
    # And who took over is told: the hot standby, the counter with the gap that its listener felt, the copies' place
    rows = {(row["instance"], row["from"], row["cause"]): row for row in summary["takeovers"]}
    counted = next(row for key, row in rows.items() if key[0] == "drift" and key[1:] == ("a", "lost"))
    assert counted["to"] != "a" and 200 < counted["gap_ms"] < 20_000
    assert any(key[0] == "words" and key[2] == "failed" for key in rows)
    assert summary["requests"]["lost"] == 0
    assert any(line["event"] == "role_faulty" and "stood still" in line["what"] for line in lines)


def test_a_fault_that_cannot_happen_is_an_error_with_its_reason(tmp_path: Path) -> None:
    code, lines, errors = rehearse(tmp_path, "--for", "1", "--fault", "kill a at 0.5s", "--fault", "kill a at 2s")
    assert code == 1 and "“kill a at 2s”: a is gone already" in errors and "Traceback" not in errors
    assert [row["t"] is None for row in lines[-1]["faults"]] == [False, True]


@pytest.mark.parametrize(("fault", "words"), [
    ("kill d at 1s", "has no machine 'd'"), ("crash pot at 1s", "Did you mean 'poet'"), ("kill a", "this is no fault"),
    ("burn a at 1s", "there is no fault 'burn'"), ("crash words at 1s for 2s", "only a cut lasts"), ("kill a at 5", "5s"),
])  # fmt: skip
def test_a_fault_of_what_there_is_not_is_refused_before_anything_starts(tmp_path: Path, fault: str, words: str) -> None:
    code, lines, errors = rehearse(tmp_path, "--for", "1", "--fault", fault)
    assert code == 2 and lines == [] and words in errors
