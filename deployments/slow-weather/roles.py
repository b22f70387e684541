"""The work's own roles: what the floor looked like a moment ago and now, and the weather that comes of it."""

import numpy as np

from mesh.role import Image, Options, Role, Vector

HEIGHT, WIDTH = 36, 64  # of what the watcher sees


class Glance(Role):
    """Makes each picture small and grey and hands it on together with the one before: two glances, no face."""

    outputs = {"pair": Vector}
    before = None

    def on_image(self, frame: Image):
        picture = np.asarray(frame.value, np.float32)
        grey = picture.mean(2) if picture.ndim == 3 else picture
        rows = np.linspace(0, grey.shape[0], HEIGHT, endpoint=False).astype(int)
        columns = np.linspace(0, grey.shape[1], WIDTH, endpoint=False).astype(int)
        sums = np.add.reduceat(np.add.reduceat(grey, rows, 0), columns, 1)
        counts = np.outer(np.diff([*rows, grey.shape[0]]), np.diff([*columns, grey.shape[1]]))
        now = (sums / counts / 255).astype(np.float32).ravel()
        if self.before is not None:
            self.emit("pair", np.concatenate([self.before, now])[None])
        self.before = now


class Sky(Role):
    """Paints one sky over three windows. It is stirred by what moves on the floor and takes a quarter of a minute to calm down."""

    inputs = {"stirring": Vector}
    outputs = {"left": Image, "middle": Image, "right": Image}
    extra = "onnx"
    needs_model = True

    class Options(Options):
        width: int = 144  # of one window, in pixels: the sky is soft, and a small one is painted eight times a second
        height: int = 81
        rate: float = 8.0
        ahead: float = 0.2  # seconds from painting to showing, so that all windows have it when its time comes

    def setup(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(self.model.file), options, providers=["CPUExecutionProvider"])
        width, height = self.options.width, self.options.height
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        self.places = {
            name: np.stack([x + place, y], 2).reshape(-1, 2).astype(np.float32) for place, name in enumerate(self.outputs)
        }
        # What the weather is: it travels to the standby, so that another machine goes on with the same sky.
        self.state = {"turn": 0.6, "drift": 1.0, "stir": 0.0, "lean": 0.0, **self.state}
        self.wished, self.painted_s = (0.0, 0.0), self.now_s()

    def on_stirring(self, frame: Vector):
        chance, right, _down = np.asarray(frame.value, np.float32).reshape(3, -1)
        moved = np.clip((chance - 0.5) * 2, 0, 1)
        lean = float((moved * right).sum() / max(1e-3, moved.sum()))
        self.wished = (min(1.0, float(moved.mean()) * 9), max(-1.0, min(1.0, lean * 4)))

    def tick(self):
        now_s = self.now_s()
        step_s, self.painted_s = min(1.0, max(0.0, now_s - self.painted_s)), now_s
        weather = dict(self.state)
        stir, lean = self.wished
        weather["stir"] += (stir - weather["stir"]) * (1 - np.exp(-step_s / (2.0 if stir > weather["stir"] else 15.0)))
        weather["lean"] += (lean * weather["stir"] - weather["lean"]) * (1 - np.exp(-step_s / 6.0))
        weather["turn"] += step_s * (0.05 + 0.30 * weather["stir"])
        weather["drift"] += step_s * (0.02 + 0.12 * weather["lean"])
        self.state = {name: float(value) for name, value in weather.items()}
        given = self.given()
        shape = (self.options.height, self.options.width, 3)
        for name, places in self.places.items():
            colours = self.session.run(None, {"places": places, "state": given})[0]
            self.emit(name, colours.reshape(shape), present_at=now_s + self.options.ahead)
        return 1 / self.options.rate

    def given(self):
        """The weather as the painter is given it."""
        turn, drift = self.state["turn"], self.state["drift"]
        words = (np.cos(turn), np.sin(turn), np.cos(drift), np.sin(drift), self.state["stir"], self.state["lean"])
        return np.array(words, np.float32)
