"""A machine that is shut out: it gets no word in from then on, and nobody else notices."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from mesh.core.frames import TOPIC_END
from mesh.core.messages import Ack, Beat, Claim, Message, NodeState, Probe, State, Verdict
from mesh.errors import NoRoomError, WireError
from mesh.shell import curve
from mesh.shell.certificates import OPERATOR, OWNER
from mesh.shell.credentials import NODE_KEY, let_in, load_credentials, load_member
from mesh.shell.finding import find
from mesh.shell.keys import InstallationKey, throwaway_key
from mesh.shell.near import FAR
from mesh.shell.register import Register
from mesh.shell.revocations import SPEAKS_S, UNDERSTANDS_S, GroupKeys, read, sign
from mesh.shell.storage import Store
from mesh.shell.vouching import Vouching
from tests.shell.calling import HERE, CallingNode, play
from tests.shell.host_harness import KEYS, Agent
from tests.shell.pieces import small_piece
from tests.shell.test_operating import ask
from tests.shell.test_rehearsal import ROOMFUL, wait_for
from tests.shell.test_strangers import Stage
from tests.shell.until import until

BOUND_S = 15.0
A, B, C = "a" * 32, "b" * 32, "c" * 32
WORD = Probe(A, B, 1)


# ---- the list


def test_only_the_owner_can_shut_out_and_the_higher_number_stands() -> None:
    key = throwaway_key()
    one, two = sign(key, 1, {B: 1}), sign(key, 2, {B: 1, C: 3})

    assert read(two.signed, key.verify_key) == two and two.above(one) and not one.above(two)
    assert read(two.signed, throwaway_key().verify_key) is None
    assert read(sign(throwaway_key(), 9, {A: 1}).signed, key.verify_key) is None
    assert two.opens(key.group_key(2)) and not two.opens(key.group_key(1))


@given(st.binary(max_size=400), st.integers(0, 120))
def test_bytes_that_are_no_list_are_none(noise: bytes, at: int) -> None:
    key = InstallationKey(bytes(32))
    signed = sign(key, 1, {B: 1}).signed

    assert read(noise, key.verify_key) is None
    assert read(signed[:at], key.verify_key) is None
    assert read(signed[:at] + bytes((signed[at] ^ 1,)) + signed[at + 1 :], key.verify_key) is None


def test_a_certificate_on_the_list_counts_no_more_and_a_later_one_of_the_same_node_does() -> None:
    # Given a node that knows another
    key = throwaway_key()
    register, gone, again = Register(let_in(key, A)), let_in(key, B, 1), let_in(key, B, 2)
    register.learn(gone.certificate.pack())
    # When the other is shut out
    assert register.shut_out(sign(key, 1, {B: 1})) == [gone.certificate]
    # Then it is neither let in nor called, also where its certificate is heard again
    register.learn(gone.certificate.pack())
    assert register.admits(gone.certificate.curve) is False
    assert register.public(B) is None and gone.public.decode() not in register.publics()
    # And when it is let in anew, it is
    register.learn(again.certificate.pack())
    assert register.admits(again.certificate.curve) is True and register.public(B) == again.public
    assert register.admits(gone.certificate.curve) is not True


def test_the_datagrams_of_those_who_are_in_are_understood_through_the_change_and_those_of_others_are_not() -> None:
    # Given three who share a key, of whom one will be shut out
    key = throwaway_key()
    early, late, gone = (GroupKeys(key.room_key) for _ in range(3))
    # When one hears of the new key, and the other half a second later
    early.adopt(key.group_key(1), 0.0)
    assert late.unseal(early.seal(WORD, 0.4), 0.4) == WORD == early.unseal(late.seal(WORD, 0.4), 0.4)
    late.adopt(key.group_key(1), 0.5)
    for now in (0.6, SPEAKS_S + 0.1, SPEAKS_S + 1.0, UNDERSTANDS_S + 10.0):
        assert late.unseal(early.seal(WORD, now), now) == WORD == early.unseal(late.seal(WORD, now), now)
    # Then soon nothing that the third says is understood, and it understands nothing
    for one, other in ((gone, early), (gone, late), (early, gone), (late, gone)):
        with pytest.raises(WireError):
            other.unseal(one.seal(WORD, UNDERSTANDS_S + 1.0), UNDERSTANDS_S + 1.0)


def test_who_was_shut_out_cannot_pass_for_a_machine_that_has_turned_to_the_new_key() -> None:
    # Given two who have heard that a third is shut out, of whom one has spoken under the new key
    key = throwaway_key()
    here, there, gone = (GroupKeys(key.room_key) for _ in range(3))
    here.adopt(key.group_key(1), 0.0)
    there.adopt(key.group_key(1), 0.0)
    now = SPEAKS_S + 0.1
    beat, answer = Beat(B, "b", 1, 7, 1), Ack(B, "b", 1, 7, 1, relay=C)
    here.unseal(there.seal(beat, now), now)
    # When the third says something in its name, then it is not believed, though the old key is understood still
    for word in (beat, answer):
        with pytest.raises(WireError, match="shut out"):
            here.unseal(gone.seal(word, now), now)
    assert here.unseal(gone.seal(Beat(C, "c", 1, 7, 1), now), now)
    # And when somebody else is shut out, all begin anew
    here.adopt(key.group_key(2), 10.0)
    assert here.unseal(there.seal(beat, 10.1), 10.1) == beat


def _vouching(key: InstallationKey, node: str, home: Path) -> Vouching:
    home.mkdir(exist_ok=True)
    return Vouching(let_in(key, node), Store(home), lambda *told: True, lambda *kept: None)


def test_the_list_is_obeyed_once_kept_on_disk_and_told_onward(tmp_path: Path) -> None:
    # Given a node, and the owner's word
    key = throwaway_key()
    one, told = _vouching(key, A, tmp_path / "a"), sign(key, 1, {B: 1})
    assert one.notice() is None
    # When it comes twice, and then an older one
    assert one.obey(told.signed, key.group_key(1), 0.0) == []
    assert one.obey(told.signed, key.group_key(1), 0.0) is None
    assert one.obey(sign(key, 0, {C: 1}).signed, key.group_key(0), 0.0) is None
    one.keep_shut_out()
    # Then the next life knows it, and what those share who are in
    again = _vouching(key, A, tmp_path / "a")
    notice = again.notice()
    assert notice is not None and (notice.signed, notice.group_key) == (told.signed, key.group_key(1))
    assert again.group.current == key.group_key(1)
    # And it tells one who is on the list nothing of that
    farewell = again.notice(inside=False)
    assert farewell is not None and farewell.group_key == b""


def test_one_who_was_let_in_cannot_silence_another_by_keeping_the_key_from_him(tmp_path: Path) -> None:
    key = throwaway_key()
    one, told = _vouching(key, A, tmp_path / "a"), sign(key, 1, {B: 1})

    assert one.obey(told.signed, b"", 0.0) is None
    assert one.obey(told.signed, bytes(32), 0.0) is None

    assert one.obey(told.signed, key.group_key(1), 0.0) == []


# ---- lines that stand


def test_a_line_that_stands_is_cut_and_the_others_go_on() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        # Given two nodes that speak to a third
        key = throwaway_key()
        one, gone, stays = node("a", key), node("b", key), node("c", key)
        for each in (gone, stays):
            each.control.connect(one.id, [HERE], one.port)
            each.control.send(one.id, b"before")
        await until(lambda: len(one.heard) == 2)
        # When one of them is shut out
        shut = one.register.shut_out(sign(key, 1, {gone.id: 1}))
        one.control.cut(each.curve for each in shut)
        await until(lambda: gone.told("lost"))
        # Then it does not come back, with whatever it says, and the other does
        for each in (gone, stays):
            each.control.send(one.id, f"after {each.id}".encode())
        await until(lambda: one.control.refused > 0 and f"after {stays.id}".encode() in one.heard)
        await until(lambda: gone.told("wrong-key"))
        assert one.heard == [b"before", b"before", f"after {stays.id}".encode()]

    play(story)


def test_a_consumer_that_is_shut_out_hears_nothing_more_of_a_role_and_the_others_do() -> None:
    with _on_stage() as (stage, context):
        # Given two consumers of a role
        pairs = [zmq.curve_keypair() for _ in range(2)]
        stage.guests.tell([public.decode() for public, _ in pairs])
        gone, stays = (_consumer(context, stage, pair) for pair in pairs)
        assert gone.poll(BOUND_S * 1000) and stays.poll(BOUND_S * 1000)
        # When one is shut out
        cut = stage.guests.tell([pairs[1][0].decode()])
        assert cut == {curve.raw(pairs[0][0].decode())}
        assert stage.guard.cut(cut) >= 1
        # Then what is on its way is all that it hears
        while gone.poll(200):
            gone.recv()
        while stays.poll(0):
            stays.recv()
        assert stays.poll(BOUND_S * 1000) and not gone.poll(300)


def test_a_key_that_was_copied_is_hung_up_on_wherever_it_calls_from() -> None:
    with _on_stage() as (stage, context):
        # Given one key that calls from two addresses
        pair = zmq.curve_keypair()
        stage.guests.tell([pair[0].decode()])
        thieves = [_consumer(context, stage, pair, source) for source in ("127.0.0.2", "127.0.0.3")]
        assert all(each.poll(BOUND_S * 1000) for each in thieves)
        # When it is shut out, then neither hears more than what was on its way
        assert stage.guard.cut(stage.guests.tell([])) == 2
        for each in thieves:
            while each.poll(300):
                each.recv()
            assert not each.poll(300)


def test_whoever_came_before_more_keys_than_are_remembered_is_hung_up_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "SEEN_MAX", 1)
    with _on_stage() as (stage, context):
        # Given two consumers, of whom the first is forgotten
        pairs = [zmq.curve_keypair() for _ in range(2)]
        stage.guests.tell([public.decode() for public, _ in pairs])
        gone = _consumer(context, stage, pairs[0], "127.0.0.2")
        assert gone.poll(BOUND_S * 1000)
        stays = _consumer(context, stage, pairs[1], "127.0.0.3")
        assert stays.poll(BOUND_S * 1000)
        # When it is shut out
        assert stage.guard.cut(stage.guests.tell([pairs[1][0].decode()])) >= 2
        # Then it hears no more, and the other is back
        while gone.poll(300):
            gone.recv()
        while stays.poll(0):
            stays.recv()
        assert stays.poll(BOUND_S * 1000) and not gone.poll(300)


def test_the_line_of_a_certificate_that_was_replaced_before_the_list_came_is_cut_all_the_same() -> None:
    async def story(node: Callable[..., CallingNode]) -> None:
        # Given a thief who speaks with a machine's first certificate, and a node that hears of its second before it hears the list
        key = throwaway_key()
        one, thief, stays = node("a", key), node("b", key), node("c", key)
        for each in (thief, stays):
            each.control.connect(one.id, [HERE], one.port)
            each.control.send(one.id, b"before")
        await until(lambda: len(one.heard) == 2)
        one.register.learn(let_in(key, thief.id, 2).certificate.pack())
        # When the list comes, on which nobody is whom the node still knows
        assert one.register.shut_out(sign(key, 1, {thief.id: 1})) == []
        one.control.cut([])
        # Then the thief is hung up on and does not come back, and the other does
        await until(lambda: thief.told("lost"))
        for each in (thief, stays):
            each.control.send(one.id, f"after {each.id}".encode())
        await until(lambda: f"after {stays.id}".encode() in one.heard and one.control.refused > 0)
        assert f"after {thief.id}".encode() not in one.heard

    play(story)


def test_what_a_node_vouched_for_with_a_certificate_that_was_replaced_is_worth_nothing() -> None:
    # Given a process that a node vouched for, and that was believed
    key = throwaway_key()
    register, first, second = Register(let_in(key, A)), let_in(key, B, 1), let_in(key, B, 2)
    public = zmq.curve_keypair()[0].decode()
    told = Claim("poet", 1, "holder", "playing", 1, key=public, vouch=first.vouch("poet", 1, public))
    register.learn(first.certificate.pack())
    assert register.is_vouched(B, told)
    # When the node is let in anew, with other secrets, then the old word is not believed, and a new one is
    register.learn(second.certificate.pack())
    assert not register.is_vouched(B, told)
    assert register.is_vouched(B, replace(told, vouch=second.vouch("poet", 1, public)))


def test_a_machine_that_lost_its_key_file_and_is_let_in_again_gets_a_number_above_the_list(tmp_path: Path) -> None:
    # Given a machine that was let in, shut out up to that number, and whose key's file is gone
    key = throwaway_key()
    env = {**os.environ, "ROOMFUL_HOME": str(tmp_path)}
    assert ask(env, "key", "add", key.text).returncode == 0
    before = load_member(tmp_path / "key")
    (tmp_path / "key").unlink()
    # When it is let in again
    assert ask(env, "key", "add", key.text).returncode == 0
    after = load_member(tmp_path / "key")
    # Then it is the same node with a later certificate, which the list does not mean
    assert before is not None and after is not None and before.node == after.node
    register = Register(let_in(key, A))
    register.shut_out(sign(key, 1, {before.node: before.certificate.issue}))
    register.learn(after.certificate.pack())
    assert register.admits(after.certificate.curve) is True and register.admits(before.certificate.curve) is not True


def test_an_owners_machine_that_was_shut_out_is_let_in_again_and_keeps_the_key(tmp_path: Path) -> None:
    # Given a machine that keeps the whole key, and was shut out
    env = {**os.environ, "ROOMFUL_HOME": str(tmp_path)}
    assert ask(env, "key", "new").returncode == 0
    before = load_credentials(tmp_path / "key", Store(tmp_path))
    assert before.owner is not None
    elsewhere = Register(let_in(before.owner, A))
    elsewhere.learn(before.certificate.pack())
    elsewhere.shut_out(sign(before.owner, 1, {before.node: before.certificate.issue}))
    assert elsewhere.admits(before.certificate.curve) is False
    # When it is let in anew, for which nothing need be typed
    said = ask(env, "key", "add", "--renew")
    assert said.returncode == 0 and "Start its agent anew" in said.stderr, said.stderr
    after = load_credentials(tmp_path / "key", Store(tmp_path))
    # Then the same node calls with other secrets under a number that the list does not mean, and it keeps the key
    elsewhere.learn(after.certificate.pack())
    assert elsewhere.admits(after.certificate.curve) is True and elsewhere.admits(before.certificate.curve) is not True
    assert after.node == before.node and after.owner == before.owner and after.certificate.kind == OWNER
    assert len({before.seed, after.seed, before.curve_secret, after.curve_secret}) == 4
    # And the number rises again the next time, and where its secrets were lost
    assert ask(env, "key", "add", "--renew").returncode == 0
    third = load_credentials(tmp_path / "key", Store(tmp_path)).certificate.issue
    (tmp_path / NODE_KEY).unlink()
    fourth = load_credentials(tmp_path / "key", Store(tmp_path)).certificate.issue
    assert before.certificate.issue < after.certificate.issue < third < fourth


@contextmanager
def _on_stage() -> Iterator[tuple[Stage, zmq.Context[Any]]]:
    """A stage, and sockets of those who call it."""
    stage, context = Stage(), zmq.Context()
    context.linger = 0
    try:
        yield stage, context
    finally:
        context.destroy(linger=0)
        stage.close()


def _consumer(context: Any, stage: Stage, pair: tuple[bytes, bytes], source: str = HERE) -> Any:
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    curve.client(socket, stage.public, *pair)
    socket.subscribe(b"")
    socket.connect(f"tcp://{source}:0;{HERE}:{stage.port}")
    return socket


# ---- a whole room


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """A rehearsal that plays, the environment in which commands find it, and its key."""
    folder = tmp_path_factory.mktemp("r")
    env = {**os.environ, "ROOMFUL_HOME": str(folder / "home"), "TMPDIR": str(folder), "COLUMNS": "120"}
    process = subprocess.Popen(
        [*ROOMFUL, "rehearse", str(small_piece(folder / "piece")), "--json", "--headless"], stdout=subprocess.PIPE, text=True, env=env)
    wait_for(process, {"wall@c", "drift", "words", "poet/1", "poet/2"})
    (key,) = (folder / f"roomful-{os.getuid()}").glob("small-piece-*/key")
    yield env, key
    process.terminate()
    process.communicate(timeout=30)


def test_a_machine_is_shut_out_of_a_room_that_plays_and_no_other_process_changes(room: tuple[dict[str, str], Path]) -> None:
    env, key = room
    # Given who plays what, as a sees it
    door = ("--host", f"127.0.0.1:{json.loads(ask(env, 'status', '--json').stdout)['machines']['a']['control_port']}")
    before = _status(env, key, door)["roles"]
    stays = {name: role["pid"] for name, role in before.items() if role["machine"] != "b"}
    assert _listed(env, key, door) == {"a": False, "b": False, "c": False}
    # When b is shut out
    revoked = ask(env, "key", "revoke", "b", "--file", str(key), *door)
    assert revoked.returncode == 0 and "b is shut out" in revoked.stdout, revoked.stderr
    # Then what it played plays elsewhere, and the rest as before
    _wait(lambda: all(role["state"] == "playing" and role["machine"] != "b" for role in _status(env, key, door)["roles"].values()))
    after = _status(env, key, door)["roles"]
    assert {name: after[name]["pid"] for name in stays} == stays
    # And nobody waited for its silence: it was gone for them the moment they heard of it
    told = [json.loads(line) for line in ask(env, "events", "--json", "--key", str(key), *door).stdout.splitlines()]
    assert any(each["event"] == "node_left" and each["name"] == "b" for each in told)
    assert not any(each["event"] in ("node_suspect", "node_dead") and each["name"] == "b" for each in told)
    # And b is named so, though it goes on calling and sending, and nothing of it counts
    first = _status(env, key, door)
    assert first["machines"]["b"]["health"] == "shut out" and "key revoke" in first["machines"]["b"]["why"]
    _wait(lambda: _status(env, key, door)["refused"]["datagram"] > first["refused"]["datagram"] + 20)
    _wait(lambda: _status(env, key, door)["refused"]["connections"] > first["refused"]["connections"] + 2)
    last = _status(env, key, door)
    assert last["machines"]["b"]["health"] == "shut out"
    assert {name: last["roles"][name]["pid"] for name in stays} == stays
    assert _listed(env, key, door) == {"a": False, "b": True, "c": False}


def test_only_with_the_whole_key_of_this_room_anybody_is_shut_out(room: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    env, key = room
    ask(env, "key", "new", "--file", str(tmp_path / "other"))

    refused = ask(env, "key", "revoke", "b", "--file", str(tmp_path / "other"))
    unknown = ask(env, "key", "revoke", "bb", "--file", str(key))

    assert refused.returncode != 0 and "another installation's key" in refused.stderr
    assert unknown.returncode != 0 and "Did you mean" in unknown.stderr
    assert not any(_listed(env, key, ()).values())


def test_a_command_that_the_whole_key_vouched_for_is_shut_out_alone(room: tuple[dict[str, str], Path]) -> None:
    env, key = room
    # Given a command, as on a laptop with the whole key, whose secrets somebody has got hold of
    where = f"127.0.0.1:{json.loads(ask(env, 'status', '--json').stdout)['machines']['a']['control_port']}"
    stolen, door = find(where, key), ("--host", where)
    assert stolen.ask("status")["machines"] and stolen.register.mine.certificate.kind == OPERATOR
    number = stolen.register.mine.node
    listed = json.loads(ask(env, "key", "list", "--json", "--key", str(key), *door).stdout)["commands"]
    assert {each["node"]: each["shut_out"] for each in listed}[number] is False
    # When it is shut out, by another command with the same key
    revoked = ask(env, "key", "revoke", number[:12], "--file", str(key), *door)
    assert revoked.returncode == 0 and f"The command {number[:8]} is shut out" in revoked.stdout, revoked.stderr
    # Then nobody answers it any more, while other commands are answered and no machine is shut out
    with pytest.raises(NoRoomError):
        stolen.ask("status", timeout_s=2.0)
    assert _listed(env, key, door) == {"a": False, "b": False, "c": False}
    listed = json.loads(ask(env, "key", "list", "--json", "--key", str(key), *door).stdout)["commands"]
    assert {each["node"]: each["shut_out"] for each in listed}[number] is True


def _status(env: dict[str, str], key: Path, door: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(env, "status", "--json", "--key", str(key), *door).stdout)
    return found


def _listed(env: dict[str, str], key: Path, door: tuple[str, ...]) -> dict[str, bool]:
    said = json.loads(ask(env, "key", "list", "--json", "--key", str(key), *door).stdout)
    return {each["name"]: each["shut_out"] for each in said["machines"]}


def _wait(condition: Callable[[], bool]) -> None:
    """Each look is a command, which takes its time by itself."""
    for _ in range(60):
        if condition():
            return
    raise AssertionError("it did not come about")


TALKER = '''
class Talker(Role):
    """Speaks all the time."""
    outputs = {"line": Text}

    def tick(self):
        self.emit("line", "a line of the work")
        return 0.01
'''


def test_a_role_that_plays_lets_in_whom_its_agent_names_and_hangs_up_on_whom_it_names_too(tmp_path: Path) -> None:
    context: Any = zmq.Context()
    context.linger = 0
    with Agent(tmp_path, TALKER) as agent:
        try:
            # Given a role's process, as confined as in a room, and two consumers on other machines
            talker = agent.start("talker", "Talker")
            ready = talker.first("ready")
            assert ready is not None
            pairs = [zmq.curve_keypair() for _ in range(2)]
            publics = [public.decode() for public, _ in pairs]
            talker.tell(type="keys", vouched=publics)
            gone, stays = (_subscriber(context, ready["frames_port"], pair) for pair in pairs)
            agent.until(lambda: gone.poll(0) and stays.poll(0), "both to hear it")
            # When one is shut out
            talker.tell(type="keys", vouched=publics[1:], cut=publics[:1])
            # Then it hears what was on its way, and no more; the other is back at once, and the process is the same
            agent.until(lambda: not _heard(gone, agent), "the end of what it hears")
            agent.until(lambda: _heard(stays, agent), "the other to hear it")
            assert not _heard(gone, agent) and talker.process.poll() is None
            # And when all are hung up on who are not named, of whom the agent knows no more than that
            talker.tell(type="keys", vouched=[], cut=[], sweep=True)
            agent.until(lambda: not _heard(stays, agent), "the end of what the other hears")
            assert talker.process.poll() is None
        finally:
            context.destroy(linger=0)


EARS = """
class Ears(Role):
    inputs = {"line": Text}

    def setup(self):
        self.heard = {}

    def on_line(self, frame):
        self.heard[frame.source] = self.heard.get(frame.source, 0) + 1
        self.publish("heard", dict(self.heard))
"""


@pytest.mark.parametrize("far", [False, True], ids=["one machine", "as on two machines"])
def test_whoever_listened_to_a_machine_that_is_shut_out_hears_nothing_more_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    if far:
        monkeypatch.setenv(FAR, "1")
    with Agent(tmp_path, TALKER + EARS) as agent:
        # Given one who listens to two machines, while the lines to both stand
        stays, goes = (agent.start(f"talker/{place + 1}", "Talker", node=f"node-{place}") for place in range(2))
        ears = agent.start("ears", "Ears", node="node-0", routes={"inputs": {"line": stays.stream("line", "text", "queue", goes.source())}})
        straight = {"line": 2} if far else {}
        agent.until(lambda: len(ears.facts.get("heard", ())) == 2 and ears.pulse["straight"] == straight, "both to be heard")
        # When one of them is shut out, though no route says so yet
        ears.tell(type="keys", vouched=[KEYS[0]], cut=[], sweep=False, gone=["node-1"])
        agent.until(lambda: _stands(ears, agent, "talker/2"), "the end of what it says")
        # Then the other is heard on, and it is not, whatever it says
        before = ears.facts["heard"]
        agent.until(lambda: ears.facts["heard"]["talker/1"] > before["talker/1"] + 200, "further lines of the other")
        assert ears.facts["heard"]["talker/2"] == before["talker/2"] and goes.process.poll() is None


def _stands(ears: Any, agent: Agent, name: str) -> bool:
    """Whether nothing came of that one while twenty lines came of the other."""
    before = ears.facts["heard"]
    agent.until(lambda: ears.facts["heard"]["talker/1"] > before["talker/1"] + 20, "lines of the other")
    return bool(ears.facts["heard"][name] == before[name])


def test_a_node_that_is_shut_out_is_not_believed_nor_is_who_vouches_for_it_and_all_others_are(tmp_path: Path) -> None:
    # Given a node that knows two others
    key = throwaway_key()
    one = _vouching(key, A, tmp_path / "a")
    for node in (B, C):
        one.register.learn(let_in(key, node).certificate.pack())
    words: list[Message] = [
        Beat(B, "b", 1, 1, 1), Ack(B, "b", 1, 1, 1), Probe(B, A, 1), Verdict(B, C, 1, 1, "dead"), Verdict(C, B, 1, 9, "alive"),
        State(B, 1, NodeState(1, {}, (0, ""))),
    ]  # fmt: skip
    others: list[Message] = [Beat(C, "c", 1, 1, 1), Ack(C, "c", 1, 1, 1), Probe(C, A, 1), Verdict(C, C, 1, 1, "alive")]
    assert not any(one.bars(word) for word in (*words, *others))
    # When one of them is shut out
    told = sign(key, 1, {B: 1})
    one.obey(told.signed, key.group_key(1), 0.0)
    # Then no word of it counts, nor for it, and all of the other's do
    assert all(one.bars(word) for word in words) and not any(one.bars(word) for word in others)
    # And what it says counts again once it was let in anew
    one.register.learn(let_in(key, B, 2).certificate.pack())
    assert not any(one.bars(word) for word in words)


def test_a_role_says_which_address_was_turned_away_at_its_own_port_and_why(tmp_path: Path) -> None:
    context: Any = zmq.Context()
    context.linger = 0
    with Agent(tmp_path, TALKER) as agent:
        try:
            # Given a role's process, when somebody calls with a key that nobody vouches for
            talker = agent.start("talker", "Talker")
            ready = talker.first("ready")
            assert ready is not None
            stranger = _subscriber(context, ready["frames_port"], zmq.curve_keypair())
            # Then one of its pulses names the address, with the reason, once it has been refused
            agent.until(lambda: talker.turned_away, "a pulse that names it")
            assert talker.turned_away[0][0] == HERE and "key" in talker.turned_away[0][1] and not stranger.poll(0)
        finally:
            context.destroy(linger=0)


def _subscriber(context: Any, port: int, pair: tuple[bytes, bytes]) -> Any:
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    curve.client(socket, KEYS[0].encode(), *pair)
    socket.subscribe(b"talker.line" + TOPIC_END)
    socket.connect(f"tcp://{HERE}:{port}")
    return socket


def _heard(socket: Any, agent: Agent) -> bool:
    """Whether something comes within a fifth of a second, from now on; it is spoken every hundredth."""
    while socket.poll(0):
        socket.recv()
    agent.pump(0.0)
    return bool(socket.poll(200))
