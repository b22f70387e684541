"""GGUF models of other families than `small_models`' Llama: other layers, other vocabularies; and adapters for them. Random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

from tests.roles.small_models import _byte_letters

WIDE, HIDDEN, HEADS = 64, 96, 4
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|over|>\n{% endfor %}<|assistant|>\n"


class _Writer:
    def __init__(self, path: Path, family: str, seed: int, context: int) -> None:
        self.path, self.family = path, family
        self.rng = np.random.default_rng(seed)
        self.out = gguf.GGUFWriter(str(path), family)
        self.out.add_context_length(context)
        self.out.add_embedding_length(WIDE)
        self.out.add_block_count(1)
        self.out.add_feed_forward_length(HIDDEN)
        self.out.add_head_count(HEADS)
        self.out.add_head_count_kv(HEADS)

    def tensor(self, name: str, *shape: int, scale: float = 0.3) -> None:
        self.out.add_tensor(name, (self.rng.standard_normal(shape) * scale).astype(np.float32))

    def ones(self, *names: str) -> None:
        for name in names:
            self.out.add_tensor(f"{name}.weight", np.ones(WIDE, np.float32))

    def zeros(self, size: int, *names: str) -> None:
        for name in names:
            self.out.add_tensor(f"{name}.bias", np.zeros(size, np.float32))

    def close(self) -> Path:
        self.out.write_header_to_file()
        self.out.write_kv_data_to_file()
        self.out.write_tensors_to_file()
        self.out.close()
        return self.path

    def byte_words(self, *marks: str) -> int:
        words = [*_byte_letters(), "th", "he", *marks]
        self.out.add_tokenizer_model("gpt2")
        self.out.add_tokenizer_pre("gpt-2")
        self.out.add_token_list(words)
        self.out.add_token_types([1] * (len(words) - len(marks)) + [3] * len(marks))
        self.out.add_token_merges(["t h", "h e"])
        self.out.add_eos_token_id(len(words) - 1)
        return len(words)

    def sentence_words(self, *marks: str) -> int:
        """A SentencePiece vocabulary: marks, one token for each byte, and words with their blank before them."""
        plain = ["▁", *map(chr, range(33, 127)), "▁the", "▁a", "ing", "▁room", "▁light", "é"]
        words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *plain, *marks]
        self.out.add_tokenizer_model("llama")
        self.out.add_tokenizer_pre("default")
        self.out.add_token_list(words)
        self.out.add_token_scores([0.0] * 259 + [-float(at) for at in range(len(plain) + len(marks))])
        self.out.add_token_types([2, 3, 3] + [6] * 256 + [1] * len(plain) + [3] * len(marks))
        self.out.add_bos_token_id(1)
        self.out.add_eos_token_id(2)
        self.out.add_unk_token_id(0)
        self.out.add_add_bos_token(True)
        self.out.add_add_space_prefix(True)
        return len(words)

    def attention(self, *, bias: bool = False) -> None:
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            self.tensor(f"blk.0.{name}.weight", WIDE, WIDE)
        if bias:
            self.zeros(WIDE, "blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v")

    def feed_forward(self, *, gate: bool = True) -> None:
        for name in ("ffn_gate", "ffn_up") if gate else ("ffn_up",):
            self.tensor(f"blk.0.{name}.weight", HIDDEN, WIDE)
        self.tensor("blk.0.ffn_down.weight", WIDE, HIDDEN)


def llama_of_sentence_pieces(path: Path, context: int = 256) -> Path:
    """As most Llama 2 and Mistral files are: SentencePiece, a beginning mark, a blank before the first word."""
    it = _Writer(path, "llama", 2, context)
    it.out.add_layer_norm_rms_eps(1e-5)
    it.out.add_rope_dimension_count(WIDE // HEADS)
    words = it.sentence_words()
    it.out.add_vocab_size(words)
    it.tensor("token_embd.weight", words, WIDE, scale=1.0)
    it.ones("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    it.tensor("output.weight", words, WIDE, scale=0.5)
    it.attention()
    it.feed_forward()
    return it.close()


def qwen(path: Path, context: int = 256) -> Path:
    """As Qwen 2: biases in the attention, no beginning mark, a chat template with marks of its own, tied output."""
    it = _Writer(path, "qwen2", 3, context)
    it.out.add_layer_norm_rms_eps(1e-6)
    it.out.add_rope_freq_base(1e6)
    words = it.byte_words("<|user|>", "<|system|>", "<|assistant|>", "<|endoftext|>")
    it.out.add_add_bos_token(False)
    it.out.add_chat_template(CHAT)
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    it.attention(bias=True)
    it.feed_forward()
    return it.close()


def gpt2(path: Path, context: int = 128) -> Path:
    """As GPT-2: learnt positions, one tensor for queries, keys and values, layer norms with biases."""
    it = _Writer(path, "gpt2", 4, context)
    it.out.add_layer_norm_eps(1e-5)
    words = it.byte_words("<|endoftext|>")
    it.out.add_bos_token_id(words - 1)
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.tensor("position_embd.weight", context, WIDE, scale=0.2)
    it.ones("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    it.zeros(WIDE, "output_norm", "blk.0.attn_norm", "blk.0.ffn_norm", "blk.0.attn_output", "blk.0.ffn_down")
    it.zeros(HIDDEN, "blk.0.ffn_up")
    it.tensor("blk.0.attn_qkv.weight", 3 * WIDE, WIDE)
    it.zeros(3 * WIDE, "blk.0.attn_qkv")
    it.tensor("blk.0.attn_output.weight", WIDE, WIDE)
    it.feed_forward(gate=False)
    return it.close()


def gemma2(path: Path, context: int = 256) -> Path:
    """As Gemma 2: norms behind as before each part, scores held down, attention that sees a window in every second layer, a template that
    refuses a system's words and writes the beginning mark itself."""
    it = _Writer(path, "gemma2", 7, context)
    it.out.add_layer_norm_rms_eps(1e-6)
    it.out.add_key_length(WIDE // HEADS)
    it.out.add_value_length(WIDE // HEADS)
    it.out.add_attn_logit_softcapping(50.0)
    it.out.add_final_logit_softcapping(30.0)
    it.out.add_sliding_window(48)
    it.out.add_chat_template(GEMMA)
    words = it.sentence_words("<start_of_turn>", "<end_of_turn>")
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", *(f"blk.0.{name}" for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")))
    it.attention()
    it.feed_forward()
    return it.close()


def qwen3(path: Path, context: int = 256) -> Path:
    """As Qwen 3: norms for queries and keys, no biases."""
    it = _Writer(path, "qwen3", 8, context)
    it.out.add_layer_norm_rms_eps(1e-6)
    it.out.add_key_length(WIDE // HEADS)
    it.out.add_value_length(WIDE // HEADS)
    words = it.byte_words("<|user|>", "<|system|>", "<|assistant|>", "<|endoftext|>")
    it.out.add_add_bos_token(False)
    it.out.add_chat_template(CHAT)
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    for name in ("attn_q_norm", "attn_k_norm"):
        it.out.add_tensor(f"blk.0.{name}.weight", np.ones(WIDE // HEADS, np.float32))
    it.attention()
    it.feed_forward()
    return it.close()


def phi3(path: Path, context: int = 256) -> Path:
    """As Phi 3: queries, keys and values in one tensor, gate and way up in one, a window, an end of turn that is no end of text."""
    it = _Writer(path, "phi3", 9, context)
    it.out.add_layer_norm_rms_eps(1e-5)
    it.out.add_rope_dimension_count(WIDE // HEADS)
    it.out.add_sliding_window(48)
    it.out.add_rope_scaling_orig_ctx_len(context)
    it.out.add_chat_template(PHI)
    words = it.sentence_words("<|user|>", "<|assistant|>", "<|over|>")
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    it.tensor("output.weight", words, WIDE, scale=0.5)
    it.tensor("blk.0.attn_qkv.weight", 3 * WIDE, WIDE)
    it.tensor("blk.0.attn_output.weight", WIDE, WIDE)
    it.tensor("blk.0.ffn_up.weight", 2 * HIDDEN, WIDE)
    it.tensor("blk.0.ffn_down.weight", WIDE, HIDDEN)
    return it.close()


def phi2(path: Path, context: int = 256) -> Path:
    """As Phi 2: attention and feed-forward side by side after one norm with a bias, a bias on the way out."""
    it = _Writer(path, "phi2", 10, context)
    it.out.add_layer_norm_eps(1e-5)
    it.out.add_rope_dimension_count(8)
    words = it.byte_words("<|endoftext|>")
    it.out.add_add_bos_token(False)
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", "blk.0.attn_norm")
    it.zeros(WIDE, "output_norm", "blk.0.attn_norm", "blk.0.attn_output", "blk.0.ffn_down")
    it.zeros(HIDDEN, "blk.0.ffn_up")
    it.zeros(words, "output")
    it.tensor("output.weight", words, WIDE, scale=0.5)
    it.attention(bias=True)
    it.feed_forward(gate=False)
    return it.close()


def mamba(path: Path, context: int = 256) -> Path:
    """A model with a state in place of a cache: it cannot forget its last tokens alone."""
    it = _Writer(path, "mamba", 5, context)
    inner, state, rank, kernel = 2 * WIDE, 8, 4, 4
    it.out.add_layer_norm_rms_eps(1e-5)
    it.out.add_ssm_conv_kernel(kernel)
    it.out.add_ssm_inner_size(inner)
    it.out.add_ssm_state_size(state)
    it.out.add_ssm_time_step_rank(rank)
    words = it.byte_words("<|endoftext|>")
    it.tensor("token_embd.weight", words, WIDE, scale=0.7)
    it.ones("output_norm", "blk.0.attn_norm")
    it.tensor("blk.0.ssm_in.weight", 2 * inner, WIDE)
    it.tensor("blk.0.ssm_conv1d.weight", inner, kernel)
    it.out.add_tensor("blk.0.ssm_conv1d.bias", np.zeros(inner, np.float32))
    it.tensor("blk.0.ssm_x.weight", rank + 2 * state, inner, scale=0.1)
    it.tensor("blk.0.ssm_dt.weight", inner, rank, scale=0.1)
    it.out.add_tensor("blk.0.ssm_dt.bias", np.full(inner, -2.0, np.float32))
    it.out.add_tensor("blk.0.ssm_a", -np.ones((inner, state), np.float32))
    it.out.add_tensor("blk.0.ssm_d", np.ones(inner, np.float32))
    it.tensor("blk.0.ssm_out.weight", WIDE, inner)
    return it.close()


def bert(path: Path, context: int = 64) -> Path:
    """As the models for embeddings are: sees the whole text at once, says nothing. WordPiece of a few words."""
    it = _Writer(path, "bert", 6, context)
    it.out.add_layer_norm_eps(1e-12)
    it.out.add_causal_attention(False)
    it.out.add_pooling_type(gguf.PoolingType.MEAN)
    plain = ["▁the", "▁room", "▁is", "▁full", "▁empty", "▁light", *(f"▁{chr(c)}" for c in range(97, 123)), *map(chr, range(97, 123))]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *plain]
    it.out.add_tokenizer_model("bert")
    it.out.add_token_list(words)
    it.out.add_token_types([3, 2, 3, 3] + [1] * len(plain))
    it.out.add_token_type_count(2)
    it.out.add_bos_token_id(2)
    it.out.add_eos_token_id(3)
    it.out.add_unk_token_id(1)
    it.out.add_sep_token_id(3)
    it.out.add_pad_token_id(0)
    it.tensor("token_embd.weight", len(words), WIDE, scale=0.7)
    it.tensor("position_embd.weight", context, WIDE, scale=0.1)
    it.tensor("token_types.weight", 2, WIDE, scale=0.1)
    it.ones("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm")
    it.zeros(WIDE, "token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm", "blk.0.attn_output", "blk.0.ffn_down")
    it.zeros(HIDDEN, "blk.0.ffn_up")
    it.attention(bias=True)
    it.feed_forward(gate=False)
    return it.close()


def lora(path: Path, *, seed: int = 1, rank: int = 4, scale: float = 0.4) -> Path:
    """An adapter for `small_models.write_gguf`: its queries and its way out are bent."""
    rng = np.random.default_rng(seed)
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_type("adapter")
    out.add_string("adapter.type", "lora")
    out.add_float32("adapter.lora.alpha", float(rank))
    for name, rows, columns in (("blk.0.attn_q.weight", WIDE, WIDE), ("blk.0.ffn_down.weight", WIDE, HIDDEN)):
        out.add_tensor(f"{name}.lora_a", (rng.standard_normal((rank, columns)) * scale).astype(np.float32))
        out.add_tensor(f"{name}.lora_b", (rng.standard_normal((rows, rank)) * scale).astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


SPEAKERS: dict[str, Callable[[Path], Path]] = {"sentence pieces": llama_of_sentence_pieces, "qwen": qwen, "gpt2": gpt2, "mamba": mamba,
                                             "gemma2": gemma2, "qwen3": qwen3, "phi3": phi3, "phi2": phi2}  # fmt: skip
