"""The dashboard's port: files that tell nothing, one live line, one door for orders. What every question must show is in `doors`.

    GET /, /dashboard.js, /proof.js, /dashboard.css    to everybody: a page that asks for a word
    GET /nonce     {"nonce"}                           to everybody, often bounded
    POST /live     lines of JSON: {"may", …}, then the room, anew each time it was asked; needs a word
    POST /order    {"done"} or {"fault"}               needs the operator's word

One order at a time; a body of at most 1 kB; a line that nobody reads is given up after 20 s, and asked for anew by a page that lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from mesh.door import Bounds, Doorkeeper, guarded
from mesh.errors import EngineMissingError, RoomfulError
from mesh.shell.dashboard import orders
from mesh.shell.dashboard.doors import ORDER, Doors
from mesh.shell.dashboard.watching import Watching
from mesh.shell.dashboard.words import Words
from mesh.shell.finding import Door

PAGE = Path(__file__).parent / "page"
FILES = {"/": ("index.html", "text/html"), "/dashboard.css": ("dashboard.css", "text/css"),
         **{f"/{name}": (name, "text/javascript") for name in ("dashboard.js", "drawing.js", "proof.js")}}  # fmt: skip
CONTENT = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
           "form-action 'none'; frame-ancestors 'none'")
HEADERS = {
    "Content-Security-Policy": CONTENT, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
}  # fmt: skip
QUESTION_BYTES_MAX = 16 * 1024
LOOKERS_MAX = 32
TAKEN_WITHIN_S = 20.0  # what is sent on a live line
ALIVE_S = 5.0  # a line says something at least so often, so that both ends know that the other is there
BOUNDS = Bounds(connections=64, of_one=16, asked_a_second=10.0, asked_at_once=60.0)
ENDS_S = BOUNDS.taking_s / 2  # a live line ends by itself, and the page asks for the next


class Dashboard:
    """The application behind the port. `tell` is given a sentence for each order, for whoever watches the terminal."""

    def __init__(self, door: Door, words: Words, tell: Callable[[str], None]) -> None:
        self.doors, self.keeper = Doors(words), Doorkeeper(BOUNDS)
        self._door, self._tell = door, tell
        self._files = {path: ((PAGE / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}
        self._lookers = 0
        self._watching: Watching
        self._ordering: asyncio.Lock

    def app(self) -> Any:
        """The ASGI application. Raises EngineMissingError when the extra is not installed."""
        try:
            from starlette.applications import Starlette
            from starlette.routing import Route
        except ImportError as missing:
            raise EngineMissingError(f"the dashboard needs starlette and uvicorn ({missing})", instead="pip install roomful[web]") from None
        return Starlette(
            routes=[Route("/nonce", self._nonce), Route("/live", self._live, methods=["POST"]),
                    Route("/order", self._order, methods=["POST"]), *(Route(path, self._file) for path in FILES)],
            lifespan=self._lifespan, exception_handlers={404: _plain, 405: _plain, 500: _plain},
        )  # fmt: skip

    def settings(self) -> Any:
        """uvicorn's, with every bound set."""
        import uvicorn

        return uvicorn.Config(
            self.app(), log_config=None, access_log=False, http=guarded(self.keeper), ws="none", server_header=False, proxy_headers=False,
            log_level="error",
            h11_max_incomplete_event_size=QUESTION_BYTES_MAX, limit_concurrency=BOUNDS.connections * 2, timeout_graceful_shutdown=1,
            lifespan="on",
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        self._watching, self._ordering = Watching(self._door), asyncio.Lock()
        watching = asyncio.create_task(self._watching.run())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _refusal(self, request: Any) -> Any:
        """An answer for who is not to be answered: from elsewhere, or too often; None for all others."""
        if not self.keeper.may_ask(_from(request)):
            return _answer({"fault": "too many questions: wait a moment"}, 429)
        if not self.doors.ours(request.headers):
            return _answer({"fault": "open the page by the address that `roomful dashboard` prints"}, 421)
        return None

    async def _file(self, request: Any) -> Any:
        from starlette.responses import Response

        body, kind = self._files[request.url.path]
        return self._refusal(request) or Response(body, media_type=kind, headers=HEADERS)

    async def _nonce(self, request: Any) -> Any:
        return self._refusal(request) or _answer({"nonce": self.doors.nonce()})

    async def _admit(self, request: Any) -> tuple[Any, str, bytes]:
        """A refusal or None, what the one who asks may, and the body."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal, "", b""
        body = await _body(request)
        if body is None:
            return _answer({"fault": "that is too long"}, 413), "", b""
        address, path = _from(request), request.url.path
        often = self.doors.too_often(address)
        may = self.doors.admit(request.headers.get("roomful-proof", ""), request.method, path, body, address)
        if may is None and often:
            return _answer({"fault": "too many wrong words: wait ten seconds"}, 429), "", b""
        if may is None:
            return _answer({"fault": "that is not the word"}, 403), "", b""
        return None, may, body

    async def _live(self, request: Any) -> Any:
        from starlette.responses import StreamingResponse

        refusal, may, _ = await self._admit(request)
        if refusal is not None:
            return refusal
        if self._lookers >= LOOKERS_MAX:
            return _answer({"fault": f"{LOOKERS_MAX} look at the room already"}, 503)

        class Live(StreamingResponse):
            async def __call__(line, scope: Any, receive: Any, send: Any) -> None:
                async def bounded(message: Any) -> None:
                    await asyncio.wait_for(send(message), TAKEN_WITHIN_S)

                with self._looking():
                    await super().__call__(scope, receive, bounded)

        return Live(self._lines(may), media_type="application/x-ndjson", headers=HEADERS)

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        self._lookers += 1
        self._watching.enter()
        try:
            yield
        finally:
            self._watching.leave()
            self._lookers -= 1

    async def _lines(self, may: str) -> AsyncIterator[str]:
        watching, began_s = self._watching, time.monotonic()
        number = watching.number  # what was seen before this one looked may be long ago
        yield json.dumps({"may": may, "alive_s": ALIVE_S}) + "\n"
        while time.monotonic() - began_s < ENDS_S:
            await watching.after(number, ALIVE_S)
            yield (watching.newest if watching.number > number else "{}") + "\n"
            number = watching.number

    async def _order(self, request: Any) -> Any:
        refusal, may, body = await self._admit(request)
        if refusal is not None:
            return refusal
        if may != ORDER:
            return _answer({"fault": "this word only lets look: orders need the operator's"}, 403)
        if self._ordering.locked():
            return _answer({"fault": "another order is on its way: try again in a moment"}, 503)
        async with self._ordering:
            try:
                order = orders.read(body)
                self._tell(f"{order}, ordered from {_from(request)}")
                done = await asyncio.to_thread(orders.perform, order, self._watching.door)
            except RoomfulError as fault:
                self._tell(f"it was not done: {fault.what}")
                return _answer({"fault": fault.what}, 409)
        self._watching.soon()
        return _answer({"done": done})


async def _body(request: Any) -> bytes | None:
    """At most what an order has; None for more."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > orders.BYTES_MAX:
            return None
    return body


def _from(request: Any) -> str:
    return request.client.host if request.client else ""


def _answer(value: dict[str, Any], code: int = 200) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse(value, code, HEADERS)


async def _plain(request: Any, error: Any) -> Any:
    return _answer({"fault": "there is nothing here"}, getattr(error, "status_code", 500))
