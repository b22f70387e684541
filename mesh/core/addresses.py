"""Where a machine can be reached, as people type it: "shelf.local", "192.168.1.20:47600".

One reader for the file's `seeds`, `--seed` and `--host`, so that the three refuse alike. Decided against: IPv6, which the
links do not speak (see `mesh/shell/transport.py`); an address of it is refused here, where somebody can still do something about it.
"""

from __future__ import annotations

from mesh.core.quantities import Unclear, is_host

CONTROL_PORT = 47600
_INSTEAD = "write a host name or address, with a port if it is not the usual one: 192.168.1.20 or shelf.local:47600"


def host_port(text: str, port: int = CONTROL_PORT) -> tuple[str, int]:
    """Host and port; `port` where none is written. Raises Unclear with what to write instead."""
    shown = f"“{text[:60]}”"
    if "://" in text:
        raise Unclear(f"{shown} is a web address", f"write the host alone: {text.split('://', 1)[1].split('/', 1)[0][:60]}")
    if text.count(":") > 1 and is_host(text.rpartition("]:")[0] + "]" if "]:" in text else text):
        raise Unclear(f"{shown} is an IPv6 address; the machines of a room speak IPv4", _INSTEAD)
    host, colon, written = text.partition(":")
    if not is_host(host):
        raise Unclear(f"{shown} is not a host", _INSTEAD)
    if not colon:
        return host, port
    if not (written.isascii() and written.isdigit() and 0 < int(written[:6]) < 65536):
        raise Unclear(f"“{written[:20]}” in {shown} is not a port", f"write a number from 1 to 65535, or leave it out for {port}")
    return host, int(written)
