"""The roles of my-piece. Change a line, save, and rehearse again."""

from math import sin

from pydantic import Field

from mesh.role import Event, Options, Role, Text

LINES = {
    "low": ("The water has gone to think about it.", "Everything that was covered is here again.", "Low, and in no hurry."),
    "rising": ("Something is coming closer, a hand at a time.", "It begins with the smallest stones.", "Not yet, says the water."),
    "high": ("The room is as full as a room can be.", "Nothing to add, for the length of a breath.", "It has reached the last step."),
    "falling": ("It lets go of the wall, slowly.", "What is left behind is still shining.", "The sea takes back its sentence."),
}


class Tide(Role):
    """A number that drifts between 0 and 1, twice a second."""

    outputs = {"level": Event}

    def tick(self):
        self.emit("level", {"height": 0.5 + 0.5 * sin(self.now_s() / 6)})
        return 0.5


class Words(Role):
    """Says a line when the tide turns, or when it has been silent for long."""

    outputs = {"line": Text}
    turn, height, spoken_s, said = "", 0.5, -99.0, 0

    class Options(Options):
        patience: float = Field(8, gt=0, description="seconds before another line about the same tide")

    def on_level(self, frame: Event):
        before, self.height = self.height, frame.value["height"]
        turn = "low" if self.height < 0.2 else "high" if self.height > 0.8 else "rising" if self.height > before else "falling"
        if turn != self.turn or self.now_s() - self.spoken_s > self.options.patience:
            self.emit("line", LINES[turn][self.said % 3])
            self.turn, self.spoken_s, self.said = turn, self.now_s(), self.said + 1
