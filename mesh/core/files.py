"""The files that a deployment speaks of: that they stay in its folder, are there, and are the ones meant.

The folder travels as a whole (copied, archived, restored), so nothing outside it can be part of the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mesh.core.complaints import Complaints
from mesh.core.facts import FileFact, FolderFacts
from mesh.core.names import did_you_mean, nearest
from mesh.core.spec import Deployment

FALLBACK_BYTES_MAX = 1_000_000
ENDINGS = {  # of what a fallback can be; a loop may be a folder of pictures instead
    "image": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"),
    "loop": (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif"),
    "recording": (".jsonl", ".wav", ".ogg", ".flac", ".mp3"),
}
NO_FOLDER = ("model", "text", "file", "image", "recording")
LEFT_OUT = ("training", "__pycache__")  # what stays behind when the folder goes to the machines, hidden names besides


@dataclass(frozen=True, slots=True)
class Wanted:
    """A path in the file: where it stands, and what should lie there: "model", "file", "folder", "either" of these, or a
    fallback's "text", "image", "loop" or "recording"."""

    path: str
    at: tuple[str | int, ...]
    sort: str


def wanted(deployment: Deployment) -> list[Wanted]:
    """Every path of the deployment that should lie in the folder."""
    found = [Wanted(model.file, ("models", name, "file"), "model") for name, model in deployment.models.items()]
    for role in deployment.roles:
        for stand_in, path in role.fallback.items():
            found.append(Wanted(path, ("roles", role.name, "fallback", stand_in), stand_in))
        kind = deployment.kinds.get(role.kind)
        rules = kind.options.get("properties", {}) if kind else {}
        for name, value in role.options.items():
            sort = rules.get(name, {}).get("file") if isinstance(rules.get(name), dict) else None
            at: tuple[str | int, ...] = ("roles", role.name, "options", name)
            if isinstance(value, str) and sort and (sort != "maybe" or _looks_like_a_path(value)):
                found.append(Wanted(value, at, {True: "file", "folder": "folder"}.get(sort, "either")))
    return found


def _looks_like_a_path(text: str) -> bool:
    """Where an option takes a device or a file: whether a file in the folder is meant."""
    if "://" in text or (text.startswith("/dev/") and not text.startswith("/dev/shm/") and ".." not in text):
        return False
    return "/" in text or "\\" in text or re.search(r"\.[A-Za-z0-9]{1,5}$", text) is not None


def form_fault(path: str) -> tuple[str, str] | None:
    """What is wrong with the form of a path, whatever lies there: (what, instead), or None."""
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1][:60] or "NAME"
    if re.match(r"[/~]|[A-Za-z]:", path):
        return (
            f"“{path[:80]}” leaves the folder: it holds on this one computer only",
            f"copy the file into the folder and write its path in it, such as {last}",
        )
    if "\\" in path:
        return "a backslash in a path holds on Windows only", f"write {path.replace(chr(92), '/')[:80]}"
    parts = path.split("/")
    if ".." in parts:
        return (
            f"“{path[:80]}” leaves the folder",
            f"copy the file into the folder and write its path in it, such as {last}",
        )
    hidden = next((part for part in parts if part.startswith(".") and part != "."), None)
    left_out = hidden or next((part for part in parts if part == "__pycache__" or part == parts[0] == "training"), None)
    if left_out:
        return (
            f"`{left_out[:60]}` stays behind when the folder goes to the machines",
            f"move the file, for example to models/{last}",
        )
    if len(path) > 500:
        return "the path is too long", "write a path of at most 500 characters"
    return None


def judge(complaints: Complaints, deployment: Deployment, facts: FolderFacts) -> None:
    """Say every file that is missing, outside the folder, or another than the one meant."""
    for want in wanted(deployment):
        if complaints.is_lost(*want.at):
            continue
        fault = form_fault(want.path)
        if fault is not None:
            complaints.at_value(want.at, *fault)
        elif want.path in facts.files:
            _judge_file(complaints, deployment, want, facts.files[want.path])
    opening = deployment.opening
    if opening is not None and facts.zones and opening.timezone not in facts.zones:
        near = nearest(opening.timezone, facts.zones)
        instead = f"did you mean `{near}`?" if near else "write continent and city, such as Europe/Tallinn"
        complaints.at_value(("opening", "timezone"), f"there is no time zone `{opening.timezone}`", instead)


def _judge_file(complaints: Complaints, deployment: Deployment, want: Wanted, fact: FileFact) -> None:
    path = want.path[:80]
    if fact.state == "missing":
        near = did_you_mean(want.path, fact.near, of="others there")
        complaints.at_value(
            want.at,
            f"{path} is not in the folder",
            near if nearest(want.path, fact.near) else f"put the file there; {near}" if fact.near else "put the file there",
        )
    elif fact.state == "outside":
        complaints.at_value(want.at, f"{path} is a link that leaves the folder", "put the file itself in its place")
    elif fact.state == "unreadable":
        complaints.at_value(want.at, f"{path} cannot be read by this user", f"chmod u+r {path}")
    elif fact.state == "folder" and want.sort in NO_FOLDER:
        complaints.at_value(
            want.at, f"{path} is a folder", did_you_mean(f"{want.path}/", fact.near, of="write a file in it")
        )
    elif fact.state == "file" and want.sort == "folder":
        complaints.at_value(want.at, f"{path} is a file, and a folder is meant", "write the folder that holds it")
    elif fact.state == "file" and fact.size_bytes == 0:
        complaints.at_value(
            want.at, f"{path} is empty", "copy the file anew" if want.sort == "model" else "put into it what belongs there"
        )
    elif fact.state == "file" and not path.lower().endswith(ENDINGS.get(want.sort, "")):
        article = "an" if want.sort == "image" else "a"
        complaints.at_value(want.at, f"{path} is not {article} {want.sort}", f"give a file that ends in {', '.join(ENDINGS[want.sort])}")
    elif want.sort == "text" and fact.size_bytes > FALLBACK_BYTES_MAX:
        complaints.at_value(want.at, f"{path} is longer than 1 MB", "keep a few hundred lines")
    elif want.sort == "text" and not fact.is_text:
        complaints.at_value(want.at, f"{path} is not UTF-8 text", "save it as UTF-8, one sentence a line")
    elif want.sort == "model" and fact.sha256 is not None:
        _judge_hash(complaints, deployment, want, fact.sha256)


def _judge_hash(complaints: Complaints, deployment: Deployment, want: Wanted, real: str) -> None:
    name = str(want.at[1])
    if deployment.models[name].sha256 != real and not complaints.is_lost("models", name, "sha256"):
        what = f"{want.path[:80]} has another sha256"
        complaints.at_value(("models", name, "sha256"), what, f"write {real} if this is the file that is meant")
