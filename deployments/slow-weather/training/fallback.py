"""The sky of each window on a calm day, as the finished painter paints it: what is shown when the room is not heard.

python training/fallback.py      a second; writes fallback/left.png, middle.png and right.png
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime

ROOM = Path(__file__).resolve().parent.parent
CALM = np.array([np.cos(0.6), np.sin(0.6), np.cos(1.0), np.sin(1.0), 0.03, 0.0], np.float32)
WIDTH, HEIGHT = 256, 144


def main() -> None:
    session = onnxruntime.InferenceSession(str(ROOM / "models" / "sky.onnx"), providers=["CPUExecutionProvider"])
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
    for place, name in enumerate(("left", "middle", "right")):
        places = np.stack([x + place, y], 2).reshape(-1, 2).astype(np.float32)
        picture = session.run(None, {"places": places, "state": CALM})[0].reshape(HEIGHT, WIDTH, 3)
        cv2.imwrite(str(ROOM / "fallback" / f"{name}.png"), picture[:, :, ::-1])


if __name__ == "__main__":
    main()
