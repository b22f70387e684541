"""OSC in, sent by liblo's oscsend: the sender that people use to try things out."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pythonosc import osc_bundle_builder, osc_message_builder

from mesh.errors import EngineMissingError, RoleError
from roles.sensing.osc import Osc, _as_pattern
from tests.ports import free_port
from tests.roles.stage import Recorder, put_on, until


def oscsend(port: int, *arguments: str) -> None:
    program = shutil.which("oscsend")
    assert program, "oscsend is missing: apt-get install liblo-tools"
    subprocess.run([program, "127.0.0.1", str(port), *arguments], check=True, timeout=10)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[tuple[Any, Recorder, int]]:
    port = free_port(socket.SOCK_DGRAM)
    role, stage = put_on(Osc, tmp_path, port=port)
    role.setup()
    yield role, stage, port
    role.teardown()


def heard(role: Any, stage: Recorder, count: int) -> list[Any]:
    def enough() -> bool:
        role.tick()
        return len(stage.values("message")) >= count

    until(enough, what=f"{count} messages")
    return stage.values("message")


def test_a_message_of_oscsend_is_an_event_with_its_values(ear: tuple[Any, Recorder, int]) -> None:
    role, stage, port = ear
    oscsend(port, "/hand/x", "ifsTFN", "7", "0.5", "hello room")
    oscsend(port, "/bang")
    assert heard(role, stage, 2) == [
        {"address": "/hand/x", "values": [7, 0.5, "hello room", True, False, None]}, {"address": "/bang", "values": []},
    ]
    assert stage.woken.is_set() and stage.facts["port"] == port


def test_only_the_addresses_that_were_asked_for_count(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    role, stage = put_on(Osc, tmp_path, port=port, addresses=["/hand/*", "/button/?"])
    role.setup()
    for address in ("/foot/x", "/hand/left/x", "/button/12", "/hand/x", "/button/1"):
        oscsend(port, address, "i", "1")
    assert [each["address"] for each in heard(role, stage, 2)] == ["/hand/x", "/button/1"]
    role.teardown()


@pytest.mark.parametrize(("pattern", "taken", "refused"), [
    ("*", ["/", "/a/b"], []), ("/a/[0-3]", ["/a/2"], ["/a/4"]), ("/a/[!0-3]", ["/a/4"], ["/a/2"]),
    ("/{left,right}/x", ["/left/x"], ["/l/x"]),
    ("/a.b", ["/a.b"], ["/axb"]), ("/a,b", ["/a,b"], ["/a"]),
])  # fmt: skip
def test_the_wildcards_are_those_of_osc(pattern: str, taken: list[str], refused: list[str]) -> None:
    assert all(_as_pattern(pattern).fullmatch(each) for each in taken)
    assert not any(_as_pattern(pattern).fullmatch(each) for each in refused)


def test_a_pattern_that_is_none_is_refused_before_the_room_opens(tmp_path: Path) -> None:
    role, _ = put_on(Osc, tmp_path, port=free_port(socket.SOCK_DGRAM), addresses=["/a[3-"])
    with pytest.raises(RoleError, match="is no pattern"):
        role.setup()
    role.teardown()


def _bundle(at_s: float, *addresses: str) -> bytes:
    bundle = osc_bundle_builder.OscBundleBuilder(at_s)
    for address in addresses:
        bundle.add_content(osc_message_builder.OscMessageBuilder(address).build())
    return bytes(bundle.build().dgram)


def test_a_bundle_is_held_until_its_time_and_what_comes_meanwhile_is_not(ear: tuple[Any, Recorder, int]) -> None:
    role, stage, port = ear
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(_bundle(time.time() + 0.6, "/later"), ("127.0.0.1", port))
        sender.sendto(_bundle(time.time() + 3600, "/of-another-clock"), ("127.0.0.1", port))
    assert [each["address"] for each in heard(role, stage, 2)] == ["/of-another-clock", "/later"]


@pytest.mark.parametrize("size", [-4, -28, 0, -(2**31)])
def test_a_bundle_whose_element_leads_backwards_or_nowhere_is_refused_and_the_next_message_heard(
    ear: tuple[Any, Recorder, int], size: int
) -> None:
    role, stage, port = ear
    # Given an element that python-osc would follow without end: alone, after a message, and within a bundle
    message = osc_message_builder.OscMessageBuilder("/a").build().dgram
    head = b"#bundle\0" + bytes(7) + b"\1"
    evil = head + struct.pack(">i", size)
    after = head + struct.pack(">i", len(message)) + message + struct.pack(">i", size)
    inside = head + struct.pack(">i", len(evil)) + evil
    # When they come, and then a message
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in (evil, after, inside, message):
            sender.sendto(packet, ("127.0.0.1", port))
    # Then it is heard, and nothing else
    assert heard(role, stage, 1) == [{"address": "/a", "values": []}]


@given(some.lists(some.binary(min_size=1, max_size=60) | some.binary(max_size=40).map(lambda tail: b"#bundle\0" + tail), max_size=20))
def test_packets_that_are_not_osc_do_no_harm(packets: list[bytes]) -> None:
    role, stage = put_on(Osc, Path(), port=free_port(socket.SOCK_DGRAM))
    role.setup()
    for packet in packets:
        role._take(packet, ("127.0.0.1", 1))  # type: ignore[attr-defined]
    role._take(_bundle(0.0, "/well"), ("127.0.0.1", 1))  # type: ignore[attr-defined]
    assert heard(role, stage, 1)[-1] == {"address": "/well", "values": []}
    role.teardown()


def test_silence_is_a_fault_only_where_that_is_asked_for(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    role, stage = put_on(Osc, tmp_path, port=port, silent_s=0.2)
    role.setup()
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert stage.word.faulty.startswith("OSC has been silent for")
    oscsend(port, "/x")
    heard(role, stage, 1)
    assert stage.word.faulty == ""
    role.teardown()
    quiet, calm = put_on(Osc, tmp_path, port=port)
    quiet.setup()
    quiet.tick()
    assert calm.fault(86_400) == ""
    quiet.teardown()


def test_a_port_that_is_taken_is_named(tmp_path: Path, ear: tuple[Any, Recorder, int]) -> None:
    role, _ = put_on(Osc, tmp_path, port=ear[2])
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert str(ear[2]) in fault.value.what and fault.value.instead
    role.teardown()


def test_a_file_of_messages_plays_in_a_rehearsal_beside_what_comes(tmp_path: Path) -> None:
    (tmp_path / "hand.jsonl").write_text('{"after_s": 0.01, "value": {"address": "/hand/x", "values": [0.1]}}\n')
    role, stage = put_on(Osc, tmp_path, port=free_port(socket.SOCK_DGRAM), stand_in="hand.jsonl")
    role.setup()
    assert heard(role, stage, 3)[0] == {"address": "/hand/x", "values": [0.1]}
    role.teardown()


def test_without_python_osc_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pythonosc.osc_packet", None)
    role, _ = put_on(Osc, tmp_path)
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[osc]" in fault.value.instead
    role.teardown()
