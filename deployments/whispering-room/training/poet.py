"""Train poet.gguf: a small Llama that writes one sentence from three tags.

The network is trained in llama.cpp's own conventions (rotary pairs side by side, grouped keys and values), so that its weights are
written to GGUF as they are, with no permutation to get wrong. Decided against: fine-tuning a larger model (its data could not be
licensed with the piece, and a shelf computer should answer in a tenth of a second).

    python poet.py --out ../models/poet.gguf      10 to 25 minutes on one core
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import lines
from bpe import Bpe, learn

WIDE, LAYERS, HEADS, KEYS, FORWARD, CONTEXT, VOCABULARY = 192, 5, 6, 2, 512, 256, 1024
HEAD = WIDE // HEADS
EPS, BASE = 1e-5, 10000.0


class Block(nn.Module):
    """Attention with `KEYS` shared key heads and rotary positions, then a gated feed-forward; both normed before."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_norm, self.ffn_norm = nn.RMSNorm(WIDE, EPS), nn.RMSNorm(WIDE, EPS)
        self.attn_q, self.attn_output = nn.Linear(WIDE, WIDE, False), nn.Linear(WIDE, WIDE, False)
        self.attn_k, self.attn_v = nn.Linear(WIDE, KEYS * HEAD, False), nn.Linear(WIDE, KEYS * HEAD, False)
        self.ffn_gate, self.ffn_up = nn.Linear(WIDE, FORWARD, False), nn.Linear(WIDE, FORWARD, False)
        self.ffn_down = nn.Linear(FORWARD, WIDE, False)

    def forward(self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        n, length, _ = x.shape
        h = self.attn_norm(x)
        q = _rotate(self.attn_q(h).view(n, length, HEADS, HEAD).transpose(1, 2), turn)
        k = _rotate(self.attn_k(h).view(n, length, KEYS, HEAD).transpose(1, 2), turn)
        v = self.attn_v(h).view(n, length, KEYS, HEAD).transpose(1, 2)
        share = HEADS // KEYS
        mixed = F.scaled_dot_product_attention(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(n, length, WIDE))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Poet(nn.Module):
    """Token ids [n, length] -> logits [n, length, vocabulary]."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token_embd = nn.Embedding(vocabulary, WIDE)
        self.blk = nn.ModuleList(Block() for _ in range(LAYERS))
        self.output_norm = nn.RMSNorm(WIDE, EPS)
        self.output = nn.Linear(WIDE, vocabulary, False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blk:
            nn.init.normal_(block.attn_output.weight, std=0.02 / math.sqrt(2 * LAYERS))
            nn.init.normal_(block.ffn_down.weight, std=0.02 / math.sqrt(2 * LAYERS))
        angles = torch.arange(CONTEXT)[:, None] * BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        turn = (self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, turn)
        return self.output(self.output_norm(x))


def _rotate(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair (2i, 2i+1) by its position: llama.cpp's order for the llama architecture."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = turn
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def lesson_ids(bpe: Bpe, lesson: str) -> tuple[list[int], int]:
    """Ids of one lesson and where the sentence begins.

    The prompt ends in a space, tokenized apart from the sentence: so does llama.cpp, which is given the prompt alone.
    """
    tags, sentence = lesson.split(" | ", 1)
    head = [0, *bpe.encode(tags + " | ")]
    return [*head, *bpe.encode(sentence), 1], len(head)


def batches(lessons: list[tuple[list[int], int]], size: int, rng: random.Random) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch in random order, lessons of like length together; targets are -100 on the tags and past the end."""
    order = sorted(range(len(lessons)), key=lambda i: len(lessons[i][0]) + rng.random() * 4)
    out = []
    for start in range(0, len(order) - size + 1, size):
        chosen = [lessons[i] for i in order[start : start + size]]
        longest = max(len(ids) for ids, _ in chosen)
        ids = torch.full((size, longest), 1)
        targets = torch.full((size, longest), -100)
        for row, (lesson, begins) in enumerate(chosen):
            ids[row, : len(lesson)] = torch.tensor(lesson)
            first = begins - 1  # the prompt's last space is learnt too, so that a prompt stripped of it still gets a sentence
            targets[row, first - 1 : len(lesson) - 1] = torch.tensor(lesson[first:])
        out.append((ids[:, :-1], targets[:, :-1]))
    rng.shuffle(out)
    return out


def train(lessons: list[tuple[list[int], int]], vocabulary: int, epochs: int, rate: float = 3e-3, batch: int = 48) -> Poet:
    """Fit for `epochs`: AdamW, warm-up, cosine to a twentieth. One thread, fixed seed."""
    rng, poet = random.Random(7), Poet(vocabulary)
    optimiser = torch.optim.AdamW(poet.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    total, step, began = epochs * (len(lessons) // batch), 0, time.monotonic()
    for epoch in range(epochs):
        losses = []
        for ids, targets in batches(lessons, batch, rng):
            warm = min(1.0, (step + 1) / 100)
            for group in optimiser.param_groups:
                group["lr"] = rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / total)))
            loss = F.cross_entropy(poet(ids).flatten(0, 1), targets.flatten())
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(poet.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            step += 1
            if step % 100 == 0:
                print(
                    f"epoch {epoch + 1} step {step}/{total} loss {np.mean(losses[-100:]):.3f} after {time.monotonic() - began:.0f} s",
                    flush=True,
                )
    return poet.eval()


def export(poet: Poet, bpe: Bpe, path: Path) -> None:
    """Write GGUF, q8_0 but for the norms. Every key is one that llama.cpp asks for or would silently guess."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Roomful poet")
    writer.add_author("Roomful project")
    writer.add_license("CC-BY-4.0")
    writer.add_description("Writes one sentence for a room from three tags: 'calm dawn few | '. Raw completion, no chat.")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDE)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(BASE)
    writer.add_vocab_size(len(bpe.tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(bpe.tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(bpe.tokens) - 2))
    writer.add_token_merges([f"{a} {b}" for a, b in bpe.merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    eight = gguf.GGMLQuantizationType.Q8_0
    for name, weight in poet.state_dict().items():
        values = weight.float().numpy()
        if values.ndim == 2:
            writer.add_tensor(name, gguf.quants.quantize(values, eight), raw_dtype=eight)
        else:
            writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Generate the lessons, learn the tokens, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "models" / "poet.gguf")
    parser.add_argument("--lessons", type=int, default=26000)
    parser.add_argument("--epochs", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    corpus = lines.corpus(chosen.lessons, seed=3)
    print(f"{len(corpus)} lessons, {sum(map(len, corpus)) / 1e6:.2f} MB", flush=True)
    bpe = learn([part for lesson in corpus for part in lesson.split(" | ", 1)], VOCABULARY)
    lessons = [lesson_ids(bpe, lesson) for lesson in corpus]
    print(f"{len(bpe.tokens)} tokens, {np.mean([len(ids) for ids, _ in lessons]):.1f} to a lesson", flush=True)
    poet = train(lessons, len(bpe.tokens), chosen.epochs)
    print(f"parameters: {sum(p.numel() for p in poet.parameters())}")
    export(poet, bpe, chosen.out)
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
