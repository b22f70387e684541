"""A page on a screen: the artist's own HTML, with the room's streams flowing into it.

Whatever shows a web page is a display: a kiosk browser behind a projector, a phone, a laptop at rehearsal. Decided
against: a page in a framework's dress (the page is the artist's, and must open in thirty years) and polling. A
visitor never sees an error: a page that loses the room keeps its last words, and finds the room again by itself.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Any_, Frame, Options, Role
from roles.display.named_files import absent
from roles.display.server import OWN_PAGE, PageServer, file_for, open_port
from roles.display.shelf import Shelf
from roles.display.showing import Showing
from roles.display.standin import StandIn

FALLBACK = "roomful.fallback"  # the stream on which pages are told of pictures and sounds that stand in
FROZEN_S = 20.0  # a kiosk's browser that draws nothing for so long is frozen
ARRIVES_S = 90.0  # and has so long to come, at first
STATE_FILE, PORT_FILE = "shown.json", "port.json"
LOOK_S = 1.0


class WebOptions(Options):
    page: str | None = Field(
        None, json_schema_extra={"file": True},
        description="an HTML file of the deployment's folder; files beside it are served too; a plain dark page when left out",
    )
    port: int | None = Field(None, ge=0, le=65535, description="8080 and up when left out, any free one in a rehearsal or with 0")
    host: str | None = Field(None, description="the address to listen on; every one in a real room, only this computer in a rehearsal")
    media: str | None = Field(
        None, json_schema_extra={"file": "folder"},
        description='a folder of pictures, films and sounds that events may name: {"image": "moth.jpg"}, {"video": …}, {"sound": …}',
    )
    style: str | None = Field(
        None, json_schema_extra={"file": True}, description="a CSS file of the folder, over the look of the plain page"
    )
    kiosk: bool = Field(False, description="a browser on this machine always shows it: one that freezes or is missing is a fault")
    title: str | None = Field(None, description="the window's title; the installation's name when left out")
    quality: int = Field(85, ge=1, le=100, description="of pictures sent to the page (JPEG)")
    quiet: float = Field(30.0, gt=0, le=86400, description="seconds without a text after which a line of the fallback is shown")


class Web(Role):
    """Shows streams on a web page of the artist's own: text as it is spoken, pictures, values."""

    inputs = {"*": Any_}
    extra = "web"
    network = True
    holds = {"port": "TCP port"}
    display = True
    keeps_time = True
    Options = WebOptions

    def setup(self) -> None:
        try:
            import starlette
            import uvicorn
            import websockets
        except ImportError as missing:
            raise EngineMissingError(
                f"display.web needs starlette, uvicorn and websockets ({missing})",
                where=self.name,
                instead="pip install roomful[web]",
            ) from missing
        del starlette, uvicorn, websockets
        page = self._page()
        self._shelf = Shelf(self._inside(self.options.media, "media"), self._inside(self.options.style, "style"), self.fallback_files)
        rehearsal = bool(self.settings.get("rehearsal"))
        host = self.options.host or ("127.0.0.1" if rehearsal else "0.0.0.0")
        about = {
            "installation": str(self.settings.get("installation", "")),
            "machine": str(self.settings.get("machine", "")),
            "name": self.name,
        }
        about["title"] = self.options.title or about["installation"]
        showing = Showing(self.fallback, self.options.quiet, about, life=f"{time.time_ns():x}")
        showing.recall(self._remembered(STATE_FILE))
        port = self._remembered(PORT_FILE)
        listener = open_port(host, self.options.port, port if isinstance(port, int) and 0 < port < 65536 else None, rehearsal)
        self._server = PageServer(showing, page, listener, kept=self._file(STATE_FILE), quality=self.options.quality, now_s=self.now_s)
        self._server.start()
        self._tell_where(host, listener.getsockname()[1])
        self._server.more_files = self._shelf.file_for
        self._shown_page, self._page_gone, self._files_missing = page, False, list[str]()
        self._look_at_files()
        self._said_missing = False
        self._began_s, self._standing_in = time.monotonic(), False
        self._standin = StandIn((), self.fallback_files, self.options.quiet, self._began_s, at_once=not showing.texts)

    def teardown(self) -> None:
        if hasattr(self, "_server"):
            self._server.stop()

    def on_frame(self, input: str, frame: Frame) -> None:
        self._standin.heard(input, frame, time.monotonic())
        self._server.take(input, frame)

    def tick(self) -> float:
        if not self._server.alive:
            raise RoleError("the page's server has ended", where=self.name, instead="nothing: it is started again; `roomful logs` says why")
        now_s = time.monotonic()
        lost = self._standin.lost(now_s)
        if lost != self._standing_in:
            self._standing_in = lost
            self._server.take(FALLBACK, Frame({"on": lost, **self._shelf.stand_in()}))
        for stream, frame in self._standin.frames(now_s):
            self._server.take(stream, frame)
        self._judge(now_s)
        if self._page_gone == self._shown_page.is_file():
            self._look_at_files()
        self.publish("refused", dict(self._server.keeper.refused))
        missing = self._server.letters_missing
        if missing and not self._said_missing:
            self._said_missing = True
            self.say(f"the browser here has no font for {' '.join(missing[:8])}: put one that has them into the folder, and name it in the "
                     "page's CSS (option style); `roomful status` lists all of them")
        self.publish("letters_missing", missing)
        return LOOK_S

    def _look_at_files(self) -> None:
        """Say what visitors would find an empty place for: files that the page names, or the page itself."""
        page = self._shown_page
        self._page_gone = not page.is_file()
        shown = self.options.page or "the plain page"
        if self._page_gone:
            self.say(f"{shown} is gone from the folder: who opens the page now sees nothing; to do: put it back")
        self._files_missing = absent(page, lambda path: self._shelf.file_for(path) or file_for(path, page))
        if self._files_missing:
            self.say(f"{shown} names what is not there: {', '.join(self._files_missing)}; to do: put it beside the page, or write its name "
                     "as the file has it")
        self.publish("files_missing", [shown] if self._page_gone else self._files_missing)

    def _judge(self, now_s: float) -> None:
        """Working: the page can be had, and where a browser belongs to it, that one draws."""
        drawn_s = self._server.drawn_s
        if not self.options.kiosk:
            self.works()
        elif drawn_s is None and now_s - self._began_s >= ARRIVES_S:
            self.faulty("no browser on this machine shows the page (option kiosk); to do: start the kiosk's browser, or leave kiosk out")
        elif drawn_s is not None and now_s - drawn_s >= FROZEN_S:
            self.faulty(f"the browser has drawn nothing for {FROZEN_S:g} s: start the kiosk again")
        else:
            self.works()

    def _page(self) -> Path:
        if self.options.page is None:
            return OWN_PAGE / "index.html"
        page = (self.folder / self.options.page).resolve()
        if not page.is_relative_to(self.folder.resolve()) or not page.is_file():
            raise RoleError(
                f"there is no page {self.options.page!r} in the deployment's folder",
                where=f"{self.name}, option page",
                instead="give the path of an HTML file such as pages/wall.html",
            )
        return page

    def _inside(self, path: str | None, option: str) -> Path | None:
        """A path of the deployment's folder; RoleError for one that is not."""
        if path is None:
            return None
        found = (self.folder / path).resolve()
        if not found.is_relative_to(self.folder.resolve()) or not found.exists():
            raise RoleError(
                f"there is no {path!r} in the deployment's folder", where=f"{self.name}, option {option}",
                instead="give a path in the folder",
            )  # fmt: skip
        return found

    def _tell_where(self, host: str, port: int) -> None:
        shown = host if host != "0.0.0.0" else _own_address()
        address = f"http://{shown}:{port}/"
        self.publish("page", address)
        self.say(f"the page is at {address}")
        file = self._file(PORT_FILE)
        if file is not None:
            with contextlib.suppress(OSError):
                file.write_text(json.dumps(port), encoding="utf-8")

    def _file(self, name: str) -> Path | None:
        if self.state_folder is None:
            return None
        with contextlib.suppress(OSError):
            self.state_folder.mkdir(parents=True, exist_ok=True)
        return self.state_folder / name

    def _remembered(self, name: str) -> Any:
        """What an earlier life left in this file, None when there is nothing that can be read."""
        file = self._file(name)
        if file is None:
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _own_address() -> str:
    """The address by which others on the network most likely reach this machine; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
