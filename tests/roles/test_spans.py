"""Places in a text: names, answers, words that are left out; and the files that tokenizers come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from mesh.errors import RoleError
from roles.inference.onnx import Onnx
from roles.inference.tokens import longest, opened, padded_to
from tests.roles.public_models import play
from tests.roles.small_models import FLOAT, INT64, node, write_onnx

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "anna", "smith", "lives", "in", "ber", "##lin", "who", "and", "."]
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def told(word: str) -> np.ndarray:
    """Logits of the labels for a word of the vocabulary."""
    kinds = {"anna": {1: 6.0}, "smith": {2: 5.0}, "ber": {3: 4.0, 4: 1.0}, "##lin": {4: 2.0, 2: 3.0}}
    row = np.zeros(len(LABELS), np.float32)
    row[0] = 3.0
    for label, logit in kinds.get(word, {}).items():
        row[label], row[0] = logit, 0.0
    return row


def of_tokens(path: Path, tables: dict[str, np.ndarray], batch: int | str = "batch") -> Path:
    """A model that gives for each token its row (or number) of a table: {output: table}."""
    (path.parent / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    entry = (INT64, [batch, "length"])
    nodes = [node("Mul", ["input_ids", "attention_mask"], ["held"])]
    nodes += [node("Gather", [f"{name}_table", "held"], [name]) for name in tables]
    outputs = {name: (FLOAT, [batch, "length", *table.shape[1:]]) for name, table in tables.items()}
    constants = {f"{name}_table": table.astype(np.float32) for name, table in tables.items()}
    return write_onnx(path, {"input_ids": entry, "attention_mask": entry}, outputs, nodes, constants)


def names(path: Path, **more: Any) -> Path:
    (path.parent / "config.json").write_text(json.dumps({"id2label": dict(enumerate(LABELS))}))
    return of_tokens(path, {"logits": np.stack([told(word) for word in WORDS])}, **more)


def share(logits: np.ndarray, label: int) -> float:
    return float(np.exp(logits[label]) / np.exp(logits).sum())


def test_names_are_found_where_they_stand(tmp_path: Path) -> None:
    model = names(tmp_path / "m.onnx")
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "spans"}
    _, stage = play(model, "Anna Smith lives in Berlin.", to="text", decode="spans", grouping="first")
    anna, berlin = stage.values("found")[0]["spans"]
    right = (share(told("anna"), 1) + share(told("smith"), 2)) / 2
    assert anna == {"label": "PER", "score": pytest.approx(right, abs=1e-4), "text": "Anna Smith", "start": 0, "end": 10}
    assert (berlin["label"], berlin["text"], berlin["start"], berlin["end"]) == ("LOC", "Berlin", 20, 26)
    assert stage.values("text") == ["Anna Smith\nBerlin"]


@pytest.mark.parametrize(
    ("grouping", "found"),
    [
        ("simple", [("LOC", "Ber", share(told("ber"), 3)), ("PER", "lin", share(told("##lin"), 2))]),
        ("none", [("B-LOC", "Ber", share(told("ber"), 3)), ("I-PER", "lin", share(told("##lin"), 2))]),
        ("first", [("LOC", "Berlin", share(told("ber"), 3))]),
        ("max", [("LOC", "Berlin", share(told("ber"), 3))]),
        ("average", [("LOC", "Berlin", (share(told("ber"), 3) + share(told("##lin"), 3)) / 2)]),
    ],
)
def test_a_word_of_two_minds_is_made_one_as_asked(tmp_path: Path, grouping: str, found: list[tuple[str, str, float]]) -> None:
    _, stage = play(names(tmp_path / "m.onnx"), "Berlin", to="text", decode="spans", grouping=grouping)
    spans = stage.values("found")[0]["spans"]
    assert [(span["label"], span["text"]) for span in spans] == [each[:2] for each in found]
    assert [span["score"] for span in spans] == pytest.approx([each[2] for each in found], abs=1e-4)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_text_longer_than_the_model_is_read_in_windows(tmp_path: Path, batch: int | str) -> None:
    # Given a text of some hundred tokens, for a model of 16, which may take one row at a time
    text = "lives in . " * 30 + "Anna Smith and " + "in . " * 20 + "Berlin"
    _, stage = play(names(tmp_path / "m.onnx", batch=batch), text, to="text", decode="spans", grouping="first", tokens_max=16)
    # Then each name is found once, wherever a window ends
    spans = stage.values("found")[0]["spans"]
    assert [(span["text"], text[span["start"] : span["end"]]) for span in spans] == [("Anna Smith",) * 2, ("Berlin",) * 2]


def answers(path: Path) -> Path:
    """An answer begins where it says anna, ends at smith, and most likely with the question's own words, which do not count."""
    begin, end = np.full(len(WORDS), -4.0), np.full(len(WORDS), -4.0)
    begin[[WORDS.index(word) for word in ("anna", "who")]] = 4.0, 9.0
    end[[WORDS.index(word) for word in ("smith", "who", "ber")]] = 4.0, 9.0, 3.0
    return of_tokens(path, {"start_logits": begin, "end_logits": end})


def test_an_answer_is_looked_for_in_what_comes_or_in_what_is_given(tmp_path: Path) -> None:
    model = answers(tmp_path / "m.onnx")
    text = "In . Anna Smith lives in Berlin."
    _, stage = play(model, text, to="text", decode="answer", first="Who lives in Berlin")
    found = stage.values("found")[0]
    assert (found["text"], found["start"], found["end"]) == ("Anna Smith", 5, 15) and stage.values("text") == ["Anna Smith"]
    # tokens of the text: in . anna smith lives in ber ##lin . (the two sums are over these nine)
    right = np.exp(4) / (np.exp(4) + 8 * np.exp(-4)) * np.exp(4) / (np.exp(4) + np.exp(3) + 7 * np.exp(-4))
    assert found["score"] == pytest.approx(right, abs=1e-4)
    _, stage = play(model, "Who lives in Berlin", to="text", decode="answer", second=text)
    assert stage.values("found")[0] == found
    assert Onnx.inspect_model(model)["fits"][0]["options"]["decode"] == "answer"
    with pytest.raises(RoleError, match="question"):
        play(model, text, to="text", decode="answer")


def test_an_answer_ends_with_a_whole_word_and_is_found_in_a_long_text(tmp_path: Path) -> None:
    begin, end = (np.where(np.array(WORDS) == "ber", 5.0, -5.0) for _ in range(2))
    model = of_tokens(tmp_path / "m.onnx", {"start_logits": begin, "end_logits": end})
    text = "in . lives " * 40 + "in Berlin and " + "in . " * 30
    _, stage = play(model, text, to="text", decode="answer", first="who " * 60, tokens_max=32)
    assert stage.values("found")[0]["text"] == "Berlin"


def test_a_word_that_is_left_out_is_filled_in(tmp_path: Path) -> None:
    table = np.zeros((len(WORDS), len(WORDS)))
    table[WORDS.index("[MASK]"), WORDS.index("smith")], table[WORDS.index("[MASK]"), WORDS.index("in")] = 5.0, 4.0
    model = of_tokens(tmp_path / "m.onnx", {"logits": table})
    _, stage = play(model, "Anna [MASK] lives", "Anna lives", to="text", decode="words")
    found, none = stage.values("found")
    first, second = found["words"][0][:2]
    assert found["text"] == "Anna smith lives" and (first["word"], second["word"]) == ("smith", "in")
    assert first["score"] == pytest.approx(share(table[4], WORDS.index("smith")), abs=1e-4)
    assert none == {"text": "Anna lives", "words": []} and stage.values("text") == ["Anna smith lives"]


def test_what_is_asked_of_texts_is_refused_where_none_are_read(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "m.onnx", {"x": (FLOAT, [1, 4])}, {"y": (FLOAT, [1, 4])}, [node("Neg", ["x"], ["y"])], {})
    with pytest.raises(RoleError, match="read texts"):
        play(model, decode="spans")


# ---- what lies beside


def moods(path: Path, kinds: int = 3) -> Path:
    """Logits of a text's kinds: the mean over its tokens of a table's rows."""
    table = np.random.default_rng(5).normal(size=(len(WORDS), kinds)).astype(np.float32) * 3
    (path.parent / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    entry = (INT64, ["batch", "length"])
    nodes = [node("Gather", ["table", "input_ids"], ["rows"]), node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0)]
    return write_onnx(path, {"input_ids": entry}, {"logits": (FLOAT, ["batch", kinds])}, nodes, {"table": table})


def logits_of(path: Path, *texts: str, **options: Any) -> list[list[float]]:
    return [value[0].tolist() for value in play(path, *texts, to="text", decode="raw", **options)[1].values("values")]


def test_scores_of_which_several_may_be_so_do_not_share_one_sum(tmp_path: Path) -> None:
    model = moods(tmp_path / "m.onnx")
    (logits,) = logits_of(model, "anna lives")
    (tmp_path / "config.json").write_text(json.dumps({"problem_type": "multi_label_classification", "id2label": {0: "a", 1: "b", 2: "c"}}))
    found = play(model, "anna lives", to="text")[1].values("found")[0]
    assert list(found["scores"].values()) == pytest.approx([1 / (1 + np.exp(-each)) for each in logits], abs=1e-4)
    (tmp_path / "config.json").write_text(json.dumps({"problem_type": "regression", "id2label": {0: "a", 1: "b", 2: "c"}}))
    assert list(play(model, "anna lives", to="text")[1].values("found")[0]["scores"].values()) == pytest.approx(logits, abs=1e-4)


def test_what_texts_are_put_into_and_each_by_itself(tmp_path: Path) -> None:
    model = moods(tmp_path / "m.onnx")
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}}))
    options: dict[str, Any] = {"texts": ["smith", "berlin"], "texts_as": "lives in {} .", "text_as": "who and {}"}
    assert Onnx.inspect_model(model)["fits"][0]["options"] == {"decode": "classes", "texts": ["joy", "grief"],
                                                               "texts_as": "This example is about {}."}  # fmt: skip
    pairs = [logits_of(model, "who and anna", second=f"lives in {each} .")[0] for each in options["texts"]]
    one = play(model, "anna", to="text", **options)[1].values("found")[0]["scores"]
    powers = np.exp([row[0] for row in pairs])
    assert list(one) == ["smith", "berlin"] and list(one.values()) == pytest.approx(powers / powers.sum(), abs=1e-4)
    each = play(model, "anna", to="text", activation="sigmoid", **options)[1].values("found")[0]["scores"]
    assert list(each.values()) == pytest.approx([1 / (1 + np.exp(row[2] - row[0])) for row in pairs], abs=1e-4)


def test_sentence_transformers_say_which_row_is_the_vector(tmp_path: Path) -> None:
    table = np.random.default_rng(2).normal(size=(len(WORDS), 8))
    model = of_tokens(tmp_path / "m.onnx", {"last_hidden_state": table})
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    _, stage = play(model, "anna lives", to="text", decode="embedding")
    assert np.allclose(stage.values("values")[0], table[2] / np.linalg.norm(table[2]), atol=1e-5)


def test_how_long_a_text_may_be_is_read_from_what_lies_beside(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    assert longest(opened(file), file, None) == 512
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "model_type": "siglip"}))
    assert longest(opened(file), file, None) == 64 and padded_to(opened(file), file) == 64
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}))
    assert longest(opened(file), file, None) == 128
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256}))
    assert longest(opened(file), file, None) == 256 and longest(opened(file), file, 9) == 9


# ---- files of tokenizers


def test_pairs_of_bytes_are_read_from_their_two_files(tmp_path: Path) -> None:
    # Given vocab.json and merges.txt as the library itself writes them
    own = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    own.train_from_iterator(["The lamp in the window is a moth.", "Ünder the lamp 🎉"] * 3, vocab_size=320, special_tokens=special)
    own.save_model(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    read = opened(tmp_path / "vocab.json")
    for text in ("The lamp", " in the  window 🎉🎊", "Üb", "a\nb\tc", "日本"):
        assert read.encode(text).ids == [0, *own.encode(text).ids, 2]
        assert read.encode(text, "moth").ids == [0, *own.encode(text).ids, 2, 2, *own.encode("moth").ids, 2]


def message(number: int, data: bytes | int | float) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(data, float):
        return varint(number << 3 | 5) + np.float32(data).tobytes()
    return varint(number << 3) + varint(data) if isinstance(data, int) else varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def pieces(words: list[tuple[str, float, int]], how: int = 1) -> bytes:
    """A file as SentencePiece writes it: pieces (text, score, kind), how it was trained, and that texts are left as they are."""
    said = b"".join(message(1, message(1, word.encode()) + message(2, score) + message(3, kind)) for word, score, kind in words)
    return said + message(2, message(3, how) + message(40, 0)) + message(3, message(3, 1) + message(4, 1))


OWN = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("▁lamp", -2.0, 1), ("▁", -3.0, 1), ("la", -3.5, 1), ("mp", -3.5, 1),
       ("s", -4.0, 1)]  # fmt: skip


def test_sentencepiece_s_own_file_is_read_for_the_families_that_use_it(tmp_path: Path) -> None:
    file = tmp_path / "sentencepiece.bpe.model"
    file.write_bytes(pieces(OWN))
    # Given XLM-RoBERTa, whose numbers are the file's plus one, with four of its own before
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    read = opened(file)
    assert read.encode("lamps lamp").tokens == ["<s>", "▁lamp", "s", "▁lamp", "</s>"] and read.encode("lamps").ids == [0, 4, 8, 2]
    assert read.encode("lamp", "s").tokens == ["<s>", "▁lamp", "</s>", "</s>", "▁", "s", "</s>"]
    # And T5, which has only an end
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    assert opened(file).encode("lamps x").tokens == ["▁lamp", "s", "▁", "x", "</s>"] and opened(file).encode("lamps x").ids[-2] == 0
    # When nobody says which family it is of, or the file is broken, it is refused rather than guessed
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(RoleError, match=r"save it as tokenizer\.json"):
        opened(file)
    for broken in (b"", b"\xff" * 40, pieces(OWN)[:30]):
        file.write_bytes(broken)
        with pytest.raises(RoleError, match="no tokenizer"):
            opened(file)
