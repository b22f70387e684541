"""The page's web server: one thread, one event loop, files of one folder, one WebSocket.

It is reached from the gallery's network, so it trusts nobody: only the page's own folder is served, a WebSocket is
opened only to a page that came from here, and every queue, message and number of browsers is bounded. Nothing that
goes wrong on the network reaches the role.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import re
import socket
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesh.errors import RoleError
from mesh.role import ELSEWHERE, FULL, OFTEN, Allowance, Bounds, Doorkeeper, Frame, guarded, is_here, terse
from roles.display.audience import Audience, Visitor, pack_picture
from roles.display.showing import Message, Showing

BOUNDS = Bounds(connections=200, of_one=24, asked_a_second=50.0, asked_at_once=300.0)
OWN_PAGE = Path(__file__).parent / "page"
OWN_FILES = {"roomful.js": "roomful.js", "roomful-offline.js": "offline.js"}  # served beside every page
MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".woff2": "font/woff2",
}  # not left to the system's list
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
DRAWN, MISSING = "roomful/drawn", "roomful/missing"
LETTERS_MAX = 60
NO_LETTERS = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me")
STARTED_WITHIN_S = 15.0
MESSAGE_BYTES_MAX = 16 * 1024  # from a browser, which has nothing to say but to ask for the time
SAID_A_SECOND, SAID_AT_ONCE = 20.0, 100.0  # messages of one browser
EARLY_S = 0.25  # before its time a frame goes to the browsers, which wait for the rest of it
HELD_S_MAX, HELD_MAX = 60.0, 1000
PORTS = range(8080, 8100)
READERS = 8  # threads that read files; starlette's 40 grew a page by 30 MB under a crowd


class PageServer:
    """Serves `page` with what `showing` holds. `take` is called from the role's thread; all else happens on the server's own."""

    def __init__(
        self, showing: Showing, page: Path, listener: socket.socket, *, kept: Path | None, quality: int, now_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self._showing, self._page, self._listener = showing, page, listener
        self._kept, self._quality, self._now_s = kept, quality, now_s
        self._held = 0  # frames that wait for their time
        self._audience = Audience(showing.snapshot)
        self._newest: dict[str, Frame] = {}  # pictures, events and vectors that wait to be shown
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._to_show: asyncio.Event
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)
        self.more_files: Callable[[str], Path | None] = lambda path: None  # what is served beside the page's own folder
        self.keeper = Doorkeeper(BOUNDS)
        self.letters_missing = ""  # for which the browser on this machine has no font
        self.drawn_s: float | None = None  # when a browser last said that it had drawn something; None while none has

    @property
    def alive(self) -> bool:
        """Whether the page can be reached."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Returns when the page can be opened; RoleError when that does not come about."""
        self._thread.start()
        until_s = time.monotonic() + STARTED_WITHIN_S
        while not self._started.wait(0.05) and self.alive and time.monotonic() < until_s:
            pass
        if not self._started.is_set():
            self.stop()
            raise RoleError("the page's server did not start", where=str(self._page), instead="see `roomful logs` for its reason")

    def stop(self) -> None:
        """Say goodbye to the browsers, which will look for the page again, and end the thread."""
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(5.0)
        self._listener.close()

    def take(self, stream: str, frame: Frame) -> None:
        """A frame to show. Never blocks; of pictures, events and vectors only the newest is shown."""
        if self._loop is None or self._loop.is_closed():
            return
        early_s = 0.0 if frame.present_at_s is None else frame.present_at_s - self._now_s() - EARLY_S
        if early_s >= HELD_S_MAX or (early_s > 0.0 and self._held >= HELD_MAX):
            early_s, frame = 0.0, replace(frame, present_at_s=None)  # so far off that nobody can have meant it
        if early_s > 0.0:
            self._held += 1
            self._post(self._loop.call_later, early_s, self._take_held, stream, frame)
        elif isinstance(frame.value, str):
            self._post(self._hear, stream, frame)
        else:
            waiting = stream in self._newest
            self._newest[stream] = frame
            if not waiting:
                self._post(self._to_show.set)

    def _post(self, call: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
            assert self._loop is not None
            self._loop.call_soon_threadsafe(call, *arguments)

    # What follows runs on the server's thread.

    def _take_held(self, stream: str, frame: Frame) -> None:
        self._held -= 1
        if isinstance(frame.value, str):
            self._hear(stream, frame)
        else:
            self._newest[stream] = frame
            self._to_show.set()

    def _serve(self) -> None:
        import uvicorn

        settings = uvicorn.Config(
            self._app(),
            log_config=None,
            access_log=False,
            http=guarded(self.keeper),
            ws=terse(self.keeper),
            log_level="error",  # what is no HTTP is counted: a line for each would push out of the log all that matters
            server_header=False,
            proxy_headers=False,  # whoever calls says for nobody else who it is
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_ping_interval=10.0,
            ws_ping_timeout=10.0,
            ws_per_message_deflate=False,
            limit_concurrency=BOUNDS.connections * 2,  # never reached: the keeper's own bounds come first
            timeout_graceful_shutdown=1,
            lifespan="on",
        )
        self._server = uvicorn.Server(settings)
        self._server.run(sockets=[self._listener])

    def _app(self) -> Any:
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute

        return Starlette(
            routes=[WebSocketRoute("/roomful", self._meet), Route("/{path:path}", self._file, methods=["GET"])],
            lifespan=self._live,
            exception_handlers={405: _nowhere, 500: _nowhere},
        )

    @contextlib.asynccontextmanager
    async def _live(self, _: Any) -> Any:
        from anyio import to_thread  # starlette's own

        self._loop, self._to_show = asyncio.get_running_loop(), asyncio.Event()
        to_thread.current_default_thread_limiter().total_tokens = READERS
        tasks = [asyncio.create_task(self._show_newest()), asyncio.create_task(self._pass_time())]
        self._started.set()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keep()

    async def _file(self, request: Any) -> Any:
        from starlette.responses import FileResponse

        path = request.path_params["path"]
        if not self.keeper.may_ask(_from(request)):
            return await _too_often(request)
        if path in (DRAWN, MISSING):
            return self._note(request, path)
        if not own_host(request.headers.get("host", "")):
            self.keeper.refused[ELSEWHERE] += 1
            return await _nowhere(request)
        found = self.more_files(path) or file_for(path, self._page)
        if found is None:
            return await _nowhere(request)
        return FileResponse(found, headers=HEADERS, media_type=MEDIA_TYPES.get(found.suffix.lower()))

    def _note(self, request: Any, path: str) -> Any:
        """A browser tells how much it drew since it last told: one that is connected and draws nothing is frozen; or for which letters it
        has no font. Only the screen's own on this machine counts: a visitor's phone that shows the same page says nothing of the screen."""
        from starlette.responses import Response

        here, there = _from(request), request.scope.get("server") or ("",)
        ours = (is_here(here) or here == there[0]) and own_host(request.headers.get("host", ""))
        if ours and path == DRAWN and re.fullmatch(r"[1-9]\d{0,6}", request.query_params.get("frames", "")):
            self.drawn_s = time.monotonic()
        if ours and path == MISSING:
            letters = [each for each in request.query_params.get("letters", "") if unicodedata.category(each) not in NO_LETTERS]
            self.letters_missing = "".join(dict.fromkeys([*self.letters_missing, *letters]))[:LETTERS_MAX]
        return Response(status_code=204, headers=HEADERS)

    async def _meet(self, browser: Any) -> None:
        from starlette.websockets import WebSocketDisconnect

        visitor = self._enter(browser)
        if visitor is None:
            await browser.close(1013)
            return
        await browser.accept()
        sending = asyncio.create_task(_send(browser, visitor.messages()))
        said = Allowance(SAID_A_SECOND, SAID_AT_ONCE)
        try:
            while True:  # it only asks for the time; reading also notices that it left
                visitor.tell_time(await browser.receive_text(), self._now_s)
                if not said.take():
                    self.keeper.refused[OFTEN] += 1
                    await browser.close(1008)
                    break
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass  # left, sent bytes, or left while we were sending
        finally:
            self._audience.leave(visitor)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _enter(self, browser: Any) -> Visitor | None:
        """A place for a line that a page of ours asks for, while there is one."""
        if not self.keeper.may_ask(_from(browser)):
            return None
        if not own_page(browser.headers):
            self.keeper.refused[ELSEWHERE] += 1
            return None
        visitor = self._audience.enter(_from(browser))
        if visitor is None:
            self.keeper.refused[FULL] += 1
        return visitor

    def _hear(self, stream: str, frame: Frame) -> None:
        for message in self._showing.hear(stream, frame, time.monotonic()):
            self._audience.tell(timed(message, frame))
        if not frame.more:
            self._keep()

    async def _show_newest(self) -> None:
        while True:
            await self._to_show.wait()
            self._to_show.clear()
            for stream in list(self._newest):
                frame = self._newest.pop(stream)
                value, present_s = frame.value, frame.present_at_s
                if is_picture(value):
                    self._audience.show(stream, await asyncio.to_thread(pack_picture, stream, value, self._quality, present_s))
                elif (message := self._showing.note(stream, value)) is not None:
                    self._audience.show(stream, timed(message, frame))

    async def _pass_time(self) -> None:
        while True:
            for message in self._showing.pass_time(time.monotonic()):
                self._audience.tell(message)
            await asyncio.sleep(1.0)

    def _keep(self) -> None:
        """Whole texts go to disk, so that a restarted display shows them at once; a full disk is no reason to go dark."""
        if self._kept is not None:
            with contextlib.suppress(OSError):
                fresh = self._kept.with_suffix(".new")
                fresh.write_text(json.dumps(self._showing.as_kept()), encoding="utf-8")
                os.replace(fresh, self._kept)


async def _send(browser: Any, messages: Any) -> None:
    async for message in messages:
        await (browser.send_bytes(message) if isinstance(message, bytes) else browser.send_text(message))


def _from(connection: Any) -> str:
    """The address that asks."""
    return connection.client.host if connection.client else ""


async def _too_often(request: Any) -> Any:
    from starlette.responses import Response

    return Response(status_code=429, headers={**HEADERS, "Retry-After": "1"})


async def _nowhere(request: Any, error: Exception | None = None) -> Any:
    from starlette.responses import HTMLResponse

    return HTMLResponse(NOWHERE, getattr(error, "status_code", 404 if error is None else 500), HEADERS)


# What somebody sees who types an address that is not there: the dark room, no error.
NOWHERE = '<!doctype html><meta charset="utf-8"><title>.</title><style>html{background:#000;cursor:none}</style>'


def file_for(path: str, page: Path) -> Path | None:
    """The file that an address means: the page itself, a file beside or below it, or one of Roomful's own; else None.

    Nothing hidden and nothing outside the page's folder, by links neither. A page that lies in the deployment's folder
    itself, beside models and code, is served alone.
    """
    own = path.removeprefix("roomful/") if path.startswith("roomful/") else OWN_FILES.get(path)
    folder, wanted = (OWN_PAGE, own) if own is not None else (page.parent, path or page.name)
    if "\0" in wanted or any(part.startswith(".") for part in Path(wanted).parts):
        return None
    if own is None and (folder / "deployment.yaml").exists() and wanted != page.name:
        return None
    try:
        found = (folder / wanted).resolve()
        return found if found.is_relative_to(folder.resolve()) and found.is_file() else None
    except OSError:  # a name too long, a folder that may not be read
        return None


def own_page(headers: Mapping[str, str]) -> bool:
    """Whether a WebSocket is asked for by a page of ours (its Origin is our Host), or by no browser at all (no Origin)."""
    host, origin = headers.get("host", ""), headers.get("origin")
    return own_host(host) and (origin is None or origin.split("://", 1)[-1] == host)


def own_host(host: str) -> bool:
    """Whether a Host header can be ours: an address, a name without dots, or a name of a local network. A name of the
    public internet that leads here is somebody's attempt to look inside (DNS rebinding)."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or host.startswith("[") else host
    name = name.strip("[]").lower().rstrip(".")
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return bool(name) and ("." not in name or name.endswith((".local", ".lan", ".home.arpa", ".internal", ".localhost")))


def timed(message: Message, frame: Frame) -> Message:
    """A message for the browsers with the time at which it is to be shown, where the frame has one."""
    return message if frame.present_at_s is None else {**message, "present_s": frame.present_at_s}


def is_picture(value: Any) -> bool:
    """Whether a value is an image frame: uint8, (height, width) or (height, width, 3)."""
    return getattr(value, "dtype", None) == "uint8" and (value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3))


def open_port(host: str, wanted: int | None, remembered: int | None, rehearsal: bool) -> socket.socket:
    """A listening socket's bound beginning. A wanted port is taken or refused with RoleError; else the port of the last
    time, so that a browser finds a restarted page again, else 8080 and up (any free one in a rehearsal)."""
    free = [0] if wanted == 0 or rehearsal else list(PORTS)
    tries = [wanted] if wanted else [*([remembered] if remembered else []), *free]
    for port in tries:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(64)
            return listener
        except OSError as refusal:
            listener.close()
            reason = refusal
    raise RoleError(
        f"no page can be served on {host}:{'/'.join(map(str, tries[:3]))}: {reason.strerror}",
        where="option port",
        instead="end the other program on that port, or set option port to a free one",
    )
