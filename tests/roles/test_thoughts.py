"""Models that think before they answer: what they think is told apart from what they say, however it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.role import Frame
from roles.inference.llm import Llm, ids_of
from roles.inference.thoughts import Thoughts, ended
from tests.roles.small_models import write_gguf
from tests.roles.stage import Recorder, playing

Play = Callable[..., tuple[Any, Recorder]]
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>"
CALM = TURNS + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"  # as Qwen 3's
EAGER = TURNS + "<think>\n{% endif %}"  # as DeepSeek R1's


@pytest.fixture
def play() -> Iterator[Play]:
    with playing(Llm) as played:
        yield played


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>hm, a moth</think>\n\nThe lamp.", "The lamp."),
        ("\n<think>\n</think>The lamp.", "The lamp."),
        ("[THINK]hm[/THINK]The lamp.", "The lamp."),
        ("The lamp. <think>of it</think>", "The lamp. <think>of it</think>"),
        ("<thin", "<thin"),
        ("<thinker> is no mark", "<thinker> is no mark"),
        ("<think>never over", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_what_stands_between_the_marks_at_the_beginning_is_a_thought(text: str, said: str, size: int) -> None:
    thoughts = Thoughts()
    given = "".join([*(thoughts.take(text[at : at + size]) for at in range(0, len(text), size)), thoughts.rest()])
    assert given.strip() == said
    assert thoughts.open == (text == "<think>never over")


def test_thoughts_that_the_prompt_has_begun_end_at_their_mark() -> None:
    thoughts = Thoughts("</think>")
    assert "".join(thoughts.take(part) for part in ("hm <think>", " so </th", "ink>", "\n\nyes")).strip() == "yes"
    assert ended("<assistant><think>\n") == "<assistant><think>\n\n</think>\n\n" and ended("<assistant>") == "<assistant>"


def answer(role: Any, monkeypatch: Any, text: str, so_far: tuple[Any, ...] = ()) -> list[Any]:
    """The pieces of a model that says this and then ends."""
    says = iter([*role._voice.tokens(text)[1:], role._voice._engine.llama_vocab_eos(role._voice._vocabulary)])
    monkeypatch.setattr("roles.inference.voice.draw", lambda *_: next(says))
    frame = Frame("hello", request="a")
    return list(role.resume("prompt", frame, so_far) if so_far else role.on_prompt(frame))


@pytest.mark.parametrize(("thinking", "said"), [("hide", "yes"), ("show", "<think>no. so</think>yes")])
def test_a_stop_word_is_looked_for_in_what_is_said(tmp_path: Path, play: Play, monkeypatch: Any, thinking: str, said: str) -> None:
    stop = ["."] if thinking == "hide" else []
    role, _ = play(write_gguf(tmp_path / "it.gguf"), thinking=thinking, stop=stop, max_tokens=60)
    pieces = answer(role, monkeypatch, "<think>no. so</think>yes" + (". no more" if stop else ""))
    assert "".join(piece.value for piece in pieces).strip() == said


def test_a_sentence_after_thoughts_is_gone_on_with_elsewhere(tmp_path: Path, play: Play, monkeypatch: Any) -> None:
    role, _ = play(write_gguf(tmp_path / "it.gguf"), max_tokens=60)
    pieces = answer(role, monkeypatch, "<think>hm</think>yes, a moth")
    whole = "".join(piece.value for piece in pieces)
    # Then the first piece that is said carries the tokens of the thoughts as well
    assert len(ids_of(pieces[0].mark)) > len(pieces[0].value)
    told = "<think>hm</think>" + "".join(piece.value for piece in pieces[:2])
    rest = answer(role, monkeypatch, "<think>hm</think>yes, a moth"[len(told) :], tuple(pieces[:2]))
    assert "".join(piece.value for piece in [*pieces[:2], *rest]) == whole


def test_an_answer_that_is_all_thought_says_so(tmp_path: Path, play: Play, monkeypatch: Any) -> None:
    role, stage = play(write_gguf(tmp_path / "it.gguf"), max_tokens=8)
    assert answer(role, monkeypatch, "<think>and on and on") == []
    assert any("still thinking" in line for line in stage.said)


@pytest.mark.parametrize("template", [CALM, EAGER])
def test_a_model_is_told_not_to_think_where_nobody_wants_it(tmp_path: Path, play: Play, template: str, monkeypatch: Any) -> None:
    file = write_gguf(tmp_path / "it.gguf", chat_template=template)
    quiet, _ = play(file, chat=True, thinking="off")
    assert quiet._written("hello").endswith("<assistant><think>\n\n</think>\n\n")
    # And under a schema, whose words begin at once
    obedient, _ = play(file, chat=True, json_schema={"enum": ["moth"]}, max_tokens=12)
    assert obedient._written("hello").endswith("</think>\n\n")
    assert "".join(piece.value for piece in obedient.on_prompt(Frame("hello", request="a"))) == '"moth"'
    # Else it thinks, and what its prompt has begun is left out
    free, _ = play(file, chat=True, max_tokens=60)
    begun = template is EAGER
    pieces = answer(free, monkeypatch, "hm</think>yes" if begun else "<think>hm</think>yes")
    assert "".join(piece.value for piece in pieces).strip() == "yes"
