"""Every artwork of `deployments/`: it loads, its losses are planned, and it lives through them in the simulator."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mesh.core.plan import assumed_machines, plan
from mesh.core.spec import Deployment
from mesh.shell.folder import load
from mesh.shell.machine import EXTRAS
from tests.sim.story import Story

FOLDERS = sorted(path.parent for path in (Path(__file__).resolve().parents[2] / "deployments").glob("*/deployment.yaml"))
EVERYTHING = {"extras": tuple(EXTRAS), "camera": True, "screen": True, "sound": True, "microphone": True, "gpu": True}


@cache
def loaded(folder: Path) -> Deployment:
    return load(folder)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def work(request: pytest.FixtureRequest) -> Deployment:
    return loaded(request.param)


def names_of(work: Deployment) -> list[str]:
    return [machine.name for machine in work.machines] or ["one", "two", "three"]


def test_it_loads_without_a_mistake_and_says_what_it_is(work: Deployment) -> None:
    assert work.installation and work.about and work.roles
    assert all(set(model.licence) == {"weights", "code", "data"} and model.source for model in work.models.values())


def test_whole_it_plays_each_role_and_each_loss_is_planned(work: Deployment) -> None:
    machines, _ = assumed_machines(work)
    whole = plan(work, machines, every_loss=1)
    assert not whole.unplaced
    assert set(names_of(work)) <= set(whole.losses)
    for machine, loss in whole.losses.items():
        silent = [instance for instance, why in loss.lost.items() if not why.strip()]
        assert not silent, f"without {machine} nobody plays {silent}, and nothing says why"


def test_it_starts_in_the_simulator_and_lives_without_any_one_of_its_machines(work: Deployment) -> None:
    names = names_of(work)
    room = replace(work, boot_grace_s=5.0)
    story = Story(*names, room=room, capabilities={name: EVERYTHING for name in names}).start()
    everything = set(story.where())
    assert {name.split("@")[0].split("/")[0] for name in everything} == {role.name for role in work.roles}
    for name in names:
        story.world.cut_power(name)
        story.wait(4.0)
        story.agree()
        story.world.boot(name)
        story.wait(12.0)
        story.agree(within_s=30.0)
        assert set(story.where()) == everything
