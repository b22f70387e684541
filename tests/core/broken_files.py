"""Every kind of broken file that `roomful check` knows how to explain: one change to the good file each.

Data only, so that a table of them can be printed (`python -m tests.core.broken_files`): the claims stand in
`test_broken_files.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh.core.deployment import FileFact
from tests.core.deployment_room import GOOD, PRESENCE_SHA256, changed, examine

LAST = 50  # the line after the good file's last


@dataclass(frozen=True)
class Broken:
    """A broken file: its text, where its one mistake stands, and words of what is wrong and of what to write."""

    text: str | bytes
    at: tuple[int, int]
    what: str
    instead: str


def _one(old: str, new: str, at: tuple[int, int], what: str, instead: str) -> Broken:
    return Broken(changed((old, new)), at, what, instead)


def _end(new: str, at: tuple[int, int], what: str, instead: str) -> Broken:
    return Broken(GOOD + new, at, what, instead)


BOMB = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n' + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

# The text: what stops the reading, or is not what a text file should be.
TEXT = {
    "an empty file": Broken("", (1, 1), "empty", "begin with `installation"),
    "only comments": Broken("# my piece\n\n", (1, 1), "empty", "begin with `installation"),
    "a list, not keys": Broken("- eye\n- mood\n", (1, 1), "is a list", "begin with `installation"),
    "a text, not keys": Broken("whispering room\n", (1, 1), "is a text", "begin with `installation"),
    "10 MB of file": Broken(GOOD + "# " + "x" * 10_000_000, (1, 1), "10.0 MB long", "files of its own"),
    "a file of endless lines": Broken(GOOD + "# x\n" * 30_000, (1, 1), "more than 20,000 lines", "files of its own"),
    "a bomb of aliases": Broken(BOMB, (5, 11), "more than 20,000 values", "write out"),
    "an alias inside what it names": _one("[camera]", "&x [*x]", (5, 22), "*x stands inside", "write the value out"),
    "an alias of nothing": _one("[camera]", "*cameras", (5, 18), "*cameras names no anchor", "&cameras"),
    "nested without end": _one("[camera]", "[" * 40 + "]" * 40, (5, 48), "nested more than 32", "stray bracket"),
    "indented with a tab": _one("    kind: sensing.camera", "\tkind: sensing.camera", (23, 1), "a tab", "with spaces"),
    "Latin-1 letters": Broken(GOOD.replace("murmurs", "flüstert").encode("latin-1"), (2, 22), "byte 51 is 0xfc", "UTF-8"),
    "UTF-16": Broken(GOOD.encode("utf-16"), (1, 1), "UTF-16", "save it as UTF-8"),
    "a control character": _one("A room", "A\x07room", (2, 9), "U+0007", "delete it"),
    "a byte order mark inside": _one("A room", "A \ufeffroom", (2, 10), "U+FEFF", "delete it"),
    "a line separator": _one("A room", "A\u2028room", (2, 9), "U+2028", "delete it"),
    "two documents": _end("---\na: 1\n", (LAST, 1), "a second document", "take out this ---"),
    "a quote never closed": _one("trained here", '"trained here', (15, 13), "closed only on line 49", "close it"),
    "a last quote never closed": _one("Europe/Tallinn}", "'Europe/Tallinn}", (49, 64), "never closed", "close it"),
    "a brace never closed": _one("{memory: 300MB}", "{memory: 300MB", (41, 12), "{ opened here", "close it with }"),
    "a bracket never closed": _one("label:camera, any]", "label:camera, any", (24, 9), "[ opened here", "with ]"),
    "a key indented askew": _one("    model: poet\n", "     model: poet\n", (38, 11), "a colon stands", "indentation"),
    "a colon in plain text": _one("A room that", "A room: that", (2, 14), "a colon stands", "needs quotes"),
    "a value that begins with @": _one("trained here", "@home", (15, 13), "cannot begin with", "in quotes"),
    "a backslash in quotes": _one("A room that murmurs.", '"C:\\piece"', (2, 12), "a backslash", "single quotes"),
    "half of a letter": _one("A room that murmurs.", '"\\ud83c room"', (2, 8), "half a letter", "the letter itself"),
    "a key without a colon": _one("    copies: 2\n", "    copies 2\n", (40, 5), "no colon", "`key: value`"),
    "a duplicate key": _one("    copies: 2\n", "    copies: 2\n    copies: 3\n", (41, 5), "the first is on line 40", "keep one"),
    "a role written twice": _end("# more\nroles:\n  eye: {kind: a.b}\n", (51, 1), "the first is on line 21", "keep one"),
    "a key that is a list": _one("  shelf: {}", "  ? [shelf]\n  : {}", (6, 5), "must be a word", "one word"),
    "a tag": _one("copies: 2", "copies: !!str 2", (40, 13), "the tag !!str", "take the tag away"),
    "a merge key": _one("copies: 2", "<<: {copies: 2}", (40, 5), "no key `<<`", "write the keys out"),
}

# The form: keys and values by the schema.
FORM = {
    "an unknown key at the top": _one("machines:", "mashines:", (4, 1), "no key `mashines`", "mean `machines`"),
    "an unknown key of a role": _one("copies: 2", "copys: 2", (40, 5), "a role has no key `copys`", "mean `copies`"),
    "a key of the other spelling": _one("licence: {weights: CC0", "license: {weights: CC0", (14, 5), "no key `license`", "`licence`"),
    "a key by another word": _one("kind: display.web", "type: display.web", (45, 5), "no key `type`", "mean `kind`"),
    "a key of another section": _end("copies: 2\n", (LAST, 1), "no key `copies`", "is a key of a role"),
    "an unknown machine key": _one("{labels: [camera]}", "{lables: [camera]}", (5, 10), "no key `lables`", "mean `labels`"),
    "an unknown need": _one("{memory: 300MB}", "{ram: 300MB}", (41, 13), "no key `ram`", "mean `memory`"),
    "no installation": _one("installation: whispering-room\n", "", (1, 1), "has no `installation`", "my-room"),
    "no roles": Broken(GOOD[: GOOD.index("roles:")], (1, 1), "has no `roles`", "add roles:"),
    "roles with nothing in them": Broken("installation: a\nroles: {}\n", (2, 8), "`roles` is empty", "at least one"),
    "a role without a kind": _one("    kind: display.web\n", "", (44, 3), "a role `wall` has no `kind`", "add kind:"),
    "a kind with nothing after it": _one("kind: display.web", "kind:", (45, 5), "nothing after it", "a value for `kind`"),
    "a key of no meaning": _end("# \nx: 1\n", (51, 1), "no key `x`", "its keys"),
    "a role that is a text": Broken(
        GOOD[: GOOD.index("  wall:")] + "  wall: display.web\n", (44, 9), "must hold `key: value`", "{key: value}"
    ),
    "a name with capitals": _one("  shelf:", "  Shelf:", (6, 3), "“Shelf” is not a name", "write `shelf`"),
    "a name with a space": _one("  shelf:", "  top shelf:", (6, 3), "is not a name", "write `top-shelf`"),
    "a reserved name": _one("  shelf:", "  any:", (6, 3), "a meaning of its own", "write `my-any`"),
    "the name of a spare": _one("  shelf:", "  spare-1:", (6, 3), "a meaning of its own", "`my-spare-1`"),
    "an installation with a slash": _one("whispering-room", "rooms/one", (1, 15), "is not a name", "`rooms-one`"),
    "copies as text": _one("copies: 2", 'copies: "2"', (40, 13), "must be a whole number", "write 2, without quotes"),
    "no copies": _one("copies: 2", "copies: 0", (40, 13), "at least 1", "write 1 or more"),
    "too many copies": _one("copies: 2", "copies: 65", (40, 13), "at most 64", "write 64 or less"),
    "an unknown standby": _one("standby: warm", "standby: worm", (31, 14), "cannot be “worm”", "did you mean `warm`?"),
    "yes for true": _one("{memory: 300MB}", "{screen: yes}", (41, 21), "must be true or false", "write true"),
    "a place that is no list": _one("on: [door, label:camera, any]", "on: door", (24, 9), "must be a list", "[door]"),
    "an empty list of places": _one("[left-wall, right-wall]", "[]", (46, 11), "`each` is empty", "at least one"),
    "inputs that are a list": _one("{line: poet.line}", "[poet.line]", (47, 13), "must hold `key: value`", "{key: value}"),
    "a number for a text": _one("A room that murmurs.", "2024", (2, 8), "must be a text", 'write "2024"'),
    "memory without its unit": _one("300MB", "300", (41, 21), "300 has no unit", "write 300MB"),
    "a memory unit in lower case": _one("300MB", "300mb", (41, 21), "“mb” is not a unit", "write 300MB"),
    "a duration for a memory": _one("300MB", "300s", (41, 21), "“s” is not a unit of size", "units: B, KB"),
    "no memory at all": _one("300MB", "0MB", (41, 21), "outside what a machine", "300MB"),
    "words for a memory": _one("300MB", "plenty", (41, 21), "“plenty” is not a size", "300MB or 1.5GiB"),
    "a duration without its unit": _end("boot_grace: 20\n", (LAST, 13), "20 has no unit", "write 20s"),
    "a duration in other words": _end("boot_grace: 2 minutes\n", (LAST, 13), "“minutes” is not a unit", "write 2min"),
    "a duration of a week": _end("boot_grace: 168h\n", (LAST, 13), "longer than a day", "at most 24h"),
    "a time in American": _one('"10:00"', "10am", (49, 32), "“10am” is not written", 'write "10:00"'),
    "no time of day": _one('"18:00"', '"25:00"', (49, 45), "“25:00” is not a time", '"00:00" to "24:00"'),
    "a day in full": _one("Tue-Sun", "Tuesday-Sun", (49, 17), "“Tuesday” is not how", "write Tue"),
    "no day": _one("Tue-Sun", "daily", (49, 17), "“daily” is not a day", "days: Mon, Tue"),
    "a day missing": _one("Tue-Sun", "Tue-", (49, 17), "a day is missing", "days: Mon"),
    "a room that closes as it opens": _one('"18:00"', '"10:00"', (49, 45), "closes at the moment", '"24:00"'),
    "opening without its zone": _one(", timezone: Europe/Tallinn", "", (49, 1), "has no `timezone`", "Europe/Tallinn"),
    "a zone in words": _one("Europe/Tallinn", "local time", (49, 64), "not the name of a time zone", "continent and city"),
    "a seed that is a web address": _end("seeds: [http://shelf.local/]\n", (LAST, 9), "a web address", "shelf.local"),
    "a seed that is no host": _end("seeds: [192.168.1.300]\n", (LAST, 9), "is not a host", "192.168.1.20"),
    "a seed with a port too high": _end("seeds: [shelf:70000]\n", (LAST, 9), "is not a port", "from 1 to 65535"),
    "an unknown timing": _end("timing: wifi\n", (LAST, 9), "cannot be “wifi”", "wired, wireless"),
    "a hash too short": _one(PRESENCE_SHA256, "3f3f", (13, 13), "it has 4 characters", "64 digits"),
    "a hash in capitals": _one(PRESENCE_SHA256, "3F" * 32, (13, 13), "lower case", f"write {PRESENCE_SHA256}"),
    "a hash of other letters": _one(PRESENCE_SHA256, "xy" * 32, (13, 13), "not a sha256", "64 digits"),
    "no licence": _one("    licence: {weights: CC0-1.0, code: MIT, data: CC0-1.0}\n", "", (11, 3), "no `licence`", "weights: CC0-1.0"),
    "a licence without its data": _one(", data: CC0-1.0", "", (14, 5), "`licence` has no `data`", "add data: CC0-1.0"),
    "a licence by its nickname": _one("weights: CC0-1.0", "weights: CC0", (14, 24), "“CC0” is not", "write CC0-1.0"),
    "a licence in words": _one("code: MIT", "code: free for art", (14, 39), "“free for art” is not", "LicenseRef-NAME"),
    "no licence known": _one("code: MIT", "code: unknown", (14, 39), "“unknown” is not", "LicenseRef-NAME"),
    "a model without its file": _one("    file: models/poet.gguf\n", "", (16, 3), "a model `poet` has no `file`", "add file:"),
    "a delivery of no kind": _one("copies: 2", "delivery: {prompt: newest}", (40, 24), "cannot be “newest”", "latest, queue"),
    "a quality that is none": _one("copies: 2", "delivery: {prompt: quality 101}", (40, 24), "cannot be “quality 101”", "quality 1 to 100"),
    "a quality for what is no picture": _one(
        "copies: 2", "delivery: {prompt: latest quality 75}", (40, 24), "“quality 75” is for pictures", "write latest or queue"
    ),
    "a wire without its stream": _one("mood.tags", "mood", (39, 22), "“mood” is not a stream", "write mood.STREAM"),
    "a wire to one copy": _one("poet.line", "poet/1.line", (47, 20), "names one instance", "write poet.line"),
    "a kind without its class": _one("./roles.py:Mood", "./roles.py", (33, 11), "names no class", "./roles.py:ClassName"),
    "a kind without its dot": _one("./roles.py:Mood", "roles.py:Mood", (33, 11), "is not a kind", "write ./roles.py:Mood"),
    "a kind outside the folder": _one("./roles.py:Mood", "../roles.py:Mood", (33, 11), "leaves the folder", "copy the file"),
    "a space after label": _one("label:camera", "label: camera", (24, 16), "without a space", "write label:camera"),
}

# The meaning: names that name nothing, wires that carry nothing, keys that contradict each other, files.
MEANING = {
    "an unknown kind": _one("display.web", "display.wbe", (45, 11), "no kind `display.wbe`", "did you mean"),
    "a machine that does not exist": _one("[door, label", "[dor, label", (24, 10), "no machine `dor`", "did you mean `door`?"),
    "a label for a machine": _one("[door, label", "[camera, label", (24, 10), "no machine `camera`", "`label:camera`"),
    "a label that no machine has": _one("label:camera", "label:camra", (24, 16), "has the label `camra`", "`label:camera`"),
    "an `each` of no machine": _one("right-wall]", "rigt-wall]", (46, 23), "no machine `rigt-wall`", "`right-wall`"),
    "an `each` of any": _one("[left-wall, right-wall]", "[any]", (46, 12), "`any` is none", "label:LABEL"),
    "a machine named twice": _one("[door, label:camera", "[door, door", (24, 16), "twice", "keep the first"),
    "any before others": _one("[door, label:camera, any]", "[any, door]", (24, 10), "never counts", "`any` last"),
    "on beside each": _one("    each:", "    on: [door]\n    each:", (46, 5), "exclude each other", "keep `each`"),
    "each beside copies": _one("    each:", "    copies: 2\n    each:", (46, 5), "exclude each other", "take `copies` out"),
    "each beside standby": _one("    each:", "    standby: hot\n    each:", (46, 5), "never moves", "take `standby` out"),
    "a hot standby that would act": _one("standby: hot", "standby: hot\n    exclusive: true", (35, 14), "would act", "standby: warm"),
    "copies beside standby": _one("copies: 2", "copies: 2\n    standby: hot", (41, 5), "exclude each other", "take `standby`"),
    "exclusive copies": _one("copies: 2", "copies: 2\n    exclusive: true", (40, 5), "cannot play in copies", "exclusive: false"),
    "a limit below the need": _one("copies: 2", "limits: {memory: 1MB}", (40, 22), "below what", "above `needs"),
    "with a role that is not there": _one("copies: 2", "with: mod", (40, 11), "no role `mod`", "did you mean `mood`?"),
    "with itself": _one("copies: 2", "with: poet", (40, 11), "always with itself", "name another role"),
    "with a role in many places": _one("copies: 2", "with: wall", (40, 11), "several machines", "plays once"),
    "with beside on": _one("copies: 2", "with: eye\n    on: [door]", (41, 5), "exclude each other", "one of the two"),
    "two with each other": Broken(
        changed(("standby: hot", "with: presence"), ("standby: warm", "with: eye"), ("on: [door, label:camera, any]", "with: mood")),
        (24, 11), "eye → mood → presence → eye", "take one",
    ),
    "a model that is not there": _one("model: poet", "model: poem", (38, 12), "no model `poem`", "did you mean `poet`?"),
    "a model not named": _one("    model: poet\n", "", (37, 11), "needs a model", "add model: NAME"),
    "a label of what the machine has not": _one(
        "{labels: [camera]}", "{labels: [camera], has: {camera: false}}", (5, 42), "labelled camera and has none", "take the label out",
    ),
    "a machine that has what there is not": _one("shelf: {}", "shelf: {has: {gpus: true}}", (6, 17), "no key `gpus`", "mean `gpu`?"),
    "memory of a machine without a unit": _one("shelf: {}", "shelf: {has: {memory: 8}}", (6, 25), "8 has no unit", "write 8MB"),
    "a model for a kind that takes none": _one(
        "    kind: sensing.camera\n", "    kind: sensing.camera\n    model: poet\n", (24, 5), "takes no model", "take `model` out",
    ),
    "a ladder of no model": _one("model: poet", "ladder: [poet, pot]", (38, 20), "no model `pot`", "mean `poet`?"),
    "a ladder beside a model": _one("model: poet", "model: poet\n    ladder: [poet]", (38, 5), "exclude each other", "first in"),
    "a wire to a missing role": _one("poet.line", "pot.line", (47, 20), "no role `pot`", "did you mean `poet`?"),
    "a wire to a missing stream": _one("poet.line", "poet.lines", (47, 20), "no stream `lines`", "mean `poet.line`?"),
    "a wire to a renamed stream": _one("presence.people", "presence.found", (34, 22), "no stream `found`", "presence.people"),
    "a wire to a role that says nothing": _one("mood.tags", "wall.tags", (39, 22), "no stream `tags`", "that emits"),
    "a wire of another type": _one("mood.tags", "eye.image", (39, 22), "carries image", "streams of text here: mood.tags"),
    "a wire to itself": _one("mood.tags", "poet.line", (39, 22), "wired to itself", "another role"),
    "an input that the kind has not": _one("{prompt: mood", "{promt: mood", (39, 14), "no input `promt`", "mean `prompt`?"),
    "nothing wired": _one("    inputs: {people: presence.people}\n", "", (32, 3), "no input of `mood`", "inputs: {people"),
    "a display that hears nothing": _one("    inputs: {line: poet.line}\n", "", (44, 3), "no input of `wall`", "ROLE.STREAM"),
    "a delivery of no wire": _one("copies: 2", "delivery: {promt: queue}", (40, 16), "`promt` is not wired", "`prompt`"),
    "a circle that never starts": Broken(
        changed(("  wall:", "  echo:\n    kind: ./roles.py:Echo\n    inputs: {line: poet.line}\n  wall:"), ("mood.tags", "echo.line")),
        (39, 22), "poet ← echo ← poet", "ask()",
    ),
    "copies of an exclusive kind": _one(
        "  wall:", "  lamp:\n    kind: ./roles.py:Lamp\n    copies: 2\n    inputs: {line: poet.line}\n  wall:",
        (46, 5), "twice at once", "take `copies`",
    ),
    "an unknown option": _one("rate: 15", "rat: 15", (25, 37), "no option `rat`", "did you mean `rate`?"),
    "an option of another type": _one("rate: 15", "rate: fast", (25, 43), "`rate` cannot be “fast”", "a number above 0 to 120"),
    "an option in quotes": _one("rate: 15", 'rate: "15"', (25, 43), "`rate` cannot be “15”", "without quotes"),
    "an option out of range": _one("rate: 15", "rate: 500", (25, 43), "cannot be 500", "left out, it is 15.0"),
    "an option not of its choices": _one("{when_superseded: cancel}", "{when_superseded: cancle}", (42, 32), "cancle", "`cancel`"),
    "an option of a list of others": _one("{when_superseded: cancel}", "{stop: [a, 3]}", (42, 25), "cannot be 3", "a text"),
    "an option that is yes": _one("rate: 15", "flip: yes", (25, 43), "`flip` cannot be “yes”", "write true"),
    "a missing model file": _one("models/poet.gguf", "models/pot.gguf", (17, 11), "not in the folder", "`models/poet.gguf`"),
    "an absolute path": _one("models/poet.gguf", "/media/stick/poet.gguf", (17, 11), "leaves the folder", "such as poet.gguf"),
    "a path that leaves the folder": _one("fallback/lines.txt", "../lines.txt", (43, 22), "leaves the folder", "such as lines.txt"),
    "a clip of this computer": _one("visitors.mp4", "/media/stick/clip.mp4", (25, 23), "leaves the folder", "such as clip.mp4"),
    "a clip among the devices": _one("visitors.mp4", "/dev/shm/clip.mp4", (25, 23), "leaves the folder", "such as clip.mp4"),
    "a path in an option that leaves": _one("visitors.mp4", "../../visitors.mp4", (25, 23), "leaves the folder", "copy the file"),
    "a Windows path": _one("models/poet.gguf", "models\\poet.gguf", (17, 11), "a backslash", "write models/poet.gguf"),
    "a file that stays behind": _one("models/poet.gguf", "training/poet.gguf", (17, 11), "stays behind", "models/poet.gguf"),
    "a fallback image that is none": _one("{text: fallback", "{image: fallback", (43, 23), "is not an image", "ends in .png"),
    "a fallback loop that is none": _one("{text: fallback", "{loop: fallback", (43, 22), "is not a loop", "ends in .mp4"),
    "a fallback recording not there": _one("{text: fallback/lines.txt", "{recording: day.jsonl", (43, 27), "not in the folder", "put the"),
    "a fallback of no known sort": _one("{text: fallback/lines", "{song: fallback/lines", (43, 16), "no key `song`", "image"),
    "a file of an option missing": _one("visitors.mp4", "visitor.mp4", (25, 23), "not in the folder", "put the file there"),
}  # fmt: skip

# What only the folder can tell: the good file, and another fact.
FACTS = {
    "a wrong hash": (("models/poet.gguf", FileFact("file", "ab" * 32, 9)), (18, 13), "another sha256", f"write {'ab' * 32}"),
    "an empty model": (("models/poet.gguf", FileFact("file", "ab" * 32, 0)), (17, 11), "is empty", "copy the file anew"),
    "a model that is a folder": (("models/poet.gguf", FileFact("folder")), (17, 11), "is a folder", "write a file in it"),
    "a link that leaves the folder": (("fallback/lines.txt", FileFact("outside")), (43, 22), "a link that leaves", "the file itself"),
    "a file that may not be read": (("models/poet.gguf", FileFact("unreadable")), (17, 11), "cannot be read", "chmod"),
    "a fallback that is no text": (("fallback/lines.txt", FileFact("file", None, 9, is_text=False)), (43, 22), "not UTF-8", "save it"),
    "a fallback text that is a folder": (("fallback/lines.txt", FileFact("folder")), (43, 22), "is a folder", "write a file in it"),
    "a fallback too long": (("fallback/lines.txt", FileFact("file", None, 2_000_000)), (43, 22), "longer than 1 MB", "few hundred"),
}  # fmt: skip

BROKEN = {**TEXT, **FORM, **MEANING}

if __name__ == "__main__":
    for name, broken in BROKEN.items():
        for mistake in examine(broken.text)[1]:
            print(f"{name:38} {mistake.line}:{mistake.column}  {mistake.what}\n{'':40}→ {mistake.instead}")
