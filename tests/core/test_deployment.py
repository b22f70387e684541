"""The deployment file as values: what each key means, and that no text whatever gets anything but an answer."""

from __future__ import annotations

import json
import time

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mesh.core.deployment import Deployment, FolderFacts, Machine, Needs, Opening, Wire, json_schema, judge, read
from mesh.core.facts import KindFault
from mesh.core.quantities import Unclear, days, duration_s, is_host, size_bytes, time_min
from mesh.core.wires import outputs_of
from mesh.errors import Mistake
from tests.core.broken_files import BROKEN
from tests.core.deployment_room import FILE, GOOD, KINDS, changed, examine

SLOW_S = 30.0  # far above what any text takes (about 2 s at worst); a hang is what this catches


def good() -> Deployment:
    deployment, mistakes = examine(GOOD)
    assert deployment is not None, mistakes
    return deployment


def test_the_file_becomes_values_in_its_own_order() -> None:
    deployment = good()

    assert deployment.installation == "whispering-room"
    assert deployment.machines[0] == Machine("door", ("camera",))
    assert [role.name for role in deployment.roles] == ["eye", "presence", "mood", "poet", "wall"]
    assert [role.rank for role in deployment.roles] == [0, 1, 2, 3, 4]
    assert deployment.role("eye").on == ("door", "label:camera", "any")
    assert deployment.role("wall").each == ("left-wall", "right-wall")
    assert deployment.role("poet").needs == Needs(memory_bytes=300_000_000)
    assert deployment.role("poet").fallback == {"text": "fallback/lines.txt"}
    assert deployment.role("presence").inputs == (Wire("image", "eye", "image"),)
    assert deployment.models["poet"].licence == {"weights": "CC-BY-4.0", "code": "MIT", "data": "CC-BY-4.0"}
    assert deployment.opening == Opening(("Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 600, 1080, "Europe/Tallinn")
    assert deployment.kind_of("poet").answers == ("prompt",)
    assert deployment.labels_of("door") == ("camera",)
    assert deployment.labels_of("spare-1") == ()


def test_what_is_left_out_has_the_default_that_the_design_gives_it() -> None:
    deployment = good()
    mood, poet, wall = deployment.role("mood"), deployment.role("poet"), deployment.role("wall")

    assert (mood.on, mood.copies, mood.failback, mood.spread, mood.exclusive) == (("any",), 1, "manual", False, None)
    assert deployment.role("eye").standby == "cold"
    assert (poet.standby, wall.standby) == ("none", "none")
    assert (deployment.boot_grace_s, deployment.timing, deployment.seeds) == (20.0, "wired", ())


@pytest.mark.parametrize(
    ("words", "wire"),
    [
        ("latest quality 75", Wire("image", "eye", "image", "latest", "quality 75")), ("raw", Wire("image", "eye", "image", "", "raw")),
        ("queue lossless", Wire("image", "eye", "image", "queue", "lossless")), ("queue", Wire("image", "eye", "image", "queue", "")),
    ],
)  # fmt: skip
def test_how_pictures_come_from_another_machine_is_said_per_input_and_is_in_the_editors_schema(words: str, wire: Wire) -> None:
    text = changed(("    inputs: {image: eye.image}\n", f"    inputs: {{image: eye.image}}\n    delivery: {{image: {words}}}\n"))
    deployment, mistakes = examine(text)
    assert deployment is not None, mistakes
    assert deployment.role("presence").inputs == (wire,)
    jsonschema.validate({"image": words}, json_schema()["$defs"]["RoleFile"]["properties"]["delivery"])


def test_every_further_key_is_read() -> None:
    text = changed(
        ("    copies: 2\n", "    failback: auto\n    limits: {memory: 1GiB, cores: 2}\n    exclusive: true\n    spread: true\n"),
        ("    model: poet\n", "    ladder: [poet, presence]\n"),
        ("    inputs: {prompt: mood.tags}\n", "    inputs: {prompt: mood.tags}\n    delivery: {prompt: latest}\n    with: mood\n"),
    )
    text += "boot_grace: 1.5 min\ntiming: wireless\nseeds: [shelf.local:47600]\nsignificant: [It murmurs.]\n"

    deployment, mistakes = examine(text)

    assert deployment is not None, mistakes
    poet = deployment.role("poet")
    assert (poet.failback, poet.exclusive, poet.spread, poet.with_) == ("auto", True, True, "mood")
    assert poet.limits == {"memory_bytes": 2**30, "cores": 2}
    assert (poet.ladder, poet.model) == (("poet", "presence"), "poet")
    assert poet.inputs == (Wire("prompt", "mood", "tags", "latest"),)
    assert (deployment.boot_grace_s, deployment.timing, deployment.seeds) == (90.0, "wireless", ("shelf.local:47600",))
    assert deployment.significant == ("It murmurs.",)


def test_what_a_machine_has_is_kept_only_where_it_is_written() -> None:
    text = changed(("shelf: {}", "shelf: {has: {memory: 2GB, gpu: true, screen: false}}"),
                   ("left-wall: {labels: [screen]}", "left-wall: {has: }"))

    deployment, mistakes = examine(text.replace("[left-wall, right-wall]", "[right-wall]"))

    assert deployment is not None, mistakes
    assert deployment.has_of("shelf") == {"memory_bytes": 2 * 10**9, "gpu": True, "screen": False}
    assert deployment.has_of("left-wall") == deployment.has_of("spare-1") == {}


def test_a_role_s_streams_bear_the_name_that_its_options_give_them() -> None:
    deployment = good()

    assert outputs_of(deployment.role("presence"), deployment.kind_of("presence")) == {"people": "event", "values": "vector"}


def test_a_fault_in_an_artist_s_own_file_stands_in_that_file_and_once() -> None:
    draft, _ = read(changed(("display.web", "./roles.py:Mood"), ("{line: poet.line}", "{people: presence.people}")), FILE)
    assert draft is not None
    fault = KindFault("Python cannot read this", "correct it", "roles.py", 7, 3)
    kinds = {kind: KINDS[kind] for kind in draft.kinds if not kind.startswith("./")}

    _, mistakes = judge(draft, kinds, {"./roles.py:Mood": fault}, FolderFacts())

    assert mistakes == [Mistake("roles.py", 7, 3, "Python cannot read this", "correct it")]


def test_the_json_schema_is_valid_and_takes_the_good_file() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(YAML(typ="safe", pure=True).load(GOOD), schema)


def test_the_json_schema_refuses_what_check_refuses_by_form_alone() -> None:
    schema = json_schema()
    by_form = ("an unknown key of a role", "memory without its unit", "no copies", "a role without a kind", "a hash too short")
    for name in (*by_form, "a name with capitals"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(YAML(typ="safe", pure=True).load(str(BROKEN[name].text)), schema)


def test_the_json_schema_tells_an_editor_what_every_key_is_for() -> None:
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]

    assert [key for part in sections for key, value in part["properties"].items() if "description" not in value] == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("300MB", 300 * 10**6), ("1.5GiB", 3 * 2**29), ("2 KiB", 2048), ("0.5KB", 500), ("999TB", 999 * 10**12)],
)
def test_sizes_are_read_exactly(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", [300, 3.5, "300", "", "-1MB", "MB", "1,5GB", "1e3MB", "1000TB", "0.1B", True, None, [], "١MB"])
def test_a_size_that_could_be_misread_is_refused(text: object) -> None:
    with pytest.raises(Unclear):
        size_bytes(text)


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20.0), ("500ms", 0.5), ("1.5 min", 90.0), ("24h", 86400.0), ("0s", 0.0)])
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(("text", "minutes"), [("00:00", 0), ("10:00", 600), ("23:59", 1439), ("24:00", 1440)])
def test_times_are_read_in_minutes(text: str, minutes: int) -> None:
    assert time_min(text) == minutes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Tue-Sun", "Tue Wed Thu Fri Sat Sun"), ("Mon", "Mon"), ("Sat-Mon", "Mon Sat Sun"), ("Fri, Mon-Tue", "Mon Tue Fri"),
     ("Mon–Wed", "Mon Tue Wed")],
)  # fmt: skip
def test_days_are_read_in_the_order_of_the_week(text: str, expected: str) -> None:
    assert days(text) == tuple(expected.split())


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("shelf", True), ("shelf.local", True), ("192.168.1.20", True), ("fe80::1", True), ("[fe80::1]", True), ("fe80::1%eth0", True),
     ("192.168.1", False), ("a b", False), ("", False), ("-x", False), ("1.2.3.400", False), ("x" * 300, False)],
)  # fmt: skip
def test_a_host_is_known_by_its_form(host: str, is_one: bool) -> None:
    assert is_host(host) is is_one


def _answered(text: str | bytes) -> list[Mistake]:
    """What was found, having checked that it is an answer: a deployment or mistakes that stand in the text."""
    began = time.monotonic()
    deployment, mistakes = examine(text)
    assert time.monotonic() - began < SLOW_S
    assert (deployment is None) == bool(mistakes)
    for mistake in mistakes:
        assert mistake.what and mistake.instead and mistake.line >= 1 and mistake.column >= 1
    return mistakes


@given(st.text() | st.binary())
@example("\\")
@example('"\\U00110000"')
@example("? ")
@example("a: !<x")
@example("- - - &a *a")
@example('"\\ud800"')
@settings(max_examples=300)
def test_any_text_gives_a_deployment_or_mistakes(text: str | bytes) -> None:
    _answered(text)


_PIECES = st.sampled_from(
    ["\t", ":", "- ", "{", "}", "[", "]", "&a ", "*a", "!x ", "|", ">", '"', "'", "#", "\n", "    ", "null", "1", "? ", "---\n", "%",
     "<<: ", "any", "eye", "\\", ",", "\u00e9", "@", "`"]
)  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """The good file after a few slips of the hand: a piece put in, a stretch cut out, two lines swapped."""
    text = GOOD
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        slip = draw(st.sampled_from(["put", "cut", "copy", "swap"]))
        if slip == "put":
            text = text[:at] + draw(_PIECES) + text[at:]
        elif slip == "cut":
            text = text[:at] + text[at + draw(st.integers(1, 30)) :]
        elif slip == "copy":
            text = text[:at] + text[draw(st.integers(0, at)) : at] + text[at:]
        else:
            lines = text.split("\n")
            one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            lines[one], lines[other] = lines[other], lines[one]
            text = "\n".join(lines)
    return text


@given(_mutated())
@settings(max_examples=300)
def test_any_mutated_file_gives_a_deployment_or_mistakes_that_stand_in_it(text: str) -> None:
    lines = text.split("\n")
    for mistake in _answered(text):
        assert mistake.line <= len(lines)
        assert mistake.column <= len(lines[mistake.line - 1]) + 1


@given(st.dictionaries(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8), max_size=6))  # fmt: skip
@settings(max_examples=150)
def test_any_value_under_any_key_of_a_role_gives_a_deployment_or_mistakes(keys: dict[str, object]) -> None:
    role = {"kind": "display.web", **keys}
    known = ["on", "each", "copies", "standby", "needs", "model", "inputs", "options", "fallback", "with", "limits", "ladder", "delivery"]
    for name, value in zip(known, list(keys.values()) * 3, strict=False):
        role[name] = value
    _answered(json.dumps({"installation": "a", "roles": {"wall": role}}))


@pytest.mark.parametrize(
    "text",
    ["[" * 500_000, "a: 1\n" * 190_000, "- " * 400_000, "? " * 400_000, "{a: " * 200_000, '"' + "\\n" * 400_000, "&a " * 300_000,
     "a: |\n" + " x\n" * 300_000, "a: " + "x" * 900_000, "# x\n" * 240_000, GOOD + "x: [" + "a, " * 250_000 + "]", "a\n" * 400_000],
)  # fmt: skip
def test_a_megabyte_of_anything_is_answered_in_bounded_time(text: str) -> None:
    assert _answered(text)
