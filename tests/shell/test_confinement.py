"""A role's process and what is not its own: roles that try, in real processes, and what they get.

Run as root and as an ordinary user, since the system bounds the two differently; `nobody` plays the ordinary one.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.shell.confinement import PROCESSES_MAX, TEMPORARY, without
from mesh.shell.landlock import abi
from tests.shell.host_harness import Agent

ROLES = '''
import ctypes, signal, socket, subprocess, tempfile, threading, urllib.request
from mesh.errors import RoomfulError


class Tries(Role):
    """Runs each attempt that its options name and publishes what came of it."""

    outputs = {"done": Event}

    class Options(Options):
        attempts: dict[str, str]

    def setup(self):
        self.outcomes = {}
        for name, code in self.options.attempts.items():
            try:
                self.outcomes[name] = f"got {eval(code, globals(), {'self': self})!r}"[:300]
            except BaseException as error:
                self.outcomes[name] = f"{type(error).__name__}: {error}"
        self.publish("outcomes", self.outcomes)


class Networked(Tries):
    network = True


class Exporting(Tries):
    writes = ("to",)

    class Options(Tries.Options):
        to: str


class ForkBomb(Role):
    outputs = {"done": Event}

    def tick(self):
        children = []
        try:
            while True:
                children.append(os.posix_spawn("/bin/sleep", ["sleep", "60"], {}))
        finally:
            self.publish("children", len(children))


class Greedy(Role):
    outputs = {"done": Event}

    def tick(self):
        self.kept = []
        while True:
            self.kept.append(bytearray(64_000_000))
'''


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    folder = tmp_path / "piece"
    folder.mkdir()
    with Agent(folder, ROLES) as made:
        yield made


def tried(agent: Agent, attempts: dict[str, str], kind: str = "Tries", **config: Any) -> dict[str, str]:
    """What came of each attempt in a role's process."""
    options = {"attempts": attempts, **config.pop("options", {})}
    state = agent.folder.parent / "home" / "roles" / "tries"
    settings = {"writes": [], "state_folder": str(state), "hidden": [str(state.parents[1])], "rehearsal": False, "ports": [47700, 47701]}
    host = agent.start("tries", kind, options=options, **{**settings, **config})
    agent.until(lambda: host.facts.get("outcomes"), "what came of it")
    return dict(host.facts["outcomes"])


def refused(outcome: str) -> bool:
    return outcome.startswith(("PermissionError", "RoleError", "OSError: [Errno 18]"))  # 18: a link across what is allowed


def test_this_kernel_is_one_that_can_hold_a_role_to_what_is_its_own() -> None:
    # Else what follows would show nothing. A kernel of 2021 and later has it, unless it was left out on purpose.
    assert abi() >= 4, f"Linux {platform.release()} has no Landlock, or an early one, so this machine cannot show that roles are confined"


def test_a_role_cannot_read_the_key_nor_anything_else_of_the_node_or_the_user(agent: Agent) -> None:
    # Given a node's home with a key, in a place from which roles may otherwise read, and the user's own files
    home = agent.folder.parent / "home"
    home.mkdir()
    (home / "key").write_text("roomful-key-1 SECRET")
    (home / "epochs.json").write_text("{}")
    outside = agent.folder.parent / "letters.txt"
    outside.write_text("dear")
    # When a role tries every way to them
    outcomes = tried(agent, {
        "key": f"open({str(home / 'key')!r}).read()", "epochs": f"open({str(home / 'epochs.json')!r}).read()",
        "list": f"os.listdir({str(home)!r})", "dots": "open(self.folder / '..' / 'home' / 'key').read()",
        "descriptor": f"open('/proc/self/cwd' + '/..' * 30 + {str(home / 'key')!r}).read()",
        "link": f"[os.symlink({str(home / 'key')!r}, self.state_folder / 'link'), open(self.state_folder / 'link').read()]",
        "hardlink": f"os.link({str(home / 'key')!r}, self.state_folder / 'hard')",
        "move": f"os.rename({str(home / 'key')!r}, self.state_folder / 'moved')",
        "remove": f"os.remove({str(home / 'key')!r})", "program": f"subprocess.run(['cat', {str(home / 'key')!r}], check=True)",
        "outside": f"open({str(outside)!r}).read()",
    }, hidden=[str(home)])
    # Then it gets none of it
    program = outcomes.pop("program")
    assert all(refused(each) for each in outcomes.values()), outcomes
    assert program.startswith("CalledProcessError"), program
    assert (home / "key").read_text() == "roomful-key-1 SECRET"


def test_a_home_within_a_folder_that_roles_may_read_is_left_out_of_it(tmp_path: Path) -> None:
    # Given a state folder such as /var/lib/roomful, beside others
    for name in ("lib/roomful/roles", "lib/fonts", "cache"):
        (tmp_path / name).mkdir(parents=True)
    # When the rights to the whole are given without it
    given = set(without(tmp_path, [tmp_path / "lib" / "roomful"]))
    # Then they reach what is beside it and not it
    assert given == {tmp_path / "lib" / "fonts", tmp_path / "cache"}


def test_a_role_writes_in_its_own_place_and_in_no_other(agent: Agent) -> None:
    elsewhere = agent.folder.parent / "elsewhere"
    elsewhere.mkdir()
    outcomes = tried(agent, {
        "state": "(self.state_folder / 'kept').write_text('x')", "temporary": "tempfile.mkstemp()[1]",
        "deep": "[(self.state_folder / 'a').mkdir(), os.rename(self.state_folder / 'kept', self.state_folder / 'a' / 'k')]",
        "shared": "open('/dev/shm/roomful-test', 'w').close() or os.remove('/dev/shm/roomful-test')",
        "folder": "(self.folder / 'roles.py').write_text('')", "new": "(self.folder / 'new').write_text('')",
        "tmp": "open('/tmp/roomful-test', 'w')", "elsewhere": f"open({str(elsewhere / 'x')!r}, 'w')",
        "truncate": "os.truncate(self.folder / 'roles.py', 0)", "system": "open('/etc/roomful-test', 'w')",
        "library": "open(os.path.join(os.path.dirname(json.__file__), 'roomful.py'), 'w')",
        "mesh": "open(sys.modules['mesh'].__path__[0] + '/x.py', 'w')",
    })
    own = {name: outcomes.pop(name) for name in ("state", "temporary", "deep", "shared")}
    assert all(each.startswith("got") for each in own.values()), own
    assert f"/{TEMPORARY}/" in own["temporary"]
    assert all(refused(each) for each in outcomes.values()), outcomes
    assert (agent.folder / "roles.py").stat().st_size


def test_what_the_deployment_file_names_is_let_in_and_what_a_kind_says_it_writes(agent: Agent) -> None:
    # Given a picture folder and a place for exports, both outside of the deployment
    pictures, exports = agent.folder.parent / "pictures", agent.folder.parent / "exports"
    pictures.mkdir()
    (pictures / "moth.txt").write_text("moth")
    outcomes = tried(agent, {
        "read": f"open({str(pictures / 'moth.txt')!r}).read()", "named": f"open({str(pictures / 'new')!r}, 'w')",
        "export": f"open({str(exports / 'out')!r}, 'w').write('x')",
    }, kind="Exporting", options={"to": str(exports), "attempts": {}} | {"attempts": {
        "read": f"open({str(pictures / 'moth.txt')!r}).read()", f"named {pictures}": f"open({str(pictures / 'new')!r}, 'w')",
        "export": f"open({str(exports / 'out')!r}, 'w').write('x')",
    }}, writes=[str(exports)], settings={"models": {"m": str(pictures)}})
    assert outcomes["read"] == "got 'moth'" and outcomes["export"] == "got 1"
    assert refused(outcomes[f"named {pictures}"])


def test_a_role_cannot_look_into_its_agent_nor_signal_it(agent: Agent) -> None:
    # Given this process in the agent's place, with something to hide in its surroundings
    me = os.getpid()
    outcomes = tried(agent, {
        "environment": f"open('/proc/{me}/environ').read()", "memory": f"open('/proc/{me}/mem', 'rb')",
        "descriptors": f"os.readlink('/proc/{me}/fd/0')", "signal": f"os.kill({me}, 0)", "stop": f"os.kill({me}, signal.SIGUSR1)",
        "ptrace": f"ctypes.CDLL(None).ptrace(16, {me}, 0, 0)",
    })
    assert outcomes.pop("ptrace") == "got -1"
    assert all(refused(each) for each in outcomes.values()), outcomes


def test_what_a_role_is_given_holds_no_path_to_the_key_and_no_open_file_of_the_agents(agent: Agent) -> None:
    home = agent.folder.parent / "home"
    outcomes = tried(agent, {
        "environment": "dict(os.environ)", "arguments": "sys.argv",
        "files": "sorted(os.readlink(f'/proc/self/fd/{fd}') for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}'))",
    })
    assert "SECRET" not in str(outcomes)
    assert str(home / "key") not in str(outcomes)


def test_a_kind_that_does_not_say_so_has_no_network_beyond_the_room(agent: Agent) -> None:
    # Given a server on this machine that is none of the room's
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempts = {
            "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "udp6": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
            "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
            "packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
            "tcp": f"socket.create_connection(('127.0.0.1', {port}))", "web": f"urllib.request.urlopen('http://127.0.0.1:{port}/')",
            "listen": "socket.create_server(('127.0.0.1', 0))", "unix": "socket.socketpair() and None",
        }
        programs = {  # what is not Python meets the kernel alone
            "program": f"subprocess.run(['curl', '-sSm3', 'http://127.0.0.1:{port}/'], capture_output=True, text=True).stderr",
            "datagram": "subprocess.run([sys.executable, '-c', 'import socket; socket.socket(2, 2)'], stderr=-1, text=True).stderr",
            **{name: f"subprocess.run([sys.executable, '-c', 'import socket; {code}'], stderr=-1, text=True).stderr" for name, code in {
                "hurried": f"socket.socket().sendto(b\\'x\\', socket.MSG_FASTOPEN, (\\'127.0.0.1\\', {port}))",
                "at once": f"socket.socket().sendmsg([b\\'x\\'], [], socket.MSG_FASTOPEN, (\\'127.0.0.1\\', {port}))",
                "machine": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)", "paths": "socket.socket(2, 1, 262)",
            }.items()},
        }
        # When a role that says nothing tries, then it has its words or the kernel's refusal
        outcomes = tried(agent, attempts | programs)
        assert outcomes.pop("unix") == "got None"
        assert "Couldn't connect" in outcomes["program"] or "Could not connect" in outcomes["program"], outcomes["program"]
        for name in ("datagram", "hurried", "at once", "machine", "paths"):
            assert "Permission denied" in outcomes[name], (name, outcomes[name])
        assert all(refused(outcomes[name]) for name in attempts if name != "unix"), outcomes
        assert "network" in outcomes["web"]
        # And in a rehearsal the same words
        assert refused(tried(agent, attempts, rehearsal=True, ports=[0, 0], generation=2)["web"])
        # And one whose kind says so may
        allowed = tried(agent, {name: attempts[name] for name in ("udp", "tcp", "listen")}, kind="Networked", network=True, generation=3)
        assert all(each.startswith("got") for each in allowed.values()), allowed


def test_a_role_leaves_no_dump_and_has_an_end_to_its_descriptors(agent: Agent) -> None:
    outcomes = tried(agent, {
        "core": "__import__('resource').getrlimit(__import__('resource').RLIMIT_CORE)",
        "files": "[open(os.devnull) for _ in range(100_000)]",
    })
    assert outcomes["core"] == "got (0, 0)"
    assert "Too many open files" in outcomes["files"]


def test_a_role_that_takes_all_memory_fails_alone_and_says_so(agent: Agent) -> None:
    host = agent.start("greedy", "Greedy", memory_bytes=50_000_000)
    agent.until(lambda: any("MemoryError" in each for each in host.events()), "it has no more memory")
    assert host.process.poll() is None or host.process.returncode == 70


def test_a_fork_bomb_meets_an_end_long_before_the_machine_does(agent: Agent) -> None:
    # Given an ordinary user: root's processes are not counted by the system
    setpriv = shutil.which("setpriv")
    assert setpriv, "this test needs Debian's package util-linux"
    powers = "+dac_read_search,+dac_override"  # so that it finds this program wherever it lies
    nobody_else = str(61184 + os.getpid() % 4000)  # one that no other program counts against, as nobody's 65534 may be
    as_other = [setpriv, "--reuid", nobody_else, "--clear-groups", "--inh-caps", powers, "--ambient-caps", powers]
    host = agent.start("bomb", "ForkBomb", command=as_other if os.getuid() == 0 else [])
    try:
        # When a role starts processes without end, then the system says no at some hundreds, and the role's own failure tells of it
        agent.until(lambda: host.facts.get("children"), "the end of the bomb", bound_s=90.0)  # some hundred starts, on a busy machine
        assert 50 < host.facts["children"] <= PROCESSES_MAX
        agent.until(lambda: any("Resource temporarily unavailable" in each for each in host.events()), "words for it")
    finally:
        os.killpg(host.process.pid, signal.SIGKILL)  # as the supervisor ends a role: with all that it started
