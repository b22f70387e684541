"""A small net of layers, its gradients and Adam, in numpy: enough for two models of some thousand parameters, and no more.

Written out so that the models can be made again on any machine in ten years, with nothing to install but numpy and onnx.
"""

from __future__ import annotations

import numpy as np


class Net:
    """Dense layers; `bend` is "relu" or "sin" between them, the last is plain. Weights are float32."""

    def __init__(self, sizes: list[int], bend: str, seed: int, first: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.bend = bend
        self.weights, self.biases = [], []
        for place, (inner, outer) in enumerate(zip(sizes, sizes[1:], strict=False)):
            reach = np.sqrt(6 / inner) * (first if place == 0 and bend == "sin" else 1.0)
            self.weights.append(rng.uniform(-reach, reach, (inner, outer)).astype(np.float32))
            self.biases.append(rng.uniform(-0.5, 0.5, outer).astype(np.float32) if bend == "sin" else np.zeros(outer, np.float32))
        self.moments = [(np.zeros_like(part), np.zeros_like(part)) for part in [*self.weights, *self.biases]]
        self.steps = 0

    def run(self, given: np.ndarray) -> list[np.ndarray]:
        """What enters each layer, and last what comes out."""
        flow = [given]
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            sums = flow[-1] @ weight + bias
            last = place == len(self.weights) - 1
            flow.append(sums if last else np.sin(sums) if self.bend == "sin" else np.maximum(sums, 0))
        return flow

    def learn(self, flow: list[np.ndarray], slope: np.ndarray, rate: float) -> None:
        """One step of Adam; `slope` is the loss's at the output, averaged over the batch already."""
        ups, downs = [], []
        for place in range(len(self.weights) - 1, -1, -1):
            ups.append(flow[place].T @ slope)
            downs.append(slope.sum(0))
            if place:
                back = slope @ self.weights[place].T
                if self.bend == "sin":
                    sums = flow[place - 1] @ self.weights[place - 1] + self.biases[place - 1]
                    slope = back * np.cos(sums)
                else:
                    slope = back * (flow[place] > 0)
        self.steps += 1
        for part, slope_, (mean, square) in zip(
            [*self.weights, *self.biases], [*reversed(ups), *reversed(downs)], self.moments, strict=True
        ):
            mean += 0.1 * (slope_ - mean)
            square += 0.001 * (slope_ * slope_ - square)
            part -= rate * (mean / (1 - 0.9**self.steps)) / (np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8)

    @property
    def parameters(self) -> int:
        return sum(part.size for part in [*self.weights, *self.biases])
