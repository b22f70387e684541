"""The whispering room's own role: who is here, and where they stand, becomes the mood of the next sentence."""

from datetime import datetime

from mesh.role import Event, Role, Text

MOODS = {  # by where people stand: left, middle, right
    "nobody": ("longing", "calm", "solemn"),
    "one": ("wary", "tender", "longing"),
    "few": ("tender", "playful", "bright"),
    "many": ("restless", "bright", "playful"),
}
TIMES = ((5, "night"), (8, "dawn"), (11, "morning"), (16, "noon"), (19, "dusk"), (22, "evening"), (24, "night"))


class Mood(Role):
    """Says the tags of the next sentence: at most one every 8 s, as people change, or every 14 s while they stay."""

    outputs = {"tags": Text}
    people, spoken_s = "", -99.0

    def on_people(self, frame: Event):
        label, place, now_s = frame.value["label"], frame.value["place"], self.now_s()
        if now_s - self.spoken_s >= (14 if label == self.people else 8):
            self.people, self.spoken_s = label, now_s
            mood = MOODS[label][min(2, max(0, int(place[0] * 3)))]
            time = next(name for hour, name in TIMES if datetime.now().hour < hour)
            self.emit("tags", f"{mood} {time} {label}", captured_s=frame.captured_s)
