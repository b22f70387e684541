"""A page with pictures, films and sound of the folder, its fallback, and a kiosk's browser that is watched: in a real Chromium."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from mesh.errors import RoleError
from mesh.role import Frame
from roles.display import web
from roles.display.formats import png
from roles.display.web import Web
from tests.roles.browser import Browser, chromium
from tests.roles.stage import Recorder, put_on, until

GREEN, RED = (20, 160, 40), (200, 20, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "piece"
    (place / "media" / "birds").mkdir(parents=True)
    (place / "lost").mkdir()
    (place / "deployment.yaml").write_text("installation: secret")
    (place / "media" / "code.py").write_text("secret")
    (place / "media" / ".hidden.png").write_bytes(b"hidden")
    (place / "media" / "link.png").symlink_to(place / "deployment.yaml")
    (place / "media" / "birds" / "wren & co.png").write_bytes(png(np.full((36, 64, 3), RED, np.uint8)))
    for name in ("a.png", "b.png"):
        (place / "lost" / name).write_bytes(png(np.full((36, 64, 3), GREEN, np.uint8)))
    with wave.open(str(place / "media" / "chime.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(8000, "<i2").tobytes())
    (place / "over.css").write_text("html, body { background: rgb(10, 20, 90) }")
    return place


@contextmanager
def playing(folder: Path, **arguments: Any) -> Iterator[tuple[Any, Recorder, str]]:
    role, stage = put_on(Web, folder, **arguments)
    role.setup()
    try:
        yield role, stage, stage.facts["page"]
    finally:
        role.teardown()


def colour_at(browser: Browser, x: int, y: int) -> tuple[int, ...]:
    """A pixel of the window as it is seen: red, green, blue."""
    picture = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return tuple(int(part) for part in picture[y, x][::-1])


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("path", ["media/birds/wren%20%26%20co.png", "media/chime.wav", "roomful/style.css"])
def test_the_folder_s_media_are_served(folder: Path, path: str) -> None:
    with playing(folder, media="media", style="over.css") as (_, _, address):
        assert httpx.get(address + path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["media/code.py", "media/.hidden.png", "media/link.png", "media/../deployment.yaml", "media/%2e%2e/deployment.yaml", "media/", "media",
     "roomful/fallback/loop", "roomful/fallback/image", "roomful/fallback/../web.py", "deployment.yaml"],
)  # fmt: skip
def test_nothing_beside_them_is(folder: Path, path: str) -> None:
    with playing(folder, media="media") as (_, _, address):
        assert httpx.get(address + path).status_code == 404


def test_a_film_can_be_asked_for_in_parts_as_browsers_do(folder: Path) -> None:
    (folder / "media" / "film.mp4").write_bytes(bytes(range(256)) * 40)
    with playing(folder, media="media") as (_, _, address):
        answer = httpx.get(address + "media/film.mp4", headers={"Range": "bytes=100-109"})
        assert (answer.status_code, answer.content) == (206, bytes(range(100, 110)))
        assert answer.headers["content-type"] == "video/mp4"


def test_an_event_shows_a_picture_and_plays_a_sound(folder: Path, tmp_path: Path) -> None:
    with playing(folder, media="media", style="over.css") as (role, _, address), chromium(tmp_path / "profile") as browser:
        browser.size(640, 360)
        browser.open(address)
        until(lambda: near(colour_at(browser, 320, 100), (10, 20, 90)), what="the style")
        role.on_frame("show", Frame({"image": "birds/wren & co.png"}))
        until(lambda: colour_at(browser, 320, 100)[0] > 120, what="the picture")
        role.on_frame("bell", Frame({"sound": "chime.wav"}))
        until(lambda: browser.ask("document.querySelector('audio')?.getAttribute('src')") == "media/chime.wav", what="the sound")
        role.on_frame("show", Frame({"image": None}))
        until(lambda: browser.ask("document.querySelector('img[data-stream]').hasAttribute('src')") is False, what="its end")
        assert not browser.complaints


@pytest.mark.parametrize("sort", ["image", "loop"])
def test_lost_inputs_bring_the_fallback_and_their_return_hides_it(folder: Path, tmp_path: Path, sort: str) -> None:
    files = {"image": folder / "lost" / "a.png"} if sort == "image" else {"loop": folder / "lost"}
    with playing(folder, fallback_files=files, quiet=1.0) as (role, _, address), chromium(tmp_path / "profile") as browser:
        browser.size(640, 360)
        role.tick()
        browser.open(address)
        until(lambda: near(colour_at(browser, 320, 180), GREEN), what="the fallback of a room that was never heard")
        if sort == "loop":
            assert len(browser.ask("[...document.querySelectorAll('.roomful-fallback img')].map(i => i.naturalWidth)")) == 2

        def speaking() -> bool:
            role.on_frame("people", Frame({"label": "few"}))
            role.tick()
            return near(colour_at(browser, 320, 180), (0, 0, 0))

        until(speaking, what="the page without it")
        until(lambda: role.tick() and near(colour_at(browser, 320, 180), GREEN), what="the fallback again")
        assert not browser.complaints


def test_a_late_browser_is_told_of_the_fallback(folder: Path) -> None:
    with playing(folder, fallback_files={"image": folder / "lost" / "a.png"}) as (role, _, address):
        role.tick()

        def told() -> bool:
            with connect(address.replace("http", "ws") + "roomful") as line:
                state = json.loads(line.recv(timeout=5))
                return bool(state["values"].get("roomful.fallback") == {"on": True, "image": "roomful/fallback/image"})

        until(told, what="the fallback in the state")
        assert httpx.get(address + "roomful/fallback/image").headers["content-type"] == "image/png"


def test_a_kiosk_s_browser_that_draws_is_well_and_one_that_freezes_is_a_fault(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "FROZEN_S", 4.0)
    with playing(folder, kiosk=True) as (role, stage, address):
        with chromium(tmp_path / "profile") as browser:
            browser.open(address)
            until(lambda: role._server.drawn_s, what="a word from the browser that it draws")
            role.tick()
            assert stage.fault() == ""
            browser.ask("window.requestAnimationFrame = () => 0")  # it talks on and draws no more
            until(lambda: role.tick() and "has drawn nothing" in stage.fault(), within_s=20, what="the fault")


def test_a_kiosk_that_never_came_is_a_fault_and_a_page_for_phones_is_not(folder: Path) -> None:
    with playing(folder, kiosk=True) as (role, stage, _):
        role._began_s -= 100
        role.tick()
        assert "no browser on this machine shows the page" in stage.fault() and "to do: start the kiosk's browser" in stage.fault()
    with playing(folder) as (role, stage, _):
        role._began_s -= 100
        role.tick()
        assert stage.fault() == ""


@pytest.mark.parametrize("frames", ["", "x", "-3", "0", "1e999", "9" * 5000, "%00"])
def test_whatever_a_browser_says_harms_nobody(folder: Path, frames: str) -> None:
    with playing(folder) as (role, _, address):
        httpx.get(f"{address}roomful/drawn?frames={frames}")
        assert role._server.drawn_s is None
        assert httpx.get(f"{address}roomful/drawn?frames=118").status_code == 204
        assert role._server.drawn_s is not None


def test_what_is_not_in_the_folder_is_said(folder: Path) -> None:
    for option in ("media", "style"):
        with pytest.raises(RoleError, match="in the deployment's folder"), playing(folder, **{option: "../elsewhere"}):
            pass
