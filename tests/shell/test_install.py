"""A machine that plays when it is switched on: the unit is one that systemd takes, and what it starts is the agent."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.core.unit import Wanted, command_line, unit_text
from mesh.errors import RoomfulError
from mesh.shell import systemd as systemd_module
from mesh.shell.keys import new_key
from mesh.shell.supervisor import OOM_SCORE_ABOVE
from mesh.shell.systemd import Systemd
from tests.shell.pieces import small_piece
from tests.shell.test_rehearsal import ROOMFUL

ODD = ["plain", "with a blank", 'a "quote"', "100% $HOME", "back\\slash;semi", "õhtu"]


def install(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What `roomful install` says."""
    return subprocess.run([*ROOMFUL, "install", str(folder), *options], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **env})


def verified(text: str, folder: Path) -> str:
    """What systemd itself has to say about a unit, its warnings included."""
    analyze = shutil.which("systemd-analyze")
    assert analyze, "this test needs Debian's package systemd"
    unit = folder / "roomful.service"
    unit.write_text(text)
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "roomful.service" in line)


@pytest.mark.parametrize("user", ["", "root"])
@pytest.mark.parametrize("name", ODD)
def test_systemd_takes_the_unit_without_a_word_whatever_the_folder_is_called(tmp_path: Path, name: str, user: str) -> None:
    command = (sys.executable, "-P", "-m", "mesh.cli.entry", "agent", f"/srv/{name}", "--name", "door")
    assert verified(unit_text(Wanted(name, command, f"/var/{name}", user)), tmp_path) == ""


def test_systemd_would_have_something_to_say_of_a_broken_one(tmp_path: Path) -> None:
    text = unit_text(Wanted("x", ("/nowhere/python", "-P"), "/h", "root")).replace("Restart=always", "Restart=perhaps")
    assert "nowhere" in verified(text, tmp_path)


@pytest.mark.parametrize("name", ODD)
def test_what_exec_start_says_is_the_command_and_nothing_in_it_is_expanded(name: str) -> None:
    line = command_line(("/bin/x", name))
    assert [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)] == ["/bin/x", name]


def test_the_unit_restarts_for_ever_lets_roles_outlive_a_crash_and_waits_for_no_network() -> None:
    lines = unit_text(Wanted("x", ("/bin/x",), "/h", "gallery")).splitlines()
    for line in ("Restart=always", "StartLimitIntervalSec=0", "KillMode=process", "OOMPolicy=continue", "User=gallery", "LimitRTPRIO=1",
                 "After=network.target"):
        assert line in lines
    assert {"NoNewPrivileges=yes", "ProtectSystem=full", "LimitCORE=0"} <= set(lines)
    own = unit_text(Wanted("x", ("/bin/x",), "/h")).splitlines()
    assert "NoNewPrivileges=yes" in own
    breaking = ("PrivateDev", "PrivateTmp", "ProtectHome", "ProtectClock", "ProtectKernelTunables", "MemoryDeny")
    assert not any(line.startswith(breaking) for line in lines)
    assert not any(line.startswith(("User", "Nice", "OOMScore", "After", "Protect")) for line in own)  # may not
    assert "WantedBy=default.target" in own


def test_what_exec_start_says_is_this_machine_s_agent(tmp_path: Path) -> None:
    # Given a folder whose name needs quotes, and a key
    piece, home = small_piece(tmp_path / "my piece"), tmp_path / "home"
    new_key(home / "key")
    said = json.loads(install(piece, "--name", "b", "--seed", "10.0.0.9", "--print", "--json", ROOMFUL_HOME=str(home)).stdout)
    settings = dict(line.split("=", 1) for line in said["text"].splitlines() if "=" in line and not line.startswith("#"))
    assert verified(said["text"], tmp_path) == ""
    # When what it says is run, then it is the agent of that machine, with that state
    command = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(settings["ExecStart"])]
    (key, value), = [shlex.split(settings["Environment"])[0].split("=", 1)]
    (tmp_path / "run").mkdir()
    process = subprocess.Popen([*command, "--json", "--rehearsal", "--run", str(tmp_path / "run")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env={**os.environ, key: value})
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.communicate(timeout=30)
    assert (first["event"], first["machine"]) == ("started", "b")
    assert (home / "node.json").exists()


def test_a_mistake_in_the_folder_the_name_or_a_seed_is_said_before_anything_is_written(tmp_path: Path) -> None:
    piece = small_piece(tmp_path / "piece")
    name, seed = install(piece, "--name", "bb", "--print"), install(piece, "--seed", "x:y", "--print")
    (piece / "deployment.yaml").write_text("installation: x\n")
    broken = install(piece, "--print")
    assert [done.returncode for done in (name, seed, broken)] == [2, 2, 2]
    assert "names no machine 'bb'" in name.stderr and "not a port" in seed.stderr and "roles" in broken.stderr


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose systemctl and loginctl write down what they are asked; the file they write to."""
    asked, programs = tmp_path / "asked", tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "loginctl"):
        refusal = f'[ ! -e "{tmp_path}/refuse" ] || {{ echo no bus >&2; exit 1; }}'
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{asked}"\n{refusal}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(systemd_module, "RUNNING", programs)
    return asked


WISH = Wanted("x", ("/bin/true",), "/h")


def test_installing_twice_changes_nothing_and_uninstalling_leaves_nothing(managed: Path, tmp_path: Path) -> None:
    systemd = Systemd.here()
    assert systemd.path == tmp_path / "config/systemd/user/roomful.service"
    # When it is installed, then it is enabled, started, and needs nobody to log in
    assert systemd.install(WISH)
    calls = managed.read_text().splitlines()
    assert calls == ["systemctl --user daemon-reload", "systemctl --user enable roomful.service",
                     "systemctl --user restart roomful.service", "loginctl enable-linger"]
    # When again, then what runs is not disturbed
    managed.write_text("")
    assert not systemd.install(WISH)
    assert "restart" not in managed.read_text() and "start roomful.service" in managed.read_text()
    assert [path.name for path in systemd.folder.iterdir()] == ["roomful.service"]
    # When another folder is meant, then it is written anew
    assert systemd.install(Wanted("x", ("/bin/false",), "/h")) and "/bin/false" in systemd.path.read_text()
    # When it is removed, then it is stopped first, and a second time says that there was nothing
    managed.write_text("")
    assert systemd.uninstall() and not systemd.path.exists()
    assert managed.read_text().splitlines() == ["systemctl --user disable --now roomful.service", "systemctl --user daemon-reload"]
    assert not systemd.uninstall()


def test_the_system_s_own_manager_gets_the_unit_as_root(managed: Path, tmp_path: Path) -> None:
    systemd = Systemd.here("gallery", tmp_path)
    systemd.install(Wanted("x", ("/bin/true",), "/h", "gallery"))
    assert systemd.path == tmp_path / "etc/systemd/system/roomful.service" and "User=gallery" in systemd.path.read_text()
    assert managed.read_text().splitlines()[0] == "systemctl daemon-reload" and "loginctl" not in managed.read_text()


def test_a_manager_that_refuses_is_quoted(managed: Path, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    with pytest.raises(RoomfulError, match=r"`systemctl --user daemon-reload` failed: no bus"):
        Systemd.here().install(WISH)


def test_without_systemd_it_says_so_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(systemd_module, "RUNNING", tmp_path / "none")
    with pytest.raises(RoomfulError, match="not run by systemd") as raised:
        Systemd.here().install(WISH)
    assert "--print" in raised.value.instead and list(tmp_path.iterdir()) == []


def test_a_role_goes_before_its_agent_where_memory_runs_out(tmp_path: Path) -> None:
    from mesh.shell.supervisor import _yield_memory

    own = int(Path("/proc/self/oom_score_adj").read_text())
    child = subprocess.Popen(["sleep", "60"])
    try:
        _yield_memory(child.pid)
        assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) == min(1000, own + OOM_SCORE_ABOVE)
    finally:
        child.kill()
        child.wait()
