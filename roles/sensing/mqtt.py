"""MQTT in: each message of the topics that are asked for is an event. What sensors on a building's network speak.

paho-mqtt keeps the line to the broker in a thread of its own and reaches for it again when it breaks. What a role of this
kind knows of its input is whether the broker is there; a broker without news works, unless `silent_s` says otherwise.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from pydantic import Field

from mesh.errors import EngineMissingError, RoleError
from mesh.role import Event, Options, Role
from roles.sensing.inbox import Freshness, Inbox
from roles.sensing.standin import StandIn, drifting, from_file

PAYLOAD_BYTES_MAX = 256 * 1024
ANSWER_S = 5.0
LOOK_S = 0.5
KEEPALIVE_S = 5  # a broker whose cable was pulled is missed after half as long again
REFUSALS = {  # by MQTT 5's reason codes, to which paho translates those of 3.1.1
    "Bad user name or password": "check the options user and password",
    "Not authorized": "check the options user and password, and what the broker lets this user read",
}


class MqttOptions(Options):
    host: str = Field("127.0.0.1", min_length=1, description="the broker's address")
    port: int = Field(1883, ge=1, le=65535, description="the broker's TCP port; 8883 is usual with tls")
    topics: list[str] = Field(["#"], min_length=1, description="which topics count, with MQTT's wildcards + and #")
    user: str | None = Field(None, description="the user name, where the broker asks for one")
    password: str | None = Field(None, description="its password; whoever has the deployment's folder can read it")
    tls: bool = Field(False, description="speak TLS to the broker")
    ca_file: str | None = Field(None, json_schema_extra={"file": True}, description="the certificate of a broker that vouches for itself")
    qos: int = Field(0, ge=0, le=2, description="0: each message at most once; 1: at least once; 2: exactly once")
    retained: bool = Field(True, description="whether what the broker kept from earlier counts when the role begins to listen")
    silent_s: float | None = Field(None, gt=0, description="faulty when nothing has come for so many seconds; left out: never")
    stand_in: str | None = Field(
        None, json_schema_extra={"file": True},
        description="a file of readings that plays instead in a rehearsal: lines such as "
        '{"after_s": 1, "value": {"topic": "hall/light", "value": 7}}. Left out, a rehearsal without the broker makes readings up',
    )


class Mqtt(Role):
    """Emits each message of the topics, as {"topic": "hall/light", "value": 7, "retained": false}; JSON becomes its value."""

    outputs = {"message": Event}
    extra = "mqtt"
    network = True
    Options = MqttOptions

    def setup(self) -> None:
        try:
            from paho.mqtt import client
        except ImportError as missing:
            raise EngineMissingError(
                "sensing.mqtt needs paho-mqtt, which is not installed on this machine", where=self.name, instead="pip install roomful[mqtt]"
            ) from missing
        self._inbox = Inbox(self)
        self._client: Any = None
        self._stand_in: StandIn | None = None
        rehearsal = bool(self.settings.get("rehearsal"))
        if rehearsal and self.options.stand_in:
            self._stand_in = from_file(self.folder / self.options.stand_in, self.options.stand_in)
        else:
            self._begin(client, rehearsal)
        self._fresh = Freshness(self, "MQTT", None if self._stand_in else self.options.silent_s,
                                instead=f"see whether anything is published on {', '.join(self.options.topics)}")

    def _begin(self, client: Any, rehearsal: bool) -> None:
        try:
            self._connect(client)
        except RoleError as fault:
            self.teardown()
            if not rehearsal:
                raise
            readings = drifting(1, 1.0, 0, 100)
            topic = self.options.topics[0].replace("+", "rehearsal").replace("#", "rehearsal")
            self._stand_in = StandIn((s, {"topic": topic, "value": round(value, 1), "retained": False}) for s, value in readings)
            self.say(f"{fault.words}; as this is a rehearsal, made-up readings stand in")

    def teardown(self) -> None:
        going, self._client = getattr(self, "_client", None), None
        if going is not None:
            going.disconnect()
            going.loop_stop()

    def tick(self) -> float | None:
        self._inbox.news()
        if self._stand_in is not None:
            return self._stand_in.play(self, self._fresh, "message")
        for heard_s, message in self._inbox.take():
            if message is None:
                self._fresh.found()
            elif isinstance(message, str):
                self._fresh.lost(message)
            else:
                self._fresh.saw()
                self._inbox.give("message", message, heard_s)
        self._fresh.look()
        return LOOK_S

    # ---- the line to the broker

    def _connect(self, client: Any) -> None:
        """Raises RoleError when the broker does not answer, or refuses us."""
        options = self.options
        self._answered, self._refused = threading.Event(), ""
        self._client = made = client.Client(client.CallbackAPIVersion.VERSION2, protocol=client.MQTTv311)
        made.username_pw_set(options.user, options.password)
        if options.tls:
            self._secure(made)
        made.reconnect_delay_set(1, 5)
        made.on_connect, made.on_disconnect, made.on_message = self._on_connect, self._on_disconnect, self._on_message
        where = f"{options.host}:{options.port}"
        try:
            made.connect(options.host, options.port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise RoleError(
                f"no MQTT broker answers at {where}: {getattr(error, 'strerror', None) or error}", where=f"{self.name}, option host",
                instead="start the broker, and check the options host, port and tls",
            ) from None
        made.loop_start()
        if not self._answered.wait(ANSWER_S):
            raise RoleError(f"what listens at {where} does not answer as an MQTT broker", where=f"{self.name}, option port",
                            instead="check the options port and tls")
        if self._refused:
            raise RoleError(f"the MQTT broker at {where} refuses: {self._refused}", where=f"{self.name}, options",
                            instead=REFUSALS.get(self._refused, "look at the broker's log"))
        self.say(f"listens to the MQTT broker at {where} for {', '.join(options.topics)}")

    def _secure(self, made: Any) -> None:
        ca_file = self.folder / self.options.ca_file if self.options.ca_file else None
        try:
            made.tls_set(ca_certs=str(ca_file) if ca_file else None)
        except (OSError, ValueError) as error:
            raise RoleError(f"{self.options.ca_file} is not a certificate: {error}", where=f"{self.name}, option ca_file",
                            instead="give the PEM file of the authority that signed the broker's certificate") from None

    # ---- in the library's thread

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        again = self._answered.is_set()
        if reason.is_failure:
            self._refused = str(reason)
        else:
            self._refused = ""
            client.subscribe([(topic, self.options.qos) for topic in self.options.topics])
            if again:
                self._inbox.tell(f"the MQTT broker at {self.options.host} is back")
                self._inbox.put(None)
        self._answered.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._client is not None and self._answered.is_set() and not self._refused:
            self._inbox.tell(f"the MQTT broker at {self.options.host} has gone; trying to reach it again")
            self._inbox.put(f"the MQTT broker at {self.options.host}:{self.options.port} does not answer: is it running, and its cable in?")

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        if message.retain and not self.options.retained:
            return
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            size = len(message.payload)
            self._inbox.tell(f"a message of {size} bytes on {message.topic} was passed over: {PAYLOAD_BYTES_MAX} is the most")
            return
        self._inbox.put({"topic": message.topic, "value": payload(message.payload), "retained": bool(message.retain)})


def payload(data: bytes) -> Any:
    """JSON as its value, other text as text, anything else as bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(word: str) -> Any:
    raise ValueError(word)
