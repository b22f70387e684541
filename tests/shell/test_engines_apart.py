"""Models, pictures and packets of strangers are parsed in a role's process and nowhere else: agent and commands know no engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell.host_harness import ROOT

PARSERS = {
    "onnxruntime", "tokenizers", "onnx", "llama_cpp", "cv2", "simplejpeg", "gguf", "torch", "numpy", "soundfile", "pygame", "mido", "paho",
    "pythonosc", "starlette", "uvicorn", "websockets", "serial", "sacn",
}
EVERY_VERB = sorted(path.stem for path in (ROOT / "mesh" / "cli").glob("*.py") if path.stem not in ("entry",))


def loaded_by(code: str) -> set[str]:
    """The top modules that a fresh Python holds after this."""
    shown = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-P", "-c", shown], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_agent_and_every_verb_are_imported_without_an_engine() -> None:
    verbs = "\n".join(f"import mesh.cli.{verb}" for verb in EVERY_VERB if verb != "__init__")
    loaded = loaded_by(f"import mesh.cli, mesh.shell.agent, mesh.shell.rehearsal\n{verbs}")
    assert not loaded & PARSERS


@pytest.mark.parametrize("piece", ["whispering-room", "slow-weather", "answering-wall"])
def test_a_deployment_is_read_and_its_models_are_hashed_without_an_engine(piece: str) -> None:
    folder = ROOT / "deployments" / piece
    assert (folder / "deployment.yaml").is_file()
    loaded = loaded_by(f"from pathlib import Path\nfrom mesh.shell.folder import load\nload(Path({str(folder)!r}), verify_hashes=True)")
    assert not loaded & PARSERS


def test_whoever_did_load_one_would_be_noticed(tmp_path: Path) -> None:
    assert loaded_by("import cv2") & PARSERS
