"""Licences by their SPDX identifiers: which strings look like one, and what a near miss meant.

Not the whole SPDX list (it grows every quarter and a room runs for years): what has the form of an identifier is
taken, and only what is nearly a well-known one, or no identifier at all, is refused.
"""

from __future__ import annotations

import re

KNOWN = (
    "0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CAL-1.0",
    "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-3.0",
    "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "EPL-2.0", "EUPL-1.2",
    "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LAL-1.3", "LGPL-2.1-only",
    "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "ODbL-1.0", "ODC-By-1.0",
    "OFL-1.1", "PDDL-1.0", "Unlicense", "WTFPL", "Zlib",
)  # fmt: skip
_MEANT = {
    "cc0": "CC0-1.0", "cczero": "CC0-1.0", "publicdomain": "CC0-1.0", "apache": "Apache-2.0", "apache2": "Apache-2.0",
    "apachelicense20": "Apache-2.0", "mitlicense": "MIT", "mitlicence": "MIT", "bsd": "BSD-3-Clause", "ccby": "CC-BY-4.0",
    "ccby4": "CC-BY-4.0", "ccbysa": "CC-BY-SA-4.0", "ccbysa4": "CC-BY-SA-4.0", "ccbync": "CC-BY-NC-4.0", "gpl": "GPL-3.0-or-later",
    "gpl3": "GPL-3.0-or-later", "gplv3": "GPL-3.0-or-later", "gpl30": "GPL-3.0-or-later", "agpl": "AGPL-3.0-or-later",
    "agpl3": "AGPL-3.0-or-later", "agplv3": "AGPL-3.0-or-later", "lgpl": "LGPL-3.0-or-later", "mpl": "MPL-2.0", "mpl2": "MPL-2.0",
}  # fmt: skip
_NONE = {
    "none",
    "unknown",
    "free",
    "open",
    "tbd",
    "proprietary",
    "own",
    "myown",
    "custom",
    "other",
    "na",
    "allrightsreserved",
    "private",
}
_IDENTIFIER = r"(?:DocumentRef-[A-Za-z0-9.-]{1,60}:)?[A-Za-z0-9][A-Za-z0-9.-]{0,60}\+?"
_EXPRESSION = re.compile(rf"\(*{_IDENTIFIER}\)*(?: (?:AND|OR|WITH) \(*{_IDENTIFIER}\)*){{0,10}}")


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_BY_BARE = {_bare(known): known for known in KNOWN} | _MEANT


def complaint(text: str) -> str | None:
    """None when `text` can be an SPDX expression, and else what to write instead."""
    if text in KNOWN:
        return None
    bare = _bare(text)
    if bare in _NONE or not bare:
        return "write its SPDX identifier; a licence without one is written LicenseRef-NAME, such as LicenseRef-all-rights-reserved"
    if bare in _BY_BARE:
        return f"write {_BY_BARE[bare]}"
    if _EXPRESSION.fullmatch(text) and text.count("(") == text.count(")"):
        return None
    return "write an identifier of the SPDX list, such as CC0-1.0, MIT, CC-BY-4.0, or LicenseRef-NAME for a licence of its own"
