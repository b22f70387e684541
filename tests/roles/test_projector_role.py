"""Projectors over real TCP: a stand-in that an independent PJLink client agrees with, and what the role makes of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest

from mesh.errors import RoleError
from mesh.role import Frame
from roles.display import beamer
from roles.display.hours import is_open
from roles.display.pjlink import Conversation, PjlinkError, digest
from roles.display.projector import Projector
from tests.roles.projector_standin import ProjectorStandIn
from tests.roles.stage import Recorder, put_on, until

OPENING = {"days": ["Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "opens_min": 600, "closes_min": 1080, "timezone": "Europe/Tallinn"}
NIGHT = {"days": ["Fri", "Sat"], "opens_min": 1200, "closes_min": 120, "timezone": "Europe/Tallinn"}


@contextmanager
def projector(**arguments: Any) -> Iterator[ProjectorStandIn]:
    made = ProjectorStandIn(**arguments)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def playing(tmp_path: Any, standin: ProjectorStandIn, **arguments: Any) -> Iterator[tuple[Any, Recorder]]:
    arguments = {"host": "127.0.0.1", "port": standin.port, "poll": 0.1, **arguments}
    role, stage = put_on(Projector, tmp_path, **arguments)
    role.setup()
    try:
        yield role, stage
    finally:
        role.teardown()


@pytest.mark.parametrize("password", ["", "secret"])
def test_an_independent_client_agrees_with_the_stand_in(password: str) -> None:
    from aiopjlink import PJLink, Power

    async def use(port: int) -> list[Any]:
        async with PJLink(address="127.0.0.1", port=port, password=password or None) as link:
            states = [await link.power.get()]
            await link.power.turn_on()
            states.append(await link.power.get())
            return states

    with projector(password=password, warm_s=30) as standin:
        assert asyncio.run(use(standin.port)) == [Power.State.OFF, Power.State.WARMING]
        assert standin.orders == ["1"]


def test_a_projector_is_switched_on_warms_up_and_is_reported(tmp_path: Any) -> None:
    with projector(password="JBMIAProjectorLink") as standin, playing(tmp_path, standin, password="JBMIAProjectorLink") as (role, stage):
        until(lambda: role.tick() and standin.power == 1, what="power")
        until(lambda: role.tick() and stage.values("status") and stage.values("status")[-1]["power"] == "on", what="the report")
        assert [status["power"] for status in stage.values("status")] == ["off", "warming", "on"]
        assert stage.values("status")[-1]["lamp_hours"] == [1342] and stage.facts["projectors"] == {"127.0.0.1": "on"}
        assert standin.orders == ["1"] and stage.fault() == ""


def test_an_input_has_the_last_word_and_null_gives_it_back(tmp_path: Any) -> None:
    with projector() as standin, playing(tmp_path, standin) as (role, stage):
        until(lambda: role.tick() and standin.power == 1, what="on")
        role.on_frame("power", Frame("off"))
        until(lambda: role.tick() and standin.power == 0, what="off")
        role.on_frame("mood", Frame({"power": "on"}))
        until(lambda: role.tick() and standin.power == 1, what="on")
        role.on_frame("power", Frame(False))
        until(lambda: role.tick() and standin.power == 0, what="off")
        role.on_frame("power", Frame(None))
        until(lambda: role.tick() and standin.power == 1, what="on")
        role.on_frame("power", Frame("perhaps"))
        assert "neither on nor off" in stage.said[-1]


def test_one_that_was_switched_off_by_hand_is_switched_on_again_even_while_it_cools(tmp_path: Any) -> None:
    with projector() as standin, playing(tmp_path, standin) as (role, _):
        until(lambda: role.tick() and standin.power == 1, what="on")
        standin.orders.clear()
        with Conversation("127.0.0.1", standin.port, "") as remote:
            remote.switch(False)
        until(lambda: role.tick() and standin.power == 1 and standin.orders[-1:] == ["1"], what="on again")
        assert standin.orders == ["0", "1"], "no order while it refused them"


def test_it_goes_off_when_the_work_rests_and_is_left_on_at_another_stop_unless_the_artist_says_otherwise(tmp_path: Any) -> None:
    with projector() as standin:
        for off, rests, down, power in ((False, False, True, 1), (True, False, True, 0), (False, True, False, 1), (False, True, True, 0)):
            with playing(tmp_path, standin, off_at_stop=off, off_at_down=down) as (role, _):
                until(lambda: role.tick() and standin.power == 1, what="on")
                role.rests = rests  # the room is laid to rest by `roomful down`
            until(lambda power=power: standin.power == power, what="the power it is left in")


def test_what_is_wrong_is_said_in_words(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with projector(password="right") as standin, playing(tmp_path, standin, password="wrong", patience=0.3) as (role, stage):
        until(lambda: role.tick() and "refuses the password" in stage.fault(), what="the refusal")
    with projector(password="right") as standin, playing(tmp_path, standin, patience=0.3) as (role, stage):
        until(lambda: role.tick() and "wants a password" in stage.fault(), what="the wish")
    with projector() as standin, playing(tmp_path, standin) as (role, stage):
        standin.errors = "020000"
        until(lambda: role.tick() and "a fault of its lamp" in stage.fault(), what="the lamp")
        standin.errors = "100000"
        until(lambda: role.tick() and any("warns of its fan" in line for line in stage.said), what="the warning")
        assert stage.fault() == ""
    monkeypatch.setattr(beamer, "LATE_S", 0.5)
    with projector(warm_s=60) as standin, playing(tmp_path, standin) as (role, stage):
        until(lambda: role.tick() and "should be on and is warming" in stage.fault(), what="the lateness")


def test_a_projector_that_goes_and_returns_is_said_once_each(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with projector() as standin, playing(tmp_path, standin, patience=0.5) as (role, stage):
        until(lambda: role.tick() and standin.power == 1, what="on")
        standin.close()
        until(lambda: role.tick() and "does not answer" in stage.fault(), what="the silence")
        standin._listener = socket.create_server(("127.0.0.1", standin.port))
        standin._thread = threading.Thread(target=standin._serve, daemon=True)
        standin._thread.start()
        until(lambda: role.tick() and stage.fault() == "", what="the return")
        assert sum("answers again" in line for line in stage.said) == 1
        assert sum("does not answer" in line for line in stage.said) == 1


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400\r\n\r\n", b"PJLINK\r", b"\xff" * 400, b"PJLINK 0\r%1POWR=7\r", b"PJLINK ERRA\r"])
def test_whatever_else_listens_there_is_no_projector_and_harms_nothing(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line, suppress(OSError):
                line.sendall(greeting)
                line.recv(1000)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises((PjlinkError, OSError)), Conversation("127.0.0.1", listener.getsockname()[1], "") as talk:
            talk._line.shutdown(socket.SHUT_WR) if not greeting else None
            talk.condition()
        thread.join(5)


def test_the_proof_is_the_one_of_the_specification() -> None:
    assert digest("498e4a67", "JBMIAProjectorLink") == "5d8409bc1c3fa39749434aa3a5c38682"


@pytest.mark.parametrize(
    ("opening", "when", "early", "is_it"),
    [
        (None, "2026-05-04 03:00", 0, True),
        (OPENING, "2026-05-05 09:59", 0, False),
        (OPENING, "2026-05-05 09:59", 5, True),
        (OPENING, "2026-05-05 10:00", 0, True),
        (OPENING, "2026-05-05 17:59", 0, True),
        (OPENING, "2026-05-05 18:00", 5, False),
        (OPENING, "2026-05-04 12:00", 5, False),  # a Monday
        (NIGHT, "2026-05-08 21:00", 0, True),  # Friday evening
        (NIGHT, "2026-05-09 01:30", 0, True),  # and after midnight
        (NIGHT, "2026-05-08 01:30", 0, False),  # the night before belongs to Thursday
        (NIGHT, "2026-05-10 01:30", 0, True),
        (OPENING, "1970-01-01 03:00", 0, True),  # a clock that was never set
    ],
)
def test_opening_hours(opening: Any, when: str, early: float, is_it: bool) -> None:
    assert is_open(opening, datetime.fromisoformat(when), early) is is_it


def test_a_closed_room_s_projector_is_switched_off(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roles.display.projector.now_there", lambda opening: datetime.fromisoformat("2026-05-05 22:00"))
    with projector() as standin, playing(tmp_path, standin, settings={"opening": OPENING}) as (role, _):
        standin.by_hand(1)
        until(lambda: role.tick() and standin.power == 0, what="off")


def test_no_projector_named_is_said(tmp_path: Any) -> None:
    with pytest.raises(RoleError, match="no projector is named"):
        put_on(Projector, tmp_path, host=[])[0].setup()


def test_what_is_neither_on_nor_off_is_said_once_and_changes_nothing(tmp_path: Any) -> None:
    with projector() as standin, playing(tmp_path, standin) as (role, stage):
        for value in range(50):
            role.on_frame("reading", Frame(value + 500))
        assert len([line for line in stage.said if "neither on nor off" in line and "reading" in line]) == 1
