"""The pages in a real Chromium: words grow, the room may go and come back, and no visitor reads an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mesh.role import Frame
from roles.display.web import Web
from tests.roles.browser import Browser, chromium
from tests.roles.stage import put_on, until

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "deployments" / "whispering-room"
SENTENCE = "At dusk the room keeps the warmth of those who left."


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


class Wall:
    """A display of the whispering room that can be ended and begun again."""

    def __init__(self, state: Path, folder: Path = ROOM, page: str | None = "pages/wall.html", **arguments: Any) -> None:
        self._arguments = {"folder": folder, "page": page, "state_folder": state, **arguments}
        self.role: Any = None
        self.start()

    def start(self) -> None:
        self.role, stage = put_on(Web, **self._arguments)
        self.role.setup()
        self.address = stage.facts["page"]

    def stop(self) -> None:
        if self.role is not None:
            self.role.teardown()
            self.role = None

    def say(self, text: str, request: str, start: int = 0, end: int | None = None) -> None:
        """The words from `start` to `end` of a text, one piece for each."""
        words = text.split(" ")
        for index in range(start, min(end or len(words), len(words))):
            piece = words[index] if index == 0 else " " + words[index]
            self.role.on_frame("line", Frame(piece, request=request, index=index, more=index < len(words) - 1))


@pytest.fixture
def wall(tmp_path: Path) -> Iterator[Wall]:
    made = Wall(tmp_path / "state")
    yield made
    made.stop()


def shows(window: Browser, text: str) -> None:
    until(lambda: text in window.text(), what=f"{text!r} on the page")


def test_a_sentence_grows_on_the_wall_word_by_word(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    seen = []
    for word in range(1, len(SENTENCE.split(" ")) + 1):
        wall.say(SENTENCE, "r:1", word - 1, word)
        # a word is shown when it is known to be whole: when the next one begins, or the sentence ends
        whole = " ".join(SENTENCE.split(" ")[: word - 1]) if word < len(SENTENCE.split(" ")) else SENTENCE
        until(lambda whole=whole: window.text() == whole, what=repr(whole))
        seen.append(window.text())
    assert seen[-1] == SENTENCE and len(set(seen)) > 5
    assert window.complaints == []


def test_half_a_word_is_never_shown(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    for index, piece in enumerate(["whis", "per", "ing", " ro"]):
        wall.role.on_frame("line", Frame(piece, request="r:1", index=index, more=True))
    shows(window, "whispering")
    assert window.text() == "whispering"
    wall.role.on_frame("line", Frame("om", request="r:1", index=4, more=False))
    shows(window, "whispering room")


def test_apostrophes_are_set_as_type_where_the_page_asks_for_it(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say("It's the visitors' 'hour'.", "r:1")
    shows(window, "It’s the visitors’ 'hour'.")


def test_of_a_text_taller_than_the_wall_the_end_can_be_read_when_it_is_said(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say("\n".join(f"line {number}" for number in range(20)), "r:1")
    shows(window, "line 19")
    last = "[...document.querySelectorAll('.roomful-word')].pop()"
    until(lambda: window.ask(f"getComputedStyle({last}).opacity > .5"), what="the last word")
    until(lambda: window.ask(f"{last}.getBoundingClientRect().bottom <= innerHeight"), what="the last word within the window")


def test_a_text_in_arabic_begins_at_the_right(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say("مرحبا بكم", "r:1")
    shows(window, "مرحبا بكم")
    first, last = (f"document.querySelectorAll('.roomful-word')[{at}].getBoundingClientRect().left" for at in (0, 1))
    assert window.ask(f"{first} > {last}")


def test_a_word_wider_than_the_wall_stays_on_it(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say("x" * 300, "r:1")
    shows(window, "xxx")
    assert window.ask("document.querySelector('.roomful-word').getBoundingClientRect().right <= innerWidth")


def test_lines_recede_and_a_cancelled_one_leaves(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    for number in range(7):
        wall.say(f"line number {number}.", f"r:{number}")
        shows(window, f"line number {number}.")
    assert window.text().split("\n") == [f"line number {number}." for number in range(2, 7)]
    wall.say("this one is stale", "stale", 0, 3)
    shows(window, "this one")
    wall.role.on_frame("line", Frame("", request="stale", index=3, more=False, ended="cancelled"))
    wall.say("newer.", "r:8")
    until(lambda: "this one" not in window.text(), what="the stale line's leave")
    assert window.text().endswith("newer.")
    # Lines that were there recede by opacity; the newest is at full strength
    until(lambda: window.ask("[...document.querySelectorAll('.past')].every(line => getComputedStyle(line).opacity < .6)"), what="receding")
    assert window.ask("getComputedStyle(document.querySelector('.roomful-text:not(.past)')).opacity") == "1"


def test_a_restarted_display_goes_on_in_the_open_page_without_an_error(window: Browser, wall: Wall) -> None:
    # Given a page that shows a sentence
    window.open(wall.address)
    wall.say(SENTENCE, "r:1")
    shows(window, SENTENCE)
    # When its display ends
    wall.stop()
    until(lambda: window.ask("document.documentElement.dataset.room") == "away", what="the room's absence")
    assert window.text() == SENTENCE
    # And is begun again
    wall.start()
    until(lambda: window.ask("document.documentElement.dataset.room") == "here", within_s=20, what="the room's return")
    # Then the same words are there, once, and new ones are heard
    wall.say("The room is back.", "r:2")
    shows(window, "The room is back.")
    assert window.text().split("\n") == [SENTENCE, "The room is back."]
    assert window.complaints == []


def test_a_sentence_that_was_interrupted_leaves_when_the_room_is_back(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say(SENTENCE, "r:1", 0, 4)
    shows(window, "At dusk the")
    wall.stop()
    wall.start()
    until(lambda: "dusk" not in window.text(), within_s=20, what="the interrupted line's leave")


def test_a_reload_shows_the_same_words_at_once(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say(SENTENCE, "r:1")
    wall.say("And more of it", "r:2", 0, 4)
    shows(window, "And more of it")
    window.call("Page.reload")
    until(lambda: window.text().split("\n")[:1] == [SENTENCE], what="the words after a reload")
    until(lambda: window.ask("document.querySelectorAll('.at-once').length") >= 1, what="words that need not appear one by one")


def test_a_reload_while_the_room_is_away_shows_the_page_and_no_browser_error(window: Browser, wall: Wall) -> None:
    # Given a page on this computer that was open long enough to be kept by the browser
    window.open(wall.address)
    kept = "navigator.serviceWorker.ready.then(() => caches.match('/wall.css')).then(Boolean)"

    def remembered() -> bool:
        if not window.ask(kept):
            window.call("Page.reload")
            return False
        return True

    until(remembered, within_s=20, what="the page in the browser's memory")
    # When the display is gone and somebody reloads
    wall.stop()
    window.call("Page.reload")
    until(lambda: window.ask("document.readyState") == "complete" and window.ask("typeof roomful") == "object", what="the page")
    # Then the dark page is there, and the room's words come when it does
    assert window.ask("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    assert window.text() == ""
    wall.start()
    wall.say("We were here all along.", "r:9")
    until(lambda: "all along" in window.text(), within_s=20, what="the room's words")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (1920, 1080), (2160, 3840), (3840, 2160)])
def test_the_wall_fits_every_screen(window: Browser, wall: Wall, width: int, height: int) -> None:
    window.size(width, height)
    window.open(wall.address)
    longest = "Restless in the unfinished light of the evening, several strangers are rearranging the silence between the chairs again."
    wall.say(longest, "r:1")
    shows(window, "chairs again.")
    box = (
        "(() => { const b = document.querySelector('.roomful-text').getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })()"
    )

    def inside() -> bool:
        left, top, right, bottom = window.ask(box)
        return bool(left > 0 and right < width and height * 0.1 < top and bottom <= height)

    until(inside, what="a sentence that glided to its place")
    assert window.ask("document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth")
    assert window.ask("getComputedStyle(document.body).cursor") == "none"
    until(lambda: window.ask("document.fonts.check('20px Room')"), what="the type")


def test_words_appear_lit_on_a_dark_wall(window: Browser, wall: Wall) -> None:
    window.size(1280, 720)
    window.open(wall.address)
    wall.say(SENTENCE, "r:1")

    def lit() -> bool:
        picture = cv2.imdecode(np.frombuffer(window.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        return bool(0.005 < (picture > 180).mean() < 0.2 and (picture < 8).mean() > 0.8)

    until(lit, within_s=15, what="light words on black")


def test_the_plain_page_makes_a_place_for_whatever_comes(window: Browser, tmp_path: Path) -> None:
    made = Wall(tmp_path / "state", page=None, fallback=("Nobody has spoken yet.",))
    try:
        window.size(1280, 720)
        window.open(made.address)
        shows(window, "Nobody has spoken yet.")
        made.say("First words.", "r:1")
        shows(window, "First words.")
        made.role.on_frame("people", Frame({"label": "few", "score": 0.934}))
        shows(window, "label few")
        assert window.ask("document.documentElement.style.getPropertyValue('--people-score')") == "0.934"
        made.role.on_frame("image", Frame(np.full((90, 160, 3), (255, 0, 0), np.uint8)))
        pixel = (
            "(() => { const c = document.querySelector('canvas');"
            " return c && [c.width, ...c.getContext('2d').getImageData(80, 45, 1, 1).data] })()"
        )
        until(lambda: (found := window.ask(pixel)) and found[0] == 160 and found[1] > 240 and found[2] < 20, what="the picture")
        assert window.complaints == []
    finally:
        made.stop()


def test_a_page_without_a_script_of_its_own_shows_fields_and_pictures(window: Browser, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "own.html").write_text(
        '<body><b data-stream="people" data-field="scores.few"></b><img data-stream="image"><p data-stream="line"></p>'
        '<script src="roomful.js"></script>'
        '<script>heard = []; roomful.on("line", frame => heard.push(frame.piece))</script>'
    )
    made = Wall(tmp_path / "state", folder=tmp_path, page="pages/own.html")
    try:
        window.open(made.address)
        made.role.on_frame("people", Frame({"scores": {"few": 0.5}}))
        made.role.on_frame("image", Frame(np.zeros((9, 16, 3), np.uint8)))
        made.say("one two", "r:1")
        shows(window, "0.5")
        until(lambda: window.ask("document.querySelector('img').naturalWidth") == 16, what="the picture")
        until(lambda: window.ask("heard.join('')") == "one two", what="the script's words")
        made.say("three", "r:2")
        until(lambda: window.ask("document.querySelector('p').innerText.trim()") == "three", what="only the newest text")
    finally:
        made.stop()


def test_what_has_its_time_is_shown_then_and_not_before(window: Browser, tmp_path: Path) -> None:
    # Given a page that knows the room's time
    made = Wall(tmp_path / "state", folder=tmp_path, page=None)
    try:
        window.open(made.address)
        until(lambda: window.ask("roomful.now() > 0"), what="the room's time on the page")
        until(lambda: abs(float(window.ask("roomful.now()")) - made.role.now_s()) < 0.5, what="nearly the time of the room")
        window.ask("globalThis.shown = {}; roomful.on('*', frame => { shown[frame.stream] = roomful.now(); }), 0")
        # When frames come that are to be shown together, one of them before the browser needs it
        soon_s = made.role.now_s() + 0.8
        made.role.on_frame("level", Frame(1, present_at_s=soon_s))
        made.role.on_frame("line", Frame("together", request="r:1", present_at_s=soon_s))
        made.role.on_frame("image", Frame(np.zeros((9, 16, 3), np.uint8), present_at_s=soon_s))
        made.role.on_frame("at-once", Frame(2))
        until(lambda: window.ask("Object.keys(shown).length") == 4, what="all of it")
        # Then each waited for its time, and what has none did not wait
        shown = window.ask("shown")
        for stream in ("level", "line", "image"):
            assert soon_s - 0.02 <= shown[stream] < soon_s + 2.0
        assert shown["at-once"] < soon_s
    finally:
        made.stop()


def test_a_frame_whose_time_is_far_off_or_past_is_shown_all_the_same(window: Browser, tmp_path: Path) -> None:
    made = Wall(tmp_path / "state", folder=tmp_path, page=None)
    try:
        window.open(made.address)
        until(lambda: window.ask("roomful.now() > 0"), what="the room's time on the page")
        made.role.on_frame("line", Frame("from before", request="r:1", present_at_s=made.role.now_s() - 5.0))
        shows(window, "from before")
        made.role.on_frame("line", Frame("from nowhere", request="r:2", present_at_s=made.role.now_s() + 1e6))
        shows(window, "from nowhere")
    finally:
        made.stop()


def test_letters_for_which_the_browser_has_no_font_are_told_to_the_room_and_no_others(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say("Straße, naïve — \ue123 “Ω” \ue124", "r:letters")
    until(lambda: len(wall.role._server.letters_missing) == 2, within_s=30, what="the letters")
    assert set(wall.role._server.letters_missing) == {"\ue123", "\ue124"}
    # And a role that was started anew hears of them again from the page that stayed open
    wall.stop()
    wall.start()
    window.open(wall.address)
    wall.say("\ue123 again", "r:again")
    until(lambda: "\ue123" in wall.role._server.letters_missing, within_s=30, what="the letters, again")


def test_a_text_that_says_nothing_leaves_what_stands_there(window: Browser, wall: Wall) -> None:
    window.open(wall.address)
    wall.say(SENTENCE, "r:kept")
    shows(window, SENTENCE)
    wall.role.on_frame("line", Frame("  ", request="r:nothing"))
    wall.say("Then more.", "r:after")
    shows(window, "Then more.")
    assert window.ask("document.querySelectorAll('.roomful-text').length") == 2
