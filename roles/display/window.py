"""A window on one of this computer's screens: which screen, how large, and that it stays in front.

SDL counts screens from 0; people and cables have names. Under X the names and places are those that `xrandr` tells; on
a console (KMS) they are the connectors that the kernel lists. Decided against: changing resolutions or the arrangement of
screens, which are the technician's, and drawing on several screens from one process (one instance a screen, so that one
screen's driver cannot hang another's).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from mesh.errors import RoleError

UNSEEN = ("dummy", "offscreen", "evdev")
CONNECTORS = Path("/sys/class/drm")


class Window:
    """The one window of this process. `size` in pixels; `unseen` when there is no screen and nobody sees it."""

    def __init__(self, pygame: Any, *, title: str, output: int | str | None, size: tuple[int, int] | None, may_be_unseen: bool) -> None:
        self._pygame = pygame
        self._title, self._output, self._wanted = title, output, size
        self.wished_unseen = os.environ.get("SDL_VIDEODRIVER") in UNSEEN
        driver = open_driver(pygame, may_be_unseen)
        self.unseen = driver in UNSEEN
        self.surface = self._open()
        self.size: tuple[int, int] = self.surface.get_size()

    def show(self) -> None:
        """What was drawn becomes visible."""
        self._pygame.display.flip()

    def tend(self) -> list[str]:
        """Take what the window system says, so that it does not think us dead; what a technician should hear of it."""
        pygame, news, lost = self._pygame, [], False
        for event in pygame.event.get():
            if self.unseen:
                continue  # what SDL tells of a window that is nowhere
            if event.type in (pygame.WINDOWMINIMIZED, pygame.WINDOWHIDDEN):
                lost = True
                news.append("something hid the window; it is brought back")
            elif event.type == pygame.WINDOWFOCUSLOST and not self._wanted:
                news.append("another window has come before this one")
                lost = True
            elif event.type in (pygame.WINDOWDISPLAYCHANGED, pygame.WINDOWSIZECHANGED) and not self._wanted:
                if self._pygame.display.get_surface().get_size() != self.size:
                    news.append("the screen has changed; the window is made anew")
                    self.surface = self._open()
                    self.size = self.surface.get_size()
        if lost:
            window = pygame.Window.from_display_module()
            window.restore()
            window.show()
            window.focus()
        return news

    def close(self) -> None:
        self._pygame.display.quit()

    def _open(self) -> Any:
        pygame = self._pygame
        pygame.display.set_caption(self._title)
        try:
            if self._wanted is not None or self.unseen:
                surface = pygame.display.set_mode(self._wanted or (1280, 720), 0)
            else:
                index, place = self._screen()
                if place is not None:
                    os.environ["SDL_VIDEO_WINDOW_POS"] = f"{place[0]},{place[1]}"
                surface = pygame.display.set_mode((0, 0), pygame.FULLSCREEN, display=index)
                pygame.Window.from_display_module().always_on_top = True
        except pygame.error as refusal:
            raise RoleError(f"no window can be opened: {refusal}", where="option output",
                            instead="see whether the screen is on, and whether another program holds it") from refusal
        pygame.event.clear()  # a window that is made is hidden for a moment: that is no news
        pygame.mouse.set_visible(False)
        pygame.display.set_allow_screensaver(False)
        return surface

    def _screen(self) -> tuple[int, tuple[int, int] | None]:
        """(SDL's number of the screen, its place on the desktop where that is known)."""
        sizes = self._pygame.display.get_desktop_sizes()
        outputs = outputs_by_name(os.environ.get("DISPLAY"))
        where, output = "option output", self._output
        if output is None:
            return 0, None
        if isinstance(output, int) or output.isdigit():
            if int(output) < len(sizes):
                return int(output), None
            there = f"write 0 to {len(sizes) - 1}: this computer has {len(sizes)}" if sizes else "connect one: this computer has none"
            raise RoleError(f"there is no screen {output}", where=where, instead=there)
        if output not in outputs:
            names = f"name one of those that are: {', '.join(outputs)}" if outputs else "count from 0 instead: none here tells a name"
            raise RoleError(f"no screen is connected as {output}", where=where, instead=f"see to its cable and power, or {names}")
        index, place = outputs[output]
        return min(index, len(sizes) - 1), place


def open_driver(pygame: Any, may_be_unseen: bool) -> str:
    """Start SDL's video; its driver's name. RoleError where there is no screen and there must be one."""
    asked = os.environ.get("SDL_VIDEODRIVER")
    os.environ.setdefault("SDL_VIDEO_MINIMIZE_ON_FOCUS_LOSS", "0")
    try:
        pygame.display.init()
        driver = str(pygame.display.get_driver())
    except pygame.error:
        driver = ""
    if (driver and driver not in UNSEEN) or asked in UNSEEN:
        return driver
    if not may_be_unseen:
        raise RoleError(
            "this computer has no screen that a window can be opened on", where="option output",
            instead="connect one and start a desktop (or give the user `video` rights on a console); over SSH, set DISPLAY=:0",
        )
    if not driver:
        os.environ["SDL_VIDEODRIVER"] = "dummy"
        pygame.display.init()
    return "dummy"


def outputs_by_name(display: str | None) -> dict[str, tuple[int, tuple[int, int] | None]]:
    """{name: (number from 0, place on the desktop)} of the screens that are connected."""
    if display:
        return xrandr_outputs()
    found = sorted(path.parent.name.partition("-")[2] for path in CONNECTORS.glob("card*-*/status") if _text(path) == "connected")
    return {name: (number, None) for number, name in enumerate(found)}


def xrandr_outputs() -> dict[str, tuple[int, tuple[int, int] | None]]:
    """What `xrandr` tells; nothing where it is not installed."""
    try:
        told = subprocess.run(["xrandr", "--query"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return read_xrandr(told)


def read_xrandr(told: str) -> dict[str, tuple[int, tuple[int, int] | None]]:
    """The screens in the answer of `xrandr --query` that show something."""
    found = re.findall(r"^(\S+) connected (?:primary )?\d+x\d+\+(\d+)\+(\d+)", told, re.MULTILINE)
    return {name: (number, (int(left), int(top))) for number, (name, left, top) in enumerate(found)}


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
