"""The speaking role with a real engine and a GGUF of random weights: what it says is nonsense, how it says it is not."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Frame, Pause, Piece
from roles.inference.drawing import Taste
from roles.inference.llm import Llm, filled
from roles.inference.voice import CALM
from tests.roles.small_models import write_gguf
from tests.roles.stage import Recorder, put_on


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("models") / "nonsense.gguf")


class Played:
    """A role that is set up, and torn down when the test ends."""

    def __init__(self) -> None:
        self.roles: list[Any] = []

    def __call__(self, model: Path | None, **options: Any) -> tuple[Any, Recorder]:
        role, stage = put_on(Llm, Path("."), model=model, **options)
        self.roles.append(role)
        role.setup()
        return role, stage


@pytest.fixture
def play() -> Iterator[Played]:
    played = Played()
    yield played
    for role in played.roles:
        role.teardown()


def answer(role: Any, prompt: Any = "calm dawn few | ", request: str = "mood:1:1") -> list[str]:
    return [piece.value for piece in role.on_prompt(Frame(prompt, request=request)) if isinstance(piece, Piece)]


def test_a_prompt_is_answered_piece_by_piece(model: Path, play: Played) -> None:
    role, stage = play(model, max_tokens=30)
    pieces = answer(role)
    assert 2 < len(pieces) <= 30
    assert all(pieces) and not pieces[0][0].isspace()
    assert any("128 tokens" in line for line in stage.said)


def test_the_same_request_gives_the_same_text_and_another_another(model: Path, play: Played) -> None:
    role, _ = play(model)
    assert answer(role, request="mood:1:1") == answer(role, request="mood:1:1")
    assert answer(role, request="mood:1:1") != answer(role, request="mood:1:2")


def test_a_fixed_seed_gives_equal_prompts_equal_sentences(model: Path, play: Played) -> None:
    role, _ = play(model, seed=4)
    other, _ = play(model, seed=5)
    assert answer(role, request="a") == answer(role, request="b") != answer(other, request="a")


def test_temperature_0_needs_no_seed_to_repeat_itself(model: Path, play: Played) -> None:
    role, _ = play(model, temperature=0)
    assert answer(role, request="a") == answer(role, request="b")


def test_a_sentence_is_gone_on_with_from_its_tokens_as_if_nothing_had_happened(model: Path, play: Played) -> None:
    # Given a sentence spoken without disturbance
    role, _ = play(model)
    voice, taste = role._voice, Taste()
    prompt = voice.tokens("restless night many | ")
    whole = list(voice.generate(prompt, (), taste, 77))
    # When it stops anywhere, something else is spoken, and another one goes on
    for spoken in (1, 7, len(whole) // 2, len(whole) - 1):
        answer(role, "something else")
        # Then the rest is the same, token for token
        assert list(voice.generate(prompt, whole[:spoken], taste, 77)) == whole[spoken:]


def test_text_goes_on_after_the_tokens_so_far_without_repeating_them(model: Path, play: Played) -> None:
    role, _ = play(model, max_tokens=40)
    prompt = role._voice.tokens("x")
    ids = list(role._voice.generate(prompt, (), role._taste, 3))[:40]
    whole = "".join(piece.value for piece in role.pieces(prompt, 3))
    rest = "".join(piece.value for piece in role.pieces(prompt, 3, tuple(ids[:10])))
    assert whole.endswith(rest) and 0 < len(rest) < len(whole)


def test_an_answer_may_be_closed_between_two_pieces_and_leaves_nothing_behind(model: Path, play: Played) -> None:
    role, _ = play(model)
    undisturbed = answer(role, request="b")
    stale = role.on_prompt(Frame("an older prompt", request="a"))
    next(stale)
    stale.close()
    assert answer(role, request="b") == undisturbed


def test_a_stop_word_ends_the_answer_and_is_not_shown(model: Path, play: Played) -> None:
    free, _ = play(model, seed=3, max_tokens=40)
    text = "".join(answer(free))
    stop = text[5:8]
    assert len(stop) == 3
    bound, _ = play(model, seed=3, max_tokens=40, stop=[stop])
    assert "".join(answer(bound)) == text[: text.index(stop)]


def test_max_tokens_bounds_the_answer(model: Path, play: Played) -> None:
    role, _ = play(model, max_tokens=5)
    assert len(answer(role)) <= 5


def test_a_prompt_too_long_is_cut_at_its_beginning_and_that_is_said(model: Path, play: Played) -> None:
    role, stage = play(model, context=64, max_tokens=16)
    assert answer(role, "word " * 100)
    said = next(line for line in stage.said if "does not fit" in line)
    assert "a context of 64 " in said and "dropped" in said
    prompt = role._voice.tokens("word " * 100)
    cut = role._fitting(prompt)
    assert len(cut) == 48 and cut[0] == prompt[0] and cut[1:] == prompt[-47:]


def test_an_answer_ends_where_the_context_is_full_and_that_is_said(model: Path, play: Played) -> None:
    role, stage = play(model, context=32, max_tokens=500, temperature=2.0, top_p=1.0, min_p=0.0, top_k=0)
    lengths = [len(answer(role, "w", request=str(number))) for number in range(30)]
    assert max(lengths) <= 31
    assert any("context of 32 tokens was full" in line for line in stage.said)


def test_a_pace_is_kept_and_never_exceeded(model: Path, play: Played) -> None:
    role, _ = play(model, pace=50, max_tokens=10, temperature=0)
    # Played by somebody who gives it the time that it asks for between its pieces
    began, count, nobody = time.monotonic(), 0, threading.Event()
    for piece in role.on_prompt(Frame("calm dawn few | ", request="mood:1:1")):
        count += isinstance(piece, Piece)
        nobody.wait(piece.seconds if isinstance(piece, Pause) else 0)
    assert time.monotonic() - began >= (count - 1) / 50 - 0.001


def test_an_event_fills_the_template_by_its_fields(model: Path, play: Played) -> None:
    assert filled("{mood} {count} | ", {"mood": "calm", "count": "few"}) == "calm few | "
    assert filled("{prompt} | ", "calm") == "calm | "
    role, _ = play(model, template="{mood} | ", temperature=0)
    plain, _ = play(model, temperature=0)
    assert answer(role, {"mood": "calm"}) == answer(plain, "calm | ")
    with pytest.raises(RoleError) as fault:
        answer(role, "calm")
    assert "mood" in fault.value.what


@pytest.mark.parametrize("template", ["{prompt", "{}}", "{0.x}"])
def test_a_template_that_cannot_be_filled_is_refused_before_it_plays(model: Path, play: Played, template: str) -> None:
    with pytest.raises(RoleError) as fault:
        play(model, template=template)
        filled(template, "words")
    assert "template" in fault.value.where


def test_a_model_s_own_chat_template_is_used_or_missed_in_words(tmp_path: Path, model: Path, play: Played) -> None:
    chat = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    talker, _ = play(write_gguf(tmp_path / "chat.gguf", chat_template=chat), chat=True, system="be brief", temperature=0)
    plain, _ = play(model, temperature=0)
    assert answer(talker, "hello") == answer(plain, "<system>be brief<user>hello<assistant>")
    with pytest.raises(RoleError) as fault:
        play(model, chat=True)
    assert "chat" in fault.value.instead


def test_special_tokens_of_the_model_are_taken_as_such_and_never_shown(model: Path, play: Played) -> None:
    role, _ = play(model)
    assert role._voice.tokens("<s>ab") == role._voice.tokens("ab")
    assert role._voice.spoken(role._voice.tokens("")[0]) == b""


def test_what_is_no_model_is_refused_in_words(tmp_path: Path, play: Played) -> None:
    (tmp_path / "text.gguf").write_text("words, not weights")
    (tmp_path / "half.gguf").write_bytes(write_gguf(tmp_path / "whole.gguf").read_bytes()[:20000])
    for name in ("text.gguf", "half.gguf", "missing.gguf"):
        with pytest.raises(RoleError) as fault:
            play(tmp_path / name)
        assert name in fault.value.what and fault.value.instead
    with pytest.raises(RoleError):
        play(None)


def test_without_llama_cpp_the_extra_is_named(model: Path, play: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    with pytest.raises(EngineMissingError) as fault:
        play(model)
    assert "roomful[llm]" in fault.value.instead


def test_a_processor_that_speaks_for_a_graphics_card_says_so(model: Path, play: Played) -> None:
    role, stage = play(model, gpu_layers=-1)
    assert answer(role)
    assert any("graphics processor" in line for line in stage.said)


class Interrupted:
    """A byte as `Role.alert` gives it: somebody says something before every sum, whenever that is listened to."""

    def __init__(self) -> None:
        self.byte, self.listened = ctypes.create_string_buffer(2), 0

    def __call__(self, on: bool) -> int:
        self.listened += on
        self.byte[0] = b"\1" if on else b"\0"
        return ctypes.addressof(self.byte)


@pytest.mark.parametrize("token_s", [0.0, 1.0])
def test_an_answer_that_is_no_longer_wanted_ends_in_mid_prompt_and_the_next_is_untouched(model: Path, play: Played, token_s: float) -> None:
    # Given a role that asks whether it is wanted, between blocks of a long prompt or (as with a large model) in the midst of its sums
    role, _ = play(model, temperature=0, max_tokens=40)
    plain, _ = play(model, temperature=0, max_tokens=40)
    asked, wanted, alert = 0, True, Interrupted()

    def is_wanted() -> bool:
        nonlocal asked
        asked += 1
        return wanted

    role._voice.heed(is_wanted, token_s, alert)
    prompt = "calm dawn few many restless night " * 12
    # When others say something all the time, then the answer is the same, and little was done twice
    whole = answer(role, prompt)
    assert asked > 0 and whole == answer(plain, prompt)
    assert bool(alert.listened) == bool(token_s) and alert.listened <= 1 + (len(role._voice.tokens(prompt)) // 32 + 1 + 40) // CALM
    # When it is not wanted, then nothing more is said
    wanted = False
    role._voice._calm = 0
    assert answer(role, "longing " * 80) == []
    # And the next answer is what it would have been
    wanted = True
    assert answer(role, prompt) == whole
