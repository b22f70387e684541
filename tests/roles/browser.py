"""A real Chromium without a screen, led over its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.roles.stage import until

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Browser:
    """One window. `complaints` are what the page threw or logged as an error."""

    def __init__(self, line: Any) -> None:
        self._line = line
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._line.recv(timeout=20))
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(answer["params"])[:500])
            if answer.get("id") == number:
                return dict(answer.get("result") or answer)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        until(lambda: self.ask("document.readyState") == "complete", what="the page")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; None while it changes to another page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "error" in answer:
            return None
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self) -> str:
        return str(self.ask("document.body?.innerText ?? ''") or "").strip()

    def size(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A window of a new Chromium with a profile of its own; ended with all its processes."""
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = profile / "DevToolsActivePort"
        port = until(lambda: port_file.exists() and port_file.read_text().split("\n")[0], within_s=30, what="Chromium")
        with connect(until(lambda: _window(port), what="a window"), max_size=None) as line:
            browser = Browser(line)
            for part in ("Runtime", "Page"):
                browser.call(f"{part}.enable")
            yield browser
            browser.call("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _window(port: str) -> str | None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
        pages = [page for page in json.load(answer) if page["type"] == "page"]
    return pages[0]["webSocketDebuggerUrl"] if pages else None
