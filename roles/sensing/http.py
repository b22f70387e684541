"""HTTP in: a POST is a frame. For whatever can call an address: a phone, a shop's till, a script, a webhook.

    curl -d '{"door": "open"}' -H 'Content-Type: application/json' http://127.0.0.1:8090/

The standard library's server, a thread for each connection, with every length, time and number bounded: no engine to
install for something this small. Whoever can reach the port can move the artwork, so beyond this machine's own loopback
a token is asked for; and on loopback a web page that a browser happens to show is refused, since browsers post anywhere.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import secrets
import socket
import threading
import time
from collections import Counter
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from mesh.errors import RoleError
from mesh.role import Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.standin import StandIn, from_file

CONNECTIONS_MAX = 32
PATIENCE_S = 10.0  # for a whole call, however slowly it comes
LOOK_S = 0.5
OF_ONE_MAX = 8  # of them from one address
DIGITS_MAX = 20
TOKEN_LETTERS_MIN = 16
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class HttpOptions(Options):
    port: int = Field(8090, ge=1, le=65535, description="the TCP port to listen on")
    listen: str = Field("127.0.0.1", description="the address to listen on; 0.0.0.0 for every one of the machine's, which needs a token")
    token: str | None = Field(
        None, min_length=TOKEN_LETTERS_MIN, description="what callers must send, as the header “Authorization: Bearer TOKEN”; whoever "
        "has the deployment's folder can read it"
    )  # fmt: skip
    size_max: int = Field(65_536, ge=1, le=900_000, description="the most bytes of one frame")
    rate_max: float = Field(100.0, gt=0, le=10_000, description="the most frames a second, from all callers together")
    silent_s: float | None = Field(None, gt=0, description="faulty when nothing has come for so many seconds; left out: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": True},
        description="a file of readings played in a rehearsal besides what comes: lines such as "
        '{"after_s": 1, "value": {"path": "/", "value": 7}}',
    )


class Http(Role):
    """Emits each POST that comes, as {"path": "/door", "value": …}: JSON and forms as their values, other text as text."""

    outputs = {"post": Event}
    network = True
    holds = {"port": "TCP port"}
    Options = HttpOptions

    def setup(self) -> None:
        options, rehearsal = self.options, bool(self.settings.get("rehearsal"))
        if not _is_loopback(options.listen) and not options.token and not rehearsal:
            raise RoleError(
                f"anybody on the network could post to {options.listen}:{options.port}", where=f"{self.name}, option listen",
                instead=f"write a token that callers must send, such as token: {secrets.token_urlsafe(18)}",
            )
        self._inbox = Inbox(self)
        self._stand_in: StandIn | None = None
        if rehearsal and options.stand_in:
            self._stand_in = from_file(self.folder / options.stand_in, options.stand_in)
        self._server = self._listen("127.0.0.1" if rehearsal else options.listen)
        self._fresh = Freshness(self, "HTTP", options.silent_s,
                                instead=f"see whether its sender runs, and posts to port {options.port} of this machine")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()
        host, port = self._server.server_address[:2]
        self.say(f"takes POSTs at http://{host!s}:{port}/{' with its token' if options.token else ''}")

    def teardown(self) -> None:
        if hasattr(self, "_thread"):
            self._server.shutdown()
            self._thread.join(2.0)
        if hasattr(self, "_server"):
            self._server.server_close()

    def tick(self) -> float | None:
        self._inbox.news()
        now = self.now_s()
        for heard_s, post in self._inbox.take():
            self._give(post, heard_s)
        wait_s = LOOK_S
        if self._stand_in is not None:
            for post in self._stand_in.due(now):
                self._give(post, now)
            wait_s = min(wait_s, self._stand_in.wait_s(now))
        self._fresh.look()
        if self._server.refused:
            self.publish("refused", dict(self._server.refused))
        return wait_s

    def _give(self, post: Any, heard_s: float) -> None:
        self._fresh.saw()
        self._inbox.give("post", post, heard_s)

    def _listen(self, address: str) -> Door:
        try:
            return Door(address, self.options, self._inbox)
        except OSError as error:
            raise RoleError(
                f"TCP port {self.options.port} of {address} cannot be used: {error.strerror or error}",
                where=f"{self.name}, option port", instead="end the program that listens there, or choose another port",
            ) from None


class Door(ThreadingHTTPServer):
    """Listens, and turns away who comes when it is full."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, address: str, options: HttpOptions, inbox: Inbox) -> None:
        self.options, self.inbox = options, inbox
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._room = threading.Semaphore(CONNECTIONS_MAX)
        self._from: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # by the reason
        self._lock = threading.Lock()
        self._began_s: dict[Any, float] = {}
        self._allowance, self._counted_s = max(1.0, options.rate_max), inbox.now_s()
        super().__init__((address, options.port), Caller)

    def process_request(self, request: Any, client_address: Any) -> None:
        full = self._from[client_address[0]] >= OF_ONE_MAX
        if full or not self._room.acquire(blocking=False):
            self.refused["full"] += 1
            self.shutdown_request(request)
            return
        self._from[client_address[0]] += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._began_s[request] = time.monotonic()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._began_s.pop(request, None)
            self._room.release()
            self._from[client_address[0]] -= 1
            if self._from[client_address[0]] <= 0:
                del self._from[client_address[0]]

    def service_actions(self) -> None:
        """Ten times a second: hang up on callers that take too long, so that a few slow ones cannot keep everybody out."""
        for request, began_s in list(self._began_s.items()):
            if time.monotonic() - began_s > PATIENCE_S:
                self.refused["slow"] += 1
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up in mid-sentence is no fault of ours."""

    def may_come(self) -> bool:
        """One more frame within `rate_max`, a second's worth at once at most."""
        with self._lock:
            now = self.inbox.now_s()
            self._allowance = min(max(1.0, self.options.rate_max), self._allowance + (now - self._counted_s) * self.options.rate_max)
            self._counted_s = now
            if self._allowance < 1.0:
                return False
            self._allowance -= 1.0
            return True


class Caller(BaseHTTPRequestHandler):
    """One connection. Answers 204 to a frame that was taken, else a line that says why it was not."""

    server: Door
    protocol_version = "HTTP/1.0"  # one call a connection, whose time can be bounded
    server_version, sys_version = "Roomful", ""

    def do_POST(self) -> None:
        """Take a frame."""
        refused = self._refusal()
        if refused is not None:
            self.server.refused[refused[0].name.lower()] += 1
            self._answer(*refused)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # it hung up in mid-sentence
        try:
            value = meaning(body, self.headers.get("Content-Type", ""))
            place = urlsplit(self.path).path[:1000]
        except ValueError as error:
            self.server.refused["bad_request"] += 1
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        self.server.inbox.put({"path": place, "value": value})
        self._answer(HTTPStatus.NO_CONTENT, "")

    def _other(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "POST a frame", Allow="POST")

    do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _other

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        """Why this call may not, or None. Cheapest first, and nothing is read before it is known who calls."""
        options = self.server.options
        if options.token:
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(sent.encode(), options.token.encode()):
                return HTTPStatus.UNAUTHORIZED, "send the token: Authorization: Bearer TOKEN"
        elif not _from_here(self.headers):
            return HTTPStatus.FORBIDDEN, "a web page may post here only where the role has a token"
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return HTTPStatus.LENGTH_REQUIRED, "send a Content-Length"
        if len(length) > 12 or int(length) > options.size_max:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{options.size_max} bytes are the most"
        if not self.server.may_come():
            return HTTPStatus.TOO_MANY_REQUESTS, f"{options.rate_max:g} frames a second are the most"
        return None

    def _answer(self, status: HTTPStatus, words: str, **headers: str) -> None:
        body = f"{words}\n".encode() if words else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a log line for each frame would fill the disk."""


def meaning(body: bytes, content_type: str) -> Any:
    """JSON and forms as their values, other text as text. Raises ValueError in words for the caller."""
    sort = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("send text in UTF-8") from None
    if sort == "application/json" or sort.endswith("+json"):
        try:
            return json.loads(text, parse_constant=_refuse, parse_int=_whole)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"this is not JSON: {error}") from None
    if sort == "application/x-www-form-urlencoded":
        if text.lstrip()[:1] in ("{", "["):  # what `curl -d '{…}'` sends when nobody names a type
            return meaning(body, "application/json")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=1000)) if "=" in text else text
    return text


def _whole(digits: str) -> int:
    if len(digits) > DIGITS_MAX or not -(2**63) <= (number := int(digits)) < 2**64:
        raise ValueError("whole numbers have 64 bits at most")
    return number


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _from_here(headers: Message) -> bool:
    """Whether a call on loopback is a program's or a page's of this machine: a browser names the page and the host it means."""
    host = urlsplit(f"//{headers.get('Host', 'localhost')}").hostname or ""
    origin = headers.get("Origin", "")
    return host in LOOPBACK_NAMES and (not origin or urlsplit(origin).hostname in LOOPBACK_NAMES)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
