"""The process of one instance: `python -m mesh.shell.host [INSTANCE]`, started by an agent and by nobody else.

Its configuration comes as JSON on its standard input; the name in its arguments is for whoever reads a list of processes.
It says hello to its agent before it imports anything that takes long, and ends with 0 after a clean stop, with 70 when
the role cannot work, with 71 when its agent is gone.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import traceback
from types import FrameType

from mesh.errors import RoomfulError
from mesh.shell import host_config
from mesh.shell.confinement import confine
from mesh.shell.host_config import HostConfig
from mesh.shell.host_link import HostLink, die_with_parent
from mesh.shell.standing import Standing
from mesh.shell.turns import wake_on_time

CANNOT_WORK = 70


def main() -> int:
    """Plays one instance until it is stopped; the exit code."""
    faulthandler.enable()
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        config = host_config.read(sys.stdin.buffer.read())
    except RoomfulError as error:
        print(error, file=sys.stderr)
        return 2
    standing = Standing(config)
    link = HostLink(config, standing)
    try:
        confine(config)  # while there is one thread: what it gives up, every later one has given up
    except RoomfulError as error:
        print(error, file=sys.stderr)
        return CANNOT_WORK
    wake_on_time()
    stopping = _Stopping(standing)
    link.start()
    if config.rehearsal:
        die_with_parent()
    try:
        return _play(config, standing, link, stopping)
    finally:
        link.close()


class _Stopped(BaseException):
    """SIGTERM came while nothing plays yet. Not an Exception: no role may catch it by accident."""


class _Stopping:
    """SIGTERM ends the loop at its next turn, and a `setup` that may take minutes at once."""

    def __init__(self, standing: Standing) -> None:
        self.at_once = True
        self._standing = standing
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the agent, which then stops its roles
        signal.signal(signal.SIGTERM, self._asked)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self._standing.stopping = True
        if self.at_once:
            raise _Stopped
        self._standing.ring()


def _play(config: HostConfig, standing: Standing, link: HostLink, stopping: _Stopping) -> int:
    from mesh.shell.border import GivingUp  # these take most of the time that a start takes
    from mesh.shell.playing import Playing

    playing = None
    try:
        playing = Playing(config, standing, link)
        playing.prepare()
        stopping.at_once = False
        playing.run()
        return 0
    except _Stopped:
        return 0
    except GivingUp as error:
        link.tell(error.message)
        return CANNOT_WORK
    except Exception as error:  # a mistake of the mesh's own: the agent must hear of it all the same
        traceback.print_exc()
        instead = "look at `roomful logs`, and report it with the lines found there"
        link.tell({"type": "failed", "what": f"{type(error).__name__}: {error}", "where": "mesh", "instead": instead})
        return CANNOT_WORK
    finally:
        stopping.at_once = False
        if playing is not None:
            playing.close()


if __name__ == "__main__":
    sys.exit(main())
