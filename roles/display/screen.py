"""A whole screen without a browser: text, pictures and films, drawn by SDL (pygame-ce).

For a small computer behind a projector it takes a tenth of the memory of a browser and starts in a second. It never shows a
desktop and never black: what was shown last is kept on disk and stands there again before anything else has loaded, then the
fallback, and where there was never anything the work's own name. A picture has its time (`Frame.present_at_s`), so that several
screens change together. Decided against: OpenGL (the drivers of small boards are where exhibitions freeze) and playing
sound here (`display.sound` does).
"""

from __future__ import annotations

import heapq
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Any_, Frame, Options, Role
from roles.display.backdrop import Backdrop
from roles.display.keeping import Keeping
from roles.display.lettering import Lettering
from roles.display.pictures import as_rgb
from roles.display.stagecraft import Look, Scene, colour
from roles.display.window import Window

WAITING_MAX = 240  # frames that wait for their time
AHEAD_S_MAX = 30.0  # a time further ahead is a mistake, and the frame is shown at once
EARLY_S = 0.03  # before its time a frame is drawn; then only its showing is waited for
TOGETHER_S = 0.004  # frames whose times are no further apart are shown at one time
NOTHING_DRAWN_S = 10.0
FROZEN = f"nothing has been drawn for {NOTHING_DRAWN_S:g} s; to do: see whether the desktop on that screen still answers"
UNSEEN_WISHED = "is drawn without a window, as was asked for (--headless, or SDL_VIDEODRIVER)"
NO_SCREEN = "no screen is connected here (over SSH: set DISPLAY=:0); as this is a rehearsal, it is drawn, and nobody sees it"
HEX = r"^#[0-9a-fA-F]{6}$"


class ScreenOptions(Options):
    output: int | str | None = Field(None, description="which screen: 0, 1 … or its name, such as HDMI-1; the first when left out")
    window: str | None = Field(
        None, pattern=r"^[1-9]\d{1,4}x[1-9]\d{1,4}$",
        description='a window such as "960x540" instead of the whole screen; a rehearsal has one',
    )
    rate: float = Field(30.0, gt=0, le=120, description="pictures a second while something moves")
    font: str | None = Field(None, json_schema_extra={"file": True}, description="a font file of the folder; EB Garamond when left out")
    text_size: float = Field(0.075, gt=0.005, le=0.5, description="an em, as a part of the screen's shorter side")
    align: Literal["left", "centre"] = Field("left", description="how lines stand")
    place: Literal["low", "middle"] = Field("low", description="where the newest text stands")
    keep: int = Field(3, ge=0, le=7, description="texts that stay, receding, after a newer one began")
    pace: float = Field(9.0, gt=0, le=1000, description="words that appear in a second, at most")
    ink: str = Field("#e9e4da", pattern=HEX, description="the colour of the newest text")
    ember: str = Field("#b08c64", pattern=HEX, description="what the colour of earlier ones cools down to")
    ground: str = Field("#000000", pattern=HEX, description="the colour behind everything")
    fit: Literal["cover", "whole"] = Field("cover", description="pictures fill the screen (what is over is cut), or are seen whole")
    fade: float = Field(1.5, ge=0, le=60, description="seconds in which a still picture gives way to the next")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without an input after which the fallback is shown")


class Screen(Role):
    """Fills a screen: texts word by word, pictures, films; keeps its last state and never shows a desktop."""

    inputs = {"*": Any_}
    extra = "screen"
    display = True
    keeps_time = True
    Options = ScreenOptions

    def setup(self) -> None:
        try:
            import os

            os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
            import pygame
        except ImportError as missing:
            raise EngineMissingError(
                f"display.screen needs pygame-ce, which is not installed on this machine ({missing})",
                where=self.name,
                instead="pip install roomful[screen]",
            ) from missing
        pygame.font.init()
        rehearsal = bool(self.settings.get("rehearsal"))
        size = _pixels(self.options.window) or ((960, 540) if rehearsal else None)
        title = f"{self.settings.get('installation', '')} {self.name}".strip()
        self._window = Window(pygame, title=title, output=self.options.output, size=size, may_be_unseen=rehearsal)
        self._keeping = Keeping(pygame, self.state_folder)
        self._waiting: list[tuple[float, int, str, Frame]] = []
        self._count = 0
        self._pygame = pygame
        self._judged_s = 0.0
        self._make_scene()
        self._scene.pass_time(time.monotonic())
        self._draw(time.monotonic())
        self.say((UNSEEN_WISHED if self._window.wished_unseen else NO_SCREEN) if self._window.unseen else f"shows {self._size_words()}")

    def teardown(self) -> None:
        if hasattr(self, "_scene"):
            self._keeping.keep(self._scene, time.monotonic(), now=True)
        if hasattr(self, "_window"):
            self._window.close()

    def on_frame(self, input: str, frame: Frame) -> None:
        present_s, now_s = frame.present_at_s, self.now_s()
        if present_s is None or not now_s < present_s < now_s + AHEAD_S_MAX or len(self._waiting) >= WAITING_MAX:
            self._take(input, frame)
            return
        self._count += 1
        heapq.heappush(self._waiting, (present_s, self._count, input, frame))

    def tick(self) -> float:
        now_s = time.monotonic()
        for line in self._window.tend():
            self.say(line)
        if self._window.size != self._scene.size:
            self._make_scene()
        due_s = self._take_due()
        self._scene.pass_time(now_s)
        if self._scene.busy(now_s) or due_s is not None:
            self._draw(now_s, due_s)
        self._keeping.keep(self._scene, now_s)
        self._judge(now_s)
        wait_s = max(0.0, 1 / self.options.rate - (time.monotonic() - now_s))
        if self._waiting:
            wait_s = min(wait_s, max(0.0, self._waiting[0][0] - self.now_s() - EARLY_S))
        return wait_s

    def _take_due(self) -> float | None:
        """Take the frames whose time has all but come; the latest of these times, in the room's seconds."""
        due_s, now_s = None, self.now_s()
        until_s = now_s + EARLY_S
        while self._waiting and self._waiting[0][0] <= until_s:
            due_s, _, stream, frame = heapq.heappop(self._waiting)
            self._take(stream, frame)
            if due_s > now_s:  # those before it are late and give way to it, those after it have a time of their own
                until_s = min(until_s, due_s + TOGETHER_S)
        return due_s

    def _take(self, stream: str, frame: Frame) -> None:
        now_s = time.monotonic()
        value = frame.value
        if isinstance(value, str):
            self._scene.hear(stream, frame, now_s)
        elif (picture := as_rgb(value)) is not None:
            self._scene.see(stream, picture, now_s)
        elif isinstance(value, dict):
            self._obey(stream, frame, value)

    def _obey(self, stream: str, frame: Frame, value: dict[str, Any]) -> None:
        """An event may name what to show: {"image": path}, {"video": path}, both in the folder, or {"text": words}."""
        now_s = time.monotonic()
        if isinstance(value.get("text"), str):
            self._scene.hear(stream, Frame(value["text"], request=f"{frame.source}:{frame.number}:{now_s}"), now_s)
        path = value.get("image") or value.get("video")
        if isinstance(path, str):
            try:
                self._scene.show(stream, Backdrop(self._inside(path), self._pygame), now_s)
            except RoleError as fault:
                self.say(str(fault))
        elif value.get("image", 0) is None or value.get("video", 0) is None:
            self._scene.clear(stream)

    def _inside(self, path: str) -> Path:
        found = (self.folder / path).resolve()
        if not found.is_relative_to(self.folder.resolve()) or not found.exists():
            raise RoleError(f"{path[:80]} is not in the deployment's folder", where=self.name, instead="name a file of the folder")
        return found

    def _make_scene(self) -> None:
        options, size = self.options, self._window.size
        look = Look(
            ink=colour(options.ink), ember=colour(options.ember), ground=colour(options.ground), keep=options.keep, pace=options.pace,
            centred=options.align == "centre", low=options.place == "low", cover=options.fit == "cover", fade_s=options.fade,
        )  # fmt: skip
        fonts = [self._inside(options.font)] if options.font else []
        try:
            lettering = Lettering(self._pygame, fonts, max(8, round(min(size) * options.text_size)), self.say)
        except (self._pygame.error, OSError) as broken:
            raise RoleError(
                f"{options.font} is not a font: {broken}", where=f"{self.name}, option font", instead="give a .ttf, .otf or .woff2 file"
            ) from broken
        self._lettering = lettering
        now_s = time.monotonic()
        before: Scene | None = getattr(self, "_scene", None)
        self._scene = Scene(self._pygame, size, look, lettering, self.fallback, self.fallback_files, options.quiet, now_s, self.say)
        self._keeping.recall(self._scene, now_s, before.showing if before else None)
        if self._scene.empty:
            self._scene.title(str(self.settings.get("installation", "")).replace("-", " "), now_s)

    def _draw(self, now_s: float, due_s: float | None = None) -> None:
        self._scene.draw(self._window.surface, now_s)
        with self.presenting(due_s):  # the others show theirs at the same moment
            late_s = 0.0 if due_s is None else self.now_s() - due_s
            self._window.show()
        if due_s is not None:
            self.publish("late_ms", round(late_s * 1000, 2))
        self._drawn_s = now_s

    def _judge(self, now_s: float) -> None:
        """Working: something was drawn of late, and it can be seen."""
        if now_s < self._judged_s + 1.0:
            return
        self._judged_s = now_s
        self.publish("letters_missing", "".join(self._lettering.missing))
        if now_s - self._drawn_s >= 1.0:
            self._draw(now_s)  # also while nothing moves: a frozen window system shows here
        if self._scene.dark(self._window.surface, now_s):
            self.faulty("the screen is black although there is something to show; to do: see whether options ink and ground are alike")
        else:
            self.works(NOTHING_DRAWN_S, FROZEN)

    def _size_words(self) -> str:
        return f"{self._window.size[0]} by {self._window.size[1]} pixels"


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, height = size.split("x")
    return int(width), int(height)
