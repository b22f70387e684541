"""The artwork's own parts: its role of fifteen lines, its models through the roles that play them, its page."""

from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from mesh.role import Frame
from roles.inference.llm import Llm
from roles.sensing.camera import Camera
from tests.roles.stage import Recorder, put_on

ROOM = Path(__file__).resolve().parents[2] / "deployments" / "whispering-room"
MOODS = ["calm", "restless", "tender", "wary", "bright", "solemn", "playful", "longing"]
TIMES = ["dawn", "morning", "noon", "dusk", "evening", "night"]


class Clock(Recorder):
    """A stage whose time is set by hand."""

    time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s


def mood() -> tuple[Any, Clock]:
    spec = importlib.util.spec_from_file_location("whispering_room_roles", ROOM / "roles.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stage = Clock()
    return module.Mood(stage=stage, name="mood", options=module.Mood.Options(), folder=ROOM), stage


def see(role: Any, stage: Clock, at_s: float, label: str, place: tuple[float, float] = (0.5, 0.5)) -> None:
    stage.time_s = 1000.0 + at_s
    role.on_people(Frame({"label": label, "score": 0.9, "place": list(place)}, captured_s=stage.time_s))


def test_the_first_people_are_spoken_of_at_once_and_then_at_most_every_8_s() -> None:
    role, stage = mood()
    for tenth in range(300):  # thirty seconds of a room that changes all the time
        see(role, stage, tenth / 10, ("nobody", "one", "few", "many")[tenth % 4])
    times = [captured_s for _, _, _, captured_s in stage.emitted if captured_s is not None]
    assert times[0] == 1000.0
    assert len(times) == 4 and all(later - earlier >= 8 for earlier, later in itertools.pairwise(times))


def test_a_room_that_stays_the_same_is_spoken_of_less_often() -> None:
    role, stage = mood()
    for second in range(60):
        see(role, stage, second, "nobody")
    assert len(stage.emitted) == 5


@pytest.mark.parametrize("label", ["nobody", "one", "few", "many"])
@pytest.mark.parametrize("place", [(0.0, 0.5), (0.5, 0.0), (1.0, 1.0), (-0.2, 0), (1.3, 0)])
def test_the_tags_are_words_that_the_poet_was_taught(label: str, place: tuple[float, float]) -> None:
    role, stage = mood()
    see(role, stage, 0, label, place)
    said, time, count = stage.values("tags")[0].split(" ")
    assert said in MOODS and time in TIMES and count == label


def test_the_artist_s_role_is_short() -> None:
    body = (ROOM / "roles.py").read_text().split("class Mood(Role):")[1].strip().splitlines()
    assert len(body) <= 15


def test_the_poet_answers_tags_with_one_whole_sentence() -> None:
    poet, _ = put_on(Llm, ROOM, model=ROOM / "models" / "poet.gguf", template="{prompt} | ", max_tokens=72)
    poet.setup()
    for number, tags in enumerate(("calm dawn few", "restless night many", "longing dusk nobody")):
        pieces = [piece.value for piece in poet.on_prompt(Frame(tags, request=f"mood:1:{number}"))]
        assert len(pieces) > 5
        assert re.fullmatch(r"[A-Z].*[.]", "".join(pieces)), pieces
    poet.teardown()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_sentence_cut_after_any_piece_goes_on_as_if_nothing_had_happened(temperature: float) -> None:
    # Given a sentence, and a second copy of the poet
    first, _ = put_on(Llm, ROOM, model=ROOM / "models" / "poet.gguf", template="{prompt} | ", temperature=temperature)
    second, _ = put_on(Llm, ROOM, model=ROOM / "models" / "poet.gguf", template="{prompt} | ", temperature=temperature)
    first.setup()
    second.setup()
    frame = Frame("tender dusk few", request="mood:1:7")
    whole = list(first.on_prompt(frame))
    # When the first is lost after any of its pieces, then the second says exactly the rest
    for cut in range(1, len(whole)):
        rest = list(second.resume("prompt", frame, tuple(whole[:cut])))
        assert [piece.value for piece in (*whole[:cut], *rest)] == [piece.value for piece in whole], cut
    first.teardown()
    second.teardown()


def test_the_clip_of_visitors_plays() -> None:
    camera, stage = put_on(Camera, ROOM, source="visitors.mp4", rate=15)
    camera.setup()
    for _ in range(20):
        camera.tick()
    camera.teardown()
    assert len(stage.values("image")) == 20
    assert stage.values("image")[0].shape[2] == 3


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    for path in (ROOM / "pages").glob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:src|href|url|import|fetch)[^\n]{0,4}[(=\"' ]+https?:", text), path
