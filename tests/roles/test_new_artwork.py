"""`roomful new`: what it makes plays, and it never touches what is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mesh.cli.new import TEMPLATE, command, create
from mesh.errors import UsageError
from mesh.role import Frame
from roles.display.web import Web
from tests.roles.browser import chromium
from tests.roles.stage import Recorder, put_on, until


class Clock(Recorder):
    """A stage whose time is set by hand."""

    time_s = 0.0

    def now_s(self) -> float:
        return self.time_s


def test_a_new_artwork_bears_its_name_and_has_no_mistakes(tmp_path: Path) -> None:
    from mesh.shell.folder import load

    folder = create(tmp_path / "tide-room")
    deployment = load(folder)
    assert deployment.installation == "tide-room"
    assert [role.kind for role in deployment.roles] == ["./roles.py:Tide", "./roles.py:Words", "display.web"]
    assert not deployment.models
    assert {path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*") if "__pycache__" not in path.parts} == {
        path.relative_to(folder) for path in folder.rglob("*") if "__pycache__" not in path.parts
    }
    assert not [path for path in folder.rglob("*") if path.is_file() and "my-piece" in path.read_text(encoding="utf-8")]


def test_the_next_steps_are_said(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(command, [str(tmp_path / "tide-room")])
    assert outcome.exit_code == 0
    assert f"roomful rehearse {tmp_path / 'tide-room'}" in outcome.output


def test_what_is_there_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "roles.py").write_text("years of work")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "link"):
        with pytest.raises(UsageError) as fault:
            create(tmp_path / name)
        assert "nothing was changed" in fault.value.instead
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["roles.py"]


@pytest.mark.parametrize("name", ["My Piece", "öö", "-a", "a_b", "any", "x" * 80, "a.b"])
def test_a_name_that_cannot_be_one_is_refused_with_a_better_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as fault:
        create(tmp_path / name)
    better = Path(fault.value.instead.split(" as in ")[1])
    assert create(better).is_dir()


def template_roles() -> Any:
    spec = importlib.util.spec_from_file_location("template_roles", TEMPLATE / "roles.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_tide_drifts_and_its_words_follow() -> None:
    module = template_roles()
    sea, mouth = Clock(), Clock()
    tide = module.Tide(stage=sea, name="tide", options=module.Tide.Options(), folder=TEMPLATE)
    words = module.Words(stage=mouth, name="words", options=module.Words.Options(patience=1000), folder=TEMPLATE)
    for half_second in range(120):  # a minute
        sea.time_s = mouth.time_s = half_second / 2
        assert tide.tick() == 0.5
        words.on_level(Frame(sea.values("level")[-1]))
    heights = [level["height"] for level in sea.values("level")]
    assert min(heights) < 0.05 and max(heights) > 0.95
    said = mouth.values("line")
    assert 6 <= len(said) <= 10
    assert {turn for turn, lines in module.LINES.items() if set(lines) & set(said)} == {"low", "rising", "high", "falling"}


def test_its_page_shows_the_words_and_moves_with_the_tide(tmp_path: Path) -> None:
    page, stage = put_on(Web, TEMPLATE, page="pages/page.html", state_folder=tmp_path / "state")
    page.setup()
    try:
        with chromium(tmp_path / "profile") as window:
            window.open(stage.facts["page"])
            page.on_frame("level", Frame({"height": 0.25}))
            page.on_frame("line", Frame("Low, and in no hurry.", source="words"))
            until(lambda: window.text() == "Low, and in no hurry.", what="the words")
            until(
                lambda: window.ask("getComputedStyle(document.documentElement).getPropertyValue('--level-height')") == "0.25",
                what="the tide",
            )
            assert window.complaints == []
    finally:
        page.teardown()
