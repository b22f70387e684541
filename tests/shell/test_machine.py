"""A machine says of itself what can be seen, and nothing that cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.shell.machine import EXTRAS, host_mark, measure


def _machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_this_machine_is_measured_as_plain_json() -> None:
    measured = measure()

    assert json.loads(json.dumps(measured)) == measured
    assert measured["memory_bytes"] >= measured["available_bytes"] > 0
    assert measured["cores"] >= 1
    assert set(measured["extras"]) <= set(EXTRAS)


def test_a_bare_machine_has_nothing(tmp_path: Path) -> None:
    measured = measure(tmp_path)

    for part in ("gpu", "camera", "screen", "sound", "microphone"):
        assert measured[part] is False


@pytest.mark.parametrize(
    ("part", "files"),
    [
        ("camera", {"sys/class/video4linux/video0/index": "0\n"}),
        ("screen", {"sys/class/drm/card0-HDMI-A-1/status": "connected\n"}),
        ("sound", {"proc/asound/card0/pcm0p/info": ""}),
        ("microphone", {"proc/asound/card1/pcm0c/info": ""}),
        ("gpu", {"dev/nvidia0": ""}),
    ],
)
def test_a_part_is_seen(tmp_path: Path, part: str, files: dict[str, str]) -> None:
    measured = measure(_machine(tmp_path, files))

    assert measured[part] is True
    others = {"gpu", "camera", "screen", "sound", "microphone"} - {part}
    assert not any(measured[other] for other in others)


@pytest.mark.parametrize(
    ("part", "files"),
    [
        ("camera", {"sys/class/video4linux/video1/index": "1\n"}),
        ("screen", {"sys/class/drm/card0-HDMI-A-1/status": "disconnected\n"}),
        ("gpu", {"dev/dri/renderD128": "", "dev/dri/card0": ""}),
    ],
)
def test_what_only_looks_like_a_part_is_not_one(tmp_path: Path, part: str, files: dict[str, str]) -> None:
    """A camera's metadata node, an empty socket, a processor's own graphics."""
    assert measure(_machine(tmp_path, files))[part] is False


def test_a_desktop_is_a_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")

    assert measure(tmp_path)["screen"] is True


def test_a_limit_set_for_the_agent_counts_as_the_memory_there_is(tmp_path: Path) -> None:
    measured = measure(_machine(tmp_path, {"sys/fs/cgroup/memory.max": "104857600\n"}))
    unlimited = measure(_machine(tmp_path, {"sys/fs/cgroup/memory.max": "max\n"}))

    assert measured["memory_bytes"] == 104857600
    assert measured["available_bytes"] <= 104857600
    assert unlimited["memory_bytes"] > 104857600


def test_nodes_on_one_computer_know_each_other_by_its_mark(tmp_path: Path) -> None:
    marks = set()
    for boot, network in (("one", "net:[1]"), ("two", "net:[1]"), ("one", "net:[2]")):
        root = _machine(tmp_path / boot / network, {"proc/sys/kernel/random/boot_id": f"{boot}\n"})
        (root / "proc/self/ns").mkdir(parents=True)
        (root / "proc/self/ns/net").symlink_to(network)
        marks.add(host_mark(root))

    assert len(marks) == 3
    assert host_mark() == host_mark()
    assert len(host_mark(tmp_path)) == 8
