"""Names that people type: what a name may look like, and what somebody who mistyped one meant.

One file, so that every "did you mean" in the program judges nearness alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
RESERVED = frozenset(
    {"any", "all", "none", "label", "spare"}
)  # words that the file or the command line reads as something else


def is_name(text: str) -> bool:
    """Whether `text` can name an installation, a machine, a label, a model or a role."""
    return re.fullmatch(NAME_PATTERN, text) is not None and text not in RESERVED and not re.match(r"spare-[0-9]+$", text)


def as_name(text: str) -> str:
    """The nearest good name: "Left Wall" gives "left-wall". Always a good name."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    if not slug:
        return "my-name"
    return slug if is_name(slug) else f"my-{slug}"[:40].strip("-")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What somebody who wrote `word` most likely meant, None when nothing is near."""
    candidates = {name.lower(): name for name in sorted(known, reverse=True)}
    asked = re.sub(r"[^\x21-\x7e]+", "", word.lower()).replace("_", "-")
    if asked in candidates:
        return candidates[asked]
    close = get_close_matches(asked[:80], candidates, n=1, cutoff=0.6)
    return candidates[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], *, of: str) -> str:
    """One sentence for `instead`: the near name if there is one, and else all there are. `of` is their plural."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if not names:
        return f"there are no {of}"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"{of}: {shown}"


def role_name(instance: str) -> str:
    """The role that an instance's name belongs to: `poet/1` is of `poet`, `wall@left` of `wall`."""
    return instance.split("@")[0].split("/")[0]
