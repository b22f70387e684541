"""The MQTT kind with mosquitto: the broker that people install, and its own mosquitto_pub."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import EngineMissingError, RoleError
from roles.sensing import inbox
from roles.sensing.mqtt import PAYLOAD_BYTES_MAX, Mqtt, payload
from tests.ports import free_port
from tests.roles.stage import Recorder, put_on, until


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is missing: apt-get install mosquitto mosquitto-clients"
    return found


class Broker:
    """A mosquitto on loopback."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true\n") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{settings}")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen([tool("mosquitto"), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        until(self._listens, what="mosquitto")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def publish(self, topic: str, message: str | bytes, *more: str) -> None:
        command = [tool("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-s", *more]
        subprocess.run(command, input=message if isinstance(message, bytes) else message.encode(), check=True, timeout=10)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


def listening(broker: Broker, folder: Path, **options: Any) -> tuple[Any, Recorder]:
    role, stage = put_on(Mqtt, folder, port=broker.port, settings={"rehearsal": False}, **options)
    role.setup()
    return role, stage


def heard(role: Any, stage: Recorder, count: int) -> list[Any]:
    def enough() -> bool:
        role.tick()
        return len(stage.values("message")) >= count

    until(enough, what=f"{count} messages")
    return stage.values("message")


def test_each_message_of_the_topics_is_an_event(broker: Broker, tmp_path: Path) -> None:
    broker.publish("hall/light", "3", "-r")  # kept by the broker from before
    role, stage = listening(broker, tmp_path, topics=["hall/#", "+/door"])
    assert heard(role, stage, 1) == [{"topic": "hall/light", "value": 3, "retained": True}]
    broker.publish("cellar/light", "1")
    broker.publish("hall/heat/1", '{"degrees": 21.5}')
    broker.publish("front/door", "open")
    broker.publish("hall/raw", b"\xff\x00")
    assert heard(role, stage, 4)[1:] == [
        {"topic": "hall/heat/1", "value": {"degrees": 21.5}, "retained": False},
        {"topic": "front/door", "value": "open", "retained": False},
        {"topic": "hall/raw", "value": b"\xff\x00", "retained": False},
    ]
    assert stage.fault(86_400) == "" and stage.woken.is_set()
    role.teardown()


def test_what_was_kept_from_earlier_may_be_passed_over(broker: Broker, tmp_path: Path) -> None:
    broker.publish("hall/light", "3", "-r")
    role, stage = listening(broker, tmp_path, retained=False)
    broker.publish("hall/light", "4")
    assert heard(role, stage, 1) == [{"topic": "hall/light", "value": 4, "retained": False}]
    role.teardown()


def test_what_is_too_large_is_passed_over_and_said(broker: Broker, tmp_path: Path) -> None:
    role, stage = listening(broker, tmp_path)
    broker.publish("big", b"x" * (PAYLOAD_BYTES_MAX + 1))
    broker.publish("small", "1")
    assert [each["topic"] for each in heard(role, stage, 1)] == ["small"]
    assert any("was passed over" in line for line in stage.said)
    role.teardown()


def test_a_broker_that_goes_is_a_fault_after_a_while_and_is_found_again(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a role that hears its broker
    role, stage = listening(broker, tmp_path)
    # When the broker is gone, then that is said, and after a while it is a fault
    monkeypatch.setattr(inbox, "GONE_S", 0.2)
    broker.stop()
    until(lambda: (role.tick(), stage.word.faulty)[1], what="the fault")
    assert "does not answer" in stage.word.faulty and any("has gone" in line for line in stage.said)
    # And when it is there again, its messages are heard as before
    broker.start()
    until(lambda: (role.tick(), any("is back" in line for line in stage.said))[1], what="the return")
    broker.publish("hall/light", "5")
    assert heard(role, stage, 1) == [{"topic": "hall/light", "value": 5, "retained": False}]
    assert stage.fault() == ""
    role.teardown()


def test_without_a_broker_a_room_says_what_to_do_and_a_rehearsal_makes_readings_up(tmp_path: Path) -> None:
    port = free_port()
    role, _ = put_on(Mqtt, tmp_path, port=port, settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert f"127.0.0.1:{port}" in fault.value.what and "start the broker" in fault.value.instead
    role.teardown()
    rehearsed, stage = put_on(Mqtt, tmp_path, port=port, topics=["hall/+/light"])
    rehearsed.setup()
    assert heard(rehearsed, stage, 1)[0]["topic"] == "hall/rehearsal/light"
    rehearsed.teardown()


def test_a_wrong_password_is_said_as_such_and_a_right_one_is_let_in(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run([tool("mosquitto_passwd"), "-b", str(passwords), "eye", "secret"], check=True, timeout=20, capture_output=True)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nuser root\n")
    role, _ = put_on(Mqtt, tmp_path, port=broker.port, user="eye", password="wrong", settings={"rehearsal": False})
    with pytest.raises(RoleError) as fault:
        role.setup()
    assert "refuses" in fault.value.what and "user and password" in fault.value.instead
    role.teardown()
    right, stage = listening(broker, tmp_path, user="eye", password="secret")
    broker.publish("a", "1", "-u", "eye", "-P", "secret")
    assert heard(right, stage, 1)[0]["value"] == 1
    right.teardown()
    broker.stop()


def test_what_listens_there_and_is_no_broker_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roles.sensing.mqtt.ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        role, _ = put_on(Mqtt, tmp_path, port=deaf.getsockname()[1], settings={"rehearsal": False})
        with pytest.raises(RoleError, match="does not answer as an MQTT broker"):
            role.setup()
        role.teardown()


@pytest.mark.parametrize(("data", "value"), [
    (b"7", 7), (b"NaN", "NaN"), (b"", ""), (b"{", "{"), (b"\xc3\xa4", "ä"), (b"\xc3", b"\xc3"), (b"true", True), (b"[" * 5000, "[" * 5000),
])  # fmt: skip
def test_what_a_payload_means(data: bytes, value: Any) -> None:
    assert payload(data) == value


def test_without_paho_mqtt_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "paho.mqtt", None)
    role, _ = put_on(Mqtt, tmp_path)
    with pytest.raises(EngineMissingError) as fault:
        role.setup()
    assert "roomful[mqtt]" in fault.value.instead
    role.teardown()
