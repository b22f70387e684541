"""Lights: levels as OLA receives them, fades as a table, and who wins when a desk sends, too."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.display.dmx import artnet_packet, sacn_packet
from roles.display.fading import Fading, places_of
from roles.display.lights import Lights
from tests.roles.lighting import ola
from tests.roles.stage import Recorder, put_on, until

CHANNELS = {"lamp": 1, "wash": [2, 3, 4], "pan": "5+6", "all": [1, 2, 3]}


@contextmanager
def playing(tmp_path: Any, **options: Any) -> Iterator[tuple[Any, Recorder]]:
    role, stage = put_on(Lights, tmp_path, **{"host": "127.0.0.1", "channels": CHANNELS, "fade": 0.0, **options})
    role.setup()
    try:
        yield role, stage
    finally:
        role.teardown()


@pytest.mark.parametrize("protocol", ["sacn", "artnet"])
def test_ola_receives_what_was_meant(tmp_path: Any, protocol: str) -> None:
    with ola(protocol) as receiver, playing(tmp_path, protocol=protocol, at_stop="dark") as (role, stage):
        role.on_frame("mood", Frame({"lamp": 1, "wash": [0.5, 0.25, 0], "pan": 0.5}))
        until(lambda: role.tick() and receiver.levels[:6] == [255, 128, 64, 0, 128, 0], what="the levels")
        role.on_frame("lamp", Frame(0.2))
        role.on_frame("levels", Frame(np.array([0, 0, 1], np.float32)))
        until(lambda: role.tick() and receiver.levels[:6] == [0, 0, 255, 0, 128, 0], what="a vector from channel 1")
        role.on_frame("wash", Frame(True))
        until(lambda: role.tick() and receiver.levels[:6] == [0, 255, 255, 255, 128, 0], what="one value for all of a name")
        assert stage.fault() == ""
        role.teardown()
        until(lambda: not any(receiver.levels), what="the dark")


def test_a_desk_of_higher_priority_wins_and_gives_the_lights_back(tmp_path: Any) -> None:
    import sacn

    with ola("sacn") as receiver, playing(tmp_path, priority=90) as (role, _):
        role.on_frame("lamp", Frame(1.0))
        until(lambda: role.tick() and receiver.levels[:1] == [255], what="our level")
        desk = sacn.sACNsender(bind_address="127.0.0.1", bind_port=0, source_name="desk", universeDiscovery=False)
        desk.start()
        desk.activate_output(1)
        desk[1].destination, desk[1].priority, desk[1].dmx_data = "127.0.0.1", 150, (40,)
        until(lambda: role.tick() and receiver.levels[:1] == [40], what="the desk's level")
        desk.stop()
        until(lambda: role.tick() and receiver.levels[:1] == [255], what="our level again")


def test_the_lights_go_to_rest_when_nothing_comes_and_wake_again(tmp_path: Any) -> None:
    with ola("artnet") as receiver, playing(tmp_path, protocol="artnet", rest={"lamp": 0.2}, quiet=0.5) as (role, _):
        until(lambda: role.tick() and receiver.levels[:1] == [51], what="rest at the start")
        role.on_frame("lamp", Frame(1.0))
        until(lambda: role.tick() and receiver.levels[:1] == [255], what="the order")
        until(lambda: role.tick() and receiver.levels[:1] == [51], what="rest again")


def test_a_fade_is_straight_takes_its_time_and_a_new_order_takes_it_up_where_it_is() -> None:
    fading = Fading({"lamp": places_of(1), "pan": places_of("2+3")})
    fading.send("lamp", [1.0], 10.0, 4.0)
    fading.send("pan", [1.0], 10.0, 4.0)
    assert [fading.universes(10.0 + second)[0][0] for second in range(6)] == [0, 64, 128, 191, 255, 255]
    assert fading.universes(12.0)[0][1:3] == bytes([128, 0])
    fading.send("lamp", [0.0], 12.0, 2.0)
    assert [fading.universes(12.0 + second)[0][0] for second in range(3)] == [128, 64, 0]
    assert fading.moving(13.0) and not fading.moving(15.0)


def test_the_same_order_again_does_not_slow_a_fade_down() -> None:
    fading = Fading({"lamp": places_of(1)})
    for tenth in range(20):  # a sensor that says the same ten times a second
        fading.send("lamp", [1.0], tenth / 10, 2.0)
    assert fading.universes(2.0)[0][0] == 255


def test_gamma_bends_and_channels_beyond_512_are_the_next_universe() -> None:
    fading = Fading({"lamp": places_of([1, 513])}, gamma=2.0)
    fading.send("lamp", [0.5], 0.0, 0.0)
    first, second = fading.universes(1.0)
    assert (first[0], second[0], len(first), len(second)) == (64, 64, 512, 512)


@pytest.mark.parametrize("channel", [0, "0", "a", "1+", "1-2", -3, "1+2+3", 2.5])
def test_a_channel_that_is_none_is_said(tmp_path: Any, channel: Any) -> None:
    with pytest.raises(ValueError, match="is not a channel"):
        places_of([channel])


def test_what_cannot_be_a_level_is_said_once_and_changes_nothing(tmp_path: Any) -> None:
    with playing(tmp_path) as (role, stage):
        before = role._fading.universes(0.0)
        for _ in range(3):
            role.on_frame("line", Frame("text"))
            role.on_frame("mood", Frame({"nobody": 1, "lamp": "bright", "fade": 2}))
            role.on_frame("other", Frame(3))
            role.on_frame("lamp", Frame(float("nan")))
            role.on_frame("lamp", Frame(None))
        assert role._fading.universes(1e9)[0][1:] == before[0][1:]
        assert len(stage.said) == 5


def test_packets_are_those_of_the_standards() -> None:
    cid = uuid.UUID("0123456789abcdef0123456789abcdef").bytes
    packet = sacn_packet(cid, "room", 120, 7, 258, b"\x01\x02")
    assert len(packet) == 638 and packet[4:16] == b"ASC-E1.17\0\0\0"
    assert packet[16:18] == b"\x72\x6e" and packet[22:38] == cid and packet[44:48] == b"room"
    assert (packet[108], packet[111], packet[112], packet[113:115]) == (120, 7, 0, b"\x01\x02")
    assert packet[123:128] == b"\x02\x01\x00\x01\x02"
    assert sacn_packet(cid, "room", 120, 7, 1, b"", ended=True)[112] == 0x40
    art = artnet_packet(0, 0x1234, b"\x09")
    assert art[:18] == b"Art-Net\0\x00\x50\x00\x0e\x01\x00\x34\x12\x02\x00" and art[18] == 9 and len(art) == 530


def test_a_universe_an_address_and_a_network_that_are_none_are_said(tmp_path: Any) -> None:
    with pytest.raises(RoleError, match="sacn has no universe 0"), playing(tmp_path, universe=0):
        pass
    with pytest.raises(RoleError, match="no way to the lights"), playing(tmp_path, interface="203.0.113.7"):
        pass
    with pytest.raises(RoleError, match="is not a channel"), playing(tmp_path, channels={"lamp": 0}):
        pass
    with playing(tmp_path) as (role, stage):
        role.tick()
        assert stage.fault() == "" and "nothing could be sent" in stage.fault(later_s=12.0)
