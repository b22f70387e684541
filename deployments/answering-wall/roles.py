"""The answering wall's own role: when the wall answers, and in which mood."""

from datetime import datetime

from mesh.role import Event, Options, Role, Text

TIMES = ((5, "night"), (8, "dawn"), (11, "morning"), (16, "noon"), (19, "dusk"), (22, "evening"), (24, "night"))


class Listener(Role):
    """Waits until somebody has finished speaking, and then has the wall answer; the light leans in while it listens.

    Long words make a tender answer, short ones a playful one, and many voices a bright one."""

    outputs = {"tags": Text, "light": Event, "chime": Event}

    class Options(Options):
        pause_s: float = 0.9  # silence after which somebody has finished
        least_s: float = 0.5  # what is shorter was a cough
        rest_s: float = 6.0  # between two answers

    def setup(self):
        self.began_s = self.ended_s = None
        self.spoken_s, self.turns = -99.0, 0
        self.emit("light", {"lamp": 0.15, "wash": 0.1, "fade": 3.0})

    def on_voice(self, frame: Event):
        now_s = frame.captured_s or self.now_s()
        if frame.value["active"]:
            if self.began_s is None:
                self.began_s = now_s
                self.emit("light", {"lamp": 0.8, "wash": 0.25, "fade": 0.6})
            self.ended_s = None
        elif self.began_s is not None:
            self.ended_s = self.ended_s or now_s
            if now_s - self.ended_s >= self.options.pause_s:
                self.answer(self.ended_s - self.began_s, now_s, frame.captured_s)
                self.began_s = self.ended_s = None

    def answer(self, lasted_s, now_s, captured_s):
        self.emit("light", {"lamp": 0.3, "wash": 0.7, "fade": 2.0})
        if lasted_s < self.options.least_s or now_s - self.spoken_s < self.options.rest_s:
            return
        self.spoken_s, self.turns = now_s, self.turns + 1
        mood = "playful" if lasted_s < 1.5 else "bright" if lasted_s < 3 else "tender"
        time = next(name for hour, name in TIMES if datetime.now().hour < hour)
        self.emit("chime", {"gain": 0.6})
        self.emit("tags", f"{mood} {time} {'one' if self.turns % 3 else 'few'}", captured_s=captured_s)
