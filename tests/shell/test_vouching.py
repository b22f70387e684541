"""Keys of processes: each is vouched for by the node that plays it, and by nobody else for it."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.core.messages import PROTOCOL, Claim, Hello, NodeRecord, NodeState, State
from mesh.core.node import Node
from mesh.core.peers import Peers
from mesh.core.timing import WIRED
from mesh.shell import record as announced
from mesh.shell.certificates import is_vouched
from mesh.shell.credentials import Credentials, let_in, throwaway_credentials
from mesh.shell.introductions import box
from mesh.shell.keys import throwaway_key
from mesh.shell.register import Register
from mesh.shell.storage import Store
from mesh.shell.vouching import Vouching, as_text, from_text, new_pair

A, B = "a" * 32, "b" * 32
KEY = throwaway_key()
OTHER = let_in(KEY, B)


def _vouching(home: Path) -> Vouching:
    return Vouching(let_in(KEY, A), Store(home), lambda *told: True, lambda *kept: None)


def _record(mine: Credentials) -> NodeRecord:
    return NodeRecord(mine.node, "boot", 1, "b", ("10.0.0.2",), 47600, 47600, "room", certificate=as_text(mine.certificate.pack()))


def _claim(mine: Credentials, instance: str = "eye", generation: int = 3) -> Claim:
    pair = new_pair(mine, instance, generation)
    return Claim(instance, 1, "holder", "playing", generation, key=pair.public, vouch=pair.vouch)


def _state(*claims: Claim) -> State:
    return State(B, 1, NodeState(1, {}, (1, "rev"), claims=claims), "boot")


def test_a_process_is_vouched_for_by_its_own_node_as_that_instance_and_generation() -> None:
    claim, signing = _claim(OTHER), OTHER.certificate.signing

    assert is_vouched(signing, B, "eye", 3, claim.key, claim.vouch)

    assert not is_vouched(signing, A, "eye", 3, claim.key, claim.vouch)
    assert not is_vouched(signing, B, "poet", 3, claim.key, claim.vouch)
    assert not is_vouched(signing, B, "eye", 4, claim.key, claim.vouch)
    assert not is_vouched(signing, B, "eye", 3, _claim(OTHER).key, claim.vouch)
    assert not is_vouched(let_in(KEY, A).certificate.signing, B, "eye", 3, claim.key, claim.vouch)


@pytest.mark.parametrize("nonsense", ["", "x", "#" * 80, "~" * 80, "é" * 80, "\ud800" * 5, "0" * 80])
def test_what_is_no_key_or_no_signature_is_not_vouched_for(nonsense: str) -> None:
    claim = _claim(OTHER)

    assert not is_vouched(OTHER.certificate.signing, B, "eye", 3, claim.key, nonsense)
    assert not is_vouched(OTHER.certificate.signing, B, "eye", 3, nonsense, claim.vouch)


def test_of_a_claim_with_a_key_that_its_node_did_not_sign_the_claim_counts_and_the_key_does_not(tmp_path: Path) -> None:
    # Given a node that knows another
    one = _vouching(tmp_path)
    assert one.take_in(Hello(_record(OTHER))) is not None
    # When it hears a state with one true key, one that somebody else signed, and one that is of another instance
    true = _claim(OTHER)
    forged = replace(_claim(let_in(KEY, B)), instance="poet/1")
    moved = replace(true, instance="poet/2")
    heard = one.take_in(_state(true, forged, moved))
    # Then only the true one is left, and nothing else is changed
    assert isinstance(heard, State)
    assert heard.state.claims == (true, replace(forged, key="", vouch=""), replace(moved, key="", vouch=""))


def test_nothing_is_believed_of_a_node_that_nobody_vouched_for(tmp_path: Path) -> None:
    one, stranger = _vouching(tmp_path), throwaway_credentials(node=B)

    assert one.take_in(_state(_claim(stranger))) is None
    assert one.take_in(Hello(_record(stranger))) is None
    assert one.take_in(Hello(replace(_record(OTHER), certificate=""))) is None

    assert one.take_in(Hello(_record(OTHER))) is not None


def test_processes_are_told_whom_to_let_in_when_that_changes_and_only_then(tmp_path: Path) -> None:
    # Given a node that plays alone
    one = _vouching(tmp_path)
    node = Node(_record(one.register.mine), 0.0)
    assert one.guests(node) == [one.register.mine.public.decode()]
    assert one.guests(node) is None
    # When another machine shows itself
    one.register.learn(OTHER.certificate.pack())
    # Then its node, and the commands that are typed there, are let in
    assert one.guests(node) == sorted([one.register.mine.public.decode(), OTHER.public.decode()])
    assert one.guests(node) is None


@pytest.mark.parametrize("text", ["", "no base 85 \x00", "é", "A" * 500])
def test_a_records_certificate_may_be_anything(text: str, tmp_path: Path) -> None:
    one = _vouching(tmp_path)
    before = one.register.version

    one.learn(text)

    assert one.register.version == before
    assert from_text(as_text(OTHER.certificate.pack())) == OTHER.certificate.pack()


def test_mdns_names_only_who_shows_a_certificate_of_its_own(tmp_path: Path) -> None:
    # Given a node, what a friend announces, and a stranger who has heard that
    one = _vouching(tmp_path)
    peers = Peers(A, "0" * 16, WIRED)
    shown = base64.b85encode(box(Register(OTHER))).decode()
    friend = announced.NodeRecord(B, "0" * 8, "b", 1, PROTOCOL, 47600, 47600, "0" * 16, ("10.0.0.2",), "0" * 8, shown)
    # When each is heard, then the friend is known, also after it has moved
    for record in (friend, replace(friend, addresses=("10.0.0.9",)), replace(friend, installation_hash="1" * 16)):
        found = one.found(record, peers)
        assert found is not None and found.same_key
    # And nobody is called for whoever copied its certificate, or has none, whichever work he names
    ghost = replace(friend, node="c" * 32, addresses=("10.66.0.1",), control_port=22)
    for forged in (ghost, replace(ghost, installation_hash="1" * 16), replace(ghost, introduction=""), replace(friend, introduction="")):
        assert one.found(forged, peers) is None
    # And another installation, or version, is still said by name
    for other in (replace(ghost, introduction="", installation_hash="1" * 16), replace(ghost, introduction="", protocol=99)):
        found = one.found(other, peers)
        assert found is not None and not found.same_key
