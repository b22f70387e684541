"""Train presence.onnx: how many people are in the picture, and where.

A small network makes a coarse map of presence first and counts on that map, so that the count and the place agree and the map can be
supervised by the renderer's truth. Decided against: a detector with boxes (the artwork asks for four words, not for persons) and a
larger pretrained network (its data could not be licensed with the piece).

    python presence.py --out ../models/presence.onnx      half an hour to an hour on one core
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import rooms

HIGH, WIDE = 72, 96
GRID = (9, 12)  # the map of presence: one cell is 8 by 8 pixels
CACHE = Path(tempfile.gettempdir()) / "roomful-training"


class Presence(nn.Module):
    """`image` float32 [n, 1, 72, 96] in 0..1 -> `count` [n, 4] logits of `rooms.LABELS`, `place` [n, 2] mean x, y in 0..1, and the map."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(1, 16, 5, 2), (16, 32, 3, 2), (32, 48, 3, 1), (48, 64, 3, 2), (64, 80, 3, 1), (80, 80, 3, 1)]
        layers: list[nn.Module] = []
        for inner, outer, kernel, stride in widths:
            layers += [nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.map = nn.Conv2d(80, 1, 1)
        self.head = nn.Sequential(nn.Linear(80 * 2 + 3, 64), nn.ReLU(), nn.Linear(64, 4))
        ys, xs = torch.meshgrid((torch.arange(GRID[0]) + 0.5) / GRID[0], (torch.arange(GRID[1]) + 0.5) / GRID[1], indexing="ij")
        self.register_buffer("xs", xs.reshape(-1), persistent=False)
        self.register_buffer("ys", ys.reshape(-1), persistent=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean = image.mean((2, 3), keepdim=True)
        spread = ((image - mean) ** 2).mean((2, 3), keepdim=True).sqrt() + 0.02
        features = self.body((image - mean) / spread)  # exposure and contrast of the camera do not matter
        presence = F.softplus(self.map(features) - 3).flatten(1)
        total = presence.sum(1, keepdim=True)
        flat = features.flatten(2)
        count = self.head(torch.cat([flat.mean(2), flat.amax(2), total, torch.log(total + 0.1), presence.amax(1, keepdim=True)], 1))
        x = ((presence * self.xs).sum(1, keepdim=True) + 0.01) / (total + 0.02)
        y = ((presence * self.ys).sum(1, keepdim=True) + 0.01) / (total + 0.02)
        return count, torch.cat([x, y], 1), presence


class Exported(nn.Module):
    """What the artwork runs: the network without its map, asked of the picture and of its mirror image, and the two answers averaged."""

    def __init__(self, network: Presence) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count, place, _ = self.network(image)
        mirrored, elsewhere, _ = self.network(image.flip(3))
        back = torch.cat([1 - elsewhere[:, :1], elsewhere[:, 1:]], 1)
        return (count + mirrored) / 2, (place + back) / 2


def render(seed: int, number: int, strict: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`number` pictures from `seed`: images uint8 [n, 72, 96], labels [n], places [n, 2], maps [n, 108].

    `strict` asks those who are only half seen to leave the room before the picture is taken.
    """
    rng = np.random.default_rng(seed)
    images, labels, places, maps = [], [], [], []
    for index in range(number):
        if index % 4 == 0:
            room = rooms.furnish(rng)
            empty = rooms.paint(room, 144)
        wanted = [0, 1, int(rng.integers(2, 5)), int(rng.integers(5, 11))][int(rng.integers(4))]
        visitors = rooms.gather(rng, room, wanted)
        picture, truth, _ = rooms.populate(room, empty, visitors)
        while strict and truth.half_seen:
            visitors = [v for i, v in enumerate(visitors) if i not in truth.half_seen]
            picture, truth, _ = rooms.populate(room, empty, visitors)
        images.append(rooms.photograph(rng, picture))
        labels.append(truth.label)
        places.append(np.mean(truth.places, 0) if truth.places else (0.5, 0.5))
        maps.append(_map(truth.places))
    return np.stack(images), np.array(labels), np.array(places, np.float32), np.stack(maps)


def _map(places: list[tuple[float, float]]) -> np.ndarray:
    ys, xs = np.mgrid[0 : GRID[0], 0 : GRID[1]] + 0.5
    out = np.zeros(GRID, np.float32)
    for x, y in places:
        blob = np.exp(-((xs - x * GRID[1]) ** 2 + (ys - y * GRID[0]) ** 2) / (2 * 0.7**2))
        out += blob / blob.sum()
    return out.reshape(-1)


def cached(name: str, seed: int, number: int, strict: bool = True) -> tuple[torch.Tensor, ...]:
    """`render`, kept in the system's temporary folder: rendering takes as long as training."""
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"{name}-{seed}-{number}.npz"
    if not path.exists():
        began = time.monotonic()
        np.savez(path, *render(seed, number, strict))
        print(f"rendered {number} pictures for {name} in {time.monotonic() - began:.0f} s", flush=True)
    with np.load(path) as kept:
        return tuple(torch.from_numpy(kept[key]) for key in kept.files)


def _augment(image: torch.Tensor, place: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mirror, expose, vary contrast, add noise; mirrored together with the truth."""
    if torch.rand(()) < 0.5:
        image, place = image.flip(3), torch.stack([1 - place[:, 0], place[:, 1]], 1)
        grid = grid.view(-1, *GRID).flip(2).flatten(1)
    n = image.shape[0]
    image = image * (0.8 + 0.4 * torch.rand(n, 1, 1, 1)) + 0.06 * torch.randn(n, 1, 1, 1)
    return (image + 0.02 * torch.rand(n, 1, 1, 1) * torch.randn_like(image)).clamp(0, 1), place, grid


def train(network: Presence, data: tuple[torch.Tensor, ...], epochs: int, rate: float, batch: int = 64) -> Presence:
    """Fit `network` on. One thread, fixed seed: the same weights on the same build of torch."""
    images, labels, places, maps = data
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(network.train().parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    for epoch in range(epochs):
        began, total = time.monotonic(), 0.0
        order = torch.randperm(len(images))
        for k in range(len(images) // batch):
            pick = order[k * batch : (k + 1) * batch]
            image, place, grid = _augment(images[pick][:, None].float() / 255, places[pick], maps[pick])
            count, where, presence = network(image)
            somebody = (labels[pick] > 0).float()[:, None]
            loss = F.cross_entropy(count, labels[pick], label_smoothing=0.02) + 1.5 * F.mse_loss(presence, grid) * GRID[0]
            loss = loss + 2 * (somebody * (where - place).abs()).mean() + 0.03 * F.smooth_l1_loss(presence.sum(1), grid.sum(1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1:2d} loss {total / (len(images) // batch):.3f} in {time.monotonic() - began:.0f} s", flush=True)
    return network.eval()


def judge(network: Presence, data: tuple[torch.Tensor, ...]) -> dict[str, object]:
    """Accuracy, confusion matrix (rows true, columns said) and mean error of the place, in hundredths of the picture."""
    images, labels, places, _ = data
    with torch.no_grad():
        parts = [Exported(network)(part[:, None].float() / 255) for part in images.split(256)]
    said, where = torch.cat([p[0] for p in parts]).argmax(1), torch.cat([p[1] for p in parts])
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels.numpy(), said.numpy()), 1)
    present = labels > 0
    error = (where - places).abs()[present].mean(0) * 100
    return {
        "accuracy": round(float((said == labels).float().mean()), 4),
        "confusion": matrix.tolist(),
        "pictures": len(labels),
        "place_error_x_percent": round(float(error[0]), 2),
        "place_error_y_percent": round(float(error[1]), 2),
    }


TERMS = ((12, 4e-3), (5, 2.5e-3), (3, 1.5e-3))  # epochs and rate; each term learns from one more rendered set


def school(pictures: int) -> Presence:
    """Three terms. The weights after each are kept in the cache, so that an interrupted training goes on."""
    torch.manual_seed(11)
    network, sets = Presence(), []
    for term, (epochs, rate) in enumerate(TERMS, start=1):
        sets.append(cached("train", term, pictures))
        kept = CACHE / f"presence-term-{term}-{pictures}.pt"
        if kept.exists():
            network.load_state_dict(torch.load(kept, weights_only=True))
            continue
        torch.manual_seed(10 + term)
        train(network, tuple(torch.cat(parts) for parts in zip(*sets, strict=True)), epochs, rate)
        torch.save(network.state_dict(), kept)
    return network.eval()


def export(network: Presence, path: Path) -> None:
    """Write ONNX with the labels in its metadata, and prove that onnxruntime says what torch says."""
    import onnx
    import onnxruntime

    exported = Exported(network).eval()
    example = torch.rand(1, 1, HIGH, WIDE)
    torch.onnx.export(
        exported, (example,), str(path), input_names=["image"], output_names=["count", "place"], opset_version=17, dynamo=False
    )
    model = onnx.load(str(path))
    model.doc_string = "Counts people in a 96x72 grey picture (value / 255) and says where they are. CC0-1.0, Roomful project."
    facts = {
        "labels": ",".join(rooms.LABELS),
        "licence": "CC0-1.0",
        "author": "Roomful project",
        "input": "grey, NCHW, 0..1",
        "count": "logits",
        "place": "mean x, y of the people, 0..1 from the upper left",
    }
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    session, worst = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), 0.0
    for _ in range(32):
        image = torch.rand(1, 1, HIGH, WIDE)
        with torch.no_grad():
            ours = exported(image)
        theirs = session.run(["count", "place"], {"image": image.numpy()})
        worst = max(worst, *(float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, theirs, strict=True)))
    print(f"onnxruntime and torch differ by at most {worst:.1e}")
    if not worst < 1e-3:
        raise SystemExit(f"the exported network differs from the trained one by {worst}; do not use {path}")


def main() -> None:
    """Render, train, judge on seeds that training never saw, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "models" / "presence.onnx")
    parser.add_argument("--pictures", type=int, default=22000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = school(chosen.pictures)
    print(f"parameters: {sum(p.numel() for p in network.parameters())}")
    print("held out:", json.dumps(judge(network, cached("held", 900001, 4000))))
    print("held out, half-seen people included:", json.dumps(judge(network, cached("all", 900002, 2000, strict=False))))
    export(network, chosen.out)
    print(f"{chosen.out}: {math.ceil(chosen.out.stat().st_size / 1024)} kB")


if __name__ == "__main__":
    main()
