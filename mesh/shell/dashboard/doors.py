"""Who is let in at the dashboard's port: by a proof of a word, from an address that has not guessed too often, for a page that is ours.

    nonce                     "seconds.random.mac": whoever asks is given one; only this server could have made it
    Roomful-Proof: NONCE:HEX  HMAC-SHA-256 under a word over "NONCE\\nMETHOD\\nPATH\\nBODY"

A nonce remembers itself, so that strangers who ask for many cost no memory; those that were used are remembered until they are too old
anyway, and only whoever knows a word can use one. A proof that is replayed, altered or late is as wrong as a guess.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Mapping

from mesh.door import Allowances
from mesh.shell.dashboard.words import Words

LOOK, ORDER = "look", "order"
NONCE_S = 60.0
USED_MAX = 4096  # at most so many orders and live lines within a minute
GUESSES_A_SECOND, GUESSES_AT_ONCE = 0.1, 6.0
_PROOF = re.compile(r"(\d{1,12}\.[0-9a-f]{32}\.[0-9a-f]{64}):([0-9a-f]{64})")


class Doors:
    """Decides over one question at a time. `refused` counts by reason."""

    def __init__(self, words: Words, now: Callable[[], float] = time.monotonic) -> None:
        self._words, self._now = words, now
        self._secret = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        self._guesses = Allowances(GUESSES_A_SECOND, GUESSES_AT_ONCE, now)
        self.refused = {"guess": 0, "often": 0, "elsewhere": 0}

    def nonce(self) -> str:
        """One to prove a word with, within a minute."""
        body = f"{int(self._now())}.{secrets.token_hex(16)}"
        return f"{body}.{self._mac(body)}"

    def admit(self, proof: str, method: str, path: str, body: bytes, address: str) -> str | None:
        """What whoever asks may do: ORDER, LOOK, or None: no word, or too many wrong ones from that address."""
        if not self._guesses.left(address):
            self.refused["often"] += 1
            return None
        may = self._proven(proof, method, path, body)
        if may is None:
            self._guesses.take(address)
            self.refused["guess"] += 1
        return may

    def too_often(self, address: str) -> bool:
        """Whether that address has to wait before its next guess."""
        return not self._guesses.left(address)

    def ours(self, headers: Mapping[str, str]) -> bool:
        """Whether the question is a page's of ours, or no page's at all: its Host is an address or a local name; its Origin, if it has
        one, is that host."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if own_host(host) and (origin is None or origin == f"http://{host}"):
            return True
        self.refused["elsewhere"] += 1
        return False

    def _proven(self, proof: str, method: str, path: str, body: bytes) -> str | None:
        parts = _PROOF.fullmatch(proof)
        if parts is None:
            return None
        nonce, said = parts.groups()
        made, _, mac = nonce.rpartition(".")
        now = int(self._now())
        age_s = now - int(made.partition(".")[0])
        if not hmac.compare_digest(mac, self._mac(made)) or not 0 <= age_s <= NONCE_S or nonce in self._used:
            return None
        asked = b"\n".join([nonce.encode(), method.encode(), path.encode(), body])
        found = None
        for may, word in ((LOOK, self._words.look), (ORDER, self._words.operator)):
            if hmac.compare_digest(hmac.new(word.encode(), asked, "sha256").hexdigest(), said):
                found = may
        if found is not None and not self._use(nonce, now):
            return None
        return found

    def _use(self, nonce: str, now: int) -> bool:
        if len(self._used) >= USED_MAX:
            self._used = {each: used for each, used in self._used.items() if now - used <= NONCE_S}
        if len(self._used) >= USED_MAX:
            return False
        self._used[nonce] = now
        return True

    def _mac(self, body: str) -> str:
        return hmac.new(self._secret, body.encode(), "sha256").hexdigest()


def own_host(host: str) -> bool:
    """Whether a Host header can be ours: an address, a name without dots, or a local network's. A name of the internet that leads here is
    somebody's attempt to look inside (DNS rebinding)."""
    name = re.sub(r":\d{1,5}$", "", host).strip("[]").lower().rstrip(".")
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    local = "." not in name or name.endswith((".local", ".lan", ".home.arpa", ".internal", ".localhost"))
    return local and re.fullmatch(r"[a-z0-9_.-]{1,253}", name) is not None
