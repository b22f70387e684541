"""The roles that `roomful bench` plays: each does one thing through the ordinary door and writes down how that went.

What was measured is written to `figures.json` in the role's own folder when all of it is there. Times are in microseconds.
"""

import json
import time

import numpy

from mesh.role import Event, Image, Options, Role, Text

RESUME_S = 0.25  # nothing for so long: what was sent went to nobody, as nobody listens yet


class Figures(Role):
    """Something that measures."""

    def done(self, **figures):
        """All is measured."""
        path = self.state_folder / "figures.json"
        path.with_suffix(".new").write_text(json.dumps(figures))
        path.with_suffix(".new").rename(path)


class Ping(Figures):
    """Sends a small frame, and the next when that one has come back."""

    outputs = {"ping": Event}

    class Options(Options):
        count: int = 5000
        warm: int = 500
        size: int = 100

    def setup(self):
        self.number, self.sent_ns, self.samples = 0, 0, []
        self.rest = bytes(self.options.size - 8)

    def tick(self):
        if self.number <= self.options.count + self.options.warm and time.perf_counter_ns() - self.sent_ns > RESUME_S * 1e9:
            self.next()
        return RESUME_S

    def next(self):
        self.number += 1
        self.expected = self.number.to_bytes(8) + self.rest
        self.sent_ns = time.perf_counter_ns()
        self.emit("ping", self.expected)

    def on_pong(self, frame: Event):
        now_ns = time.perf_counter_ns()
        if frame.value != self.expected:
            return
        self.samples.append((now_ns - self.sent_ns) / 1000)
        if len(self.samples) < self.options.count + self.options.warm:
            self.next()
        else:
            self.number = self.options.count + self.options.warm + 1
            self.expected = None
            self.done(samples=self.samples[self.options.warm :])


class Pong(Role):
    """Sends back what it gets."""

    outputs = {"pong": Event}

    def on_ping(self, frame: Event):
        self.emit("pong", frame.value)


class Writer(Role):
    """Sends pictures as fast as they are taken, never more than a few ahead of the reader; or at an even rate."""

    outputs = {"image": Image}

    class Options(Options):
        width: int = 1920
        height: int = 1080
        ahead: int = 4
        rate: float = 0.0  # frames a second; 0: as fast as they are taken

    def setup(self):
        shape = (self.options.height, self.options.width, 3)
        self.pictures = [numpy.random.default_rng(number).integers(0, 256, shape, "u1") for number in range(4)]
        self.number, self.got, self.heard_s = 0, 0, time.monotonic()

    def on_got(self, frame: Event):
        self.got, self.heard_s = max(self.got, frame.value), time.monotonic()
        if not self.options.rate:
            self.fill()

    def tick(self):
        if self.options.rate:
            self.send()
            return 1 / self.options.rate
        if time.monotonic() - self.heard_s > RESUME_S:
            self.got = self.number
            self.fill()
        return RESUME_S

    def fill(self):
        while self.number - self.got < self.options.ahead:
            self.send()

    def send(self):
        self.number += 1
        # Captured now: what the reader said, which calls for it, hands on the time of the picture before.
        self.emit("image", self.pictures[self.number % 4], captured_s=self.now_s())


class Reader(Figures):
    """Looks at both ends of each picture, and writes down when it came and how old it was."""

    outputs = {"got": Event}

    class Options(Options):
        warm: float = 1.0
        seconds: float = 3.0
        keep: bool = True  # False: nothing is written down, however long it lasts

    def setup(self):
        self.first_s, self.arrivals, self.ages, self.over = None, [], [], False

    def on_image(self, frame: Image):
        now = time.perf_counter()
        int(frame.value[0, 0, 0]) + int(frame.value[-1, -1, -1])
        self.emit("got", frame.number + 1)
        if self.first_s is None:
            self.first_s = now
        if self.over or not self.options.keep or now - self.first_s < self.options.warm:
            return
        self.arrivals.append(now)
        self.ages.append((self.now_s() - frame.captured_s) * 1e6)
        if now - self.first_s > self.options.warm + self.options.seconds:
            self.over = True
            self.done(arrivals=self.arrivals, ages=self.ages)


class Asker(Figures):
    """Keeps so many questions open until so many are answered."""

    outputs = {"question": Event}

    class Options(Options):
        count: int = 300
        outstanding: int = 12
        warm: int = 24
        patience: float = 0.0  # give up when nothing was answered for so many seconds; 0: never

    def setup(self):
        self.asked, self.answered, self.began_s, self.heard_s = 0, {}, 0.0, 0.0
        self.asked_s = {}

    def tick(self):
        if not self.asked or (len(self.answered) < self.options.warm and time.monotonic() - self.heard_s > 4 * RESUME_S):
            self.heard_s = time.monotonic()
            self.ask_on(self.options.outstanding - (self.asked - len(self.answered)) or 1)
        if self.options.patience and self.answered and time.monotonic() - self.heard_s > self.options.patience:
            self.finish()
            return None
        return RESUME_S

    def ask_on(self, count):
        for _ in range(count):
            self.asked += 1
            self.asked_s[self.asked] = time.perf_counter()
            self.emit("question", self.asked)

    def on_answer(self, frame: Event):
        now = time.perf_counter()
        number = frame.value
        if number in self.answered:
            return
        self.answered[number], self.heard_s = (now - self.asked_s[number]) * 1e6, time.monotonic()
        if len(self.answered) == self.options.warm:
            self.began_s = now
            (self.state_folder / "began").touch()
        if self.asked < self.options.warm + self.options.count:
            self.ask_on(1)
        if len(self.answered) == self.options.warm + self.options.count:
            self.finish()

    def finish(self):
        whole = self.options.warm + self.options.count
        now, samples = time.perf_counter(), list(self.answered.values())
        self.done(elapsed_s=now - self.began_s, count=self.options.count, samples=samples, lost=whole - len(samples))


class Answerer(Role):
    """Answers after a time of its own: 10 ms the first copy, 20 ms the second, 40 ms the third. Says how long that was by its clock."""

    outputs = {"answer": Event}

    class Options(Options):
        ms: tuple[float, ...] = (10.0, 20.0, 40.0)

    def setup(self):
        number = int(self.name.partition("/")[2] or 1)
        self.takes_s = self.options.ms[(number - 1) % len(self.options.ms)] / 1000
        self.took_s, self.answers = 0.0, 0

    def on_question(self, frame: Event):
        began_s = time.perf_counter()
        time.sleep(self.takes_s)
        self.took_s, self.answers = self.took_s + time.perf_counter() - began_s, self.answers + 1
        self.publish("takes_ms", self.took_s / self.answers * 1000)
        yield frame.value


class Prompter(Figures):
    """Asks a role that speaks, and notes when the first piece came and when the last."""

    class Options(Options):
        role: str
        input: str | None = None
        prompt: str = "a quiet evening by the window"
        count: int = 20
        warm: int = 2

    def setup(self):
        self.rows = []

    def tick(self):
        began_s, first_s, pieces = time.perf_counter(), None, 0
        for _ in self.ask(self.options.role, self.options.prompt, input=self.options.input):
            first_s = first_s or time.perf_counter()
            pieces += 1
        self.rows.append([(first_s or began_s) - began_s, time.perf_counter() - began_s, pieces])
        if len(self.rows) < self.options.count + self.options.warm:
            return 0.0
        self.done(rows=self.rows[self.options.warm :])
        return None


class Hand(Role):
    """Notes what the room's clock shows, and the machine's own, again and again."""

    class Options(Options):
        every: float = 0.05

    def setup(self):
        self.notes = (self.state_folder / "hand").open("a", buffering=1)

    def tick(self):
        self.notes.write(f"{time.monotonic():.7f} {self.now_s():.7f}\n")
        return self.options.every

    def teardown(self):
        self.notes.close()


class Listener(Role):
    """Hears words, and does nothing with them."""

    def on_words(self, frame: Text):
        pass
