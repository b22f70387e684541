"""`plan`: what the artist is told before there is a room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.cli.plan import command
from mesh.core.instances import Candidate
from mesh.core.plan import PlanReport, assumed_machines, plan
from mesh.core.spec import Deployment, Machine, Needs, RoleSpec
from mesh.errors import DeploymentError, UsageError
from tests.core.placement_rooms import KINDS, LLM, SCREEN, machine, role, room

SHAPE = {"placement", "standby", "unplaced", "losses"}


def small_room() -> Deployment:
    return room(
        role("eye", on=("door", "any"), standby="cold"),
        role("presence", of=("eye",), standby="warm"),
        role("mood", of=("presence",), standby="hot"),
        role("poet", of=("mood",), kind=LLM, copies=2, model="poet"),
        role("wall", of=("poet",), kind=SCREEN, each=("left", "right")),
        machines=["door", "shelf", "left", "right"],
    )


def planned(deployment: Deployment, **asked: object) -> PlanReport:
    candidates, assumed = assumed_machines(deployment)
    return plan(deployment, candidates, assumed=assumed, **asked)  # type: ignore[arg-type]


def test_the_report_names_machines_and_has_the_shape_others_build_on() -> None:
    report = planned(small_room(), every_loss=1)
    value = json.loads(json.dumps(report.as_json()))
    assert set(value) >= SHAPE
    assert value["placement"]["eye"] == "door"
    assert value["unplaced"] == {}
    assert set(value["losses"]) == {"door", "shelf", "left", "right"}
    assert all(set(loss) == {"moves", "gap_ms", "lost"} for loss in value["losses"].values())
    assert set(value["standby"]) == {"eye", "presence", "mood", "poet/1", "poet/2"}


def test_every_instance_of_a_lost_machine_moves_or_is_lost_and_the_rest_stay() -> None:
    report = planned(small_room(), every_loss=2)
    for key, loss in report.losses.items():
        gone = set(key.split("+"))
        hit = {instance for instance, name in report.placement.items() if name in gone}
        assert hit <= {*loss.moves, *loss.lost}
        assert not set(loss.moves) & set(loss.lost)
        assert set(loss.gap_ms) == set(loss.moves)
        assert not gone & set(loss.moves.values())


def test_the_first_to_take_over_is_who_the_plan_says_stands_by() -> None:
    report = planned(small_room(), every_loss=1)
    for instance in ("eye", "presence", "mood"):
        assert report.losses[report.placement[instance]].moves[instance] == report.standby[instance]


def test_an_each_instance_of_a_lost_machine_is_lost() -> None:
    report = planned(small_room(), lose=("left",))
    assert report.losses["left"].lost == {"wall@left": "left is not here"}


def test_losing_the_last_output_loses_the_room() -> None:
    report = planned(small_room(), lose=("left", "right"))
    assert list(report.losses) == ["left+right"]
    assert set(report.losses["left+right"].lost) == set(report.placement)


def test_pairs_come_beside_the_single_losses() -> None:
    report = planned(small_room(), every_loss=2)
    assert {key for key in report.losses if "+" in key} == {
        "door+shelf", "door+left", "door+right", "shelf+left", "shelf+right", "left+right",
    }


@pytest.mark.parametrize(
    ("keys", "timing", "gap_ms"),
    [
        ({"standby": "hot"}, "wired", 500),
        ({"standby": "warm"}, "wired", 1000),
        ({"standby": "cold"}, "wired", 2000),
        ({"standby": "cold", "model": "m"}, "wired", 5000),
        ({"standby": "hot", "exclusive": True}, "wired", 1000),
        ({"copies": 2, "model": "m"}, "wired", 500),
        ({"standby": "hot"}, "wireless", 830),
        ({"standby": "warm"}, "wireless", 1780),
    ],
)
def test_the_gap_is_the_promise_for_its_way_of_standing_by(keys: dict[str, object], timing: str, gap_ms: int) -> None:
    wanted = role("one", on=("a", "any"), **keys)
    deployment = Deployment("a-room", machines=(Machine("a"), Machine("b")), roles=(wanted,), kinds=KINDS, timing=timing)
    report = planned(deployment, lose=("a",))
    (instance,) = (each for each, name in report.placement.items() if name == "a")
    assert report.gap_ms[instance] == gap_ms
    assert report.losses["a"].gap_ms == {instance: gap_ms}


def test_a_warm_role_that_finds_no_memory_to_wait_in_is_planned_as_cold() -> None:
    wanted = [role("one", memory=2, on=("a", "b"), standby="warm"), role("two", memory=1, on=("b",))]
    report = plan(room(*wanted, machines=["a", "b"]), [machine("a", 2), machine("b", 2.5)], lose=("a",))
    assert report.gap_ms == {"one": 2000}
    assert report.losses["a"].lost == {"two": "needs 1.0 GB of memory; b has 500 MB free"}, "the more important role moves in"


def test_half_of_the_room_falling_silent_together_costs_the_time_of_a_second_look() -> None:
    report = planned(room(role("one", on=("a", "any"), standby="warm"), machines="abcde"), lose=("a", "c"))
    assert report.losses["a+c"].gap_ms["one"] == 1000 + 2000


def test_a_holder_moved_to_make_room_is_handed_over() -> None:
    wanted = [role("big", memory=3, on=("a", "b")), role("small", memory=1, on=("b", "c"))]
    report = plan(room(*wanted, machines="abc"), [machine("a", 3), machine("b", 3), machine("c", 1)], lose=("a",))
    assert report.losses["a"].moves == {"big": "b", "small": "c"}
    assert report.losses["a"].gap_ms["small"] == 150


def test_a_machine_that_is_not_there_cannot_be_lost() -> None:
    with pytest.raises(UsageError) as refused:
        planned(small_room(), lose=("shef",))
    assert "Did you mean shelf?" in str(refused.value)


# ---- what a laptop takes for granted


def named(candidates: list[Candidate]) -> list[str]:
    return [each.name for each in candidates]


def test_a_file_without_machines_is_planned_on_three_spares() -> None:
    candidates, _ = assumed_machines(room(role("eye")))
    assert named(candidates) == ["spare-1", "spare-2", "spare-3"]


@pytest.mark.parametrize(
    ("wanted", "labels", "with_camera"),
    [
        (role("eye", needs=Needs(camera=True)), {}, ["a", "b", "c"]),
        (role("eye", needs=Needs(camera=True)), {"b": ("camera",)}, ["b"]),
        (role("eye", needs=Needs(camera=True), on=("a", "any")), {}, ["a"]),
        (role("eye", needs=Needs(camera=True), on=("label:yard",)), {"c": ("yard",)}, ["c"]),
        (role("eye", on=("a", "any")), {"b": ("camera",)}, ["b"]),
    ],
)
def test_a_camera_is_where_the_file_says_or_else_everywhere(
    wanted: RoleSpec, labels: dict[str, tuple[str, ...]], with_camera: list[str],
) -> None:
    deployment = room(wanted, machines=[Machine(name, labels.get(name, ())) for name in "abc"])
    candidates, _ = assumed_machines(deployment)
    assert [each.name for each in candidates if each.capabilities.camera] == with_camera


def test_memory_is_never_assumed_smaller_than_the_largest_role() -> None:
    report = planned(room(role("poet", memory=24), machines=["a"]))
    assert report.complete is True
    assert "24.0 GB" in report.assumed[0]


def test_what_the_file_says_a_machine_has_is_planned_with() -> None:
    machines = [Machine("a", has={"camera": True}), Machine("b", has={"memory_bytes": 5}), Machine("c", ("camera",))]
    candidates, _ = assumed_machines(room(role("eye", needs=Needs(camera=True)), machines=machines))
    assert [each.capabilities.camera for each in candidates] == [True, False, True]
    assert candidates[1].capabilities.memory_bytes == 5


# ---- in a sentence


def test_the_summary_says_which_machines_may_die_and_which_may_not() -> None:
    report = planned(small_room())
    assert report.summary == "Any one machine may die, except left (wall@left is lost) and right (wall@right is lost)."


def test_a_pair_is_an_exception_only_for_what_neither_takes_along_alone() -> None:
    said = planned(small_room(), every_loss=2).summary
    assert said.endswith("except left with right (eye, presence, mood and 2 more are lost).")
    bare = planned(room(role("a"), role("b"), role("c"), machines=["x", "y", "z"]), every_loss=2).summary
    assert bare == (
        "Any one machine may die: everything goes on. "
        "Any two machines at once may die: nothing is lost beyond what each takes with it.")


def test_with_one_machine_everything_is_lost_and_a_loss_that_all_bring_is_not_called_an_exception() -> None:
    assert "There is one machine" in planned(room(role("eye"), machines=["a"])).summary
    walls = room(role("wall", each=("a", "b"), of=()), machines=["a", "b"])
    assert planned(walls).summary.startswith("Each machine takes something with it: a (wall@a is lost)")


def test_the_plan_says_what_its_gaps_take_for_granted() -> None:
    said = planned(small_room()).assumed[-1]
    for words in ("wired", "500 ms", "1.0 s", "cold"):
        assert words in said
    assert not any("gaps" in each for each in planned(room(role("wall", each=("a",)), machines=["a"])).assumed)


# ---- the verb


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


ROLES = """
from mesh.role import Event, Role


class Eye(Role):
    outputs = {"seen": Event}


class Wall(Role):
    display = True

    def on_seen(self, frame: Event):
        pass
"""
DEPLOYMENT = """
installation: two-walls
machines: {door: {}, shelf: {}, left: {}, right: {}}
roles:
  eye: {kind: "./roles.py:Eye", on: [door, any], standby: hot}
  wall: {kind: "./roles.py:Wall", each: [left, right], inputs: {seen: eye.seen}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("two-walls")
    (path / "roles.py").write_text(ROLES)
    (path / "deployment.yaml").write_text(DEPLOYMENT)
    return str(path)


def test_the_verb_prints_the_promised_json(folder: str) -> None:
    value = json.loads(run(folder, "--every-loss", "2", "--json"))
    assert set(value["losses"]) >= {"door", "door+shelf"}
    assert value["placement"] == {"eye": "door", "wall@left": "left", "wall@right": "right"}


@pytest.mark.parametrize("words", [("--every-loss", "FOLDER"), ("FOLDER", "--every-loss", "1")])
def test_every_loss_stands_alone_or_with_its_number(folder: str, words: tuple[str, ...]) -> None:
    assert len(json.loads(run(*[folder if word == "FOLDER" else word for word in words], "--json"))["losses"]) == 4


def test_the_table_names_who_takes_over_and_why_something_is_lost(folder: str) -> None:
    text = run(folder, "--every-loss")
    for words in ("everything plays", "hot on shelf", "comes back with its machine", "left is not here", "nothing moves", "500 ms",
                  "Any one machine may die"):
        assert words in text


def test_without_a_loss_the_table_says_how_to_ask_for_one(folder: str) -> None:
    assert "--every-loss" in run(folder)


def test_a_folder_with_mistakes_cannot_be_planned(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text("installation: x\nroles: {eye: {kind: sensing.kamera}}\n")
    with pytest.raises(DeploymentError):
        run(str(tmp_path))
