"""Where a machine is, as people type it: read, or refused with what to write instead."""

from __future__ import annotations

import pytest

from mesh.core.addresses import host_port
from mesh.core.quantities import Unclear


@pytest.mark.parametrize(("text", "read"), [
    ("shelf", ("shelf", 47600)), ("shelf.local:5000", ("shelf.local", 5000)), ("192.168.1.20", ("192.168.1.20", 47600)),
    ("192.168.1.20:65535", ("192.168.1.20", 65535)),
])  # fmt: skip
def test_a_host_is_read_with_its_port_or_the_usual_one(text: str, read: tuple[str, int]) -> None:
    assert host_port(text) == read


@pytest.mark.parametrize(("text", "what"), [
    ("host:b", "not a port"), ("host:", "not a port"), ("host:0", "not a port"), ("host:70000", "not a port"), ("host:٣", "not a port"),
    ("::1", "IPv6"), ("fe80::1%eth0", "IPv6"), ("[::1]:47600", "IPv6"), ("[::1]", "IPv6"), ("x:y:z", "not a port"),
    ("http://shelf", "web address"), ("", "not a host"), (":47600", "not a host"), ("1.2.3", "not a host"), ("a b", "not a host"),
])  # fmt: skip
def test_what_is_no_address_is_refused_with_what_to_write(text: str, what: str) -> None:
    with pytest.raises(Unclear, match=what) as refused:
        host_port(text)
    assert refused.value.instead
