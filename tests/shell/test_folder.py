"""A folder on the disk: loaded whole, explained whole, and told apart from another by its hash."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mesh.errors import DeploymentError
from mesh.shell.folder import examine, file_hash, folder_files, load
from mesh.shell.revisions import manifest_of

ROLES = '''\
from mesh.role import Event, Options, Role, Text


class Eye(Role):
    """Sees."""

    outputs = {"people": Event}

    class Options(Options):
        rate: float = 15.0


class Poet(Role):
    """Speaks."""

    outputs = {"line": Text}
    needs_model = True

    def on_people(self, frame: Event):
        yield "calm"
'''
DEPLOYMENT = """\
installation: small-room
models:
  poet:
    file: models/poet.gguf
    sha256: {sha256}
    licence: {{weights: CC0-1.0, code: MIT, data: CC0-1.0}}
roles:
  eye:
    kind: ./roles.py:Eye
    options: {{rate: 30}}
  poet:
    kind: ./roles.py:Poet
    model: poet
    inputs: {{people: eye.people}}
    fallback: {{text: lines.txt}}
"""
MODEL = b"weights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small artwork that is in order."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "poet.gguf").write_bytes(MODEL)
    (tmp_path / "lines.txt").write_text("calm\n")
    (tmp_path / "roles.py").write_text(ROLES)
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT.format(sha256=hashlib.sha256(MODEL).hexdigest()))
    return tmp_path


def rewrite(folder: Path, old: str, new: str) -> None:
    """Change one thing of the deployment file."""
    file = folder / "deployment.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def roomful(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What the command line does."""
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "mesh.cli.entry", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": root, "COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd or root, env=environment)


def test_a_good_folder_is_loaded_with_its_kinds(folder: Path) -> None:
    deployment = load(folder)

    assert [role.name for role in deployment.roles] == ["eye", "poet"]
    assert deployment.kind_of("eye").outputs == {"people": "event"}
    assert deployment.kind_of("poet").answers == ("people",)


def test_a_broken_folder_is_refused_with_every_mistake_at_its_place(folder: Path) -> None:
    rewrite(folder, "rate: 30", "rat: 30")
    rewrite(folder, "eye.people", "eye.crowd")
    (folder / "models" / "poet.gguf").write_bytes(b"other weights")

    with pytest.raises(DeploymentError) as refused:
        load(folder)

    file = str(folder / "deployment.yaml")
    places = [(mistake.file, mistake.line, mistake.column) for mistake in refused.value.mistakes]
    assert places == [(file, 5, 13), (file, 10, 15), (file, 14, 22)]
    assert hashlib.sha256(b"other weights").hexdigest() in refused.value.mistakes[0].instead
    assert "eye.people" in refused.value.mistakes[2].instead


def test_hashes_are_left_alone_where_a_start_must_be_fast(folder: Path) -> None:
    (folder / "models" / "poet.gguf").write_bytes(b"other weights")

    assert load(folder, verify_hashes=False).installation == "small-room"


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "poet.gguf"
    outside.write_bytes(MODEL)
    (folder / "models" / "poet.gguf").unlink()
    (folder / "models" / "poet.gguf").symlink_to(outside)

    _, mistakes = examine(folder)

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(4, 11)]
    assert "link that leaves the folder" in mistakes[0].what


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "lines.txt").unlink()
    (folder / "lines.txt").symlink_to("lines.txt")

    _, mistakes = examine(folder)

    assert [mistake.line for mistake in mistakes] == [15]


def test_a_missing_file_is_looked_for_among_its_neighbours(folder: Path) -> None:
    rewrite(folder, "models/poet.gguf", "models/peot.gguf")

    _, mistakes = examine(folder)

    assert [mistake.instead for mistake in mistakes] == ["did you mean `models/poet.gguf`?"]


def test_a_folder_or_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "deployment.yml").write_text("installation: a\n")

    assert "there is no folder" in examine(tmp_path / "nowhere")[1][0].what
    assert examine(tmp_path)[1][0].instead == "rename deployment.yml to deployment.yaml"


def test_ten_megabytes_are_refused_unread(folder: Path) -> None:
    with (folder / "deployment.yaml").open("ab") as file:
        file.truncate(10_000_000)

    _, mistakes = examine(folder)

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(1, 1)]
    assert "10.0 MB" in mistakes[0].what


def test_an_unknown_kind_is_explained_from_the_kinds_there_are(folder: Path) -> None:
    rewrite(folder, "./roles.py:Eye", "sensing.camra")
    rewrite(folder, "./roles.py:Poet", "Poet")

    _, mistakes = examine(folder)

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(9, 11), (12, 11)]
    assert "did you mean `sensing.camera`?" in mistakes[0].instead
    assert mistakes[1].instead == "did you mean `./roles.py:Poet`?"


def test_two_folders_are_one_revision_when_they_hold_the_same_work(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for path in folder_files(folder):
        (other / path).parent.mkdir(exist_ok=True)
        (other / path).write_bytes((folder / path).read_bytes())
    for aside in (".git", "__pycache__", "training"):
        (other / aside).mkdir()
        (other / aside / "file").write_text("left out")

    assert manifest_of(other) == manifest_of(folder)

    (other / "lines.txt").write_text("clam\n")
    assert manifest_of(other) != manifest_of(folder)


def test_a_file_that_moved_is_another_revision(folder: Path) -> None:
    before = manifest_of(folder)
    (folder / "lines.txt").rename(folder / "words.txt")

    assert manifest_of(folder) != before


def test_a_file_changed_in_place_is_hashed_anew(folder: Path) -> None:
    path = folder / "lines.txt"
    before = file_hash(path)
    path.write_text("a longer text\n")

    assert file_hash(path) != before
    assert file_hash(path) == hashlib.sha256(b"a longer text\n").hexdigest()


def test_check_prints_what_will_play(folder: Path) -> None:
    done = roomful("check", folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("small-room is in order: 2 roles, no machines, 1 model.")
    assert "eye.people" in done.stdout


def test_check_prints_every_mistake_with_its_place_and_exits_with_2(folder: Path) -> None:
    rewrite(folder, "rate: 30", "rat: 30")
    rewrite(folder, "model: poet", "model: pot")

    done = roomful("check", folder)

    assert done.returncode == 2
    assert f"{folder / 'deployment.yaml'}:10:15" in done.stdout
    assert f"{folder / 'deployment.yaml'}:13:12" in done.stdout
    assert "did you mean `rate`?" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_check_as_json_has_the_shape_that_others_build_on(folder: Path) -> None:
    assert json.loads(roomful("check", folder, "--json").stdout) == {"ok": True, "mistakes": []}
    rewrite(folder, "model: poet", "model: pot")

    done = roomful("check", folder, "--json")

    said = json.loads(done.stdout)
    assert done.returncode == 2
    assert said["ok"] is False
    assert list(said["mistakes"][0]) == ["file", "line", "column", "what", "instead"]


def test_check_finds_its_own_roles_when_it_runs_inside_the_folder(folder: Path) -> None:
    done = roomful("check", "--json", cwd=folder)

    assert json.loads(done.stdout) == {"ok": True, "mistakes": []}, done.stdout


def test_check_prints_the_schema_for_editors() -> None:
    schema = json.loads(roomful("check", "--schema").stdout)

    assert "copies" in schema["$defs"]["RoleFile"]["properties"]


def test_a_pipe_in_the_file_s_place_is_refused_and_not_waited_for(folder: Path) -> None:
    (folder / "deployment.yaml").unlink()
    os.mkfifo(folder / "deployment.yaml")

    done = roomful("check", folder)

    assert done.returncode == 2 and "is a device or a pipe, not a file" in done.stdout


def test_a_long_line_is_shown_around_the_mistake_alone(folder: Path) -> None:
    rewrite(folder, "options: {rate: 30}", "options: {other: " + "r" * 30_000 + ", rat: 30}")

    done = roomful("check", folder)

    assert done.returncode == 2 and "did you mean `rate`?" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 300


def test_thousands_of_mistakes_are_found_in_bounded_time(folder: Path) -> None:
    roles = "".join(f"  r{number}: {{kind: sensing.none{number}}}\n" for number in range(3000))
    (folder / "deployment.yaml").write_text(f"installation: x\nroles:\n{roles}")
    began = time.process_time()

    deployment, mistakes = examine(folder)

    assert deployment is None and len(mistakes) == 3000
    assert time.process_time() - began < 15  # it was 20 s of this process alone, growing with the square


def test_a_seed_or_a_host_that_is_none_is_refused_in_words(folder: Path) -> None:
    seed, host = roomful("agent", folder, "--seed", "host:b"), roomful("status", "--host", "::1")

    assert (seed.returncode, host.returncode) == (2, 2)
    assert "is not a port" in seed.stderr and "IPv6" in host.stderr and "Traceback" not in seed.stderr + host.stderr
