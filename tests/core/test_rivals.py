"""Two roles that only one machine's port or device could serve are told apart before anything plays."""

from __future__ import annotations

import pytest

from mesh.core.complaints import Complaints
from mesh.core.kind import Kind
from mesh.core.rivals import judge
from mesh.core.spec import Deployment, Machine, RoleSpec
from mesh.core.yaml_text import read_text

PORT = Kind("osc", options={"properties": {"port": {"default": 9000}}}, holds={"port": "UDP port"})
PAGE = Kind("web", options={"properties": {"port": {"default": None}}}, holds={"port": "TCP port"}, display=True)
EYE = Kind("camera", options={"properties": {"source": {"default": 0}}}, holds={"source": "camera"})
CLIP = {"source": "x.mp4"}
MACHINES = (Machine("a", ("camera",)), Machine("b"))


def said(*roles: RoleSpec, machines: tuple[Machine, ...] = MACHINES) -> list[str]:
    root = read_text("roles: {one: {}, two: {options: {port: 9000}}}").root
    assert root is not None
    complaints = Complaints("deployment.yaml", root, set())
    judge(complaints, Deployment("x", machines=machines, roles=roles, kinds={"osc": PORT, "web": PAGE, "camera": EYE}))
    return [each.what for each in complaints.mistakes]


@pytest.mark.parametrize(("one", "two", "words"), [
    (RoleSpec("one", "osc", on=("a",)), RoleSpec("two", "osc", on=("a",)), ["`one` and `two` cannot both have UDP port 9000 on a"]),
    (RoleSpec("one", "osc", on=("a",)), RoleSpec("two", "osc", on=("b",)), []),
    (RoleSpec("one", "osc"), RoleSpec("two", "osc"), []),
    (RoleSpec("one", "osc", on=("a",)), RoleSpec("two", "osc", on=("a",), options={"port": 9001}), []),
    (RoleSpec("one", "web", each=("a", "b")), RoleSpec("two", "web", each=("b",)), []),  # each finds a free one
    (RoleSpec("one", "web", each=("a", "b"), options={"port": 80}), RoleSpec("two", "web", each=("b",), options={"port": 80}),
     ["`one` and `two` cannot both have TCP port 80 on b"]),
    (RoleSpec("one", "web", each=("a",), options={"port": 0}), RoleSpec("two", "web", each=("a",), options={"port": 0}), []),
    (RoleSpec("one", "camera", on=("label:camera",)), RoleSpec("two", "camera", on=("a",), options={"source": "/dev/video0"}),
     ["`one` and `two` cannot both have camera 0 on a"]),
    (RoleSpec("one", "camera", on=("a",), options=CLIP), RoleSpec("two", "camera", on=("a",), options=CLIP), []),
])  # fmt: skip
def test_roles_that_surely_meet_and_need_one_thing_are_said(one: RoleSpec, two: RoleSpec, words: list[str]) -> None:
    assert said(one, two) == words


def test_where_the_file_names_one_machine_all_meet_there() -> None:
    assert len(said(RoleSpec("one", "osc"), RoleSpec("two", "osc"), machines=MACHINES[:1])) == 1
