"""Models small enough to make in a test: a GGUF of random weights, ONNX graphs of a few nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from onnx import TensorProto, helper


def _byte_letters() -> list[str]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for more, byte in enumerate(byte for byte in range(256) if byte not in letters):
        letters[byte] = chr(256 + more)
    return [letters[byte] for byte in range(256)]


def write_gguf(
    path: Path, *, seed: int = 1, context: int = 128, merges: Sequence[str] = (), sharpness: float = 4.0, chat_template: str | None = None,
    end: bool = False,
) -> Path:
    """A one-layer Llama of 64 wide with random weights and a byte-level vocabulary; what it says is nonsense, and always the same."""
    rng = np.random.default_rng(seed)
    letters = _byte_letters()
    words = [*letters, *("".join(merge.split(" ")) for merge in merges), "<s>", "</s>"]
    wide, hidden, heads = 64, 96, 4
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_context_length(context)
    out.add_embedding_length(wide)
    out.add_block_count(1)
    out.add_feed_forward_length(hidden)
    out.add_head_count(heads)
    out.add_head_count_kv(heads)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(wide // heads)
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(words)
    out.add_token_types([1] * (len(words) - 2) + [3, 3])
    out.add_token_merges([*merges] or ["a b"])
    out.add_bos_token_id(len(words) - 2)
    out.add_eos_token_id(len(words) - 1)
    out.add_add_bos_token(True)
    if end:
        out.add_add_eos_token(True)
    if chat_template is not None:
        out.add_chat_template(chat_template)

    def tensor(name: str, *shape: int, scale: float = 0.3) -> None:
        out.add_tensor(name, (rng.standard_normal(shape) * scale).astype(np.float32))

    tensor("token_embd.weight", len(words), wide, scale=1.0)
    out.add_tensor("output_norm.weight", np.ones(wide, np.float32))
    tensor("output.weight", len(words), wide, scale=sharpness / wide**0.5)
    for name in ("attn_norm", "ffn_norm"):
        out.add_tensor(f"blk.0.{name}.weight", np.ones(wide, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensor(f"blk.0.{name}.weight", wide, wide)
    tensor("blk.0.ffn_gate.weight", hidden, wide)
    tensor("blk.0.ffn_up.weight", hidden, wide)
    tensor("blk.0.ffn_down.weight", wide, hidden)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def write_onnx(
    path: Path,
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    nodes: list[Any],
    constants: dict[str, np.ndarray] | None = None,
    metadata: dict[str, str] | None = None,
    domains: dict[str, int] | None = None,
) -> Path:
    """A graph from its parts: {name: (element type, shape)}, nodes by `node`, constants by name; `domains` are further sets of
    operators, with their versions."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid(name, version) for name, version in {"": 17, **(domains or {})}.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    """One node of a graph."""
    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
