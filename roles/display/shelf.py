"""What a page can show besides its own files: pictures, films and sounds of the deployment's folder, by address.

    media/NAME                    a file of the folder that option `media` names; events name it: {"image": "moth.jpg"}
    roomful/fallback/image        the fallback's own files, wherever they lie in the folder
    roomful/style.css             option `style`, or nothing

Only these and only inside the deployment's folder: the page is read by a whole network, and beside the pictures lie the
models and the artist's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

SHOWN = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".svg", ".bmp"}
FILMS = {".mp4", ".webm", ".mkv", ".mov", ".ogv"}
HEARD = {".wav", ".ogg", ".oga", ".mp3", ".flac", ".m4a", ".opus"}
PICTURES_MAX = 200  # of a folder that is a loop


@dataclass(frozen=True)
class Shelf:
    """The files that may be asked for."""

    media: Path | None = None
    style: Path | None = None
    fallback: Mapping[str, Path] = field(default_factory=dict)

    def file_for(self, path: str) -> Path | None:
        """The file that an address means; None for all that is none of ours."""
        if path == "roomful/style.css":
            return self.style
        if path.startswith("roomful/fallback/"):
            sort, _, inner = path.removeprefix("roomful/fallback/").partition("/")
            found = self.fallback.get(sort)
            if found is None or (inner == "") == found.is_dir():
                return None
            return found if not inner else _inside(found, inner)
        if path.startswith("media/") and self.media is not None:
            return _inside(self.media, path.removeprefix("media/"))
        return None

    def stand_in(self) -> dict[str, object]:
        """The fallback as a page is told of it: {"image": address, "film": address, "pictures": [addresses], "sound": address}."""
        told: dict[str, object] = {}
        loop, image, sound = (self.fallback.get(sort) for sort in ("loop", "image", "recording"))
        if loop is not None and loop.is_dir():
            names = sorted(path.name for path in loop.iterdir() if path.suffix.lower() in SHOWN)[:PICTURES_MAX]
            told["pictures"] = [f"roomful/fallback/loop/{quote(name)}" for name in names]
        elif loop is not None and loop.suffix.lower() in FILMS:
            told["film"] = "roomful/fallback/loop"
        elif loop is not None or image is not None:
            told["image"] = "roomful/fallback/loop" if loop is not None else "roomful/fallback/image"
        if sound is not None and sound.suffix.lower() in HEARD:
            told["sound"] = "roomful/fallback/recording"
        return told


def _inside(folder: Path, name: str) -> Path | None:
    """A picture, film or sound in the folder or below; nothing hidden, and no link that leads out."""
    parts = Path(name).parts
    if "\0" in name or not parts or any(part.startswith(".") for part in parts):
        return None
    try:
        found = (folder / name).resolve()
        fits = found.is_relative_to(folder.resolve()) and found.suffix.lower() in SHOWN | FILMS | HEARD and found.is_file()
        return found if fits else None
    except OSError:
        return None
