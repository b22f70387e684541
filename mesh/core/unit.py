"""The systemd unit that makes a machine play by itself when it is switched on: what it says, and why.

    Restart=always, no start limit   staff are not technicians: nothing but the power switch may be needed, ever
    KillMode=process                 a crashed agent's roles play on for 10 s and are adopted by the next (DESIGN.md 4.6); a stop
                                     reaches the agent, which hands over, then ends its roles; orphans end by themselves
    OOMPolicy=continue               a role that the kernel ends for its memory must not take the agent with it
    After=network.target             an order, no wait: network-online.target would wait for minutes for a cable that is out
    NoNewPrivileges, ProtectSystem   the agent needs its state folder, the network, and what its roles' devices, sound and screens
                                     need; the system's own files, modules and host name are out of reach, and sudo is of no use
    LimitRTPRIO                      screens present on time even while every core computes (`mesh/shell/presenting.py`); a user's own
                                     manager gives it only where the system lets it, and then goes without
    Nice, OOMScoreAdjust             the agent before its roles; an ordinary user may not lower these, and there the roles raise theirs

Of systemd's other bounds none that would break a work: PrivateTmp (X11's and the roles' sockets lie in /tmp), PrivateDevices and
ProtectClock (cameras, graphics, serial lines), ProtectKernelTunables (lamps at a pin, backlights), ProtectHome (the key, the sound
server's cookie), MemoryDenyWriteExecute (engines compile), SystemCallFilter and RestrictNamespaces (browsers, drivers). What a role may do
is bounded by its own process (`mesh/shell/confinement.py`). Decided against: a watchdog (an agent that is stuck is seen by the others, and
its roles play on), and a unit for each role (roles move). Pure: the text is made here, written by `mesh/shell/systemd.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NAME = "roomful.service"
STOP_S = 30  # 8 s to hand over, 2 s for roles to end, and time to spare on a slow machine
HARDENED = ("NoNewPrivileges=yes", "LimitCORE=0")
# What only the system's manager can do everywhere: an ordinary user's makes no namespaces on some kernels, and the unit would not start.
OF_THE_SYSTEM = (
    "ProtectSystem=full", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
    "RestrictSUIDSGID=yes", "LockPersonality=yes",
)
PRESENTING_PRIORITY = 1  # the lowest that is real-time
RESTART_S = 2  # well within the 10 s for which roles outlive their agent


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run. `command` is the whole command line; `user` is "" for a unit of the user's own manager."""

    installation: str
    command: tuple[str, ...]
    home: str
    user: str = ""


def unit_text(wanted: Wanted) -> str:
    """The unit file. The same for the same wish, so that installing twice changes nothing."""
    system = bool(wanted.user)
    unit = [
        "[Unit]",
        f"Description=Roomful: {_plain(wanted.installation)}",
        *(["After=network.target"] if system else []),
        "StartLimitIntervalSec=0",
    ]
    service = [
        "[Service]",
        f"ExecStart={command_line(wanted.command)}",
        f"Environment={quoted(f'ROOMFUL_HOME={wanted.home}')}",
        *([f"User={wanted.user}", "Nice=-5", "OOMScoreAdjust=-500"] if system else []),
        "Restart=always",
        f"RestartSec={RESTART_S}",
        "KillMode=process",
        f"TimeoutStopSec={STOP_S}",
        "OOMPolicy=continue",
        "LimitNOFILE=65536",
        *HARDENED,
        *(OF_THE_SYSTEM if system else []),
        f"LimitRTPRIO={PRESENTING_PRIORITY}",
    ]
    install = ["[Install]", f"WantedBy={'multi-user.target' if system else 'default.target'}"]
    head = ["# Written by `roomful install`; `roomful uninstall` removes it. Changes made here are lost at the next install."]
    return "\n".join([*head, "", *unit, "", *service, "", *install, ""])


def command_line(words: Sequence[str]) -> str:
    """A command as `ExecStart=` reads it: nothing in it is expanded."""
    return " ".join(quoted(word.replace("$", "$$")) for word in words)


def quoted(word: str) -> str:
    """One word of a unit file: specifiers doubled, in quotes where it needs them (systemd.syntax(7), systemd.service(5))."""
    word = word.replace("%", "%%")
    if word and not set(word) & set(" \t\n\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return " ".join(text.replace("%", "%%").split())
