"""Puts the unit where systemd finds it and has it started at every switching-on; takes it away again.

    Systemd.here(user) -> Systemd       RoomfulError where there is no systemd
    systemd.install(wanted) -> bool     whether anything changed
    systemd.uninstall() -> bool         whether there was anything

As root a unit of the system, else one of the user's own manager, with lingering: without that it would start only when
somebody logs in.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mesh.core.unit import NAME, Wanted, unit_text
from mesh.errors import RoomfulError

RUNNING = Path("/run/systemd/system")  # sd_booted(3): this folder is there exactly when systemd runs the machine
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Systemd:
    """The manager that will start the agent. `user` is "" for the user's own."""

    user: str
    folder: Path

    @classmethod
    def here(cls, user: str = "", root: Path = Path("/")) -> Systemd:
        """The system's manager where `user` names who shall play, else this user's own."""
        return cls(user, root / "etc/systemd/system" if user else _config_folder() / "systemd" / "user")

    @property
    def path(self) -> Path:
        """Where the unit lies."""
        return self.folder / NAME

    def check(self) -> None:
        """Raises RoomfulError where this machine is run by something else."""
        if not RUNNING.is_dir():
            raise RoomfulError(
                "this machine is not run by systemd, so there is nobody to start the agent when it is switched on",
                instead="`roomful install --print` shows what should be run; have another program do so (cron's @reboot, launchd, …).",
            )

    def install(self, wanted: Wanted) -> bool:
        """Writes the unit, has it started at every start of the machine, and starts it now. True when anything changed."""
        self.check()
        text = unit_text(wanted)
        changed = self._write(text)
        self._call("daemon-reload")
        self._call("enable", NAME)
        self._call("restart" if changed else "start", NAME)
        if not self.user:
            _run(["loginctl", "enable-linger"], "This user's programs would start only when somebody logs in: "
                                                "ask an administrator for `loginctl enable-linger " + user_name() + "`.")
        return changed

    def uninstall(self) -> bool:
        """Stops the agent, which hands over first, and removes the unit. False when there is none."""
        if not self.path.exists():
            return False
        if RUNNING.is_dir():
            self._call("disable", "--now", NAME)
        with contextlib.suppress(FileNotFoundError):
            self._change(self.path.unlink)
        if RUNNING.is_dir():
            self._call("daemon-reload")
        return True

    def _write(self, text: str) -> bool:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self.path.read_text(encoding="utf-8") == text:
                return False
        beside = self.path.with_suffix(".part")
        self._change(lambda: self.folder.mkdir(parents=True, exist_ok=True))
        self._change(lambda: beside.write_text(text, encoding="utf-8"))
        self._change(lambda: os.replace(beside, self.path))
        return True

    def _change(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except OSError as error:
            raise RoomfulError(f"the unit cannot be changed: {error.strerror}", where=str(self.path),
                               instead="As the user who shall play, or with sudo for the whole system.") from None

    def _call(self, *words: str) -> None:
        scope = [] if self.user else ["--user"]
        _run(["systemctl", *scope, *words], "`roomful install --print` shows the unit, to be put in its place by hand.")


def user_name() -> str:
    """Who runs this program."""
    return pwd.getpwuid(os.getuid()).pw_name


def _config_folder() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME")
    return Path(given) if given else Path.home() / ".config"


def _run(command: list[str], instead: str) -> None:
    shown = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RoomfulError(f"there is no {command[0]} on this machine", instead=instead) from None
    except subprocess.TimeoutExpired:
        raise RoomfulError(f"`{shown}` has not ended after {PATIENCE_S:.0f} s", instead=instead) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise RoomfulError(f"`{shown}` failed: {said}", instead=instead)
