"""OLA, the lighting daemon that many desks and nodes run, as the receiver on this computer."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ports import free_port
from tests.roles.stage import until

# Everything that would look for devices or take another port is switched off.
OTHERS = (
    "dummy espnet ftdidmx gpio karate kinet milinst nanoleaf opendmx openpixelcontrol osc pathport renard sandnet shownet spi stageprofi "
    "uartdmx usbdmx usbserial"
)
PORTS = {"sacn": "E1.31", "artnet": "ArtNet"}


class Ola:
    """A running olad. `levels` is what its universe 1 holds."""

    def __init__(self, http: int) -> None:
        self._address = f"http://127.0.0.1:{http}"

    def ask(self, path: str, **form: str) -> object:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(f"{self._address}{path}", data, timeout=5) as answer:
            return json.load(answer)

    def listen(self, protocol: str) -> None:
        """Universe 1 is what comes in by this protocol."""
        ports = self.ask("/json/get_ports")
        assert isinstance(ports, list)
        port = next(port["id"] for port in ports if port["device"].startswith(PORTS[protocol]) and not port["is_output"])
        answer = self.ask("/new_universe", id="1", name="stage", add_ports=port)
        assert isinstance(answer, dict) and answer["ok"], answer

    @property
    def levels(self) -> list[int]:
        answer = self.ask("/get_dmx?u=1")
        assert isinstance(answer, dict)
        return list(answer["dmx"])


@contextmanager
def ola(protocol: str) -> Iterator[Ola]:
    """An OLA that hears one protocol on this computer. It refuses to run as root, so root lends it another name."""
    program = shutil.which("olad")
    assert program, "olad is missing: apt-get install ola"
    folder = Path(tempfile.mkdtemp(prefix="ola-"))
    for name in OTHERS.split():
        (folder / f"ola-{name}.conf").write_text("enabled = false\n")
    (folder / "ola-artnet.conf").write_text("enabled = true\nuse_loopback = false\noutput_ports = 1\n")
    (folder / "ola-e131.conf").write_text("enabled = true\ninput_ports = 1\noutput_ports = 1\n")
    http, rpc = free_port(), free_port()
    command = [program, "-c", str(folder), "-p", str(http), "-r", str(rpc), "-i", "127.0.0.1", "--no-register-with-dns-sd", "-l", "0"]
    if os.geteuid() == 0:
        other = pwd.getpwnam("olad" if any(user.pw_name == "olad" for user in pwd.getpwall()) else "nobody")
        for path in (folder, *folder.iterdir()):
            os.chown(path, other.pw_uid, other.pw_gid)
        command = ["setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        running = Ola(http)

        def ready() -> bool:
            assert process.poll() is None, "olad ended: is another one running?"
            with suppress(OSError):
                return bool(running.ask("/json/get_ports"))
            return False

        until(ready, within_s=20, what="olad")
        running.listen(protocol)
        yield running
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
