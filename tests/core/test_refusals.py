"""Who was turned away, in words for `status`."""

from __future__ import annotations

from mesh.core.refusals import ADDRESSES_MAX, Refusals, by_port


def test_each_address_is_told_once_with_its_last_reason_the_most_frequent_first() -> None:
    refusals = Refusals()
    for number in range(3):
        refusals.note("10.0.0.9", f"reason {number}", float(number))
    refusals.note("10.0.0.8", "another key", 3.0)
    assert refusals.described(4.0) == [
        {"address": "10.0.0.9", "what": "reason 2", "count": 3, "ago_s": 2.0},
        {"address": "10.0.0.8", "what": "another key", "count": 1, "ago_s": 1.0},
    ]


def test_what_was_long_ago_is_told_no_more_and_made_up_addresses_are_bounded() -> None:
    refusals = Refusals()
    for number in range(100_000):
        refusals.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "x" * 10_000, 0.0)
    assert len(refusals._by_address) == ADDRESSES_MAX and all(len(each.what) <= 200 for each in refusals._by_address.values())
    assert refusals.described(1.0) and not refusals.described(1000.0)


def test_what_all_machines_turned_away_is_told_by_the_kind_of_port_and_nonsense_is_left_out() -> None:
    door = {"datagram": 1200, "connections": 3, "roles": 0, "revisions": "many"}
    assert by_port([door, {"datagram": 5, "revisions": 2}, {}]) == (
        "turned away so far: 1,205 at heartbeat ports, 3 at control ports, 2 at ports for revisions")
    assert by_port([{}, {"roles": 0}]) == ""
