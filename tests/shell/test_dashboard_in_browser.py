"""The dashboard in a real Chromium: opened with the word, on a phone's width, and its orders asked for twice."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.shell.dashboard import watching
from mesh.shell.dashboard.words import load_or_make, spelled
from tests.roles.browser import Browser, chromium
from tests.roles.stage import until
from tests.shell.test_dashboard import Served


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.size(360, 800)
        yield browser


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(watching, "LOOK_S", 0.2)
    there = Served(load_or_make(tmp_path)[0])
    yield there
    there.end()


def page(served: Served, word: str = "") -> str:
    return f"http://127.0.0.1:{served.port}/" + (f"#{word}" if word else "")


def shows(window: Browser, text: str) -> None:
    until(lambda: text in window.text(), within_s=20, what=f"{text!r} on the page")


def click(window: Browser, words: str) -> None:
    script = "[...document.querySelectorAll('button')].find((each) => each.textContent === " + json.dumps(words) + " && each.offsetParent)"
    until(lambda: window.ask(f"Boolean({script})"), within_s=20, what=f"a button {words!r}")
    window.ask(f"{script}.click()")


def test_the_page_proves_a_word_as_the_server_expects(window: Browser, served: Served) -> None:
    window.open(page(served))
    for length in (0, 1, 55, 56, 63, 64, 65, 119, 1000):
        text = "ä€x" * length
        call = f"import('/proof.js').then((made) => [...made.sha256(new TextEncoder().encode({json.dumps(text)}))].join())"
        assert window.ask(call) == ",".join(map(str, hashlib.sha256(text.encode()).digest()))
        call = f"import('/proof.js').then((made) => made.proof('{'k' * length}', 'n', 'POST', '/x', {json.dumps(text)}))"
        asked = "\n".join(["n", "POST", "/x", text]).encode()
        assert window.ask(call) == "n:" + hmac.new(b"k" * length, asked, "sha256").hexdigest()


def test_a_phone_that_has_the_word_sees_what_is_wrong_and_may_not_order(window: Browser, served: Served) -> None:
    # Given the link that a code holds, when it is opened
    window.open(page(served, served.words.look))
    # Then what is wrong is said, nothing can be ordered, the word is no longer in the address, and nothing runs off a narrow screen
    shows(window, "2 things need a look")
    shows(window, "it fell silent: power, cable, or a crash")
    assert window.ask("location.href") == page(served)
    buttons = "[...document.querySelectorAll('#room button')].filter((each) => each.offsetParent).map((each) => each.textContent).join()"
    assert window.ask(buttons) == "Forget the word on this phone"
    assert window.ask("document.documentElement.scrollWidth <= innerWidth")
    # And opened again it needs no word, until that is forgotten
    window.open(page(served))
    shows(window, "2 things need a look")
    click(window, "Forget the word on this phone")
    shows(window, "The word")
    assert "shelf" not in window.text() and window.ask("localStorage.length") == 0
    assert window.complaints == []


def test_an_operator_is_asked_twice_before_a_machine_is_drained(window: Browser, served: Served) -> None:
    window.open(page(served))
    shows(window, "The word")
    window.ask(f"document.getElementById('word').value = {json.dumps(spelled(served.words.operator).upper())}")
    click(window, "Open")
    click(window, "Operate")
    click(window, "Drain")
    assert served.room.orders() == []
    click(window, "Really drain?")
    until(lambda: served.room.orders() == [{"verb": "drain"}], what="the order")
    shows(window, "its roles go to the others")
    click(window, "Forget the word on this phone")


def test_what_a_room_says_is_shown_as_text_and_never_runs(window: Browser, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    said: dict[str, Any] = {"installation": hostile, "order": "up", "revision": [1, hostile], "alarms": [hostile],
                            "machines": {hostile: {"health": hostile, "why": hostile, "roles": [hostile]}},
                            "roles": {hostile: {"machine": hostile, "state": hostile, "why": hostile, "standby": [hostile]}}}
    monkeypatch.setattr("tests.shell.test_dashboard.SAID", said)
    monkeypatch.setattr(served.room, "reports", lambda said: {
        "m": {"roles": {hostile: {"facts": {"page": "javascript:document.title='taken'"}}}}})
    window.open(page(served, served.words.look))
    shows(window, "onerror")
    assert window.ask("document.images.length + document.querySelectorAll('main script, main a').length") == 0
    assert window.ask("document.title") == hostile
    click(window, "Forget the word on this phone")


def test_a_wrong_word_is_said_to_be_one(window: Browser, served: Served) -> None:
    window.open(page(served, "a" * 32))
    shows(window, "that is not the word")
    assert "whispering" not in window.text()
