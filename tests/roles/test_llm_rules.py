"""Grammars, adapters, kept prompts and other families of models: what is promised holds for every GGUF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame, Piece
from roles.inference.llm import Llm
from roles.inference.proof import EVERY_S
from tests.roles.small_models import write_gguf
from tests.roles.stage import Recorder, playing
from tests.roles.strange_models import SPEAKERS, bert, lora, qwen

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "wild"]},
        "count": {"type": "integer", "minimum": 3, "maximum": 1205},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 1, "maxItems": 3},
        "note": {"type": "string"},
    },
    "required": ["mood", "words", "note"],
    "additionalProperties": False,
}
FREE: dict[str, Any] = {"temperature": 1.5, "min_p": 0.0, "top_p": 1.0, "top_k": 0}
LONG = "the room is full of light, and the light is full of people who talk about the room, and "


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("models") / "nonsense.gguf", context=256)


@pytest.fixture
def play() -> Iterator[Callable[..., tuple[Any, Recorder]]]:
    with playing(Llm) as played:
        yield played


def pieces(role: Any, prompt: str, request: str = "a:1:1.0") -> list[Piece]:
    return list(role.on_prompt(Frame(prompt, request=request)))


def text(role: Any, prompt: str, request: str = "a:1:1.0") -> str:
    return "".join(piece.value for piece in pieces(role, prompt, request))


def test_json_of_a_schema_parses_however_short_the_answer_must_be(model: Path, play: Any) -> None:
    # Given a model that speaks nonsense as freely as it can, and hardly more room than the shortest answer takes
    role, stage = play(model, json_schema=SCHEMA, max_tokens=45, **FREE)
    # When it is asked again and again
    answers = [json.loads(text(role, "say", str(number))) for number in range(60)]
    # Then each answer is what the schema says, on the stream of values as well, and they differ
    for answer in answers:
        jsonschema.validate(answer, SCHEMA)
    assert stage.values("value") == answers
    assert len({json.dumps(answer) for answer in answers}) > 50


@pytest.mark.parametrize(
    "options", [{"json_schema": SCHEMA, "max_tokens": 45, **FREE}, {"stop": ["a", "=}"], "seed": 9}, {"lora": [{"file": "a.gguf"}]}]
)
def test_an_answer_is_gone_on_with_by_another_copy_wherever_it_stops(model: Path, play: Any, options: dict[str, Any]) -> None:
    lora(model.parent / "a.gguf")
    one, _ = play(model, **options)
    other, _ = play(model, **options, keep=False)
    for request in ("a:1:1.0", "a:1:1.1"):
        whole = pieces(one, LONG, request)
        text(other, "something else", "b:1:1.0")
        for said in (1, len(whole) // 2, len(whole) - 1):
            assert list(other.resume("prompt", Frame(LONG, request=request), tuple(whole[:said]))) == whole[said:]


def test_an_answer_that_breaks_the_grammar_is_not_gone_on_with(model: Path, play: Any) -> None:
    free, _ = play(model)
    bound, _ = play(model, json_schema=SCHEMA)
    with pytest.raises(RoleError) as fault:
        list(bound.resume("prompt", Frame("x", request="a:1:1.0"), tuple(pieces(free, "x")[:3])))
    assert "grammar" in fault.value.what


def test_a_grammar_comes_from_the_options_or_a_file_and_mistakes_are_said_at_once(model: Path, play: Any) -> None:
    (model.parent / "two.gbnf").write_text('root ::= "yes" | "no"\n')
    for grammar in ("two.gbnf", 'root ::= "yes" | "no"'):
        role, _ = play(model, grammar=grammar, **{**FREE, "temperature": 5})
        assert {text(role, "?", str(number)) for number in range(20)} == {"yes", "no"}
    for wrong, word in (("root ::= nothing", "grammar"), ("three.gbnf", "two.gbnf"), ('root ::= "yes" "no"{40}', "max_tokens")):
        with pytest.raises(RoleError) as fault:
            play(model, grammar=wrong, max_tokens=10)
        assert word in f"{fault.value.what} {fault.value.instead}"


def test_an_adapter_changes_what_is_said_by_its_scale_and_none_changes_nothing(model: Path, play: Any) -> None:
    lora(model.parent / "a.gguf")
    lora(model.parent / "b.gguf", seed=2)
    said = {}
    for name, given in {
        "none": [], "silent": [{"file": "a.gguf", "scale": 0}], "whole": [{"file": "a.gguf"}], "half": [{"file": "a.gguf", "scale": 0.5}],
        "named": [{"file": "gothic"}], "two": [{"file": "a.gguf"}, {"file": "b.gguf"}],
    }.items():  # fmt: skip
        role, _ = play(model, lora=given, temperature=0, settings={"models": {"gothic": str(model.parent / "a.gguf")}})
        said[name] = text(role, "hello")
    assert said["none"] == said["silent"] and said["whole"] == said["named"]
    assert len({said["none"], said["whole"], said["half"], said["two"]}) == 4


def test_an_adapter_of_another_model_or_of_nothing_is_refused_in_words(model: Path, play: Any) -> None:
    (model.parent / "other").mkdir(exist_ok=True)
    for name in (model.name, "nowhere.gguf"):
        with pytest.raises(RoleError) as fault:
            play(model, lora=[{"file": name}])
        assert name in fault.value.what and fault.value.instead


@pytest.mark.parametrize("family", SPEAKERS)
def test_models_of_every_family_say_the_same_whether_prompts_are_kept_or_not(tmp_path: Path, play: Any, family: str) -> None:
    file = SPEAKERS[family](tmp_path / "it.gguf")
    kept, _ = play(file, max_tokens=20)
    fresh, _ = play(file, max_tokens=20, keep=False)
    reused = []
    for number in range(8):
        prompt = LONG[: 40 + 5 * number] + str(number)
        assert pieces(kept, prompt, str(number)) == pieces(fresh, prompt, str(number))
        reused.append(kept._voice.reused)
        assert fresh._voice.reused == 0
    assert family == "mamba" or reused[-1] >= 32
    bound, _ = play(file, json_schema=SCHEMA, max_tokens=60)
    for number in range(5):
        jsonschema.validate(json.loads(text(bound, "x", str(number))), SCHEMA)


def test_sums_are_the_same_bit_for_bit_whether_prompts_are_kept_or_not(model: Path, play: Any) -> None:
    roles = [play(model, keep=keep)[0] for keep in (True, False)]
    sums = []
    for role in roles:
        text(role, LONG)
        list(role._voice.generate(role._voice.tokens(LONG + "who?"), (), role._taste, 1, 1))
        sums.append(role._voice._logits().copy())
    assert roles[0]._voice.reused >= 64 and (sums[0] == sums[1]).all()


def test_a_visitor_s_words_are_dropped_before_those_of_the_artist(tmp_path: Path, play: Any) -> None:
    role, stage = play(qwen(tmp_path / "it.gguf"), chat=True, system="Be brief.", context=128, max_tokens=30)
    prompt = role._prompt("word " * 100 + "the end")
    written = b"".join(role._voice._piece(token, special=True) for token in prompt).decode()
    assert written.startswith("<|system|>Be brief.<|user|>word ") and written.endswith("the end<|assistant|>")
    assert len(prompt) <= 98 and any("dropped" in line for line in stage.said)


def test_a_template_without_a_place_for_the_system_s_words_has_them_before_the_visitor_s(tmp_path: Path, play: Any) -> None:
    file = write_gguf(
        tmp_path / "it.gguf",
        chat_template="{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}<{{ messages[0].content }}>",
    )
    role, _ = play(file, chat=True, system="Be brief.")
    assert role._written("hello") == "<Be brief.\n\nhello>"
    (tmp_path / "own.jinja").write_text("[{{ messages[-1].content }}]")
    role, _ = play(file, chat=True, chat_template="own.jinja")
    assert role._written("hello") == "[hello]"
    (tmp_path / "own.jinja").write_text("{% for %}")
    with pytest.raises(RoleError) as fault:
        play(file, chat=True, chat_template="own.jinja")
    assert "chat" in fault.value.where


def test_texts_become_vectors_of_length_one_and_a_reader_says_that_it_does_not_speak(tmp_path: Path, model: Path, play: Any) -> None:
    for file in (bert(tmp_path / "bert.gguf"), model):
        role, stage = play(file)
        for words in ("the room is full", "the room is full", "a light", "a b c " * 200):
            role.on_embed(Frame(words))
        vectors = stage.values("embedding")
        assert all(vector.shape == (64,) and abs(float(np.linalg.norm(vector)) - 1) < 1e-5 for vector in vectors)
        assert (vectors[0] == vectors[1]).all() and float(vectors[0] @ vectors[2]) < 0.99
    reader, _ = play(tmp_path / "bert.gguf")
    with pytest.raises(RoleError) as fault:
        pieces(reader, "hello")
    assert "embed" in fault.value.instead


def test_a_model_that_answers_a_known_question_otherwise_or_too_slowly_is_faulty(model: Path, play: Any, monkeypatch: Any) -> None:
    role, stage = play(model)
    assert role.tick() == EVERY_S and not stage.fault()
    role.tick()
    assert not stage.fault() and stage.fault(later_s=70) != ""
    wrong = [1, 2]
    monkeypatch.setattr(role._proof, "_ask", lambda: wrong)
    role.tick()
    assert "otherwise" in stage.fault()
    slow, stage = play(model)
    times = iter([0.0, 40.0])
    monkeypatch.setattr(slow._proof, "_clock", lambda: next(times))
    slow.tick()
    slow.tick()
    assert "40.0 s" in stage.fault()


def test_a_model_that_fell_back_from_the_graphics_processor_is_faulty(model: Path, tmp_path: Path, play: Any) -> None:
    (tmp_path / "ran-on.json").write_text(json.dumps({"model": "", "where": "the graphics processor"}))
    role, stage = play(model, gpu_layers=-1, state_folder=tmp_path)
    role.tick()
    assert "graphics processor before" in stage.fault()
    (tmp_path / "ran-on.json").write_text("{")
    role, stage = play(model, gpu_layers=-1, state_folder=tmp_path)
    role.tick()
    assert not stage.fault()
