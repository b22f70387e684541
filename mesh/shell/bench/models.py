"""Tokens a second and the first token of each language model of a deployment: called from another role, beside the very same role
called in a process of its own with no mesh around it.

Any role whose kind is `inference.llm` is measured with its own model and options, but for `pace`, which makes it slow on purpose.
Only the model's file is taken from the deployment, so nothing else of the artwork runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mesh.core.spec import Deployment, RoleSpec
from mesh.errors import RoomfulError
from mesh.role import Frame, Role
from mesh.shell.bench.measures import ALONE, Plan
from mesh.shell.bench.room import ROLES, figures_of, play_folder
from mesh.shell.bench.rows import Row, row
from mesh.shell.folder import load
from mesh.shell.host_config import HostConfig
from mesh.shell.preparing import make_role

KIND = "inference.llm"
PROMPT = "a quiet evening by the window"
WARM = 2


def speakers(deployment: Deployment) -> list[RoleSpec]:
    """The roles of a deployment that speak from a model."""
    return [role for role in deployment.roles if role.kind == KIND and role.model is not None]


def tokens(folder: Path, plan: Plan) -> list[Row]:
    """`tokens` and `first_token`; with a model's name behind them where the deployment has several."""
    deployment = load(folder)
    roles = speakers(deployment)
    found: list[Row] = []
    for role in roles:
        suffix = "" if len(roles) == 1 else f"_{role.name}"
        found += _measured(folder, deployment, role, plan, suffix)
    return found


def _measured(folder: Path, deployment: Deployment, role: RoleSpec, plan: Plan, suffix: str) -> list[Row]:
    count = max(4, plan.trips // 200)
    options = {key: value for key, value in role.options.items() if key != "pace"}
    with tempfile.TemporaryDirectory() as where:
        made = _piece(Path(where) / "piece", folder, deployment, role, options, count)
        ours: list[list[float]] = []
        bare: list[list[float]] = []
        for _ in range(plan.rounds):
            bare += _alone(made, role.name, count)
            ours += play_folder(made, ALONE, figures_of("prompter"), within_s=600.0)["rows"][WARM:]
    spoken = f"{role.name} ({role.model}), pieces as they come"
    return [
        row(f"tokens{suffix}", "tokens/s", _rates(ours), _rates(bare), more_is_better=True, note=spoken, digits=1),
        row(f"first_token{suffix}", "ms", _firsts(ours), _firsts(bare), note=f"{role.name}, from the question to its first piece"),
    ]


def _rates(rows: list[list[float]]) -> list[float]:
    """Pieces a second from the first to the last: the first has its own row."""
    return [(pieces - 1) / (whole_s - first_s) for first_s, whole_s, pieces in rows if pieces > 1 and whole_s > first_s]


def _firsts(rows: list[list[float]]) -> list[float]:
    return [first_s * 1000 for first_s, _, pieces in rows if pieces]


def _piece(made: Path, folder: Path, deployment: Deployment, role: RoleSpec, options: Mapping[str, Any], count: int) -> Path:
    """A deployment of this role alone, and somebody who asks it."""
    model = deployment.models[role.model or ""]
    (made / model.file).parent.mkdir(parents=True)
    try:
        os.link(folder / model.file, made / model.file)
    except OSError:  # another disk
        shutil.copyfile(folder / model.file, made / model.file)
    asker = {"kind": "./roles.py:Prompter", "options": {"role": role.name, "prompt": PROMPT, "count": count + WARM}}
    text = {
        "installation": "bench", "machines": {"one": {}},
        "models": {model.name: {"file": model.file, "sha256": model.sha256, "licence": dict(model.licence)}},
        "roles": {role.name: {"kind": KIND, "model": model.name, "options": dict(options)}, "prompter": asker},
    }  # fmt: skip
    (made / "deployment.yaml").write_text(json.dumps(text, indent=1))  # JSON is YAML
    shutil.copyfile(ROLES, made / "roles.py")
    return made


# ---- the same role with no mesh around it


def _alone(folder: Path, role: str, count: int) -> list[list[float]]:
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mesh.shell.bench.models", str(folder), role, str(count)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RoomfulError(f"{role} cannot speak alone: {words}", instead="roomful check")
    return list(json.loads(done.stdout.strip().splitlines()[-1]))


class Silence:
    """A stage on which nobody listens."""

    def emit(self, *unused: Any, **also: Any) -> None:
        return None

    def ask(self, *unused: Any, **also: Any) -> Iterator[Any]:
        return iter(())

    def now_s(self) -> float:
        return time.time()

    def alert(self, on: bool) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return self.emit


def speak(folder: Path, name: str, count: int) -> list[list[float]]:
    """[seconds to the first piece, to the last, pieces] of so many answers, in this process."""
    deployment = load(folder)
    spec = deployment.role(name)
    model = deployment.models[spec.model or ""]
    config = HostConfig(
        name, name, spec.kind, str(folder), "", "", "", "", "", "", options=dict(spec.options),
        model={"name": model.name, "file": model.file, "sha256": model.sha256, "licence": dict(model.licence)},
    )  # fmt: skip
    role: Role = make_role(config, Silence())  # type: ignore[arg-type]
    role.setup()
    rows: list[list[float]] = []
    for number in range(count + WARM):
        began_s, first_s, pieces = time.perf_counter(), 0.0, 0
        for _ in role.on_prompt(Frame(PROMPT, request=f"prompter:1:1.{number}")):  # type: ignore[attr-defined]
            first_s = first_s or time.perf_counter()
            pieces += 1
        rows.append([(first_s or began_s) - began_s, time.perf_counter() - began_s, pieces])
    role.teardown()
    return rows[WARM:]


if __name__ == "__main__":
    print(json.dumps(speak(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
