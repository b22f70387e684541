"""Every broken file is explained: one mistake, at its place, with what is wrong and what to write instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.core.deployment import FileFact, FolderFacts
from tests.core.broken_files import BROKEN, FACTS
from tests.core.deployment_room import FACTS as GOOD_FACTS
from tests.core.deployment_room import FILE, GOOD, changed, examine


def test_the_good_file_is_in_order() -> None:
    deployment, mistakes = examine(GOOD)
    assert mistakes == []
    assert deployment is not None


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained_at_its_place(name: str) -> None:
    broken = BROKEN[name]

    deployment, mistakes = examine(broken.text)

    assert deployment is None
    assert [(mistake.file, mistake.line, mistake.column) for mistake in mistakes] == [(FILE, *broken.at)], mistakes
    assert broken.what in mistakes[0].what
    assert broken.instead in mistakes[0].instead


@pytest.mark.parametrize("name", FACTS)
def test_a_folder_that_does_not_hold_what_the_file_says_is_explained(name: str) -> None:
    (path, fact), at, what, instead = FACTS[name]
    files = {**GOOD_FACTS.files, path: fact}

    deployment, mistakes = examine(GOOD, FolderFacts(files))

    assert deployment is None
    assert [(mistake.line, mistake.column) for mistake in mistakes] == [at], mistakes
    assert what in mistakes[0].what and instead in mistakes[0].instead


def test_a_time_zone_that_does_not_exist_is_explained() -> None:
    facts = replace(GOOD_FACTS, zones=("Europe/Riga", "Europe/Tallinn", "UTC"))

    _, mistakes = examine(changed(("Europe/Tallinn", "Europe/Talinn")), facts)

    assert [(mistake.line, mistake.column, mistake.instead) for mistake in mistakes] == [(49, 64, "did you mean `Europe/Tallinn`?")]


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = changed(
        ("installation: whispering-room", "installation: Whispering Room"),
        ("shelf: {}", "shelf: {lables: [big]}"),
        ("weights: CC0-1.0, ", ""),
        ("models/poet.gguf", "../poet.gguf"),
        ("[door, label", "[dor, label"),
        ("rate: 15", "rate: fast"),
        ("eye.image", "eye.picture"),
        ("standby: warm", "standby: worm"),
        ("./roles.py:Mood", "./roles.py:Mod"),
        ("copies: 2", "copies: 2\n    standby: hot\n    copies: 3"),
        ("300MB", "300"),
        ("poet.line", "pot.line"),
        ("Tue-Sun", "daily"),
    )

    _, mistakes = examine(text)

    places = [(1, 15), (6, 11), (14, 5), (17, 11), (24, 10), (25, 43), (29, 21), (31, 14), (33, 11)]
    places += [(41, 5), (42, 5), (43, 21), (49, 20), (51, 17)]
    assert [(mistake.line, mistake.column) for mistake in mistakes] == places


def test_a_slip_of_syntax_in_one_role_does_not_hide_the_mistakes_of_another() -> None:
    text = changed(("{image: eye.image}", "{image: eye.image"), ("copies: 2", "copys: 2"), ("[camera]", "[camera"))

    _, mistakes = examine(text)

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(5, 18), (29, 13), (40, 5)]


def test_a_role_with_a_mistake_is_still_a_role_to_those_that_are_wired_to_it() -> None:
    _, mistakes = examine(changed(("    kind: inference.llm\n", "")))

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(36, 3)]


def test_every_line_that_a_tab_indents_is_named() -> None:
    _, mistakes = examine(changed(("    model: poet\n", "\tmodel: poet\n"), ("    copies", "\tcopies"), ("    each", "\teach")))

    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(38, 1), (40, 1), (46, 1)]


def test_every_duplicate_is_named_with_the_line_of_the_first() -> None:
    _, mistakes = examine(changed(("about:", "about: one\nabout:"), ("    copies: 2", "    copies: 2\n    copies: 2\n    copies: 2")))

    assert [(mistake.line, mistake.what[-4:]) for mistake in mistakes] == [(3, "ne 2"), (42, "e 41"), (43, "e 41")]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.encode(),
        "%YAML 1.2\n---\n" + GOOD,
        GOOD + "...\n",
        changed(("  shelf: {}", "  shelf:")),
        changed(("about: A room that murmurs.", "about: |\n  A room that\n\n  \tmurmurs.")),
        changed(("[camera]", "&c [camera]"), ("labels: [screen]", "labels: *c"), ("label:camera", "label:screen")),
        changed(("300MB", "1.5 GiB"), ("Tue-Sun", "'Mon, Wed-Fri'")),
        GOOD + "boot_grace: 500ms\ntiming: wireless\nseeds: [shelf.local, '10.0.0.9:47600', 10.0.0.2:47600]\nsignificant: [It murmurs.]\n",
    ],
    ids=["bom", "crlf", "bytes", "directive", "end mark", "empty machine", "block text", "alias", "units", "top keys"],
)
def test_what_is_unusual_and_right_is_no_mistake(text: str | bytes) -> None:
    deployment, mistakes = examine(text)

    assert mistakes == []
    assert deployment is not None


def test_what_needs_no_file_is_not_looked_for() -> None:
    for source in ("0", "/dev/video0", "rtsp://camera.local/stream"):
        _, mistakes = examine(changed(("visitors.mp4", source)), replace(GOOD_FACTS, files={**GOOD_FACTS.files, "x": FileFact("missing")}))
        assert mistakes == []


def test_a_device_of_the_camera_is_no_file_of_the_folder() -> None:
    for device in ("/dev/video0", "/dev/v4l/by-id/usb-cam-index0", "rtsp://10.0.0.2/stream.mp4"):
        assert examine(changed(("visitors.mp4", device)))[1] == []
